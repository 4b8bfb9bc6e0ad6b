"""`powernode audit verify --data`: what was changed is found, in the chain, in the shipments and in the archive."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result

from actors.audit_archive.chains import Chain
from actors.audit_archive.record import SHIPMENT, object_bytes, shipment
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import ContinuityRecord
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.ports import StoreObject
from actors.registry import DOMAIN_VERSION, KINDS
from api.cli.root import cli
from net.archive import FolderArchive
from runtime.store.backup import backup, restore
from runtime.store.chain import GENESIS, link
from runtime.store.port import AuditDraft, AuditEntry, Prune, Put, Query, Unit, Write
from runtime.store.sqlite import DATABASE_NAME, SqliteStore
from runtime.values import evolve

PEER_ID = "01890000-0000-7000-8000-000000000001"
ENTRIES = 7
SHIPPED = 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with one chain, of which the first four entries stand in the archive."""
    store = SqliteStore.open(tmp_path / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    record = PeerRecord(
        id=PEER_ID, version=1, account_id="account", remote_instance_url="https://b.example.com", status_since=0.0, created_at=0.0,
        updated_at=0.0,
    )  # fmt: skip
    drafts = tuple(AuditDraft(PEER_ID, "peer.updated", float(number), "user", None, {"number": number}) for number in range(ENTRIES))
    _commit(store, Put(PEER.name, record), *drafts)
    head = store.ledger_head()
    assert head is not None
    made, content = shipment(
        "01890000-0000-7000-8000-000000000002", "account", Chain(PEER_ID, "peer"), store.audit(PEER_ID, 0, SHIPPED), None, 9.0, head.head
    )
    FolderArchive(tmp_path / "archive").handle(StoreObject(made.path, content))
    _commit(store, Put(SHIPMENT.name, evolve(made, version=1, state="verified", shipped_at=9.0)))
    store.close()
    return tmp_path


def _commit(store: SqliteStore, *writes: Write) -> None:
    done = threading.Event()
    store.commit([Unit(writes)], lambda result: done.set())
    assert done.wait(10)


def verify(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["audit", "verify", "--data", str(data), *arguments])


def tamper(data: Path, statement: str) -> None:
    """What somebody does who has the file in their hands."""
    with sqlite3.connect(data / DATABASE_NAME) as database:
        for (name,) in database.execute("select name from sqlite_master where type='trigger'").fetchall():
            database.execute(f"drop trigger {name}")
        database.execute(statement)


def test_a_whole_chain_and_its_archive(data: Path) -> None:
    done = verify(data)
    assert done.exit_code == 0, done.output
    assert f"{ENTRIES} entries, 1 shipment  whole" in done.output


OTHER_ID = "01890000-0000-7000-8000-000000000009"


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("update store_audit set payload = '{}' where sequence = 6", "broken from entry 6 on"),
        ("update store_audit set payload = x'00' where sequence = 6", f"audit entry 6 of {PEER_ID} is unreadable"),
        ("update store_audit set payload = 7 where sequence = 6", f"audit entry 6 of {PEER_ID} is unreadable"),
        ("delete from store_audit where sequence > 3", "shipment 1 holds other entries than the chain"),
        ("delete from store_audit", "all entries are gone"),
        ("delete from peer", "tells of something that is not in the store"),
        (f"update store_audit set chain = '{OTHER_ID}'", "all entries are gone"),
        ("delete from audit_shipment", None),
        ("update audit_shipment set record = x'00'", "is unreadable"),
        ("drop table audit_shipment", "no such table"),
        ("drop table peer", "no such table"),
        ("drop table store_audit", "no such table"),
    ],
)
def test_what_was_changed_in_the_store_is_found(data: Path, statement: str, word: str | None) -> None:
    tamper(data, statement)
    done = verify(data)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code == (0 if word is None else 1), done.output
    assert word is None or word in done.output


def test_entries_cut_off_the_end_are_found_if_the_archive_has_them(data: Path) -> None:
    tamper(data, "delete from audit_shipment")
    tamper(data, f"delete from store_audit where sequence >= {SHIPPED}")
    done = verify(data)
    assert done.exit_code == 1
    assert f"ends at entry {SHIPPED - 1}, but the archive has entry {SHIPPED}" in done.output


CUT: Final = f"delete from store_audit where sequence > {SHIPPED}"
"""Cut off the end of a chain what is not in the archive."""


def test_entries_cut_off_the_end_before_they_were_shipped_are_found(data: Path) -> None:
    tamper(data, CUT)
    done = verify(data)
    assert done.exit_code == 1
    assert f"ends at entry {SHIPPED}, but {ENTRIES} were written: the last were cut off" in done.output
    assert "1 chain verified, 1 broken" in done.output


def test_what_is_written_behind_a_cut_does_not_hide_it(data: Path) -> None:
    tamper(data, CUT)
    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    _commit(store, *(AuditDraft(PEER_ID, "peer.updated", float(number), "user", None, {}) for number in range(SHIPPED, ENTRIES)))
    store.close()
    assert f"entry {SHIPPED + 1} was written anew: the former ones were cut off" in verify(data).output


def test_a_chain_written_anew_as_a_whole_is_found(data: Path) -> None:
    tamper(data, "delete from audit_shipment")
    made, head = list[AuditEntry](), GENESIS
    for number in range(1, ENTRIES + 1):
        made.append(link(AuditDraft(PEER_ID, "peer.updated", 1.0, "user", None, {}), number, head))
        head = made[-1].hash
    for entry in made:
        tamper(data, f"update store_audit set payload = x'7b7d', at = 1.0, previous_hash = '{entry.previous_hash}', hash = '{entry.hash}' "
               f"where sequence = {entry.sequence}")  # fmt: skip
    assert f"entry {ENTRIES} is not the one that was written" in verify(data).output


def test_a_ledger_cut_too_is_found_by_what_sqlite_keeps_and_without_that_by_a_head_that_was_kept(data: Path) -> None:
    (head,) = (line.rpartition(" ")[2] for line in verify(data).output.splitlines() if line.startswith("ledger "))
    assert head.startswith(f"{ENTRIES}:")
    assert verify(data, "--kept", head).exit_code == 0
    tamper(data, CUT)
    tamper(data, f"delete from store_audit_ledger where position > {SHIPPED}")
    assert f"ends at position {SHIPPED}, but there were {ENTRIES}" in verify(data).output
    tamper(data, f"update sqlite_sequence set seq = {SHIPPED}")
    forget_heads(data)
    assert verify(data).exit_code == 0
    done = verify(data, "--kept", head)
    assert done.exit_code == 1
    assert "is not the one whose head was kept" in done.output


def forget_heads(data: Path) -> None:
    """As if the shipments were an earlier release's, which carried no head of the ledger: the rest of them stays true."""
    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    (row,) = store.query(Query(SHIPMENT.name))
    former = evolve(row.record, ledger_head=None)
    content = object_bytes(former, store.audit(PEER_ID, 0, SHIPPED))
    _commit(store, Put(SHIPMENT.name, evolve(former, sha256=hashlib.sha256(content).hexdigest(), version=2), 1))
    store.close()
    path = data / "archive" / former.path
    path.chmod(0o600)
    path.write_bytes(content)


def test_chains_and_ledger_rewritten_together_are_found_by_the_head_that_a_shipment_has(data: Path) -> None:
    tamper(data, CUT)
    tamper(data, f"delete from store_audit_ledger where position > {SHIPPED}")
    tamper(data, f"update sqlite_sequence set seq = {SHIPPED}")
    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    _commit(store, *(AuditDraft(PEER_ID, "peer.updated", float(number), "user", None, {}) for number in range(SHIPPED, ENTRIES + 2)))
    store.close()
    done = verify(data)
    assert done.exit_code == 1
    assert f"is not the one whose head shipment 1 of {PEER_ID} has" in done.output


def test_an_object_that_is_no_shipment_says_nothing_of_the_ledger(data: Path) -> None:
    folder = data / "archive" / "account" / OTHER_ID
    folder.mkdir()
    for name, content in {
        "a": b"\xff",
        "b": b"[1]",
        "c": b'{"ledger_head": 7}',
        "d": b'{"ledger_head": "7:xy"}',
        "e": b"[" * 60_000,
    }.items():
        (folder / f"{name}.jsonl").write_bytes(content)
    assert verify(data).exit_code == 0


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("update store_audit_ledger set hash = '0' where position = 6", "broken from position 6 on"),
        ("delete from store_audit_ledger where position = 2", "broken from position 2 on"),
        ("delete from store_audit_ledger", f"ends at position 0, but there were {ENTRIES}"),
        ("drop table store_audit_ledger", "no such table"),
    ],
)
def test_a_ledger_that_was_changed_is_found(data: Path, statement: str, word: str) -> None:
    tamper(data, statement)
    done = verify(data)
    assert done.exit_code == 1
    assert word in done.output


@pytest.mark.parametrize("arguments", [("--data", ".", "--kept", "7"), ("--kept", f"7:{'0' * 64}")])
def test_a_head_that_is_none_or_has_nothing_to_be_compared_with_is_refused(arguments: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["audit", "verify", *arguments])
    assert done.exit_code == 2
    assert "--kept" in done.output


def test_a_file_that_is_damaged_is_said_to_be_so(data: Path) -> None:
    with (data / DATABASE_NAME).open("r+b") as file:
        file.seek(4096)
        file.write(bytes(3 * 4096))
    done = verify(data)
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert "malformed" in done.output


@pytest.mark.parametrize(
    ("name", "exit_code", "word"),
    [
        (PEER_ID, 0, "1 chain verified, 0 broken"),
        ("b.example.com", 0, "1 chain verified, 0 broken"),
        (PEER_ID[:8], 0, "1 chain verified, 0 broken"),
        ("c.example.com", 4, "no peer is called 'c.example.com'"),
        (OTHER_ID, 4, "there is no audit chain"),
    ],
)
def test_a_peer_is_named_as_everywhere_and_none_is_no_good_news(data: Path, name: str, exit_code: int, word: str) -> None:
    done = verify(data, name)
    assert done.exit_code == exit_code, done.output
    assert word in done.output


def test_chains_of_what_is_no_peer_are_verified_too(data: Path) -> None:
    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    _commit(
        store, Put(CONTINUITY.name, ContinuityRecord(id=OTHER_ID, version=1)), AuditDraft(OTHER_ID, "trust.frozen", 1.0, "remote", None, {})
    )
    store.close()
    assert "2 chains verified, 0 broken" in verify(data).output
    tamper(data, f"update store_audit set action = 'trust.unfrozen' where chain = '{OTHER_ID}'")
    assert f"{OTHER_ID}  platform  1 entry  broken from entry 1 on" in verify(data).output


def test_a_folder_without_a_store_is_refused_and_none_is_made(tmp_path: Path) -> None:
    done = verify(tmp_path)
    assert done.exit_code == 4
    assert "holds no store" in done.output
    assert list(tmp_path.iterdir()) == []


def test_an_object_that_is_missing_or_changed_is_found(data: Path) -> None:
    (path,) = (data / "archive").rglob("*.jsonl")
    path.chmod(0o600)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"peer.updated", b"peer.removed", 1))
    assert "was changed in the archive" in verify(data).output
    path.unlink()
    done = verify(data)
    assert done.exit_code == 1
    assert "is missing from the archive" in done.output


# --- pruned chains ----------------------------------------------------------------------------------------------------


@pytest.fixture
def pruned(data: Path) -> Path:
    """The same folder, and the first four entries are in the archive only."""
    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    last = store.audit(PEER_ID, SHIPPED - 1, 1)[0]
    _commit(store, Prune(PEER_ID, SHIPPED, last.hash, store.query(Query(SHIPMENT.name))[0].record.id, 10.0))
    store.close()
    return data


def object_of(data: Path) -> Path:
    (path,) = (data / "archive").rglob("*.jsonl")
    path.chmod(0o600)
    return path


def test_a_pruned_chain_is_whole_with_what_the_archive_has_of_it(pruned: Path, tmp_path: Path) -> None:
    done = verify(pruned)
    assert done.exit_code == 0, done.output
    assert f"{ENTRIES} entries, {SHIPPED} of them pruned, 1 shipment  whole" in done.output
    (pruned / "archive").rename(tmp_path / "elsewhere")
    assert verify(pruned, "--archive", str(tmp_path / "elsewhere")).exit_code == 0
    done = verify(pruned)
    assert done.exit_code == 1
    assert "its entries are nowhere else; not checked: entries 1–4" in done.output


def test_what_was_changed_in_the_object_of_pruned_entries_is_found(pruned: Path) -> None:
    path = object_of(pruned)
    path.write_bytes(path.read_bytes().replace(b"peer.updated", b"peer.removed", 1))
    assert "shipment 1 was changed in the archive" in verify(pruned).output


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("update store_audit_pruned set held_by = 'x'", "was pruned up to entry 4, which no verified shipment holds"),
        (f"update store_audit_pruned set hash = '{'0' * 64}'", "broken from entry 5 on"),
        ("update audit_shipment set record = replace(record, 'verified', 'failed')", "which no verified shipment holds"),
        ("delete from store_audit_pruned", "broken from entry 1 on"),
        ("delete from store_audit where sequence = 5", "broken from entry 5 on"),
        ("delete from store_audit", "all entries are gone"),
        ("update store_audit_ledger set hash = '0' where position = 4", "entry 4 was written anew"),
        (
            "insert into store_audit_pruned select chain, 6, hash, '', '', 1.0 from store_audit where sequence = 6",
            "entry 5 is there",
        ),
    ],
)
def test_what_was_changed_around_a_pruning_is_found(pruned: Path, statement: str, word: str) -> None:
    tamper(pruned, statement)
    done = verify(pruned)
    assert done.exit_code == 1, done.output
    assert word in done.output


def test_a_pruned_store_is_restored_whole(pruned: Path, tmp_path: Path) -> None:
    backup(pruned / DATABASE_NAME, tmp_path / "b", created_at=1.0)
    restored = restore(tmp_path / "b", tmp_path / "new", KINDS, domain_version=DOMAIN_VERSION)
    assert (restored.audit_problems, restored.ledger_problem) == ({}, None)
