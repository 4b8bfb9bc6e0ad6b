"""The rules of the peer channel: which of two stays, when an echo is fresh, how long to wait; and what the actor makes of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.limits import CHANNEL_RETRY_FIRST_S, CHANNEL_RETRY_MAX_S
from actors.peer.channel import Held, Register, echo_is_fresh, ours_wins, wait_s
from actors.peer.messages import Beat, ChannelEnded, ChannelOpened, HearEvent
from actors.peer.peer_events import PEER_REVOKED, PeerEvent
from actors.peer.projection import channel as channel_of
from actors.peer.record import KIND
from actors.ports import ChannelOpen, OpenChannel, RemoteReply
from runtime.actor import Ref
from runtime.errors import RemoteFault
from tests.support.federation import Pair, Platform, pair


@given(st.uuids().map(str), st.uuids().map(str))
def test_both_ends_agree_on_who_wins(one: str, other: str) -> None:
    assert one == other or ours_wins(one, other) != ours_wins(other, one)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(("a", "b"))), unique_by=lambda pair: pair[0]), st.randoms())
def test_whatever_the_order_both_ends_keep_a_channel_of_the_winner_if_there_is_one(dialled: list[tuple[int, str]], chance: Any) -> None:
    kept = {}
    for end, wins in (("a", True), ("b", False)):
        register, order = Register(), list(dialled)
        chance.shuffle(order)
        for channel in order:
            register.take("peer", Held(channel, ours=channel[1] == end), ours_wins=wins)
        held = register.held("peer")
        kept[end] = None if held is None else held.channel[1]  # type: ignore[index]
    assert kept["a"] == kept["b"]
    assert kept["a"] == ("a" if any(by == "a" for _, by in dialled) else "b" if dialled else None)


def test_the_newer_of_two_channels_of_one_end_stays_and_only_the_used_one_ends_the_contact() -> None:
    register = Register()
    assert register.take("peer", Held("old", ours=True), ours_wins=True) is None
    assert register.take("peer", Held("new", ours=True), ours_wins=True) == Held("old", ours=True)
    assert not register.drop("peer", "old")
    assert register.take("peer", Held("theirs", ours=False), ours_wins=True) == Held("theirs", ours=False)
    assert register.drop("peer", "new")
    assert len(register) == 0


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_waits_grow_to_a_bound_and_are_spread(attempts: int, chance: float) -> None:
    longest = min(CHANNEL_RETRY_FIRST_S * 2**attempts, CHANNEL_RETRY_MAX_S)
    assert longest / 2 <= wait_s(attempts, chance) <= longest


@pytest.mark.parametrize(
    ("sent", "epoch", "sequence", "fresh"),
    [
        (10, 3, 10, True), (10, 3, 8, True), (10, 3, 7, False), (10, 2, 10, False), (10, 4, 10, False), (10, 3, 11, False),
        (0, 3, 0, False), (1, 3, 1, True), (1, 3, 0, False),
    ],
)  # fmt: skip
def test_an_echo_is_fresh_if_it_names_one_of_our_last_heartbeats_of_this_start(sent: int, epoch: int, sequence: int, fresh: bool) -> None:
    assert echo_is_fresh(3, sent, epoch, sequence) is fresh


# --- the actor ------------------------------------------------------------------------------------------------------


class Port:
    """The channel port of one platform, with answers as a test wants them."""

    def __init__(self, platform: Platform, *answers: Any) -> None:
        self.asked: list[tuple[float, OpenChannel]] = []
        self._answers = list(answers)
        self._network = platform.network
        platform.open_channel = self._open  # type: ignore[method-assign]

    def then(self, *answers: Any) -> None:
        """What the next attempts are answered."""
        self._answers = list(answers)

    def _open(self, request: OpenChannel, done: Any) -> None:
        self.asked.append((self._network.clock.now(), request))
        done(self._answers.pop(0) if self._answers else RemoteFault("remote_unreachable", "no", 502))


def connected(**settings: Any) -> Pair:
    two = pair(peer_channel=True, **settings)
    two.connect()
    return two


def test_a_platform_dials_again_ever_more_rarely_until_it_is_told_of_a_channel() -> None:
    two = connected()
    port = Port(two.a, *[RemoteFault("remote_unreachable", "no", 502)] * 3, ChannelOpen("https://b.example"))
    two.network.advance(200.0)
    assert len(port.asked) == 4
    assert port.asked[0][1].urls == (two.b.url,)
    two.a.told_nothing(two.at_a.peer_id, ChannelEnded(3600.0))
    two.network.advance(1.5)
    assert len(port.asked) == 5, "a channel that was good for long is dialled anew at once"


def test_no_channel_is_wanted_where_none_is_configured_or_the_peering_is_paused() -> None:
    two = pair(peer_channel=False)
    port = Port(two.a)
    two.connect()
    two.network.advance(200.0)
    assert port.asked == []


def test_a_refusal_of_the_channel_is_the_word_of_the_remote() -> None:
    two = connected()
    body = {"success": False, "code": "peer_revoked", "error": "over", "details": {}}
    Port(two.a, *[RemoteReply(403, body, {}, two.b.url, 0.1)] * 5)
    two.network.advance(100.0)
    assert two.a.record(two.at_a.peer_id).status == "revoked"


def beat(two: Pair, **told: Any) -> None:
    two.a.told(two.at_a.peer_id, Beat(boot_epoch=9, sequence=1, over_channel=True, **told))


def test_a_heartbeat_over_a_channel_is_two_way_evidence_only_with_a_fresh_echo() -> None:
    two = connected()
    two.network.down |= {two.b.url}
    two.network.advance(500.0)
    assert two.a.record(two.at_a.peer_id).status == "degraded"
    before = two.a.evidence(two.at_a.peer_id)
    beat(two)
    after = two.a.evidence(two.at_a.peer_id)
    assert two.a.record(two.at_a.peer_id).status == "degraded", "what arrives does not show that anything of ours arrives"
    assert after.last_heartbeat_at == before.last_heartbeat_at
    assert after.last_inbound_heartbeat_at == two.network.clock.wall()
    beat(two, acknowledged_epoch=two.a.life, acknowledged_sequence=after.sent_sequence)
    assert two.a.record(two.at_a.peer_id).status == "active"
    assert two.a.evidence(two.at_a.peer_id).last_heartbeat_at == two.network.clock.wall()


def test_a_heartbeat_that_shows_one_way_only_is_followed_by_our_own_at_once() -> None:
    two = connected()
    two.network.down |= {two.b.url}
    two.network.advance(500.0)
    two.network.down.clear()
    sent = two.a.evidence(two.at_a.peer_id).sent_sequence
    beat(two)
    two.network.advance(0.1)
    assert two.a.evidence(two.at_a.peer_id).sent_sequence == sent + 1
    assert two.a.record(two.at_a.peer_id).status == "active"
    beat(two)
    two.network.advance(0.1)
    assert two.a.evidence(two.at_a.peer_id).sent_sequence == sent + 1, "what is in contact needs no further proof"


def test_an_open_channel_is_shown_and_told_and_its_end_too() -> None:
    two = connected()
    ref = two.at_a.peer_id

    def shown() -> dict[str, Any]:
        found: dict[str, Any] = channel_of(two.a.evidence(ref), two.a.settings)
        return found

    assert shown() == {"state": "none", "since": None, "dialled_by": None}
    two.a.told(ref, ChannelOpened(ours=False))
    assert (shown()["state"], shown()["dialled_by"]) == ("open", "remote")
    two.a.restart()
    assert shown()["state"] == "none", "no channel outlives the process"
    two.a.told(ref, ChannelOpened(ours=True))
    two.a.told(ref, ChannelEnded(5.0))
    assert shown()["state"] == "none"
    kinds = two.a.events()
    assert kinds.count("federation.peer.channel_opened") == 2
    assert kinds.count("federation.peer.channel_ended") == 1


@pytest.mark.parametrize(("code", "soon"), [("remote_unreachable", True), ("remote_error", False)])
def test_a_remote_that_answers_over_http_again_is_dialled_again_soon(code: str, soon: bool) -> None:
    two = connected()
    port = Port(two.a, *[RemoteFault(code, "no", 502)] * 100)
    two.a.told(two.at_a.peer_id, ChannelEnded(0.0))
    two.network.down |= {two.b.url}
    two.network.advance(1_500.0)
    asked = len(port.asked)
    while len(port.asked) == asked:
        two.network.advance(1.0)
    # The next attempt has its time five minutes from now or later.
    two.network.down.clear()
    asked = len(port.asked)
    two.network.advance(70.0)
    assert (len(port.asked) > asked) is soon


ENDED = RemoteReply(403, {"success": False, "code": "peer_revoked", "error": "over", "details": {}}, {}, "https://b.example", 0.1)


@pytest.mark.parametrize("heard", ["by a heartbeat", "by a probe of a silence", "by an event", "by the dial itself"])
def test_no_attempt_stays_armed_once_the_remote_has_ended_the_peering(heard: str) -> None:
    two = connected()
    ref = Ref(KIND.name, two.at_a.peer_id)
    port = Port(two.a)
    two.a.told(ref.id, ChannelEnded(0.0))
    two.network.advance(700.0)
    assert "channel" in two.a.engine.state(ref)["timers"], "the next attempt is minutes away"

    def told(exchange: Any) -> Any:
        """b has ended the peering, and says so to who asks."""
        asks = {"by a heartbeat": "/heartbeat", "by a probe of a silence": "/trust_bundle"}.get(heard)
        mine = exchange.sender is two.a and asks is not None
        return ENDED if mine and exchange.request.path.endswith(asks) else None

    two.network.answers = told
    if heard == "by an event":
        two.a.told(ref.id, HearEvent(PeerEvent(id="0190c0de-0000-7000-8000-000000000001", kind=PEER_REVOKED)))
    elif heard == "by a probe of a silence":
        two.network.down |= {two.b.url}
    elif heard == "by the dial itself":
        port.then(ENDED)
    # Looked at in the moment of the end, for the attempt would find the end out when its time comes.
    for _ in range(700):
        if two.a.record(ref.id).status == "revoked":
            break
        two.network.advance(1.0)
    assert two.a.record(ref.id).status == "revoked"
    assert "channel" not in (two.a.engine.state(ref) or {}).get("timers", ())
    asked = len(port.asked)
    two.network.advance(1_500.0)
    assert len(port.asked) == asked
