"""Consents in a running platform: operators' steps, what becomes of them with the peering, routing by name, and connections of a hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from actors import certificates
from actors.door.call import Answer, Source
from actors.hub.messages import Consent, Counted
from actors.hub.record import KIND, HubRecord, Relayed, Terms, to_json
from actors.hub.routing import NoRoute, Route
from actors.peer.messages import ResumePeering, Revoke, Suspend
from actors.ports import FetchRelayed
from runtime.actor import Ref
from runtime.errors import Fault, RemoteFault
from runtime.store.port import Event
from tests.support.federation import ACCOUNT, OPERATOR, Network, Pair, Platform, pair

TOKEN = "t" * 43


@pytest.fixture
def two() -> Pair:
    """`a` is a hub, `b` its peer."""
    joined = pair(hub_enabled=True, peer_channel=True)
    joined.connect()
    return joined


def consent(platform: Platform, peer_id: str, side: Any, trigger: Any, **other: Any) -> Any:
    outcomes: list[Any] = []
    message = Consent(account_id=ACCOUNT, by=OPERATOR, side=side, trigger=trigger, **other)
    platform.engine.ask(Ref(KIND.name, peer_id), message, 60.0, outcomes.append)
    platform.network.run()
    assert len(outcomes) == 1
    return outcomes[0]


def permitted(two: Pair, **other: Any) -> HubRecord:
    outcome = consent(two.a, two.at_a.peer_id, "relaying", "permit", **other)
    assert isinstance(outcome, HubRecord), outcome
    return outcome


def row(platform: Platform, peer_id: str) -> HubRecord:
    found = platform.store.load(KIND.name, peer_id)
    assert found is not None
    record: HubRecord = found.record
    return record


def events(platform: Platform) -> list[Event]:
    return [event for event in platform.store.events(0, 10_000) if event.kind.startswith("federation.hub.")]


# --- consents -------------------------------------------------------------------------------------------------------


def test_a_permission_makes_the_name_of_the_peer_lead_to_it_and_a_withdrawal_ends_that(two: Pair) -> None:
    assert two.a.door.relay_route("b.example") is None
    terms = Terms(connections_max=3, sources=("192.0.2.0/24",))
    assert permitted(two, terms=terms).server_name == "b.example"
    assert two.a.door.relay_route("b.example") == Route(two.at_a.peer_id, terms)
    assert two.a.door.relay_route("c.example") is None
    assert two.a.door.relay_route("a.example") is None
    assert two.a.door.relay_route(None) is None
    withdrawn = consent(two.a, two.at_a.peer_id, "relaying", "withdraw", reason="too much")
    assert (withdrawn.relaying, withdrawn.reason) == ("withdrawn", "too much")
    assert two.a.door.relay_route("b.example") == NoRoute(two.at_a.peer_id, "withdrawn")
    assert [event.kind for event in events(two.a)] == ["federation.hub.relaying_permitted", "federation.hub.relaying_withdrawn"]
    actions = [entry.action for entry in two.a.chain(two.at_a.peer_id) if entry.action.startswith("hub.")]
    assert actions == ["hub.relaying_permitted", "hub.relaying_withdrawn"]
    assert [event.payload["reason"] for event in events(two.a)] == [None, "too much"]


def test_permitting_again_changes_the_terms_and_nothing_else(two: Pair) -> None:
    first = permitted(two)
    two.network.advance(5.0)
    second = permitted(two, terms=Terms(rate_bytes=2_048))
    assert (second.terms, second.relaying_since) == (Terms(rate_bytes=2_048), first.relaying_since)


def test_the_two_consents_of_a_platform_are_apart(two: Pair) -> None:
    assert consent(two.a, two.at_a.peer_id, "relayed", "permit").relayed == "permitted"
    assert row(two.a, two.at_a.peer_id).relaying == "never"
    assert two.a.door.relay_route("b.example") is None


def test_nothing_is_relayed_while_a_peer_is_paused_and_everything_again_afterwards(two: Pair) -> None:
    permitted(two)
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR, None))
    assert two.a.door.relay_route("b.example") == NoRoute(two.at_a.peer_id, "peer_not_in_force")
    two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR, None))
    two.network.advance(120.0)
    assert isinstance(two.a.door.relay_route("b.example"), Route)


def test_the_end_of_the_peering_ends_both_consents_and_frees_the_name(two: Pair) -> None:
    permitted(two)
    consent(two.a, two.at_a.peer_id, "relayed", "permit")
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    assert isinstance(two.a.door.relay_route("b.example"), NoRoute)
    two.network.advance(5.0)
    ended = row(two.a, two.at_a.peer_id)
    assert (ended.relaying, ended.relayed, ended.reason) == ("withdrawn", "withdrawn", "peer_revoked: over")
    assert two.a.engine.directory.find(KIND.name, "server_name", "b.example") is None
    assert [event.kind.rpartition(".")[2] for event in events(two.a)][-2:] == ["relaying_withdrawn", "relayed_withdrawn"]
    assert consent(two.a, two.at_a.peer_id, "relaying", "permit").code == "peer_not_ready"


def test_consents_outlive_a_crash(two: Pair) -> None:
    permitted(two)
    two.a.restart()
    two.network.run()
    assert isinstance(two.a.door.relay_route("b.example"), Route)


# --- what cannot be permitted ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("federation", "side", "code"),
    [
        ({"hub_enabled": False, "peer_channel": True}, "relaying", "hub_disabled"),
        ({"hub_enabled": True, "peer_channel": False}, "relaying", "channel_disabled"),
        ({"hub_enabled": False, "peer_channel": False}, "relayed", "channel_disabled"),
    ],
)
def test_a_platform_without_the_setting_says_which_one(federation: dict[str, bool], side: str, code: str) -> None:
    two = pair(**federation)
    two.connect()
    refused = consent(two.a, two.at_a.peer_id, side, "permit")
    assert isinstance(refused, Fault)
    assert refused.code == code
    assert refused.details["setting"] in refused.message
    assert two.a.store.load(KIND.name, two.at_a.peer_id) is None


def test_a_peer_that_is_not_in_force_is_not_permitted() -> None:
    two = pair(hub_enabled=True, peer_channel=True)
    assert consent(two.a, two.at_a.peer_id, "relaying", "permit").code == "peer_not_ready"
    assert consent(two.a, "0190c0de-dead-7000-8000-000000000404", "relaying", "permit").code == "not_found"
    stranger = Consent(account_id="another", by=OPERATOR, side="relaying", trigger="permit")
    outcomes: list[Any] = []
    two.a.engine.ask(Ref(KIND.name, two.at_a.peer_id), stranger, 60.0, outcomes.append)
    two.network.run()
    assert outcomes[0].code == "not_found"


def test_nothing_is_withdrawn_that_was_never_permitted(two: Pair) -> None:
    assert consent(two.a, two.at_a.peer_id, "relaying", "withdraw").code == "invalid_transition"
    permitted(two)
    consent(two.a, two.at_a.peer_id, "relaying", "withdraw")
    assert consent(two.a, two.at_a.peer_id, "relaying", "withdraw").code == "invalid_transition"


def test_a_consent_given_on_an_outdated_view_is_refused(two: Pair) -> None:
    permitted(two)
    assert consent(two.a, two.at_a.peer_id, "relaying", "withdraw", expected_version=7).code == "version_conflict"


def elsewhere(platform: Platform, network: Network, url: str) -> None:
    """Have a platform answer at another URL."""
    del network.platforms[platform.url]
    platform.url = url
    network.platforms[url] = platform
    platform.restart()


def joined(network: Network, hub: Platform, other: Platform) -> str:
    """The id at the hub of a new peer that has proven itself."""
    invited = hub.propose(other)
    other.accept(other.propose(hub).peer_id, invited.token)
    network.advance(5.0)
    assert hub.record(invited.peer_id).status == "active"
    return invited.peer_id


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://192.0.2.7", "server_name_required"),
        ("https://[2001:db8::7]:8443", "server_name_required"),
        ("https://a.example:8443", "server_name_own"),
    ],
)
def test_a_peer_without_a_name_of_its_own_cannot_be_told_apart(url: str, code: str) -> None:
    network = Network()
    hub, other = (network.platform(name, hub_enabled=True, peer_channel=True) for name in "ab")
    elsewhere(other, network, url)
    assert consent(hub, joined(network, hub, other), "relaying", "permit").code == code


def test_of_two_peers_with_one_name_the_second_is_refused_until_the_first_is_withdrawn(two: Pair) -> None:
    permitted(two)
    rival = two.network.platform("c", hub_enabled=True, peer_channel=True)
    elsewhere(rival, two.network, "https://b.example:8443")
    rival_id = joined(two.network, two.a, rival)
    assert consent(two.a, rival_id, "relaying", "permit").code == "server_name_taken"
    assert two.a.door.relay_route("b.example") == Route(two.at_a.peer_id, Terms())
    consent(two.a, two.at_a.peer_id, "relaying", "withdraw")
    assert isinstance(consent(two.a, rival_id, "relaying", "permit"), HubRecord)
    assert two.a.door.relay_route("b.example") == Route(rival_id, Terms())


# --- a hub has a connection for us ----------------------------------------------------------------------------------


@attrs.define(eq=False)
class Fetches:
    """The port by which connections are fetched; each request is kept with its outcome to come."""

    asked: list[tuple[FetchRelayed, Callable[[Any], None]]] = attrs.field(factory=list)

    def attach(self, platform: Platform) -> None:
        platform.engine._ports[FetchRelayed] = lambda request, done: self.asked.append((request, done))


def handed_over(two: Pair, **changes: Any) -> Answer:
    """What `b` answers to `a` saying that a connection waits."""
    identity = two.a.record(two.at_a.peer_id).outbound
    assert identity is not None
    der = certificates.pem_to_der(identity.certificate_pem)
    assert isinstance(der, bytes)
    body = {"token": TOKEN, "server_name": "b.example", "client_address": "198.51.100.4", **changes}
    answers: list[Answer] = []
    source = Source("192.0.2.1", "tls", (der,), channel=True)
    two.b.call("POST", "/federation_api/relayed", json.dumps(body).encode(), answers.append, source=source)
    two.network.run()
    return answers[0]


def test_a_connection_is_fetched_only_from_a_hub_that_operators_have_chosen(two: Pair) -> None:
    fetches = Fetches()
    fetches.attach(two.b)
    refused = handed_over(two)
    assert (refused.status, refused.body and refused.body["code"]) == (403, "relay_not_permitted")
    consent(two.b, two.at_b.peer_id, "relayed", "permit")
    assert handed_over(two).status == 202
    request, done = fetches.asked.pop()
    assert (request.peer_id, request.urls, request.client_address) == (two.at_b.peer_id, ("https://a.example",), "198.51.100.4")
    assert request.token.reveal() == TOKEN
    assert request.expectation.instance_id == two.a.instance_id
    done("https://a.example")
    two.network.run()
    assert handed_over(two).status == 202
    fetches.asked.pop()[1](RemoteFault("remote_unreachable", "no endpoint answers", 502))
    two.network.run()
    found = two.b.engine.directory.row(KIND.name, two.at_b.peer_id)
    assert found is not None
    assert (found.evidence.handed_over, found.evidence.handed_over_failed) == (1, 1)
    consent(two.b, two.at_b.peer_id, "relayed", "withdraw")
    assert handed_over(two).status == 403
    assert fetches.asked == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"server_name": "c.example"}, 422, "server_name_foreign"),
        ({"client_address": "nobody"}, 400, "invalid_parameter"),
        ({"token": "short"}, 400, "invalid_parameter"),
        ({"token": "*" * 43}, 400, "invalid_parameter"),
    ],
)
def test_what_a_hub_says_is_checked(two: Pair, changes: dict[str, str], status: int, code: str) -> None:
    fetches = Fetches()
    fetches.attach(two.b)
    consent(two.b, two.at_b.peer_id, "relayed", "permit")
    answer = handed_over(two, **changes)
    assert (answer.status, answer.body and answer.body["code"]) == (status, code)
    assert fetches.asked == []


# --- accounting -----------------------------------------------------------------------------------------------------


def test_what_is_reported_adds_up_and_reaches_the_operator(two: Pair) -> None:
    permitted(two)
    ref = Ref(KIND.name, two.at_a.peer_id)
    for _ in range(2):
        two.a.engine.tell(ref, Counted(connections=1, refused={"no_channel": 2}, bytes_to=10, bytes_from=5, open_now=1))
        two.network.run()
    found = two.a.engine.directory.row(KIND.name, two.at_a.peer_id)
    assert found is not None
    shown = to_json(found.record, found.evidence, two.a.life)["accounting"]
    assert (shown["open"], shown["connections"], shown["bytes_to"], shown["bytes_from"]) == (1, 2, 20, 10)
    assert (shown["refused"], shown["last_refused"]) == ({"no_channel": 4}, "no_channel")
    assert found.record.version == 1
    # What was open before a restart is not open any more.
    assert to_json(found.record, found.evidence, two.a.life + 1)["accounting"]["open"] == 0


def test_what_is_counted_for_a_peer_without_consents_makes_no_row(two: Pair) -> None:
    two.a.engine.tell(Ref(KIND.name, two.at_a.peer_id), Counted(connections=0, refused={"x": 1}, bytes_to=0, bytes_from=0, open_now=0))
    two.network.run()
    assert two.a.store.load(KIND.name, two.at_a.peer_id) is None
    assert Relayed() == Relayed(refused={})
