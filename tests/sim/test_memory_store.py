"""The memory store's faults: slow, failing and full disks, and what a restart finds."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from runtime.random import SeededRandomness
from runtime.store.chain import verify
from runtime.store.port import AuditDraft, BatchResult, EventDraft, Kind, Put, Query, StoreError, Unit, Unknown
from sim.store import MemoryStore


@attrs.frozen
class Item:
    id: str
    version: int


ITEM = Kind("item", Item)


def unit(id: str) -> Unit:
    return Unit((Put("item", Item(id, 1)), EventDraft("e", "low", 1.0, None, {}), AuditDraft("p", "x", 1.0, "system", None, {})))


def ids(store: MemoryStore) -> list[str]:
    return [row.record.id for row in store.query(Query("item", newest_first=False))]


class Timeline:
    """A scheduler that keeps its own time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entries: list[tuple[float, Callable[[], None]]] = []

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> None:
        self._entries.append((self.now + delay_s, callback))

    def step(self) -> None:
        self._entries.sort(key=lambda entry: entry[0])
        self.now, callback = self._entries.pop(0)
        callback()

    def idle(self) -> bool:
        return not self._entries


def test_without_a_scheduler_a_commit_is_done_at_once_and_does_not_nest() -> None:
    store, order = MemoryStore([ITEM]), list[str]()

    def first(_: BatchResult) -> None:
        store.commit([unit("b")], lambda _: order.append("b"))
        order.append("a")

    store.commit([unit("a")], first)
    assert order == ["a", "b"]


def test_a_held_commit_waits_unseen_for_flush() -> None:
    store, done = MemoryStore([ITEM], hold=True), list[BatchResult]()
    store.commit([unit("a")], done.append)
    assert (done, ids(store), store.last_cursor()) == ([], [], 0)
    store.flush()
    assert (len(done), ids(store)) == (1, ["a"])


def test_slow_commits_take_their_time_one_after_the_other() -> None:
    timeline, times = Timeline(), list[tuple[str, float]]()
    store = MemoryStore([ITEM], schedule=timeline.schedule)
    store.disk.fsync_s = 0.5
    for name in "abc":
        store.commit([unit(name)], lambda _, name=name: times.append((name, timeline.now)))  # type: ignore[misc]
    while not timeline.idle():
        timeline.step()
    assert times == [("a", 0.5), ("b", 1.0), ("c", 1.5)]


def test_a_failed_commit_is_unknown_and_the_store_stays_down_until_it_is_reopened() -> None:
    store, done = MemoryStore([ITEM]), list[BatchResult]()
    store.commit([unit("a")], done.append)
    store.fail_next_commit()
    store.commit([unit("b")], done.append)
    store.commit([unit("c")], done.append)
    assert [isinstance(result, Unknown) for result in done] == [False, True, True]
    assert not store.writable()
    assert ids(store) == ["a"]
    with pytest.raises(StoreError):
        store.meta_set("k", "v")
    again = store.crash()
    assert again.writable()
    again.commit([unit("d")], done.append)
    assert isinstance(done[-1], tuple)


def test_a_failed_commit_may_or_may_not_have_reached_the_disk() -> None:
    outcomes = set()
    for seed in range(20):
        store = MemoryStore([ITEM], chance=SeededRandomness(seed))
        store.fail_next_commit()
        store.commit([unit("a"), unit("b")], lambda _: None)
        outcomes.add(tuple(ids(store.crash())))
    assert outcomes == {(), ("a", "b")}


def test_every_waiting_batch_of_a_failed_disk_hears_of_it_once() -> None:
    timeline, done = Timeline(), list[BatchResult]()
    store = MemoryStore([ITEM], schedule=timeline.schedule)
    store.fail_next_commit()
    for name in "abc":
        store.commit([unit(name)], done.append)
    while not timeline.idle():
        timeline.step()
    assert [type(result) for result in done] == [Unknown, Unknown, Unknown]
    store.close()
    assert len(done) == 3


def test_a_full_disk_fails_commits_and_leaves_nothing_of_them() -> None:
    for seed in range(10):
        store, done = MemoryStore([ITEM], chance=SeededRandomness(seed)), list[BatchResult]()
        store.disk.full = True
        assert not store.writable()
        store.commit([unit("a")], done.append)
        assert done == [Unknown("the disk is full")]
        again = store.crash()
        assert (ids(again), again.writable()) == ([], False)
        again.disk.full = False
        again.commit([unit("a")], done.append)
        assert ids(again) == ["a"]


def test_a_crash_keeps_what_was_acknowledged_and_a_whole_prefix_of_the_rest() -> None:
    survivors = set()
    for seed in range(60):
        store, done = MemoryStore([ITEM], chance=SeededRandomness(seed), hold=True), list[BatchResult]()
        store.commit([unit("a")], done.append)
        store.flush()
        store.meta_set("k", "v")
        store.commit([unit("b"), unit("c")], done.append)
        store.commit([unit("d")], done.append)
        again = store.crash()
        assert len(done) == 1
        found = "".join(ids(again))
        survivors.add(found)
        assert again.meta_get("k") == "v"
        assert [event.cursor for event in again.events(0, 9)] == list(range(1, len(found) + 1))
        assert verify(again.audit("p", 0, 9)) is None
        assert len(again.audit("p", 0, 9)) == len(found)
    assert survivors == {"a", "abc", "abcd"}


def test_the_same_seed_tears_the_same_tail() -> None:
    def run(seed: int) -> list[str]:
        store = MemoryStore([ITEM], chance=SeededRandomness(seed), hold=True)
        for name in "abcdefgh":
            store.commit([unit(name)], lambda _: None)
        return ids(store.crash())

    assert [run(seed) for seed in range(10)] == [run(seed) for seed in range(10)]


def test_after_a_crash_the_old_store_is_dead() -> None:
    timeline, done = Timeline(), list[BatchResult]()
    store = MemoryStore([ITEM], schedule=timeline.schedule)
    store.commit([unit("a")], done.append)
    again = store.crash()
    while not timeline.idle():
        timeline.step()
    assert (done, ids(again)) == ([], [])
    with pytest.raises(StoreError, match="closed"):
        store.load("item", "a")


def test_a_crash_inside_a_callback_silences_the_others() -> None:
    store, heirs = MemoryStore([ITEM], hold=True), list[MemoryStore]()
    store.commit([unit("a")], lambda _: heirs.append(store.crash()))
    store.commit([unit("b")], lambda _: pytest.fail("a dead store called back"))
    store.flush()
    assert ids(heirs[0]) == ["a"]
