"""Which addresses of a remote may be dialled.

Lives here: the pure predicate over one address, and over the address that a URL spells out. Must not live here: name resolution and
sockets (`net.addresses`), and the syntax of URLs (`actors.urls`).

A remote names its own URLs, so without a policy it could make this platform call its own operator port, a cloud's metadata service or
a neighbour inside the private network. Everything that is not plainly public is therefore refused unless the operator lists the range.
The same address can be written in several families; each form is judged by the IPv4 address that packets would finally reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from actors.urls import host_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Services of cloud providers that hand credentials to whoever can reach them; not all of them lie in special ranges.
METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)
_NAT64_WELL_KNOWN: Final = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052
_NAT64_LOCAL: Final = ipaddress.IPv6Network("64:ff9b:1::/48")  # RFC 8215
_IPV4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")  # RFC 4291, deprecated
_IPV4_TRANSLATED: Final = ipaddress.IPv6Network("::ffff:0:0:0/96")  # RFC 2765
_NEVER_PUBLIC: Final = (
    _NAT64_LOCAL,
    ipaddress.IPv6Network("fec0::/10"),  # site-local, RFC 3879
    ipaddress.IPv6Network("3fff::/20"),  # documentation, RFC 9637
    ipaddress.IPv4Network("0.0.0.0/8"),  # this network, RFC 791
)
_ISATAP_MARKS: Final = frozenset({0x00005EFE, 0x02005EFE})  # RFC 5214, the upper half of the interface identifier


@lru_cache(maxsize=1_024)
def refused_reason(address: str, allowed: tuple[str, ...]) -> str | None:
    """Why `address` must not be dialled, or None.

    Args:
        address: one IPv4 or IPv6 address as text.
        allowed: networks in CIDR form that the operator trusts; an entry that is no network allows nothing.

    Returns:
        `not_an_address`, `unspecified`, `loopback`, `metadata`, `link_local`, `multicast`, `private`, or None.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "not_an_address"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        parsed = ipaddress.IPv6Address(int(parsed))
    networks = _networks(allowed)
    for form in _forms(parsed):
        if any(form in network for network in networks):
            continue
        reason = _special(form)
        if reason is not None:
            return reason
    return None


def refused_url_reason(url: str, allowed: tuple[str, ...]) -> str | None:
    """Why the host that a canonical URL spells out must not be dialled, or None.

    Judges literal addresses and the names that always mean this host (RFC 6761); any other name is judged once it has been resolved.
    """
    host = host_of(url)
    if host == "localhost" or host.endswith(".localhost"):
        both = (refused_reason("127.0.0.1", allowed), refused_reason("::1", allowed))
        return None if None in both else "loopback"
    return refused_reason(host, allowed) if is_literal(host) else None


@lru_cache(maxsize=1_024)
def is_literal(host: str) -> bool:
    """Whether `host` is an address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def inside(addresses: frozenset[str], network: str) -> bool:
    """Whether one of `addresses` lies in `network`; False if `network` is no network."""
    return any(address in range_ for range_ in _networks((network,)) for address in map(ipaddress.ip_address, addresses))


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue
    return tuple(found)


def _forms(address: Address) -> tuple[Address, ...]:
    """The addresses to judge: those embedded if there are any, since they are where packets go, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    return tuple(_embedded(address)) or (address,)


def _embedded(address: ipaddress.IPv6Address) -> Iterator[Address]:
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address.sixtofour is not None:
        yield address.sixtofour
    elif address.teredo is not None:
        yield from address.teredo
    elif address in _NAT64_WELL_KNOWN or address in _IPV4_TRANSLATED or (address in _IPV4_COMPATIBLE and int(address) > 1):
        yield low
    elif address in _NAT64_LOCAL:
        # The operator chooses how the IPv4 address is laid out in this prefix, so no reading of it can be trusted.
        yield address
    elif (int(address) >> 32) & 0xFFFFFFFF in _ISATAP_MARKS:
        yield low
        yield address


def _special(address: Address) -> str | None:
    if address in METADATA_ADDRESSES:
        return "metadata"
    if address.is_unspecified:
        return "unspecified"
    if address.is_loopback:
        return "loopback"
    if address.is_link_local:
        return "link_local"
    if address.is_multicast:
        return "multicast"
    if any(address in network for network in _NEVER_PUBLIC) or address.is_reserved or not address.is_global:
        return "private"
    return None
