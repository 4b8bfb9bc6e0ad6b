"""The address policy, address by address."""

from __future__ import annotations

import pytest

from actors.addresses import inside, refused_reason, refused_url_reason

REFUSED = {
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "::1": "loopback",
    "0.0.0.0": "unspecified",
    "::": "unspecified",
    "0.1.2.3": "private",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "private",
    "192.0.2.1": "private",
    "198.18.0.1": "private",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "169.254.1.1": "link_local",
    "169.254.169.254": "metadata",
    "168.63.129.16": "metadata",
    "100.100.100.200": "metadata",
    "fd00:ec2::254": "metadata",
    "224.0.0.1": "multicast",
    "ff02::1": "multicast",
    "fe80::1": "link_local",
    "fe80::1%eth0": "link_local",
    "fc00::1": "private",
    "fec0::1": "private",
    "2001:db8::1": "private",
    "3fff::1": "private",
    "100::1": "private",
    "::ffff:10.0.0.1": "private",
    "::ffff:127.0.0.1": "loopback",
    "::127.0.0.1": "loopback",
    "::ffff:0:127.0.0.1": "loopback",
    "64:ff9b::10.0.0.1": "private",
    "64:ff9b::169.254.169.254": "metadata",
    "64:ff9b:1::808:808": "private",
    "2002:7f00:1::": "loopback",
    "2002:a9fe:a9fe::1": "metadata",
    "2001:0:7f00:1::": "loopback",
    "2606:4700::5efe:7f00:1": "loopback",
    "localhost": "not_an_address",
    "127.1": "not_an_address",
    "": "not_an_address",
}
PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "172.32.0.1")


@pytest.mark.parametrize(("address", "reason"), REFUSED.items())
def test_special_addresses_are_refused(address: str, reason: str) -> None:
    assert refused_reason(address, ()) == reason


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_not(address: str) -> None:
    assert refused_reason(address, ()) is None


@pytest.mark.parametrize(
    ("address", "network", "reason"),
    [
        ("10.1.2.3", "10.0.0.0/8", None),
        ("10.1.2.3", "10.1.2.3", None),
        ("10.1.2.3", "10.1.2.99/24", None),
        ("10.1.2.3", "10.2.0.0/16", "private"),
        ("10.1.2.3", "nonsense", "private"),
        ("10.1.2.3", "", "private"),
        ("::1", "127.0.0.0/8", "loopback"),
        ("127.0.0.1", "127.0.0.0/8", None),
        ("::ffff:127.0.0.1", "127.0.0.0/8", None),
        ("::ffff:127.0.0.1", "::ffff:0:0/96", "loopback"),
        ("64:ff9b::10.0.0.1", "10.0.0.0/8", None),
        ("fd00::1%eth0", "fd00::/8", None),
        ("169.254.169.254", "10.0.0.0/8", "metadata"),
    ],
)
def test_only_the_named_range_is_opened(address: str, network: str, reason: str | None) -> None:
    assert refused_reason(address, (network,)) == reason


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://platform.example", None),
        ("https://8.8.8.8:8443", None),
        ("https://127.0.0.1", "loopback"),
        ("https://[::1]:8443", "loopback"),
        ("https://[::ffff:10.0.0.1]", "private"),
        ("https://localhost", "loopback"),
        ("https://a.localhost:1", "loopback"),
    ],
)
def test_a_url_is_judged_by_what_it_spells_out(url: str, reason: str | None) -> None:
    assert refused_url_reason(url, ()) == reason


def test_localhost_is_allowed_with_either_loopback() -> None:
    assert refused_url_reason("https://localhost", ("127.0.0.0/8",)) is None
    assert refused_url_reason("https://localhost", ("::1/128",)) is None


def test_inside() -> None:
    own = frozenset({"10.1.1.1", "fe80::1"})
    assert inside(own, "10.0.0.0/8")
    assert inside(own, "fe80::/10")
    assert not inside(own, "192.168.0.0/16")
    assert not inside(own, "nonsense")
    assert not inside(frozenset(), "0.0.0.0/0")
