"""Announced prefixes: parsed, never compared as text."""

from __future__ import annotations

from ipaddress import IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.prefixes import MASKS, UNIQUE_LOCAL, overlap, parse_prefix


@st.composite
def prefixes(draw: st.DrawFn) -> IPv6Network:
    # Few subnet bits vary, so that nested and neighbouring prefixes are common.
    bits = 0xFD << 120 | draw(st.integers(0, 1)) << 80 | draw(st.integers(0, 3)) << 72 | draw(st.integers(0, 3)) << 64
    mask = draw(st.sampled_from(MASKS))
    return IPv6Network((bits >> (128 - mask) << (128 - mask), mask))


@given(prefixes())
def test_every_spelling_of_a_prefix_is_the_same_network(network: IPv6Network) -> None:
    assert parse_prefix(network.exploded) == parse_prefix(network.compressed.upper()) == network
    assert network.subnet_of(UNIQUE_LOCAL)


@given(prefixes(), prefixes())
def test_prefixes_overlap_exactly_if_one_contains_the_other(first: IPv6Network, second: IPv6Network) -> None:
    contains = first.subnet_of(second) or second.subnet_of(first)
    assert overlap(first, second.compressed) == overlap(second, first.exploded) == contains


@pytest.mark.parametrize(
    "text",
    [
        None,
        48,
        "",
        "fd00::",
        "fd00::/47",
        "fd00::/32",
        "fd00::/128",
        "fd00::1/64",
        "2001:db8::/48",
        "fe80::/64",
        "10.0.0.0/8",
        "fd00::%eth0/64",
        "fd00::/ffff:ffff:ffff::",
        " fd00::/48",
        "fd" * 40 + "/48",
    ],
)
def test_what_is_no_unique_local_prefix_is_refused(text: object) -> None:
    with pytest.raises(ValueError):
        parse_prefix(text)


def test_the_text_of_a_stored_prefix_must_parse() -> None:
    with pytest.raises(ValueError):
        overlap("fd00::/48", "not a prefix")
