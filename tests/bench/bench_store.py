"""What group commit is worth, and what the stores cost. Run it: `python -m tests.bench.bench_store`."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import attrs

from runtime.clock import SystemClock
from runtime.store.port import AuditDraft, BatchResult, EventDraft, Kind, Put, Query, Store, Unit
from runtime.store.sqlite import SqliteStore
from sim.store import MemoryStore
from tests.bench.figures import Figure

WRITERS = 64
ROUNDS = 5
GROUPED_TURNS = 4_000
SINGLE_TURNS = 200
ROWS = 10_000
MEMORY_TURNS = 50_000


@attrs.frozen
class Sample:
    id: str
    version: int
    name: str = "a peer of average size"
    status: str = "active"
    url: str = "https://peer.example:8443"
    tags: tuple[str, ...] = ("one", "two")
    at: float = 1_700_000_000.0


KIND = Kind("sample", Sample, columns={"status": "text"}, project=lambda sample: {"status": sample.status})

_clock = SystemClock()


def _turn(number: int) -> Unit:
    audit = AuditDraft(f"peer-{number % WRITERS}", "changed", 1.0, "system", None, {"number": number})
    return Unit((Put("sample", Sample(f"{number:012}", 1)), audit, EventDraft("sample.changed", "low", 1.0, None, {"number": number})))


def _turns_per_s(store: Store, inbox: queue.SimpleQueue[Callable[[], None]], writers: int, turns: int, first: int) -> float:
    """`writers` of them, each with one turn under way at most; what is ready while a batch is in flight is the next batch."""
    units = iter([_turn(number) for number in range(first, first + turns)])
    ready = list(islice(units, writers))
    committed = 0
    started = _clock.now()

    def done(result: BatchResult) -> None:
        nonlocal committed
        assert isinstance(result, tuple), result
        committed += len(result)
        ready.extend(islice(units, len(result)))

    while committed < turns:
        batch = list(ready)
        ready.clear()
        store.commit(batch, done)
        inbox.get()()
    return turns / (_clock.now() - started)


def _round(store: Store, inbox: queue.SimpleQueue[Callable[[], None]], number: int) -> tuple[float, float]:
    """Turns a second alone and grouped, measured close together."""
    first = number * (SINGLE_TURNS + GROUPED_TURNS)
    single = _turns_per_s(store, inbox, 1, SINGLE_TURNS, first)
    return single, _turns_per_s(store, inbox, WRITERS, GROUPED_TURNS, first + SINGLE_TURNS)


def _read_s(store: Store) -> float:
    """Seconds to read `ROWS` rows; the best of three."""
    best = float("inf")
    for _ in range(3):
        started = _clock.now()
        assert len(store.query(Query("sample", limit=ROWS))) == ROWS
        best = min(best, _clock.now() - started)
    return best


def _memory_turns_per_s() -> float:
    store, units = MemoryStore([KIND]), [_turn(number) for number in range(MEMORY_TURNS)]
    started = _clock.now()
    for unit in units:
        store.commit([unit], _ignore)
    return MEMORY_TURNS / (_clock.now() - started)


def _ignore(_: BatchResult) -> None:
    pass


def measure() -> dict[str, float]:
    """Turns of one row, one audit entry and one event each; medians of rounds, for a disk's neighbours come and go.

    `store_grouped_turns_per_s` (64 writers), `store_single_turns_per_s` (one commit for each turn), `store_group_gain` (their
    ratio, at least 5 is wanted), `store_read_10000_rows_s` (under 0.5), `memory_store_turns_per_s`.
    """
    # In the working folder: the system's temporary folder may be memory, where durability costs nothing.
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as directory:
        inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        store = SqliteStore.open(Path(directory) / "bench.db", [KIND], deliver=inbox.put)
        try:
            rounds = [_round(store, inbox, number) for number in range(ROUNDS)]
            read_s = _read_s(store)
        finally:
            store.close()
    return {
        "store_grouped_turns_per_s": median(grouped for _, grouped in rounds),
        "store_single_turns_per_s": median(single for single, _ in rounds),
        "store_group_gain": median(grouped / single for single, grouped in rounds),
        "store_read_10000_rows_s": read_s,
        "memory_store_turns_per_s": _memory_turns_per_s(),
    }


def group_gain() -> dict[str, float]:
    """What group commit gains on the store alone."""
    measured = measure()
    return {"figure": measured["store_group_gain"], **measured}


FIGURES = [Figure("store alone: turns of 64 writers in groups / one commit per turn", ">= 5", "x", group_gain, 5.0)]
