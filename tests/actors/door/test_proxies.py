"""Calls that a trusted proxy hands on: its word about the caller counts, strictly read, and nobody else's."""

from __future__ import annotations

import base64
import ipaddress
import json
from typing import Any

import pytest

from actors import certificates
from actors.door.call import Answer, Call, Source
from actors.door.proxies import CERTIFICATE_CHARS_MAX, CERTIFICATES_REMEMBERED, Trusted, as_seen, certificate_in, nearest
from actors.limits import SKEW_MAX_S
from actors.settings import FederationSettings, Limit
from runtime.values import evolve
from sim.attacks import HOUR_S, Leaf, forge
from sim.world import World
from tests.support.grants import PEERS, Peers, code_of, pair, source_of


@pytest.fixture
def two() -> Peers:
    """`a` takes three sign-ins a minute from one source, and trusts a proxy that shows the certificate that `b` has."""
    world = World("proxies")
    a = world.platform("a", rate_limits={**FederationSettings().rate_limits, "login_per_source": Limit(3, 60.0, 3)}).sign_in()
    return pair(world, a, world.platform("b").sign_in())


def trust(two: Peers) -> Source:
    """Name the certificate; a connection of the proxy."""
    source = source_of(two.b, two.a_at_b, address="192.0.2.1")
    two.a.door.proxies = Trusted.of([certificates.fingerprint(source.certificates[0]), "192.0.2.0/24"])
    return source


UUID = "0190c0de-7777-7000-8000-000000000007"


def proxy(two: Peers) -> Source:
    """A connection of a trusted proxy whose certificate is nobody else's, as `b` has to use its own."""
    now = two.a.clock.wall()
    shown = forge(two.b, Leaf(common_name="a proxy", instance_id=UUID, begins=now - HOUR_S, ends=now + HOUR_S))
    two.a.door.proxies = Trusted.of([certificates.fingerprint(shown.chain[0]), "192.0.2.0/24"])
    return Source("192.0.2.1", "tls", shown.chain, "a proxy's")


def written(der: bytes) -> str:
    """As RFC 9440 writes a certificate."""
    return f":{base64.b64encode(der).decode()}:"


def handed(two: Peers, der: bytes | None = None, address: str | None = "198.51.100.7", **more: str) -> dict[str, str]:
    """What a proxy says of a call of `b`."""
    certificate = source_of(two.b, two.a_at_b).certificates[0] if der is None else der
    where = {} if address is None else {"x-forwarded-for": address}
    return {"client-cert": written(certificate), **where, **{name.replace("_", "-"): text for name, text in more.items()}}


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


@pytest.mark.parametrize("forwarded", [None, "", "unknown", "198.51.100.1, ", "198.51.100.1:4711", "192.0.2.9", "x" * 9_000])
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
        seen = as_seen(call, two.a.door.proxies, wall)
        assert isinstance(seen, Call)
        assert seen.source.address == expected
        assert two.a.door.proxies.opened(proxy, wall) == (expected == "198.51.100.1")
        assert not Trusted.of(["192.0.2.0/24"]).opened(proxy, wall)


@pytest.mark.parametrize("changes", [{"relayed_by": "a hub"}, {"channel": True}])
def test_what_came_through_a_hub_or_a_channel_is_a_peers(two: Peers, changes: dict[str, Any]) -> None:
    source = evolve(trust(two), **changes)
    call = Call("GET", "/x", {}, {"x-forwarded-for": "198.51.100.1"}, b"", source)
    assert as_seen(call, two.a.door.proxies, two.a.clock.wall()) is call
    assert not two.a.door.proxies.opened(source, two.a.clock.wall())


def test_behind_a_proxy_that_forwards_no_certificate_nobody_is_a_peer(two: Peers) -> None:
    _, bearer = two.issue()
    assert two.code(bearer) == "ok"
    # Not even the peer whose certificate the proxy itself shows.
    proxy = trust(two)
    for headers in ({}, {"x-forwarded-for": two.b.address}, {"client-cert-chain": written(proxy.certificates[0])}):
        assert two.code(bearer, source=evolve(proxy, verified={}), headers=headers) == "client_certificate_required"


def test_behind_a_proxy_the_forwarded_certificate_says_who_calls_and_the_forwarded_address_from_where(two: Peers) -> None:
    _, bearer = two.issue(source_cidrs=["198.51.100.0/24"], node_instance_ids=[two.b.instance_id])
    source = proxy(two)
    assert two.code(bearer, source=source, headers=handed(two)) == "ok"
    assert two.code(bearer, source=source, headers=handed(two, address="198.51.100.7, 192.0.2.9")) == "ok"
    assert two.code(bearer, source=source, headers=handed(two, address="198.51.100.7, 203.0.113.9")) == "axis_denied"
    assert two.code(bearer, source=source, headers={"x-forwarded-for": "198.51.100.7"}) == "client_certificate_required"


@pytest.mark.parametrize("forwarded", [None, "unknown", "192.0.2.9"])
def test_an_address_that_the_proxy_does_not_tell_is_proven_by_nothing(two: Peers, forwarded: str | None) -> None:
    """The proxy's own address is nobody's: a grant that is bound to its network would otherwise serve everybody."""
    _, bearer = two.issue(source_cidrs=["0.0.0.0/0", "::/0"])
    source = proxy(two)
    assert two.code(bearer, source=source, headers=handed(two)) == "ok"
    assert two.code(bearer, source=source, headers=handed(two, address=forwarded)) == "axis_denied"
    _, free = two.issue(remote_subject="free")
    assert two.code(free, source=source, headers=handed(two, address=forwarded)) == "ok"


def test_a_forwarded_certificate_is_judged_as_one_of_the_connection(two: Peers) -> None:
    _, bearer = two.issue()
    source, now = proxy(two), two.a.clock.wall()
    subject = two.a.engine.directory.row("peer", two.b_at_a).record.inbound_subject
    good = Leaf(common_name=subject, instance_id=two.b.instance_id, begins=now - HOUR_S, ends=now + HOUR_S)
    flaws = {
        "ok": (two.b, good),
        "expired": (two.b, evolve(good, ends=now - SKEW_MAX_S - 1.0)),
        "not_yet_valid": (two.b, evolve(good, begins=now + SKEW_MAX_S + 1.0)),
        "eku_wrong": (two.b, evolve(good, client=False)),
        "is_ca": (two.b, evolve(good, authority=True)),
        "issuer_unknown": (two.a, good),
        "instance_san_invalid": (two.b, evolve(good, instance_id=UUID)),
        "unknown_peer_subject": (two.b, evolve(good, common_name="fed:somebody")),
    }
    for expected, (signer, leaf) in flaws.items():
        answer = two.read(bearer, source=source, headers=handed(two, forge(signer, leaf).chain[0]))
        details = (answer.body or {}).get("details", {})
        assert expected in (code_of(answer), details.get("reason")), expected


NO_CERTIFICATES = {
    "": "forwarded_malformed",
    "::": "forwarded_malformed",
    ":AAAA:": "der_malformed",
    "AAAA": "forwarded_malformed",
    ":AAAA": "forwarded_malformed",
    ":AA-_:": "forwarded_malformed",
    ":AA AA:": "forwarded_malformed",
    ":AAA:": "forwarded_malformed",
    ":AAAAA:": "forwarded_malformed",
    ":AAB=:": "forwarded_malformed",
    ":AAAA:;a=1": "forwarded_malformed",
    ":AAAA:, :AAAA:": "forwarded_malformed",
    '"AAAA"': "forwarded_malformed",
    ":\uff21AAA:": "forwarded_malformed",
    f":{'A' * CERTIFICATE_CHARS_MAX}:": "forwarded_too_large",
}


@pytest.mark.parametrize("header", NO_CERTIFICATES)
def test_a_header_that_is_no_certificate_is_refused_and_never_taken_for_the_proxy(two: Peers, header: str) -> None:
    _, bearer = two.issue()
    source = trust(two)
    answer = two.read(bearer, source=source, headers={"client-cert": header, "x-forwarded-for": "198.51.100.7"})
    assert answer.body is not None
    assert (answer.status, answer.body["code"]) == (401, "client_certificate_invalid")
    assert answer.body["details"] == {"reason": NO_CERTIFICATES[header]}
    # Operators need none, so whatever a browser has shown does not lock them out.
    told = Call("GET", "/api/v1/system/platform/peers", {}, {"authorization": f"Bearer {two.a.token}", "client-cert": header}, b"", source)
    answers: list[Answer] = []
    two.a.door.handle(told, answers.append)
    assert [each.status for each in answers] == [200]


def test_a_certificate_is_read_from_one_byte_sequence() -> None:
    assert certificate_in(written(b"der")) == b"der"


@pytest.mark.parametrize("header", ["client-cert", "client-cert-chain"])
def test_a_certificate_that_anybody_else_forwards_is_no_certificate_and_told(two: Peers, header: str) -> None:
    _, bearer = two.issue()
    proxy(two)
    theirs = written(source_of(two.b, two.a_at_b).certificates[0])
    stranger = Source("203.0.113.9", "tls")
    assert two.code(bearer, source=stranger, headers={header: theirs}) == "client_certificate_required"
    mine = source_of(two.a, two.b_at_a, address="203.0.113.9")
    assert two.code(bearer, source=mine, headers={header: theirs}) == "unknown_peer_subject"
    assert two.code(bearer, headers={header: theirs}) == "ok"
    two.world.run_for(1.0)
    trail = two.ask("GET", f"{PEERS}/{two.b_at_a}/audit_log?limit=200").data
    assert [entry["payload"]["headers"] for entry in trail if entry["action"] == "grant.header_spoof"] == [[header]]
    assert "federation.header_spoof_attempt" in [event.kind for event in two.a.store.events(0, 10_000)]


def test_a_heartbeat_with_a_claim_is_told_too_and_what_a_proxy_says_is_no_claim(two: Peers) -> None:
    source = proxy(two)
    assert two.code(None, "/trust_bundle", source=source, headers=handed(two, x_calling_instance=two.b.instance_id)) == "ok"
    two.world.run_for(1.0)
    assert "federation.header_spoof_attempt" not in [event.kind for event in two.a.store.events(0, 10_000)]
    assert two.code(None, "/trust_bundle", headers={"client-cert": "x"}) == "ok"
    two.world.run_for(1.0)
    assert "federation.header_spoof_attempt" in [event.kind for event in two.a.store.events(0, 10_000)]


def test_a_context_of_the_proxy_that_contradicts_the_certificate_or_the_listener_is_refused(two: Peers) -> None:
    _, bearer = two.issue()
    source = proxy(two)
    assert two.code(bearer, source=source, headers=handed(two, x_calling_instance=UUID)) == "context_mismatch"
    assert two.code(bearer, source=source, headers=handed(two, x_calling_instance=two.b.instance_id)) == "ok"
    bound = evolve(source, network_id=UUID, verified={})
    for network in (two.b.instance_id, "", "no network", UUID.upper()):
        assert two.code(bearer, source=bound, headers=handed(two, x_sdwan_network=network)) == "context_mismatch"
    for where, network in ((source, UUID), (bound, UUID)):
        # It counts as the network of a listener would: without a bridge it is refused.
        assert two.code(bearer, source=where, headers=handed(two, x_sdwan_network=network)) == "bridge_inactive"


def test_peers_on_one_connection_of_a_proxy_are_told_apart(two: Peers) -> None:
    _, bearer = two.issue()
    source, now = proxy(two), two.a.clock.wall()
    other = forge(two.a, Leaf(common_name="fed:other", instance_id=UUID, begins=now - HOUR_S, ends=now + HOUR_S)).chain[0]
    for _ in range(2):
        assert two.code(bearer, source=source, headers=handed(two)) == "ok"
        assert two.code(bearer, source=source, headers=handed(two, other)) == "unknown_peer_subject"
    for number in range(2 * CERTIFICATES_REMEMBERED):
        two.code(bearer, source=source, headers={"client-cert": written(b"%d" % number)})
    assert len(source.verified["forwarded"]) <= CERTIFICATES_REMEMBERED
    assert "peer_id" not in source.verified, "the connection is the proxy's, and stays when a peer goes"


def test_no_channel_is_held_through_a_proxy(two: Peers) -> None:
    source = proxy(two)
    call = Call("GET", "/api/v1/system/federation_api/channel", {}, handed(two), b"", source)
    refused = two.a.door.open_channel(call)
    assert isinstance(refused, Answer)
    assert code_of(refused) == "channel_behind_proxy"
    stranger = two.a.door.open_channel(evolve(call, headers={}))
    assert isinstance(stranger, Answer)
    assert code_of(stranger) == "client_certificate_required"


def test_accepts_are_counted_by_who_stands_before_the_proxy(two: Peers) -> None:
    source = proxy(two)

    def accept(address: str) -> str:
        headers = {"content-type": "application/json", "x-forwarded-for": address}
        body = json.dumps({"acceptance_token": "t" * 66}).encode()
        call = Call("POST", "/api/v1/system/federation_api/accept", {}, headers, body, source)
        answers: list[Answer] = []
        two.a.door.handle(call, answers.append)
        assert two.world.run_until(lambda: bool(answers), 10.0)
        return code_of(answers[0])

    refused = [accept("198.51.100.1") for _ in range(6)]
    assert (refused[0], refused[-1]) == ("acceptance_token_invalid", "rate_limited")
    assert accept("198.51.100.2") == "acceptance_token_invalid"


def test_the_right_most_address_counts() -> None:
    assert nearest("203.0.113.9, 198.51.100.1") == "198.51.100.1"
    assert nearest(" 2001:db8::1 ") == "2001:db8::1"
    assert nearest("1.2.3.4," * 2_000 + "198.51.100.1") == "198.51.100.1"
    assert nearest("198.51.100.1, unknown") is None
    ours = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert nearest("203.0.113.9, 198.51.100.1, 10.1.2.3, fd00::7", ours) == "198.51.100.1"
    assert nearest("203.0.113.9, 10.1.2.3, unknown, fd00::7", ours) is None
    assert nearest("10.1.2.3", ours) is None
    assert nearest("::ffff:10.1.2.3, fe80::1%eth0", ours) is None
    # What is cut in the middle is read by nobody.
    assert nearest("203.0.113.9" + ",10.1.2.3" * 1_000, ours) is None
