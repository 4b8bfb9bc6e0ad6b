"""`powernode audit verify --data`: what was changed is found, in the chain, in the shipments and in the archive."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from actors.audit_archive.record import SHIPMENT, shipment
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.ports import StoreObject
from actors.registry import DOMAIN_VERSION, KINDS
from api.cli.root import cli
from net.archive import FolderArchive
from runtime.store.port import AuditDraft, Put, Unit, Write
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
    made, content = shipment("01890000-0000-7000-8000-000000000002", "account", PEER_ID, store.audit(PEER_ID, 0, SHIPPED), None, 9.0)
    FolderArchive(tmp_path / "archive").handle(StoreObject(made.path, content))
    _commit(store, Put(SHIPMENT.name, evolve(made, version=1, state="verified", shipped_at=9.0)))
    store.close()
    return tmp_path


def _commit(store: SqliteStore, *writes: Write) -> None:
    done = threading.Event()
    store.commit([Unit(writes)], lambda result: done.set())
    assert done.wait(10)


def verify(data: Path) -> Result:
    return CliRunner().invoke(cli, ["audit", "verify", "--data", str(data)])


def test_a_whole_chain_and_its_archive(data: Path) -> None:
    done = verify(data)
    assert done.exit_code == 0, done.output
    assert f"{ENTRIES} entries, 1 shipments  whole" in done.output


def test_an_entry_that_was_changed_is_found(data: Path) -> None:
    with sqlite3.connect(data / DATABASE_NAME) as database:
        for (name,) in database.execute("select name from sqlite_master where type='trigger'").fetchall():
            database.execute(f"drop trigger {name}")
        database.execute("update store_audit set payload = '{}' where sequence = 6")
    done = verify(data)
    assert done.exit_code == 1
    assert "broken from entry 6 on" in done.output


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
