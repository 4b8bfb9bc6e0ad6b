"""Backup of a store in use, and restore: consistent, checked, never overwriting, never reviving what was spent."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from runtime.store.backup import MANIFEST_NAME, Manifest, backup, read_manifest, restore
from runtime.store.chain import verify
from runtime.store.port import AuditDraft, BatchResult, Condition, EventDraft, Kind, Put, Query, Row, StoreError, Unit, Write
from runtime.store.sqlite import DATABASE_NAME, SqliteStore
from runtime.values import evolve


@attrs.frozen
class Ticket:
    id: str
    version: int
    digest: str | None = None
    padding: str = ""


TICKET = Kind(
    "ticket",
    Ticket,
    columns={"digest": "text"},
    project=lambda ticket: {"digest": ticket.digest},
    unique={"digest": "digest_taken"},
    keys=lambda ticket: {"digest": ticket.digest},
)


def open_store(path: Path) -> SqliteStore:
    return SqliteStore.open(path, [TICKET], deliver=lambda callback: callback())


def commit(store: SqliteStore, *writes: Write) -> None:
    outcome: queue.SimpleQueue[BatchResult] = queue.SimpleQueue()
    store.commit([Unit(writes)], outcome.put)
    assert isinstance(outcome.get(timeout=30), tuple)


def turn(number: int, padding: str = "") -> tuple[Write, ...]:
    return (
        Put("ticket", Ticket(f"{number:06}", 1, f"d{number}", padding)),
        AuditDraft("p", "issued", 1.0, "system", None, {"n": number}),
        EventDraft("ticket.issued", "low", 1.0, None, {"n": number}),
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with a store of three tickets, an epoch of 5, and a key beside it."""
    home = tmp_path / "home"
    (home / "ca" / "deep").mkdir(parents=True)
    (home / "ca" / "root.pem").write_text("root")
    (home / "ca" / "deep" / "key.pem").write_bytes(b"key")
    (home / "vault.key").write_bytes(bytes(32))
    store = open_store(home / "live.db")
    for number in range(3):
        commit(store, *turn(number))
    store.meta_set("instance_id", "instance-1")
    for _ in range(5):
        store.bump_epoch()
    store.close()
    return home


def save(home: Path, archive: Path) -> Manifest:
    return backup(home / "live.db", archive, created_at=1234.5, extra={"ca": home / "ca", "vault.key": home / "vault.key"})


def test_a_backup_says_what_it_is(home: Path, tmp_path: Path) -> None:
    archive = tmp_path / "one.powernode-backup"
    manifest = save(home, archive)
    assert read_manifest(archive) == manifest
    assert (manifest.instance_id, manifest.boot_epoch, manifest.created_at) == ("instance-1", 5, 1234.5)
    assert set(manifest.files) == {DATABASE_NAME, "ca/root.pem", "ca/deep/key.pem", "vault.key"}
    assert manifest.files["ca/root.pem"].bytes == 4
    assert archive.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", archive.name]


def test_restore_brings_back_rows_logs_and_files_with_a_higher_epoch(home: Path, tmp_path: Path) -> None:
    save(home, tmp_path / "b")
    restored = restore(tmp_path / "b", tmp_path / "new", [TICKET])
    assert (restored.boot_epoch, restored.broken_chains, restored.audit_problems, restored.ledger_problem) == (6, {}, {}, None)
    assert restored.ledger_head is not None
    assert restored.ledger_head.startswith("3:")
    store, original = open_store(tmp_path / "new" / DATABASE_NAME), open_store(home / "live.db")
    assert store.query(Query("ticket")) == original.query(Query("ticket"))
    assert store.events(0, 99) == original.events(0, 99)
    assert store.audit("p", 0, 99) == original.audit("p", 0, 99)
    assert [store.meta_get(key) for key in ("instance_id", "boot_epoch", "restored_at_epoch")] == ["instance-1", "6", "6"]
    assert original.meta_get("restored_at_epoch") is None
    store.close()
    original.close()
    assert (tmp_path / "new" / "ca" / "deep" / "key.pem").read_bytes() == b"key"
    assert (tmp_path / "new" / "vault.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_the_domain_decides_what_must_not_come_back(home: Path, tmp_path: Path) -> None:
    save(home, tmp_path / "b")

    def spend(ticket: Ticket) -> Ticket | None:
        if ticket.id == "000002":
            return None
        return evolve(ticket, digest=None, version=2) if ticket.id == "000001" else ticket

    restored = restore(tmp_path / "b", tmp_path / "new", [TICKET], on_restore={"ticket": spend})
    assert restored.changed == {"ticket": 2}
    store = open_store(tmp_path / "new" / DATABASE_NAME)
    assert store.query(Query("ticket")) == [Row(Ticket("000001", 2, None)), Row(Ticket("000000", 1, "d0"))]
    assert store.lookup("ticket", "digest", "d1") is None
    assert store.count(Query("ticket", ((Condition("digest", "=", "d1"),),))) == 0
    store.close()


def test_a_domain_that_fails_leaves_nothing_behind(home: Path, tmp_path: Path) -> None:
    save(home, tmp_path / "b")
    with pytest.raises(StoreError, match="restored rows cannot be written"):
        restore(tmp_path / "b", tmp_path / "new", [TICKET], on_restore={"ticket": lambda t: evolve(t, digest="same", version=2)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "home"]


def test_neither_side_overwrites(home: Path, tmp_path: Path) -> None:
    save(home, tmp_path / "b")
    before = (tmp_path / "b").read_bytes()
    with pytest.raises(StoreError, match="never overwrites"):
        save(home, tmp_path / "b")
    with pytest.raises(StoreError, match="not empty"):
        restore(tmp_path / "b", home, [TICKET])
    assert (tmp_path / "b").read_bytes() == before
    (tmp_path / "empty").mkdir()
    restore(tmp_path / "b", tmp_path / "empty", [TICKET])


def test_a_backup_while_writing_is_one_instant(tmp_path: Path) -> None:
    store = open_store(tmp_path / "live.db")
    for number in range(300):
        commit(store, *turn(number, "x" * 40_000))
    stop, written, steps = threading.Event(), [300], list[tuple[int, int]]()

    def write_on() -> None:
        while not stop.is_set():
            commit(store, *turn(written[0]))
            written[0] += 1

    def progress(copied: int, total: int) -> None:
        """Do not copy on before the writer has committed again: a backup that starts over at a commit would never end."""
        steps.append((copied, total))
        goal = written[0] + 2
        while written[0] < goal and writer.is_alive():
            stop.wait(0.001)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        backup(tmp_path / "live.db", tmp_path / "b", created_at=0.0, progress=progress)
    finally:
        stop.set()
        writer.join()
        store.close()
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]
    restore(tmp_path / "b", tmp_path / "new", [TICKET])
    copy = open_store(tmp_path / "new" / DATABASE_NAME)
    count = copy.count(Query("ticket"))
    entries = copy.audit("p", 0, 10**6)
    assert verify(entries) is None
    assert 300 <= count == len(entries) == copy.last_cursor() < written[0]
    copy.close()


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(archive) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    change(files)
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)


def _flip_key(files: dict[str, bytes]) -> None:
    files["vault.key"] = b"\1" + files["vault.key"][1:]


def _drop_key(files: dict[str, bytes]) -> None:
    del files["vault.key"]


def _add_file(files: dict[str, bytes]) -> None:
    files["extra"] = b""


def _no_manifest(files: dict[str, bytes]) -> None:
    del files[MANIFEST_NAME]


def _edit(archived: dict[str, bytes], **changes: object) -> None:
    archived[MANIFEST_NAME] = json.dumps({**json.loads(archived[MANIFEST_NAME]), **changes}).encode()


def _newer_layout(files: dict[str, bytes]) -> None:
    _edit(files, format=2)


def _escape(files: dict[str, bytes]) -> None:
    listed = json.loads(files[MANIFEST_NAME])["files"]
    listed["../escaped"] = listed.pop("vault.key")
    files["../escaped"] = files.pop("vault.key")
    _edit(files, files=listed)


def _bomb(files: dict[str, bytes]) -> None:
    files["vault.key"] = bytes(10_000_000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_flip_key, "vault.key in the backup is damaged: its digest"),
        (_drop_key, "does not hold the files"),
        (_add_file, "does not hold the files"),
        (_no_manifest, "no backup manifest"),
        (_newer_layout, "layout 2"),
        (_escape, "cannot name a file"),
        (_bomb, "larger than the manifest says"),
    ],
)
def test_an_archive_that_is_not_as_it_was_made_is_refused(
    home: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None], message: str
) -> None:
    save(home, tmp_path / "b")
    rewrite(tmp_path / "b", change)
    with pytest.raises(StoreError, match=message):
        restore(tmp_path / "b", tmp_path / "new", [TICKET])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "home"]


def test_any_damaged_or_cut_archive_is_a_clear_refusal(home: Path, tmp_path: Path) -> None:
    save(home, tmp_path / "b")
    whole = (tmp_path / "b").read_bytes()
    for at in range(0, len(whole), max(len(whole) // 12, 1)):
        for name, data in (("cut", whole[:at]), ("flipped", whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])):
            damaged = tmp_path / name
            damaged.write_bytes(data)
            try:
                restore(damaged, tmp_path / f"new-{name}-{at}", [TICKET])
            except StoreError:
                assert not (tmp_path / f"new-{name}-{at}").exists()
            else:
                # A flipped bit in zip's own bookkeeping (a date, say) that changes no content.
                assert name == "flipped"


def test_a_backup_of_a_newer_program_is_refused(home: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(home / "live.db")
    connection.execute("pragma user_version = 99")
    connection.close()
    save(home, tmp_path / "b")
    with pytest.raises(StoreError, match="schema version 99"):
        restore(tmp_path / "b", tmp_path / "new", [TICKET])


def test_a_broken_chain_is_reported_but_restored(home: Path, tmp_path: Path) -> None:
    connection = sqlite3.connect(home / "live.db", isolation_level=None)
    connection.execute("drop trigger store_audit_no_update")
    connection.execute("update store_audit set action = 'forged' where sequence = 2")
    connection.close()
    save(home, tmp_path / "b")
    restored = restore(tmp_path / "b", tmp_path / "new", [TICKET])
    assert restored.broken_chains == {"p": 2}
    assert restored.audit_problems == {"p": "broken from entry 2 on"}
    assert restored.ledger_problem is None


@pytest.mark.parametrize(
    ("statements", "problems", "ledger_problem"),
    [
        (["delete from store_audit where sequence = 3"], {"p": "ends at entry 2, but 3 were written: the last were cut off"}, None),
        (["delete from store_audit"], {"p": "all entries are gone"}, None),
        (["update store_audit set payload = x'00' where sequence = 3"], {"p": "audit entry 3 of p is unreadable"}, None),
        (
            ["delete from store_audit where sequence = 3", "delete from store_audit_ledger where position = 3"],
            {},
            "ends at position 2, but there were 3: the last were cut off",
        ),
        (["update store_audit_ledger set hash = ''"], {"p": "entry 3 is not the one that was written"}, "broken from position 1 on"),
    ],
)
def test_what_the_ledger_of_a_backup_says_is_told_and_restored(
    home: Path, tmp_path: Path, statements: list[str], problems: dict[str, str], ledger_problem: str | None
) -> None:
    connection = sqlite3.connect(home / "live.db", isolation_level=None)
    for (name,) in connection.execute("select name from sqlite_master where type = 'trigger'").fetchall():
        connection.execute(f"drop trigger {name}")
    for statement in statements:
        connection.execute(statement)
    connection.close()
    save(home, tmp_path / "b")
    restored = restore(tmp_path / "b", tmp_path / "new", [TICKET])
    assert {chain: told.partition(":")[0] for chain, told in restored.audit_problems.items()} == {
        chain: told.partition(":")[0] for chain, told in problems.items()
    }
    assert restored.ledger_problem == ledger_problem


def test_a_damaged_database_makes_no_backup(home: Path, tmp_path: Path) -> None:
    with (home / "live.db").open("r+b") as file:
        file.seek(3 * 4096)
        file.write(bytes(4 * 4096))
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        save(home, tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_no_database_no_backup(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no database"):
        backup(tmp_path / "absent.db", tmp_path / "b", created_at=0.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../up", "/root", "a/../../b", DATABASE_NAME, f"{DATABASE_NAME}-wal", MANIFEST_NAME, "", "a//b"])
def test_names_that_would_leave_the_folder_or_replace_the_database_are_refused(home: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="backup"):
        backup(home / "live.db", tmp_path / "b", created_at=0.0, extra={name: home / "vault.key"})
    assert not (tmp_path / "b").exists()
