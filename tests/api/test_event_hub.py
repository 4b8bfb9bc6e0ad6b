"""The event hub: whatever the interleaving, a follower sees each event once and in order; a slow one costs nothing and is dropped."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from api.events import EventHub, Frame, Subscription, TooManySubscribers, TooSlow, encode
from api.limits import SUBSCRIBERS_MAX
from runtime.store.port import Event


class Log:
    """A committed log. `commit` makes events visible to readers before the hub is told of them, as a store does."""

    def __init__(self, count: int = 0) -> None:
        self.rows: list[Event] = []
        self.reads = 0
        self.commit(count)

    def commit(self, count: int, account_id: str | None = None) -> list[Event]:
        first = len(self.rows) + 1
        new = [Event(cursor, "federation.peer.active", "low", 0.5, account_id, {"n": cursor}) for cursor in range(first, first + count)]
        self.rows += new
        return new

    def events(self, after: int, limit: int) -> list[Event]:
        self.reads += 1
        return self.rows[after : after + limit]

    def last_cursor(self) -> int:
        return len(self.rows)


async def collect(subscription: Subscription, until: int) -> list[int]:
    seen: list[int] = []
    while not seen or seen[-1] < until:
        seen += [frame.cursor for frame in await subscription.next()]
    return seen


def test_a_frame_is_the_event_as_json() -> None:
    frame = encode(Event(7, "federation.peer.revoked", "high", 1.25, "acct", {"federation_peer_id": "p"}))
    assert frame == Frame(
        7,
        "acct",
        '{"cursor":7,"kind":"federation.peer.revoked","severity":"high","at":"1970-01-01T00:00:01.250Z",'
        '"payload":{"federation_peer_id":"p"}}',
    )


async def test_history_then_live_without_gap_or_repeat(autojump_clock: trio.testing.MockClock) -> None:
    log = Log(1_000)
    hub = EventHub(log, kept=16)

    async def keep_publishing() -> None:
        for size in (1, 3, 40, 1, 0, 7) * 20:
            events = log.commit(size)
            await trio.sleep(0.01)
            hub.publish(events)
            await trio.sleep(0.01)

    with hub.subscribe(after=5) as follower:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_publishing)
            seen = await collect(follower, until=1_000 + 52 * 20)
    assert seen == list(range(6, 2_041))


@given(
    st.integers(0, 6),
    st.integers(1, 6),
    st.lists(st.sampled_from(["commit", "commit", "tell", "tell", "read", "read", "again", "forget"]), max_size=60),
    st.integers(0, 6),
)
@settings(deadline=None)
def test_any_interleaving_of_commits_tellings_and_reads(history: int, kept: int, steps: list[str], after: int) -> None:
    """`again` tells events a second time; `forget` loses a telling, as a restarted engine would."""

    async def run() -> None:
        log = Log(history)
        hub = EventHub(log, kept=kept)
        start = min(after, history)
        told: list[Event] = []
        pending: list[Event] = []
        seen: list[int] = []

        async def read() -> None:
            with trio.move_on_after(0):
                frames = await follower.next()
                seen.extend(frame.cursor for frame in frames)

        with hub.subscribe(after=start) as follower:
            for step in [*steps, "commit", "tell"]:
                if step == "commit":
                    pending += log.commit(2)
                elif step == "tell":
                    hub.publish(pending)
                    told, pending = pending, []
                elif step == "again":
                    hub.publish(told)
                elif step == "forget":
                    pending = []
                else:
                    await read()
            while not seen or seen[-1] < log.last_cursor():
                seen.extend(frame.cursor for frame in await follower.next())
        assert seen == list(range(start + 1, log.last_cursor() + 1))

    trio.run(run, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_without_a_cursor_only_what_happens_next() -> None:
    log = Log(10)
    hub = EventHub(log)
    with hub.subscribe() as follower:
        hub.publish(log.commit(2))
        assert await collect(follower, until=12) == [11, 12]


async def test_a_waiting_follower_wakes_for_news_and_a_cancelled_wait_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    log = Log()
    hub = EventHub(log)
    with hub.subscribe(after=0) as follower:
        for cursor in (1, 2, 3):
            with trio.move_on_after(1) as waiting:
                await follower.next()
            assert waiting.cancelled_caught
            hub.publish(log.commit(1))
            assert [frame.cursor for frame in await follower.next()] == [cursor]


async def test_each_event_is_encoded_once_for_all_who_keep_up() -> None:
    log = Log()
    hub = EventHub(log)
    with hub.subscribe() as first, hub.subscribe() as second:
        hub.publish(log.commit(3))
        one, other = await first.next(), await second.next()
    assert [frame.cursor for frame in one] == [1, 2, 3]
    assert all(a is b for a, b in zip(one, other, strict=True))
    assert log.reads == 0


async def test_a_follower_that_falls_far_behind_is_dropped_and_held_nothing_up() -> None:
    log = Log()
    hub = EventHub(log, kept=10, behind_max=100)
    with hub.subscribe() as slow, hub.subscribe() as quick:
        seen: list[int] = []
        for _ in range(30):
            hub.publish(log.commit(10))
            seen += await collect(quick, until=log.last_cursor())
            if log.last_cursor() == 10:
                await collect(slow, until=10)
        assert seen == list(range(1, 301))
        with pytest.raises(TooSlow):
            await slow.next()
    assert len(hub._recent) == 10


async def test_a_long_replay_is_not_slowness() -> None:
    hub = EventHub(Log(5_000), kept=10, behind_max=100)
    with hub.subscribe(after=0) as follower:
        assert await collect(follower, until=5_000) == list(range(1, 5_001))


async def test_events_of_other_accounts_are_left_out(autojump_clock: trio.testing.MockClock) -> None:
    log = Log()
    hub = EventHub(log)
    with hub.subscribe(account_id="ours") as follower:
        hub.publish([*log.commit(1, "theirs"), *log.commit(1, "ours"), *log.commit(1), *log.commit(1, "theirs")])
        assert await collect(follower, until=3) == [2, 3]
        with trio.move_on_after(1) as waiting:
            await follower.next()
        assert waiting.cancelled_caught
        assert follower.position == 4


@pytest.mark.parametrize("after", [11, -1, 2**60])
def test_a_cursor_from_elsewhere_is_refused(after: int) -> None:
    with pytest.raises(ValueError, match="10"):
        EventHub(Log(10)).subscribe(after=after)


async def test_closing_ends_every_follower(nursery: trio.Nursery) -> None:
    hub = EventHub(Log())
    ended: list[str] = []

    async def follow(name: str) -> None:
        with hub.subscribe() as follower:
            with pytest.raises(trio.EndOfChannel):
                await follower.next()
        ended.append(name)

    async with trio.open_nursery() as followers:
        followers.start_soon(follow, "a")
        followers.start_soon(follow, "b")
        await trio.testing.wait_all_tasks_blocked()
        hub.close()
    assert sorted(ended) == ["a", "b"]
    assert hub.subscribers == 0


def test_the_number_of_followers_is_bounded() -> None:
    hub = EventHub(Log())
    followers: Sequence[Subscription] = [hub.subscribe() for _ in range(SUBSCRIBERS_MAX)]
    for follower in followers:
        follower.__enter__()
    with pytest.raises(TooManySubscribers):
        hub.subscribe()
    followers[0].__exit__()
    hub.subscribe()
