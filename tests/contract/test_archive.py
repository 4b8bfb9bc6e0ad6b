"""The promises of an archive, held on both sides of the port."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.ports import CheckObject, StoredObject, StoreObject
from net.archive import FolderArchive
from runtime.errors import InternalFault
from sim.archive import MemoryArchive

PATH = "account/peer/one-0123456789ab.jsonl"
CONTENT = b'{"a":1}\n' * 1_000


@pytest.fixture(params=["folder", "memory"])
def handle(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], Any]:
    return FolderArchive(tmp_path / "archive").handle if request.param == "folder" else MemoryArchive().handle


def test_what_was_stored_reads_back(handle: Callable[[Any], Any]) -> None:
    expected = StoredObject(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert handle(StoreObject(PATH, CONTENT)) == expected
    assert handle(CheckObject(PATH)) == expected


def test_storing_again_changes_nothing(handle: Callable[[Any], Any]) -> None:
    assert handle(StoreObject(PATH, CONTENT)) == handle(StoreObject(PATH, CONTENT))


def test_other_content_never_replaces_what_stands_there(handle: Callable[[Any], Any]) -> None:
    before = handle(StoreObject(PATH, CONTENT))
    refused = handle(StoreObject(PATH, b"other"))
    assert isinstance(refused, InternalFault)
    assert refused.code == "object_exists"
    assert handle(CheckObject(PATH)) == before


def test_what_was_never_stored_is_missing(handle: Callable[[Any], Any]) -> None:
    assert handle(CheckObject(PATH)).code == "object_missing"


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a//b", "a/../b", "A", ""])
def test_a_folder_takes_no_path_that_leads_out(tmp_path: Path, path: str) -> None:
    assert FolderArchive(tmp_path).handle(StoreObject(path, b"x")).code == "archive_unavailable"  # type: ignore[union-attr]
    assert list(tmp_path.iterdir()) == []


def test_objects_in_a_folder_are_for_reading_only(tmp_path: Path) -> None:
    FolderArchive(tmp_path).handle(StoreObject(PATH, CONTENT))
    assert stat.S_IMODE((tmp_path / PATH).stat().st_mode) == 0o400


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "account").write_bytes(b"a file where a folder should be")
    assert FolderArchive(tmp_path).handle(StoreObject(PATH, CONTENT)).code == "archive_unavailable"  # type: ignore[union-attr]


def test_the_faults_of_the_simulated_side() -> None:
    assert MemoryArchive(full=True).handle(StoreObject(PATH, CONTENT)).code == "archive_unavailable"  # type: ignore[union-attr]
    forgetful, rotten = MemoryArchive(forgets=True), MemoryArchive(rots=True)
    stored = [archive.handle(StoreObject(PATH, CONTENT)) for archive in (forgetful, rotten)]
    assert stored[0] == stored[1] == StoredObject(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))
    assert forgetful.handle(CheckObject(PATH)).code == "object_missing"  # type: ignore[union-attr]
    assert rotten.handle(CheckObject(PATH)) != stored[1]
