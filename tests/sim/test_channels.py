"""The same life of a channel at both levels of the simulator: whole calls on a kept path, and WebSockets over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from actors.limits import SKEW_MAX_S
from actors.settings import FederationSettings
from sim.nat import NatRules
from sim.scenario.stage import host_class
from sim.sockets.host import SocketHost
from sim.world import Host, World
from tests.sim.test_world import PEERS, propose, stored

CLOSED_WITHIN_S = 5.0
UNDER_WAY_S = 0.002
"""After which what was sent has left and has not arrived."""
RESOURCES = "/api/v1/system/platform/resources"
BEAT = "POST /federation_api/heartbeat"


@attrs.frozen
class Two:
    """a can be reached; b sits behind a NAT and has accepted a's invitation."""

    world: World
    a: Host
    b: Host
    at_a: str
    at_b: str

    @property
    def channels(self) -> tuple[int, int]:
        """How many channels each has in use."""
        return channels(self.a), channels(self.b)

    def operate(self, word: str) -> None:
        reply = self.a.call("POST", f"{PEERS}/{self.at_a}/{word}", {})
        assert reply is not None
        assert reply.status == 200, reply.body

    def beat(self) -> str:
        """What comes of a heartbeat from a to b."""
        reply = self.a.call("POST", f"{PEERS}/{self.at_a}/heartbeat", {})
        assert reply is not None
        return str(reply.data["heartbeat"]["url"] if reply.status == 200 else reply.body["code"])


def performed(host: Host, path: str, body: Any) -> Any:
    reply = host.call("POST", path, body)
    assert reply is not None
    assert reply.status in (200, 201), reply.body
    return reply.data


def channels(host: Host) -> int:
    if isinstance(host, SocketHost):
        return 0 if host.composition is None else len(host.composition.channels)
    assert host.channels is not None
    return len(host.channels)


@pytest.fixture(params=["frames", "sockets"])
def two(request: pytest.FixtureRequest) -> Iterator[Two]:
    world = World(1)
    world.network.add_nat("home", NatRules())
    hosts = []
    for name, realm in (("a", ""), ("b", "home")):
        host = host_class(request.param)(world, name, FederationSettings(peer_channel=True), realm=realm)
        world.hosts[name] = host
        host.open_signed_in()
        host.start()
        hosts.append(host.sign_in())
    a, b = hosts
    at_a, token = propose(a, b)
    at_b, _ = propose(b, a)
    reply = b.call("POST", f"{PEERS}/{at_b}/accept", {"acceptance_token": token})
    assert reply is not None
    assert reply.status == 200, reply.body
    found = Two(world, a, b, at_a, at_b)
    assert world.run_until(lambda: stored(a, at_a) == stored(b, at_b) == "active" and found.channels == (1, 1), 60)
    yield found
    world.close()


def test_who_cannot_be_reached_is_called_over_the_channel_that_it_dialled(two: Two) -> None:
    assert two.beat() == "channel:"
    two.world.run_for(800.0)
    assert two.channels == (1, 1)
    assert two.beat() == "channel:"


def test_a_pause_closes_the_channel_in_time_and_its_end_brings_another(two: Two) -> None:
    two.operate("suspend")
    assert two.world.run_until(lambda: two.channels == (0, 0), CLOSED_WITHIN_S)
    assert two.beat() == "peer_suspended"
    two.world.run_for(120.0)
    assert two.channels == (0, 0)
    two.operate("resume")
    assert two.world.run_until(lambda: two.channels == (1, 1), 600.0)


def test_the_end_of_the_peering_is_told_over_the_channel_which_then_closes(two: Two) -> None:
    two.operate("revoke")
    assert two.world.run_until(lambda: stored(two.b, two.at_b) == "revoked", CLOSED_WITHIN_S)
    assert two.world.run_until(lambda: two.channels == (0, 0), CLOSED_WITHIN_S)


def test_a_channel_that_died_without_a_word_is_given_up_and_dialled_anew(two: Two) -> None:
    for path in two.world.network.paths("a", "b"):
        path.lose()
    assert two.beat() == "remote_unreachable"
    assert two.world.run_until(lambda: two.channels == (1, 1) and two.beat() == "channel:", 120.0)


def test_a_long_list_of_a_platform_that_can_only_dial_out_comes_page_by_page(two: Two) -> None:
    """No page is longer than a frame of the channel, which is the only way there."""
    tags = [f"{tag:063}" for tag in range(32)]
    drafts = [{"kind": "NodeModule", "attributes": {"name": f"m{n:02}", "description": "d" * 1_024, "tags": tags}} for n in range(60)]
    assert performed(two.b, RESOURCES, {"resources": drafts})["created"] == 60
    wanted = {"remote_subject": "operator@a", "resource_kind": "NodeModule", "deliver": True}
    assert performed(two.b, f"{PEERS}/{two.at_b}/grants", wanted)["delivered"]

    read, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        query = "limit=200" if cursor is None else f"limit=200&cursor={cursor}"
        reply = two.a.call("GET", f"{PEERS}/{two.at_a}/remote_resources/NodeModule?{query}")
        assert reply is not None
        assert reply.status == 200, reply.body
        read += [each["attributes"]["name"] for each in reply.data]
        cursor, pages = reply.body["meta"]["next_cursor"], pages + 1
    assert read == [f"m{n:02}" for n in range(60)]
    assert pages > 1


def test_a_cut_stops_a_call_that_is_under_way_on_a_channel_and_its_end_lets_it_through(two: Two) -> None:
    def heard() -> int:
        return sum((frame.kind, frame.source, frame.what) == ("call", "a", BEAT) for frame in two.world.frames)

    before = heard()
    replies = two.a.send("POST", f"{PEERS}/{two.at_a}/heartbeat", {})
    two.world.run_for(UNDER_WAY_S)
    two.world.links.partition("a", "b", oneway=True)
    two.world.run_for(3.0)
    assert heard() == before
    two.world.links.heal()
    assert two.world.run_until(lambda: bool(replies), 10.0)
    assert heard() == before + 1
    assert replies[0].status == 200


# --- the certificate of the listener ----------------------------------------------------------------------------------

SHORT_S = 1_800.0


def opened(two: Two) -> int:
    """How many channels a has had."""
    return [event.kind for event in two.a.store.events(0, 100_000)].count("federation.peer.channel_opened")


def show_short_leaf(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a's listener show a certificate that ends soon, and have b dial anew, so that it sees that one."""
    monkeypatch.setattr("sim.world.SERVER_LEAF_LIFETIME_S", SHORT_S)
    monkeypatch.setattr("sim.sockets.host.LISTENER_LEAF_LIFETIME_S", SHORT_S)
    two.a.renew_server_chain()
    before = opened(two)
    for path in two.world.network.paths("a", "b"):
        path.lose()
    assert two.world.run_until(lambda: opened(two) > before and two.channels == (1, 1), 300.0)


def test_a_channel_ends_with_the_certificate_that_the_listener_has_shown(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    show_short_leaf(two, monkeypatch)
    began = opened(two)
    two.world.run_for(SHORT_S - 300.0)
    two.a.sign_in()
    assert (two.beat(), opened(two)) == ("channel:", began)
    # Until the clocks agree that it has ended, and b has something to say again.
    assert two.world.run_until(lambda: two.channels == (0, 0), 300.0 + SKEW_MAX_S + 90.0)
    two.a.sign_in()
    two.b.sign_in()
    assert two.beat() == "remote_unreachable"
    reply = two.b.call("POST", f"{PEERS}/{two.at_b}/heartbeat", {})
    assert reply is not None
    assert reply.body["code"] == "server_identity_unverified"
    two.a.renew_server_chain()
    assert two.world.run_until(lambda: two.channels == (1, 1) and two.beat() == "channel:", 900.0)


def test_a_certificate_that_is_replaced_early_leaves_channels_alone(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    show_short_leaf(two, monkeypatch)
    began = opened(two)
    two.world.run_for(SHORT_S / 2 - 400.0)
    two.a.renew_server_chain()
    two.world.run_for(60.0)
    assert (two.channels, opened(two)) == ((1, 1), began)


def test_a_certificate_that_is_replaced_in_time_has_channels_dialled_anew(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    show_short_leaf(two, monkeypatch)
    began = opened(two)
    two.world.run_for(SHORT_S / 2)
    two.a.renew_server_chain()
    assert two.world.run_until(lambda: opened(two) > began and two.channels == (1, 1), 10.0)
    began = opened(two)
    two.world.run_for(SHORT_S / 4)
    two.a.renew_server_chain()
    two.world.run_for(60.0)
    assert (two.channels, opened(two)) == ((1, 1), began)
