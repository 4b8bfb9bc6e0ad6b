"""Calls that a trusted proxy hands on: its word about the address before it counts, and nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors import certificates
from actors.door.call import Answer, Call, Source
from actors.door.proxies import as_seen, nearest
from actors.limits import SKEW_MAX_S
from actors.settings import FederationSettings, Limit
from runtime.values import evolve
from sim.world import World
from tests.support.grants import Peers, code_of, pair, source_of


@pytest.fixture
def two() -> Peers:
    """`a` takes three sign-ins a minute from one source, and trusts a proxy that shows the certificate that `b` has."""
    world = World("proxies")
    a = world.platform("a", rate_limits={**FederationSettings().rate_limits, "login_per_source": Limit(3, 60.0, 3)}).sign_in()
    return pair(world, a, world.platform("b").sign_in())


def trust(two: Peers) -> Source:
    """Name the certificate; a connection of the proxy."""
    source = source_of(two.b, two.a_at_b, address="192.0.2.1")
    two.a.door._proxies = frozenset({certificates.fingerprint(source.certificates[0])})
    return source


def sign_in(two: Peers, source: Source, forwarded: str | None) -> str:
    """What a sign-in with a wrong password is told."""
    headers = {"content-type": "application/json"} | ({} if forwarded is None else {"x-forwarded-for": forwarded})
    answers: list[Answer] = []
    body = json.dumps({"email": "nobody@example.org", "password": "wrong"}).encode()
    two.a.door.handle(Call("POST", "/api/v1/auth/login", {}, headers, body, source), answers.append)
    assert two.world.run_until(lambda: bool(answers), 10.0)
    return code_of(answers[0])


def tried(two: Peers, source: Source, forwarded: list[str | None]) -> list[str]:
    return [sign_in(two, source, each) for each in forwarded]


BAD, LIMITED = "invalid_credentials", "rate_limited"


def test_each_address_before_a_trusted_proxy_is_a_source_of_its_own(two: Peers) -> None:
    proxy = trust(two)
    one, other = "198.51.100.1", "198.51.100.2"
    assert tried(two, proxy, [one] * 4 + [other]) == [BAD] * 3 + [LIMITED, BAD]
    # What stands before the entry of the proxy is the caller's own word.
    assert sign_in(two, proxy, f"203.0.113.9, {one}") == LIMITED
    assert sign_in(two, proxy, f"::ffff:{one}") == LIMITED


def test_a_caller_cannot_choose_its_source_by_the_header(two: Peers) -> None:
    trust(two)
    strangers = (
        Source("192.0.2.7", "tls"),
        evolve(source_of(two.b, two.a_at_b), certificates=(b"no certificate",), address="192.0.2.8"),
        source_of(two.a, two.b_at_a, address="192.0.2.9"),
        evolve(trust(two), face="loopback", address="127.0.0.1"),
    )
    for source in strangers:
        headers: list[str | None] = [f"198.51.100.{number}" for number in range(4)]
        assert tried(two, source, headers) == [BAD] * 3 + [LIMITED], source


def test_without_the_setting_no_header_counts(two: Peers) -> None:
    proxy = source_of(two.b, two.a_at_b, address="192.0.2.1")
    assert tried(two, proxy, [f"198.51.100.{number}" for number in range(4)]) == [BAD] * 3 + [LIMITED]


@pytest.mark.parametrize("forwarded", [None, "", "unknown", "198.51.100.1, ", "198.51.100.1:4711", "x" * 9_000])
def test_what_names_no_address_leaves_the_proxy_as_the_source(two: Peers, forwarded: str | None) -> None:
    proxy = trust(two)
    assert tried(two, proxy, [forwarded] * 4) == [BAD] * 3 + [LIMITED]
    assert sign_in(two, proxy, "198.51.100.1") == BAD


def test_a_certificate_counts_within_its_dates(two: Peers) -> None:
    proxy = trust(two)
    leaf = certificates.parse_leaf(proxy.certificates[0])
    assert not isinstance(leaf, str)
    call = Call("GET", "/x", {}, {"x-forwarded-for": "198.51.100.1"}, b"", proxy)
    ends, begins = leaf.not_after + SKEW_MAX_S, leaf.not_before - SKEW_MAX_S
    judged = ((ends, "198.51.100.1"), (ends + 1.0, "192.0.2.1"), (begins, "198.51.100.1"), (begins - 1.0, "192.0.2.1"))
    for wall, expected in judged:
        assert as_seen(call, two.a.door._proxies, wall).source.address == expected


@pytest.mark.parametrize("changes", [{"relayed_by": "a hub"}, {"channel": True}])
def test_what_came_through_a_hub_or_a_channel_is_a_peers(two: Peers, changes: dict[str, Any]) -> None:
    source = evolve(trust(two), **changes)
    call = Call("GET", "/x", {}, {"x-forwarded-for": "198.51.100.1"}, b"", source)
    assert as_seen(call, two.a.door._proxies, two.a.clock.wall()) is call


def test_behind_a_proxy_nobody_is_a_peer(two: Peers) -> None:
    _, bearer = two.issue()
    assert two.code(bearer) == "ok"
    proxy = trust(two)
    for headers in ({}, {"x-forwarded-for": two.b.address}):
        assert two.code(bearer, source=evolve(proxy, verified={}), headers=headers) == "client_certificate_required"


def test_the_right_most_address_counts() -> None:
    assert nearest("203.0.113.9, 198.51.100.1") == "198.51.100.1"
    assert nearest(" 2001:db8::1 ") == "2001:db8::1"
    assert nearest("1.2.3.4," * 2_000 + "198.51.100.1") == "198.51.100.1"
    assert nearest("198.51.100.1, unknown") is None
