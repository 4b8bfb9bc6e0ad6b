"""A call that a trusted proxy hands on: what of its word counts, and what the call looks like then.

Lives here: how a proxy proves itself, what it may say of the call, and how strictly that is read. Must not live here: what is decided about
the caller (`actors.door.admission` judges a forwarded certificate as it judges one of the connection), or what is limited by source.

A proxy is trusted by its client certificate, pinned by fingerprint: the handshake has shown that it holds the key. Nothing is ever the
proxy's own: a call that it hands on without a client certificate (RFC 9440) is nobody's, and one whose certificate cannot be read is
refused wherever a certificate counts. What it says in `X-Forwarded-For` and `X-Sdwan-Network` takes the place of what a connection proves;
what it leaves out, nothing proves. Everybody else's headers stay what they are: noticed as forgeries, and never believed.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable
from typing import Any, Final

import attrs

from actors import certificates
from actors.door.call import Call, Source
from runtime.errors import Fault, RemoteFault
from runtime.values import evolve

FORWARDED: Final = "x-forwarded-for"
INSTANCE: Final = "x-calling-instance"
NETWORK: Final = "x-sdwan-network"
CERTIFICATE: Final = "client-cert"
CLAIMS: Final = (INSTANCE, NETWORK, FORWARDED, CERTIFICATE, "client-cert-chain")
"""Headers by which a trusted proxy tells who calls, from where. From anybody else they are a forgery."""

ENTRIES_READ_CHARS: Final = 4_096
"""Of a longer `X-Forwarded-For` only the end is read, where the nearest proxy has written."""
CERTIFICATE_CHARS_MAX: Final = 8_192
"""A certificate of a peering takes about 900."""
CERTIFICATES_REMEMBERED: Final = 8
"""Of one connection of a proxy, so that peers which share it pay for the public-key check once."""

_BYTES: Final = re.compile(r":([A-Za-z0-9+/]+={0,2}):", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@attrs.frozen
class Trusted:
    """The proxies that operators trust.

    Attributes:
        fingerprints: SHA-256 of the client certificates of those that may hand calls on.
        networks: addresses of further proxies before those. They are passed over in `X-Forwarded-For`, and nothing else.
    """

    fingerprints: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Trusted:
        """As the setting `federation.trusted_proxies` names them."""
        listed = tuple(entries)
        prints = frozenset(entry for entry in listed if entry.startswith("sha256:"))
        return cls(prints, tuple(ipaddress.ip_network(entry) for entry in listed if entry not in prints))

    def opened(self, source: Source, wall: float) -> bool:
        """Whether a connection is one of a trusted proxy, by the certificate that it has proven; `wall` in seconds since the epoch."""
        return bool(self.fingerprints) and _handed_on(source, self, wall) is not None


def as_seen(call: Call, trusted: Trusted, wall: float) -> Call | Fault:
    """The call as a trusted proxy tells it; as it is, if no trusted proxy hands it on; or the refusal of one that contradicts itself.

    Args:
        wall: seconds since the epoch; a certificate of a proxy that has ended is nobody's.
    """
    fingerprint = _handed_on(call.source, trusted, wall)
    if fingerprint is None:
        return call
    network_id = call.headers.get(NETWORK, call.source.network_id)
    if network_id is not None and (_UUID.fullmatch(network_id) is None or call.source.network_id not in (None, network_id)):
        return contradiction(NETWORK, network_id)
    address = nearest(call.headers.get(FORWARDED), trusted.networks)
    certificate, scratch = _forwarded(call.source, call.headers.get(CERTIFICATE))
    source = evolve(
        call.source,
        address=address or call.source.address,
        certificates=certificate,
        network_id=network_id,
        proxy=fingerprint,
        unplaced=address is None,
        verified=scratch,
    )
    # The instance can be compared only once the certificate has been judged.
    headers = {name: value for name, value in call.headers.items() if name not in CLAIMS or name == INSTANCE}
    return evolve(call, source=source, headers=headers)


def contradiction(header: str, supplied: str) -> Fault:
    """The refusal of a call of which a trusted proxy says what its connection or its certificate does not."""
    text = f"{header} of the proxy contradicts what the call proves"
    return RemoteFault("context_mismatch", text, 403, {"header": header, "supplied": supplied[:64]})


def _handed_on(source: Source, trusted: Trusted, wall: float) -> str | None:
    """The fingerprint of the trusted proxy whose own connection it is. One that came through a hub or is a channel is a peer's."""
    if source.face != "tls" or source.relayed_by or source.channel or not source.certificates:
        return None
    known: tuple[str, certificates.Leaf | str] | None = source.verified.get("proxy")
    if known is None:
        der = source.certificates[0]
        known = source.verified["proxy"] = (certificates.fingerprint(der), certificates.parse_leaf(der, name_required=False))
    fingerprint, leaf = known
    trustworthy = fingerprint in trusted.fingerprints and not isinstance(leaf, str) and certificates.outside_dates(leaf, wall) is None
    return fingerprint if trustworthy else None


def _forwarded(source: Source, header: str | None) -> tuple[tuple[bytes, ...], dict[str, Any]]:
    """The certificate that the proxy has taken from the caller, if any, and the scratch of the door for it.

    What cannot be read is kept as a certificate that has been judged unreadable: so it is refused exactly where a certificate counts.
    """
    if header is None:
        return (), {}
    known: dict[str, tuple[tuple[bytes, ...], dict[str, Any]]] = source.verified.setdefault("forwarded", {})
    if header not in known:
        der = certificate_in(header)
        if isinstance(der, str):
            return (b"",), {"leaf": der}
        if len(known) >= CERTIFICATES_REMEMBERED:
            known.clear()
        known[header] = ((der,), {})
    return known[header]


def certificate_in(header: str) -> bytes | str:
    """The certificate (DER) of a `Client-Cert` header as RFC 9440 has it, one byte sequence of RFC 8941 and nothing else; or the reason
    (a key of `certificates.REASONS`) why there is none."""
    if len(header) > CERTIFICATE_CHARS_MAX:
        return "forwarded_too_large"
    found = _BYTES.fullmatch(header)
    if found is None:
        return "forwarded_malformed"
    try:
        der = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        return "forwarded_malformed"
    # Of several texts that are decoded alike only one is taken, so that no two readers can differ.
    return der if base64.b64encode(der).decode() == found[1] else "forwarded_malformed"


def nearest(header: str | None, proxies: tuple[Network, ...] = ()) -> str | None:
    """The right-most address of the header that is no proxy's; None if there is none, or what stands there cannot be read."""
    if header is None:
        return None
    entries = header[-ENTRIES_READ_CHARS:].split(",")
    for entry in reversed(entries if len(header) <= ENTRIES_READ_CHARS else entries[1:]):
        address = _address(entry.strip())
        if address is None:
            return None
        if not any(address in network for network in proxies):
            return str(address)
    return None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    return None if address.scope_id is not None else address.ipv4_mapped or address
