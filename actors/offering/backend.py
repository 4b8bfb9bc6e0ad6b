"""Where an offering is served and how that place proves itself; and what a subscriber calls its own end. Pure but for one row.

Lives here: the address of a virtual address, the identity of a TLS backend, names of hosts. Must not live here: a proxy's configuration.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from typing import Final

from actors.addresses import refused_url_reason
from actors.certificates import pem_to_der
from actors.offering.record import OfferingRecord
from actors.resource.record import KIND as RESOURCE
from runtime.context import Context
from runtime.values import Value

HOST_CHARS_MAX: Final = 253
SUBJECT_CHARS_MAX: Final = 256
TLS_PROTOCOLS: Final = frozenset({"https", "tls"})
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME: Final = re.compile(rf"(?=.{{1,{HOST_CHARS_MAX}}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)
_SITE_LOCAL: Final = re.compile(r"(localhost|127\.0\.0\.1):([1-9][0-9]{0,4})", re.ASCII)
_NUMERIC: Final = re.compile(r"[0-9.]+", re.ASCII)
_READ_AS_ADDRESS: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)", re.ASCII)
"""Names whose last label is a number: resolvers take `0x7f000001` for an address (https://url.spec.whatwg.org/#ends-in-a-number-checker)."""
_BEHIND_A_PEER: Final = frozenset({"private"})
"""Why an address may be refused elsewhere and still be a backend: overlay networks lie in private ranges."""


class BackendTls(Value, frozen=True):
    """How a TLS backend proves itself: the name in its certificate, and the CA certificate that must close its chain."""

    server_name: str
    anchor_pem: str
    anchor_fingerprint: str


def fingerprint(pem: str) -> str | None:
    """`sha256:<hex>` of the first certificate of a PEM text, or None if it is none."""
    der = pem_to_der(pem)
    return f"sha256:{hashlib.sha256(der).hexdigest()}" if isinstance(der, bytes) else None


def is_dns_name(text: str) -> bool:
    """Whether it is a host name of RFC 1123 in lower case, and no address."""
    return _DNS_NAME.fullmatch(text) is not None and _NUMERIC.fullmatch(text) is None


def is_site_local(text: str) -> bool:
    """Whether it is `localhost:<port>` or `127.0.0.1:<port>`: a forward on the subscriber's own machine."""
    found = _SITE_LOCAL.fullmatch(text)
    return found is not None and int(found[2]) <= 65_535


def local_hostname(text: str) -> str:
    """The text, if it can be the subscriber's end of a service. It is written into a proxy's rules, so nothing else passes.

    Raises:
        ValueError: it cannot.
    """
    if not (is_dns_name(text) or is_site_local(text)):
        raise ValueError("must be a DNS name in lower case, or localhost:<port> or 127.0.0.1:<port>")
    return text


def backend_host(text: str) -> str:
    """The host of a backend: a DNS name in lower case, or an address in canonical form.

    Raises:
        ValueError: it is neither.
    """
    if is_dns_name(text):
        return text
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be a DNS name in lower case or an IP address") from None


def forwarded(local_hostname: str) -> str:
    """One text for what is one end: both spellings of a site-local forward listen at the same place."""
    return local_hostname.replace("localhost:", "127.0.0.1:") if is_site_local(local_hostname) else local_hostname


def misleading(host: str, allowed: tuple[str, ...]) -> str | None:
    """Why the host of a backend can be none, or None.

    It is dialled by the subscriber's proxy, to which loopback, link-local and metadata addresses mean the subscriber's own machine and
    neighbours. A name is judged by its text alone: what it resolves to is the proxy's matter.

    Args:
        host: a DNS name or an address in canonical form.
        allowed: networks that the operator trusts (`federation.allowed_networks`).
    """
    if is_dns_name(host) and _READ_AS_ADDRESS.fullmatch(host):
        return "not_an_address"
    reason = refused_url_reason(f"https://[{host}]" if ":" in host else f"https://{host}", allowed)
    return None if reason in _BEHIND_A_PEER else reason


def address(ctx: Context, offering: OfferingRecord) -> str | None:
    """The host that subscribers reach: the virtual address if there is one, else the host; None if neither is there."""
    if offering.backend_vip_id is not None:
        found = vip_address(ctx, offering.account_id, offering.backend_vip_id)
        if found is not None:
            return found
    return offering.backend_host


def vip_address(ctx: Context, account_id: str, id: str) -> str | None:
    """The address of a `VirtualIp` of the catalogue, or None if there is no such."""
    row = ctx.row(RESOURCE.name, id)
    record = row.record if row is not None else None
    if record is None or record.account_id != account_id or record.kind != "VirtualIp" or not record.lives:
        return None
    return str(ipaddress.ip_interface(record.attributes["cidr"]).ip)


def tls_of(offering: OfferingRecord, host: str, own_anchor_pem: str) -> BackendTls | None:
    """How the backend proves itself; None for a protocol without TLS."""
    if offering.protocol not in TLS_PROTOCOLS:
        return None
    pem = offering.backend_anchor_pem or own_anchor_pem
    return BackendTls(offering.backend_server_name or host, pem, fingerprint(pem) or "")


def subject(slug: str, hostname: str, peer_id: str) -> str:
    """The subject of a subscription's grant; a host that is too long for it stands as its digest."""
    text = f"service-sub:{slug}:{hostname}@peer-{peer_id}"
    if len(text) <= SUBJECT_CHARS_MAX:
        return text
    return f"service-sub:{slug}:{hashlib.sha256(hostname.encode()).hexdigest()}@peer-{peer_id}"
