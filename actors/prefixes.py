"""Prefixes that platforms announce to each other: IPv6 unique local addresses (RFC 4193), mask 48, 56 or 64.

Lives here: parsing and overlap. Must not live here: which prefix counts in which overlay.
Prefixes are compared as networks, never as text: `fd00:0:0::/48` and `fd00::/48` are one prefix.
"""

from __future__ import annotations

from ipaddress import IPv6Network
from typing import Final

UNIQUE_LOCAL: Final = IPv6Network("fc00::/7")
MASKS: Final = (48, 56, 64)
_TEXT_CHARS_MAX: Final = 64


def parse_prefix(text: object) -> IPv6Network:
    """The network that `text` names.

    Raises:
        ValueError: not an IPv6 network, bits set behind the mask, not a unique local address, or a mask other than 48, 56 and 64.
    """
    if not isinstance(text, str) or "/" not in text or "%" in text or len(text) > _TEXT_CHARS_MAX:
        raise ValueError("must be an IPv6 prefix such as fd12:3456:789a::/48")
    try:
        network = IPv6Network(text)
    except ValueError:
        raise ValueError("must be an IPv6 prefix such as fd12:3456:789a::/48, without bits behind the mask") from None
    if network.prefixlen not in MASKS:
        raise ValueError("must have a mask of 48, 56 or 64")
    if not network.subnet_of(UNIQUE_LOCAL):
        raise ValueError("must lie in fc00::/7, the range of unique local addresses")
    return network


def overlap(first: IPv6Network | str, second: IPv6Network | str) -> bool:
    """Whether the two share an address.

    Raises:
        ValueError: a text is not such a prefix.
    """
    left = parse_prefix(first) if isinstance(first, str) else first
    right = parse_prefix(second) if isinstance(second, str) else second
    return left.overlaps(right)
