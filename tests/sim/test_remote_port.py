"""The frame level's port to other platforms: the same outcomes, by the same codes, as over real sockets, for every way to fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from actors.ports import (
    ClientIdentity,
    IssueIdentity,
    ProbeRequest,
    ProbeResult,
    ProbeTarget,
    RemoteReply,
    RemoteRequest,
    ServerExpectation,
)
from runtime.errors import Fault
from sim.remote import SimulatedRemote
from sim.world import Host, World

SOMETHING = "/federation_api/nothing"
OTHER = "/federation_api/nothing-either"


@attrs.define
class Two:
    """a calls b."""

    world: World
    a: Host
    b: Host
    port: SimulatedRemote
    own: ClientIdentity
    outcomes: list[Any] = attrs.field(factory=list)

    def request(self, **changes: Any) -> RemoteRequest:
        wanted = {
            "peer_id": "peer",
            "method": "GET",
            "path": SOMETHING,
            "body": None,
            "urls": (self.b.url,),
            "identity": self.own,
            "expectation": ServerExpectation(anchors_pem=(self.b.authority.ca_bundle_pem,), instance_id=self.b.instance_id),
            "timeout_s": 10.0,
        }
        return RemoteRequest(**{**wanted, **changes})

    def ask(self, **changes: Any) -> Any:
        self.outcomes.clear()
        self.port.request(self.request(**changes), self.outcomes.append)
        self.world.run_for(61.0)
        assert len(self.outcomes) == 1
        return self.outcomes[0]

    def code(self, **changes: Any) -> tuple[str, str | None]:
        fault = self.ask(**changes)
        assert isinstance(fault, Fault), fault
        probed = fault.details.get("probed") or [{}]
        return fault.code, probed[-1].get("error")


def identity(host: Host, lifetime_s: float = 86_400.0) -> ClientIdentity:
    issued: Any = host.authority.handle(IssueIdentity("fed:x", host.instance_id, lifetime_s))
    return ClientIdentity(issued.certificate_pem, issued.sealed_key)


@pytest.fixture
def two() -> Two:
    world = World(1)
    a, b = world.platform("a"), world.platform("b")
    return Two(world, a, b, SimulatedRemote(a), identity(a))


def test_an_answer_is_an_answer_whatever_its_status(two: Two) -> None:
    reply = two.ask()
    assert isinstance(reply, RemoteReply)
    assert (reply.status, reply.url) == (404, two.b.url)
    assert reply.chain_fingerprints[-1] == two.b.authority.ca_fingerprint


def broken_name(two: Two) -> None:
    two.world.network.names.trouble("b.example.com", "timeout")


def private_name(two: Two) -> None:
    two.world.network.names.set("b.example.com", ("10.0.0.1",))


def nobody_there(two: Two) -> None:
    two.world.network.names.set("b.example.com", ("60.99.0.1",))


def process_down(two: Two) -> None:
    two.b.crash()


def machine_down(two: Two) -> None:
    two.b.crash(machine=True)


def cut(two: Two) -> None:
    two.world.links.partition("b", "a", oneway=True)


def paused(two: Two) -> None:
    two.b.pause()


def somebody_else(two: Two) -> None:
    two.world.network.names.set("b.example.com", (two.a.address,))


@pytest.mark.parametrize(
    ("harm", "code", "error"),
    [
        (broken_name, "remote_unreachable", "name_not_resolved"),
        (private_name, "address_not_allowed", "address_not_allowed"),
        (nobody_there, "remote_unreachable", "unreachable"),
        (process_down, "remote_unreachable", "connect_refused"),
        (machine_down, "remote_unreachable", "connect_timeout"),
        (cut, "remote_unreachable", "connect_timeout"),
        (paused, "remote_unreachable", "handshake_timeout"),
        (somebody_else, "server_identity_unverified", "server_identity_unverified"),
    ],
)
def test_what_was_never_sent_fails_with_its_reason(two: Two, harm: Callable[[Two], None], code: str, error: str) -> None:
    harm(two)
    assert two.code() == (code, error)
    assert not [frame for frame in two.world.frames if frame.kind == "call"]


def test_the_next_url_is_tried_if_nothing_was_sent_on_the_former(two: Two) -> None:
    reply = two.ask(urls=("https://nowhere.example.com", "https://a.example.com", two.b.url))
    assert (reply.status, reply.url) == (404, two.b.url)


@pytest.mark.parametrize("lifetime_s", [-1.0, 60.0])
def test_without_a_certificate_that_is_valid_now_nothing_is_sent(two: Two, lifetime_s: float) -> None:
    given = None if lifetime_s < 0 else identity(two.a, lifetime_s)
    two.world.run_for(61.0)
    assert two.code(identity=given)[0] == "no_outbound_identity"


def half_open(two: Two) -> None:
    for path in two.world.network.paths("a", "b"):
        path.lose()


def test_a_half_open_connection_swallows_a_request_and_the_next_finds_a_new_one(two: Two) -> None:
    two.ask()
    half_open(two)
    assert two.code() == ("remote_timeout", "timeout")
    assert two.ask().status == 404


def test_a_reset_that_was_noticed_costs_nothing(two: Two) -> None:
    two.ask()
    for path in two.world.network.paths("a", "b"):
        path.reset()
    two.world.run_for(1.0)
    assert two.ask().status == 404


@pytest.mark.parametrize(("method", "path", "expected"), [("GET", SOMETHING, 404), ("POST", OTHER, "remote_unreachable")])
def test_a_kept_connection_that_is_reset_under_a_request_is_replaced_if_the_method_allows_it(
    two: Two, method: str, path: str, expected: int | str
) -> None:
    changes = {"method": method, "path": path, "body": {} if method == "POST" else None}
    two.ask(**changes)
    two.port.request(two.request(**changes), two.outcomes.append)
    two.world.network.paths("a", "b")[0].reset()
    two.world.run_for(30.0)
    outcome = two.outcomes[-1]
    assert (outcome.status if isinstance(outcome, RemoteReply) else outcome.code) == expected
    if isinstance(outcome, Fault):
        assert outcome.details["request_sent"]


def test_what_a_short_cut_held_back_arrives_when_it_ends(two: Two) -> None:
    two.ask()
    two.world.links.partition("a", "b")
    two.world.timeline.after(3.0, two.world.links.heal)
    reply = two.ask()
    assert reply.status == 404
    assert 3.0 < reply.elapsed_s < 10.0


def calls(two: Two) -> int:
    return sum(frame.kind == "call" for frame in two.world.frames)


def test_a_cut_stops_a_request_that_is_under_way(two: Two) -> None:
    two.ask()
    before = calls(two)
    two.port.request(two.request(), two.outcomes.append)
    two.world.links.partition("a", "b", oneway=True)
    two.world.run_for(3.0)
    assert calls(two) == before
    two.world.links.heal()
    two.world.run_for(7.0)
    assert calls(two) == before + 1
    assert two.outcomes[-1].status == 404


def test_a_cut_stops_an_answer_that_is_under_way_and_the_time_limit_ends_the_wait(two: Two) -> None:
    two.ask()
    before = calls(two)
    two.outcomes.clear()
    two.port.request(two.request(), two.outcomes.append)
    assert two.world.run_until(lambda: calls(two) > before, 1.0)
    two.world.links.partition("b", "a", oneway=True)
    two.world.run_for(9.0)
    assert two.outcomes == []
    two.world.run_for(2.0)
    assert two.outcomes[-1].code == "remote_timeout"


def test_what_is_late_arrives_after_it_was_given_up_and_another_has_overtaken_it(two: Two) -> None:
    two.ask()
    for path in two.world.network.paths("a", "b"):
        path.delay("a", 30.0)
    started, before = two.world.timeline.now, calls(two)
    two.outcomes.clear()
    two.port.request(two.request(), two.outcomes.append)
    two.world.run_for(11.0)
    assert (two.outcomes[0].code, calls(two)) == ("remote_timeout", before)
    two.port.request(two.request(path=OTHER), two.outcomes.append)
    two.world.run_for(1.0)
    assert two.outcomes[1].status == 404
    two.world.run_for(30.0)
    arrived = [(frame.at - started, frame.what) for frame in two.world.frames if frame.kind == "call"][before:]
    assert [what for _, what in arrived] == [f"GET {OTHER}", f"GET {SOMETHING}"]
    assert arrived[1][0] == pytest.approx(30.0, abs=0.1)
    assert len(two.outcomes) == 2


def test_an_end_of_faults_ends_lateness_on_what_is_open(two: Two) -> None:
    two.ask()
    for path in two.world.network.paths("a", "b"):
        path.delay("a", 30.0)
        path.delay("b", 30.0)
    two.world.network.heal()
    assert two.ask().elapsed_s < 1.0


def test_connections_are_kept_for_as_long_as_in_production(two: Two) -> None:
    def opened() -> set[str]:
        return {f"{path.seen}" for path in two.world.network.paths("a", "b")}

    two.ask()
    first = opened()
    two.world.run_for(5.0)
    two.ask()
    assert opened() == first
    two.world.run_for(20.0)
    two.ask()
    assert opened() != first


def test_a_probe_finds_the_first_endpoint_that_proves_itself_and_sends_no_request(two: Two) -> None:
    targets = (
        ProbeTarget("https://nowhere.example.com"),
        ProbeTarget(two.b.url, "10.0.0.0/8"),
        ProbeTarget(two.a.url),
        ProbeTarget(two.b.url),
    )
    wanted = two.request()
    found: list[ProbeResult] = []
    two.port.probe(ProbeRequest("peer", targets, wanted.identity, wanted.expectation, 0.2, 1.0), found.append)
    two.world.run_for(5.0)
    assert found[0].endpoint == two.b.url
    assert [(probe.url, probe.error) for probe in found[0].probed] == [
        ("https://nowhere.example.com", "name_not_resolved"),
        (two.a.url, "server_identity_unverified"),
        (two.b.url, None),
    ]
    assert not two.world.frames


def test_the_outcome_of_a_dead_process_goes_nowhere(two: Two) -> None:
    two.port.request(two.request(), two.outcomes.append)
    two.a.crash()
    two.world.run_for(30.0)
    assert two.outcomes == []
