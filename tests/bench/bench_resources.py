"""What reading the catalogue costs: pages of lists at 10,000 and 100,000 records, and finding a kind.

Run it: `python -m tests.bench --only resources`.
"""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from actors.inventory.registry import REGISTRY, find
from actors.resource import pages, projection
from actors.resource.pages import Filter, PageRequest
from actors.resource.record import KIND, ResourceRecord
from runtime.clock import SystemClock
from runtime.store.port import BatchResult, Put, Unit
from runtime.store.sqlite import SqliteStore
from tests.bench.figures import Figure

ACCOUNT = "0190c0de-0000-7000-8000-00000000acc0"
LIMIT = 100
PAGES = 300
LOOKUPS = 200_000
BATCH = 500

_clock = SystemClock()


def _record(number: int) -> ResourceRecord:
    attributes = {
        "name": f"module-{number:06}",
        "description": "a module of average size, with a sentence about what it is for",
        "variety": "web" if number % 3 else "rare",
        "current_version": number % 40 + 1,
        "oci_digest": f"sha256:{number:064x}",
        "tags": ["one", "two"],
    }
    at = 1_795_000_000.0 + number / 1000
    id = f"0190c0de-0000-7000-8000-{number:012x}"
    return ResourceRecord(id=id, version=1, account_id=ACCOUNT, kind="NodeModule", attributes=attributes, created_at=at, updated_at=at)


def _filled(folder: Path, count: int) -> SqliteStore:
    inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    store = SqliteStore.open(folder / f"{count}.db", [KIND], deliver=inbox.put)
    for start in range(0, count, BATCH):
        done: list[BatchResult] = []
        store.commit([Unit((Put(KIND.name, _record(number)),)) for number in range(start, start + BATCH)], done.append)
        while not done:
            inbox.get(timeout=60)()
    return store


def _page_ms(store: SqliteStore, request: PageRequest) -> list[float]:
    """Milliseconds of each of many pages in a row, from the query to the bytes of the answer; from the start again at the end."""
    took = []
    after = request.after
    for _ in range(PAGES):
        wanted = PageRequest(
            account_id=request.account_id, kind=request.kind, limit=LIMIT, sort=request.sort, filters=request.filters, after=after
        )
        started = _clock.now()
        page = pages.read(store, wanted)
        msgspec.json.encode([projection.exported(record) for record in page.records])
        took.append((_clock.now() - started) * 1000)
        after = None if page.complete or page.examined is None else wanted.place_of(page.examined)
    return sorted(took)


def _measure(count: int, sort: pages.Sort, filters: tuple[Filter, ...] = ()) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        store = _filled(Path(folder), count)
        try:
            request = PageRequest(account_id=ACCOUNT, kind=REGISTRY.kinds["NodeModule"], limit=LIMIT, sort=sort, filters=filters)
            took = _page_ms(store, request)
        finally:
            store.close()
    return {"figure": took[int(len(took) * 0.99)], "p50": took[len(took) // 2], "max": took[-1]}


def _lookup() -> dict[str, float]:
    names = [name for kind in REGISTRY for name in (kind.kind, kind.alias)] + ["Starship"]
    started = _clock.now()
    for number in range(LOOKUPS):
        find(names[number % len(names)])
    return {"figure": (_clock.now() - started) / LOOKUPS * 1e9}


FIGURES = (
    Figure("resources: list of 100 of 10,000, p99", "<= 30", "ms", lambda: _measure(10_000, "updated_at"), 30.0, "lower"),
    Figure("resources: list of 100 of 100,000, p99", "<= 30", "ms", lambda: _measure(100_000, "updated_at"), 30.0, "lower"),
    Figure("resources: the same by name, p99", "<= 30", "ms", lambda: _measure(100_000, "natural"), 30.0, "lower"),
    Figure(
        "resources: the same, filtered, p99", "<= 60", "ms",
        lambda: _measure(100_000, "updated_at", (Filter("variety", "eq", ("rare",)),)), 60.0, "lower",
    ),
    Figure("resources: finding a kind", "<= 1000", "ns", _lookup, 1000.0, "lower"),
)  # fmt: skip
