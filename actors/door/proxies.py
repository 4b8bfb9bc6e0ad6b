"""A call that a trusted proxy hands on: whose address counts as its source.

Lives here: how a proxy proves itself, and the one thing that is believed of it. Must not live here: what is limited by source.

A proxy is trusted by its client certificate, pinned by fingerprint: the handshake has shown that it holds the key. What it says of the
address in front of it is believed. Its certificate is nobody's, so that no peer is known behind it. Everybody else's headers stay what they
are: noticed as forgeries, and never believed.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from actors import certificates
from actors.door.call import Call, Source
from runtime.values import evolve

FORWARDED: Final = "x-forwarded-for"
ENTRIES_READ_CHARS: Final = 4_096
"""Of a longer header only the end is read, where the nearest proxy has written."""


def as_seen(call: Call, trusted: frozenset[str], wall: float) -> Call:
    """The call with the source that a trusted proxy names; as it is, if no trusted proxy hands it on.

    Args:
        trusted: SHA-256 fingerprints of the client certificates of proxies.
        wall: seconds since the epoch; a certificate that has ended is nobody's.
    """
    if not _handed_on(call.source, trusted, wall):
        return call
    address = nearest(call.headers.get(FORWARDED))
    source = evolve(call.source, certificates=(), verified={}, address=address or call.source.address)
    return evolve(call, source=source, headers={name: value for name, value in call.headers.items() if name != FORWARDED})


def _handed_on(source: Source, trusted: frozenset[str], wall: float) -> bool:
    """Whether the connection is a trusted proxy's own. One that came through a hub or is a channel is a peer's."""
    if source.face != "tls" or source.relayed_by or source.channel or not source.certificates:
        return False
    known: tuple[str, certificates.Leaf | str] | None = source.verified.get("proxy")
    if known is None:
        der = source.certificates[0]
        known = source.verified["proxy"] = (certificates.fingerprint(der), certificates.parse_leaf(der, name_required=False))
    fingerprint, leaf = known
    return fingerprint in trusted and not isinstance(leaf, str) and certificates.outside_dates(leaf, wall) is None


def nearest(header: str | None) -> str | None:
    """The right-most address of the header, which the proxy itself has seen; None if there is none or it cannot be read."""
    if header is None:
        return None
    try:
        address = ipaddress.ip_address(header[-ENTRIES_READ_CHARS:].rpartition(",")[2].strip())
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
