"""Channels end when a certificate behind them has had its time, and not all at once."""

from __future__ import annotations

import logging
from typing import Any, cast

import pytest
import trio
import trio.testing

from actors.limits import CHANNEL_RENEWED_GAP_S, CHANNEL_RENEWED_WITHIN_S, SKEW_MAX_S
from actors.peer.channel import Held, ShownLeaf, outlived, renewal_gap_s
from actors.ports import OpenChannel, ServerExpectation
from net.channel import OUTDATED, Ending
from net.channels import ChannelParts, Channels
from net.remote import ServerProof
from net.tls import ListenerLeaf, shown_by
from tests.net.certs import DAY_S, Authority
from tests.net.served import INSTANCE, PATIENCE_S
from tests.net.test_remote import World, world

DAYS_90 = ShownLeaf("root", 0.0, 90 * DAY_S)


@pytest.mark.parametrize(
    ("now_shown", "day", "ends"),
    [
        (ShownLeaf("root", DAY_S, 91 * DAY_S), 1, False),
        (ShownLeaf("root", 44 * DAY_S, 134 * DAY_S), 44, False),
        (ShownLeaf("root", 45 * DAY_S, 135 * DAY_S), 45, True),
        (ShownLeaf("root", 95 * DAY_S, 185 * DAY_S), 95, True),
        (ShownLeaf("another root", DAY_S, 91 * DAY_S), 1, True),
    ],
)
def test_a_channel_goes_on_until_half_of_its_certificates_time_is_over_unless_the_root_is_another(
    now_shown: ShownLeaf, day: int, ends: bool
) -> None:
    assert outlived(DAYS_90, now_shown, day * DAY_S) is ends


@pytest.mark.parametrize("channels", [0, 1, 10, 3_600, 10_000])
def test_the_more_channels_the_closer_they_follow_each_other_and_none_waits_longer_than_an_hour(channels: int) -> None:
    assert 0 < renewal_gap_s(channels) <= CHANNEL_RENEWED_GAP_S
    assert renewal_gap_s(channels) * channels <= CHANNEL_RENEWED_WITHIN_S + 1e-6


class Fake:
    """A channel that only ends. `dialled` here: by us."""

    def __init__(self, number: int, shown: ShownLeaf | None, *, dialled: bool = False) -> None:
        self.peer_id, self.shown, self.dialled = f"peer {number}", shown, dialled
        self.ended_at: float | None = None
        self.why: Ending | None = None

    def cut(self, ending: Ending) -> None:
        self.ended_at, self.why = trio.current_time(), ending


async def test_peers_are_made_to_dial_anew_one_after_the_other(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("net.channels._channel", lambda held: held.channel)
    caplog.set_level(logging.INFO, "net.channel")
    worn = [Fake(number, DAYS_90) for number in range(5)]
    others = [Fake(5, ShownLeaf("root", 60 * DAY_S, 150 * DAY_S)), Fake(6, None, dialled=True), Fake(7, None)]
    async with trio.open_nursery() as nursery:
        parts = cast("ChannelParts", type("Parts", (), {"wall": staticmethod(lambda: 61 * DAY_S)}))
        channels = Channels(cast("Any", None), nursery, parts)
        for fake in (*worn, *others):
            channels._register.take(fake.peer_id, Held(fake, fake.dialled), ours_wins=True)
        began = trio.current_time()
        channels.renew(ShownLeaf("root", 61 * DAY_S, 151 * DAY_S))
    assert [round(fake.ended_at - began, 6) for fake in worn if fake.ended_at is not None] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert {fake.why for fake in worn} == {OUTDATED}
    assert [fake.ended_at for fake in others] == [None] * 3
    assert "5 channels are dialled anew" in caplog.text


def test_what_a_listener_shows_is_told_by_the_leaf_that_ends_first() -> None:
    root = Authority("root")
    long, short = root.server(days=90), root.server(days=10)
    bundle = [long.for_listener, short.for_listener]
    alone = shown_by([ListenerLeaf(short.pem, short.key_pem)])
    assert shown_by(bundle).not_after == alone.not_after == shown_by(bundle[1:]).not_after
    assert shown_by(bundle[:1]).not_after > alone.not_after
    assert shown_by(bundle).root == shown_by(bundle[:1]).root != alone.root


async def test_a_server_that_was_proven_once_is_judged_again_when_its_time_is_over_or_more_is_asked_of_it() -> None:
    async with world() as made:
        proof = await shown(made)
        assert made.client.proven_still(proof, made.anchored) is proof
        other = ServerExpectation(anchors_pem=(Authority("another").pem,), instance_id=INSTANCE)
        assert made.client.proven_still(proof, other) is None
        both = ServerExpectation(anchors_pem=(*made.anchored.anchors_pem, *other.anchors_pem), instance_id=INSTANCE)
        again = made.client.proven_still(proof, both)
        assert again is not None
        assert again.expectation == both
        made.wall.wall_s = proof.ends + SKEW_MAX_S - 1.0
        assert made.client.proven_still(proof, made.anchored) is not None
        made.wall.wall_s = proof.ends + SKEW_MAX_S + 1.0
        assert made.client.proven_still(proof, made.anchored) is None


async def shown(made: World) -> ServerProof:
    """What the served platform shows."""
    url = made.served.url
    request = OpenChannel(
        peer_id="peer", urls=(url,), identity=made.ours, expectation=made.anchored, ours_wins=True, timeout_s=PATIENCE_S
    )  # fmt: skip
    stream = await made.client.connect(request, url)
    try:
        return made.client.proof(stream, url, made.anchored)
    finally:
        stream.abort()
