"""What only the SQLite store can show: its file across versions, restarts, kills and full disks."""

from __future__ import annotations

import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.store.backup import backup
from runtime.store.chain import verify
from runtime.store.port import (
    AuditDraft,
    BatchResult,
    Committed,
    Condition,
    EventDraft,
    Kind,
    Prune,
    Put,
    PutEvidence,
    Query,
    Refused,
    Row,
    StoreError,
    Unit,
    Unknown,
    Write,
)
from runtime.store.sqlite import SqliteStore
from runtime.store.sqlite_batch import BatchWriter
from runtime.store.sqlite_schema import SCHEMA_VERSION
from runtime.values import evolve

ROOT = Path(__file__).parents[3]


@attrs.frozen
class Item:
    id: str
    version: int
    name: str = ""
    colour: str = "red"


@attrs.frozen
class Glimpse:
    at: float


ITEM = Kind("item", Item)


def open_store(path: Path, kinds: Sequence[Kind] = (ITEM,), domain_version: int = 1) -> SqliteStore:
    return SqliteStore.open(path, kinds, deliver=lambda callback: callback(), domain_version=domain_version)


def commit(store: SqliteStore, *writes: Write) -> BatchResult:
    outcome: queue.SimpleQueue[BatchResult] = queue.SimpleQueue()
    store.commit([Unit(writes)], outcome.put)
    return outcome.get(timeout=30)


def ok(store: SqliteStore, *writes: Write) -> Committed:
    result = commit(store, *writes)
    assert isinstance(result, tuple)
    assert isinstance(result[0], Committed), result
    return result[0]


def raw(path: Path, statement: str, bound: Sequence[Any] = ()) -> list[Any]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement, bound).fetchall()
    finally:
        connection.close()


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, Put("item", Item("a", 1)), AuditDraft("p", "x", 1.0, "system", None, {}), EventDraft("e", "low", 1.0, None, {"k": [1]}))
    store.meta_set("instance_id", "i")
    rows, events, entries = store.query(Query("item")), store.events(0, 9), store.audit("p", 0, 9)
    store.close()
    again = open_store(path)
    assert (again.query(Query("item")), again.events(0, 9), again.audit("p", 0, 9)) == (rows, events, entries)
    assert again.meta_get("instance_id") == "i"
    assert ok(again, AuditDraft("p", "y", 2.0, "system", None, {}), EventDraft("e", "low", 1.0, None, {})).events[0].cursor == 2
    assert verify(again.audit("p", 0, 9)) is None
    again.close()


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s.db")
    ok(store, Put("item", Item("a", 1)))
    assert {p.name: p.stat().st_mode & 0o777 for p in tmp_path.iterdir()} == {"s.db": 0o600, "s.db-wal": 0o600, "s.db-shm": 0o600}
    store.close()


def test_the_commit_is_made_durable_before_it_is_acknowledged(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s.db")
    assert store._call(lambda db: db.execute("pragma synchronous").fetchone()) == (2,)
    assert store._call(lambda db: db.execute("pragma journal_mode").fetchone()) == ("wal",)
    store.close()


def test_outcomes_come_in_order_through_deliver_and_close_finishes_them(tmp_path: Path) -> None:
    delivered: queue.SimpleQueue[tuple[int, Callable[[], None]]] = queue.SimpleQueue()
    store = SqliteStore.open(tmp_path / "s.db", [ITEM], deliver=lambda callback: delivered.put((threading.get_ident(), callback)))
    done: list[int] = []
    for number in range(20):
        store.commit([Unit((Put("item", Item(f"{number:02}", 1)),))], lambda _, number=number: done.append(number))  # type: ignore[misc]
    store.close()
    assert done == []
    while not delivered.empty():
        thread, callback = delivered.get()
        assert thread != threading.get_ident()
        callback()
    assert done == list(range(20))


def test_an_engine_that_has_ended_does_not_stop_the_writer(tmp_path: Path) -> None:
    def gone(callback: Callable[[], None]) -> None:
        raise RuntimeError("the loop has ended")

    store = SqliteStore.open(tmp_path / "s.db", [ITEM], deliver=gone)
    store.commit([Unit((Put("item", Item("a", 1)),))], lambda _: None)
    store.commit([Unit((Put("item", Item("b", 1)),))], lambda _: None)
    store.close()
    assert raw(tmp_path / "s.db", "select count(*) from item") == [(2,)]


# Versions of the file


@pytest.mark.parametrize("what", ["schema", "domain"])
def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "s.db"
    open_store(path, domain_version=3 if what == "domain" else 1).close()
    if what == "schema":
        raw(path, f"pragma user_version = {SCHEMA_VERSION + 7}")
    newer, known = (SCHEMA_VERSION + 7, SCHEMA_VERSION) if what == "schema" else (3, 1)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=rf"{what} version {newer}.*up to {known}: start the newer program"):
        open_store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreError, match="cannot open"):
        open_store(path)


def test_an_added_column_key_and_deadline_are_filled_for_old_rows(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path, [evolve(ITEM, evidence=Glimpse)])
    ok(store, *(Put("item", Item(f"{n:04}", 1, f"n{n}", "blue" if n % 2 else "red")) for n in range(2500)))
    ok(store, PutEvidence("item", "0007", Glimpse(7.0)))
    store.close()
    wider = Kind(
        "item",
        Item,
        columns={"colour": "text"},
        project=lambda item: {"colour": item.colour},
        unique={"name": "taken"},
        keys=lambda item: {"name": item.name},
        due=lambda item: 5.0 if item.id == "0003" else None,
        resume=lambda item: item.id == "0004",
        evidence=Glimpse,
        evidence_columns={"seen_at": "real"},
        project_evidence=lambda glimpse: {"seen_at": glimpse.at},
    )
    store = open_store(path, [wider])
    assert store.count(Query("item", ((Condition("colour", "=", "blue"),),))) == 1250
    assert store.lookup("item", "name", "n42") == "0042"
    assert store.query(Query("item", ((Condition("seen_at", "=", 7),),))) == [Row(Item("0007", 1, "n7", "blue"), Glimpse(7.0))]
    assert (store.due(), store.resumable()) == ([("item", "0003", 5.0)], [("item", "0004")])
    store.close()
    store = open_store(path)
    assert store.count(Query("item")) == 2500
    store.close()
    assert [name for (name,) in raw(path, "select name from sqlite_schema where name like '%former%'")] == []


def test_a_key_made_unique_over_rows_that_share_it_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, Put("item", Item("a", 1, "same")), Put("item", Item("b", 1, "same")))
    store.close()
    unique = evolve(ITEM, unique={"name": "taken"}, keys=lambda item: {"name": item.name})
    with pytest.raises(StoreError, match="share a key"):
        open_store(path, [unique])
    store = open_store(path)
    assert store.count(Query("item")) == 2
    store.close()


def test_older_shapes_are_upcast_once_at_opening(tmp_path: Path) -> None:
    @attrs.frozen
    class Older:
        id: str
        version: int
        title: str

    path = tmp_path / "s.db"
    store = open_store(path, [Kind("item", Older)])
    ok(store, Put("item", Older("a", 4, "old name")))
    store.close()
    seen: list[dict[str, Any]] = []

    def upcast(stored: dict[str, Any]) -> dict[str, Any]:
        seen.append(dict(stored))
        stored["name"] = stored.pop("title", stored.get("name"))
        return stored

    for _ in range(2):
        store = open_store(path, [evolve(ITEM, upcast=upcast)])
        assert store.load("item", "a") == Row(Item("a", 4, "old name"))
        store.close()
    assert len(seen) == 1
    store = open_store(path, [evolve(ITEM, upcast=upcast)], domain_version=2)
    store.close()
    assert len(seen) == 2


def test_a_row_that_no_longer_fits_stops_the_opening_and_is_named(tmp_path: Path) -> None:
    @attrs.frozen
    class Stricter:
        id: str
        version: int
        weight: int

    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, Put("item", Item("a", 1)))
    store.close()
    with pytest.raises(StoreError, match="item a does not fit"):
        open_store(path, [Kind("item", Stricter)])
    store = open_store(path)
    assert store.load("item", "a") == Row(Item("a", 1))
    store.close()


def test_an_ordinary_start_does_not_import_sqlite_utils(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    open_store(path, [Kind("item", Item)]).close()
    script = (
        "import sys, test_sqlite as t; from pathlib import Path; "
        f"t.open_store(Path({str(path)!r})).close(); sys.exit('sqlite_utils' in sys.modules)"
    )
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    assert subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": paths}).returncode == 0


# What the file itself refuses


@pytest.mark.parametrize(
    "statement",
    [
        "update store_audit set action = 'other'",
        "delete from store_audit",
        "insert or replace into store_audit select * from store_audit",
        "insert into store_audit select 'p', 3, action, at, actor_kind, actor_id, payload, previous_hash, hash from store_audit",
        "insert into store_event values (7, 'e', 'low', 1.0, null, x'7b7d')",
    ],
)
def test_the_logs_are_written_once_and_gapless(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, AuditDraft("p", "x", 1.0, "system", None, {}))
    with pytest.raises(sqlite3.IntegrityError, match=r"written once|no gap"):
        raw(path, statement)
    assert verify(store.audit("p", 0, 9)) is None
    store.close()


def test_the_ledger_of_a_store_that_had_none_is_made_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    for chain in ("p", "q", "p"):
        ok(store, AuditDraft(chain, "x", 1.0, "system", None, {}))
    whole = store.ledger(0, 9)
    store.close()
    assert [(line.position, line.chain, line.sequence) for line in whole] == [(1, "p", 1), (2, "q", 1), (3, "p", 2)]
    for table in ("store_audit_ledger", "store_audit_pruned"):
        raw(path, f"drop table {table}")
    raw(path, "pragma user_version = 1")
    again = open_store(path)
    assert again.ledger(0, 9) == whole
    ok(again, AuditDraft("q", "x", 1.0, "system", None, {}))
    assert (again.ledger(3, 9)[0].sequence, again.ledger_end()) == (2, 4)
    again.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update store_audit_ledger set hash = ''",
        "delete from store_audit_ledger",
        "insert into store_audit_ledger values (3, 'p', 2, '', '')",
    ],
)
def test_the_ledger_is_written_once_and_gapless(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, AuditDraft("p", "x", 1.0, "system", None, {}))
    with pytest.raises(sqlite3.IntegrityError, match=r"written once|no gap"):
        raw(path, statement)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "update store_audit_pruned set sequence = 3",
        "delete from store_audit_pruned",
        "insert into store_audit_pruned select 'p', 4, hash, '', '', 1.0 from store_audit where sequence = 4",
        "insert into store_audit_pruned values ('p', 3, '', '', '', 1.0)",
        "delete from store_audit where sequence = 3",
        "insert into store_audit select 'p', 1, action, at, actor_kind, actor_id, payload, previous_hash, hash from store_audit",
    ],
)
def test_what_was_pruned_is_written_once_and_nothing_else_can_be_removed(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, *(AuditDraft("p", "x", 1.0, "system", None, {"n": number}) for number in range(4)))
    entries = store.audit("p", 0, 9)
    ok(store, Prune("p", 2, entries[1].hash, "shipment", 1.0))
    with pytest.raises(sqlite3.IntegrityError, match=r"written once|no gap|not the end|UNIQUE"):
        raw(path, statement)
    assert store.audit("p", 0, 9) == entries[2:]
    assert [pruned.sequence for pruned in store.prunings("p")] == [2]
    store.close()


def test_a_store_of_an_earlier_release_can_be_pruned(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, *(AuditDraft("p", "x", 1.0, "system", None, {"n": number}) for number in range(3)))
    store.close()
    raw(path, "drop table store_audit_pruned")
    raw(path, "drop trigger store_audit_no_delete")
    raw(path, "create trigger store_audit_no_delete before delete on store_audit begin select raise(abort, 'x'); end")
    raw(path, "pragma user_version = 2")
    again = open_store(path)
    ok(again, Prune("p", 2, again.audit("p", 1, 1)[0].hash, "shipment", 1.0))
    assert [entry.sequence for entry in again.audit("p", 0, 9)] == [3]
    again.close()


def test_a_unit_that_is_refused_leaves_nothing_in_the_ledger(tmp_path: Path) -> None:
    store = open_store(tmp_path / "s.db")
    ok(store, Put("item", Item("a", 1)), AuditDraft("p", "x", 1.0, "system", None, {}))
    refused = commit(store, AuditDraft("p", "y", 1.0, "system", None, {}), Put("item", Item("a", 1)))
    assert isinstance(refused, tuple)
    assert isinstance(refused[0], Refused)
    ok(store, AuditDraft("p", "z", 1.0, "system", None, {}))
    assert [(line.position, line.sequence) for line in store.ledger(0, 9)] == [(1, 1), (2, 2)]
    store.close()


def test_numbers_go_on_behind_what_another_process_wrote(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    one, other = open_store(path), open_store(path)
    for store in (one, other, one, one, other):
        ok(store, AuditDraft("p", "x", 1.0, "system", None, {}), EventDraft("e", "low", 1.0, None, {}))
    assert [event.cursor for event in one.events(0, 9)] == [1, 2, 3, 4, 5]
    assert len(entries := one.audit("p", 0, 9)) == 5
    assert verify(entries) is None
    one.close()
    other.close()


def test_an_unreadable_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    ok(store, Put("item", Item("a", 1)))
    raw(path, "update item set record = ?", (b'{"id": 5}',))
    with pytest.raises(StoreError, match="item a is unreadable"):
        store.load("item", "a")
    store.close()


# Kills and full disks

_CHILD = """
import os, queue, sys
from pathlib import Path
import test_sqlite as t
run = sys.argv[2]
inbox = queue.SimpleQueue()
store = t.SqliteStore.open(Path(sys.argv[1]), [t.ITEM], deliver=inbox.put)
numbers = iter(range(10**9))
def hand_over():
    batch = [next(numbers) for _ in range(8)]
    def acknowledge(result):
        assert isinstance(result, tuple), result
        os.write(1, "".join(f"{run}-{n:09}\\n" for n in batch).encode())
        hand_over()
    def unit(n):
        audit = t.AuditDraft(f"p{n % 3}", "x", 1.0, "system", None, {"n": n})
        return t.Unit((t.Put("item", t.Item(f"{run}-{n:09}", 1)), audit, t.EventDraft("e", "low", 1.0, None, {"n": n})))
    store.commit([unit(n) for n in batch], acknowledge)
for _ in range(4):
    hand_over()
while True:
    inbox.get()()
"""


def child(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    open_store(path).close()
    acknowledged: set[str] = set()
    for run in range(4):
        process = child(_CHILD, str(path), str(run))
        assert process.stdout is not None
        for _ in range(200 * (run + 1)):
            acknowledged.add(process.stdout.readline().decode().strip())
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().decode().split("\n")
        acknowledged.update(rest[:-1])
        process.wait()
        process.stdout.close()
    assert len(acknowledged) >= 2000
    store = open_store(path)
    stored = {row.record.id for row in store.query(Query("item"))}
    assert acknowledged <= stored
    events = store.events(0, 10**6)
    assert [event.cursor for event in events] == list(range(1, len(stored) + 1))
    assert [verify(store.audit(chain, 0, 10**6)) for chain in ("p0", "p1", "p2")] == [None, None, None]
    store.close()
    assert raw(path, "pragma integrity_check") == [("ok",)]


_ONE_AT_A_TIME = """
import sys
from pathlib import Path
import test_sqlite as t
store = t.open_store(Path(sys.argv[1]))
for line in sys.stdin:
    t.ok(store, t.Put("item", t.Item(line.strip(), 1)))
    print(line.strip(), flush=True)
"""


def _look_plainly(path: Path) -> None:
    assert raw(path, "select count(*) from item") == [(1,)]


def _look_as_a_store(path: Path) -> None:
    store = open_store(path)
    assert store.count(Query("item")) == 1
    store.close()


def _back_up(path: Path) -> None:
    backup(path, path.with_name("archive"), created_at=0.0)


@pytest.mark.parametrize("look", [_look_plainly, _look_as_a_store, _back_up])
def test_whoever_looks_into_the_file_of_a_running_store_takes_nothing_from_it(tmp_path: Path, look: Callable[[Path], None]) -> None:
    """The last connection to leave a database removes its write-ahead log, so a process that holds it must be seen to hold it."""
    path = tmp_path / "s.db"
    process = child(_ONE_AT_A_TIME, str(path))
    assert process.stdin is not None
    assert process.stdout is not None

    def told(id: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{id}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline().decode().strip() == id

    told("before")
    look(path)
    told("after")
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    store = open_store(path)
    assert {row.record.id for row in store.query(Query("item"))} == {"before", "after"}
    store.close()


_FULL_DISK = """
import resource, sys
from pathlib import Path
import test_sqlite as t
store = t.open_store(Path(sys.argv[1]))
t.ok(store, t.Put("item", t.Item("a", 1)))
resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, 256 * 1024))
first = t.commit(store, t.Put("item", t.Item("b", 1, "x" * 1000000)), t.EventDraft("e", "low", 1.0, None, {}))
second = t.commit(store, t.Put("item", t.Item("c", 1)))
assert isinstance(first, t.Unknown), first
assert isinstance(second, t.Unknown) and "earlier failure" in second.error, second
assert not store.writable()
assert store.load("item", "a") is not None and store.load("item", "b") is None
try:
    store.meta_set("a", "b")
except t.StoreError:
    print("refused")
store.close()
"""


def test_a_full_disk_is_an_unknown_outcome_and_the_file_stays_sound(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    process = child(_FULL_DISK, str(path))
    assert process.communicate(timeout=300)[0] == b"refused\n"
    assert process.returncode == 0
    store = open_store(path)
    assert [row.record.id for row in store.query(Query("item"))] == ["a"]
    assert store.last_cursor() == 0
    assert isinstance(commit(store, Put("item", Item("d", 1))), tuple)
    store.close()
    assert raw(path, "pragma integrity_check") == [("ok",)]


def test_another_writer_that_never_ends_makes_the_outcome_unknown(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = open_store(path)
    store._call(lambda db: db.execute("pragma busy_timeout = 1"))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("begin immediate")
    result = commit(store, Put("item", Item("a", 1)))
    blocker.close()
    assert isinstance(result, Unknown)
    assert "locked" in result.error
    store.close()


def test_an_unforeseen_failure_of_a_write_is_an_unknown_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path / "s.db")

    def fail(*_: object) -> None:
        raise FileNotFoundError("unforeseen")

    monkeypatch.setattr(BatchWriter, "_apply_unit", fail)
    first = commit(store, Put("item", Item("a", 1)))
    monkeypatch.undo()
    second = commit(store, Put("item", Item("b", 1)))
    assert isinstance(first, Unknown)
    assert "unforeseen" in first.error
    assert isinstance(second, Unknown)
    assert not store.writable()
    store.close()
    assert raw(tmp_path / "s.db", "select count(*) from item") == [(0,)]
