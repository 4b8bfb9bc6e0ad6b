"""The folder lock: one holder, named in the refusal, gone with its process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from net.folder_lock import LOCK_NAME, FolderLock, FolderLockedError

_HOLDER = (
    "import sys; from pathlib import Path; from net.folder_lock import FolderLock; "
    "lock = FolderLock.acquire(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def test_a_second_holder_is_told_who_has_it(tmp_path: Path) -> None:
    with FolderLock.acquire(tmp_path):
        with pytest.raises(FolderLockedError, match=f"process {os.getpid()}") as caught:
            FolderLock.acquire(tmp_path)
        assert (caught.value.pid, caught.value.directory) == (os.getpid(), tmp_path)
    FolderLock.acquire(tmp_path).release()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FolderLockedError) as caught:
            FolderLock.acquire(tmp_path)
        assert caught.value.pid == holder.pid
        holder.kill()
    lock = FolderLock.acquire(tmp_path)
    assert (tmp_path / LOCK_NAME).read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.release()


def test_a_holder_that_has_not_written_its_name_is_another_process(tmp_path: Path) -> None:
    lock = FolderLock.acquire(tmp_path)
    (tmp_path / LOCK_NAME).write_text("")
    with pytest.raises(FolderLockedError, match="another process"):
        FolderLock.acquire(tmp_path)
    lock.release()


def test_a_missing_folder_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock.acquire(tmp_path / "absent")
