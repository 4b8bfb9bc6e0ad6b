"""One daemon per data folder: an advisory lock that dies with its holder.

Must not live here: what the folder holds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

LOCK_NAME = "powernode.lock"
"""The locked file in the folder. It stays behind when the lock is released: removing it would let two holders lock two files."""


class FolderLockedError(Exception):
    """Another process holds the folder; `pid` is its process id, or None while it has not written it."""

    def __init__(self, directory: Path, pid: int | None) -> None:
        holder = "another process" if pid is None else f"process {pid}"
        super().__init__(f"{directory} is in use by {holder}; stop it first, or choose another data folder")
        self.directory = directory
        self.pid = pid


class FolderLock:
    """An exclusive lock on a folder, held until `release`, the end of the `with` block, or the end of the process."""

    def __init__(self, handle: int) -> None:
        """Use `acquire`."""
        self._handle: int | None = handle

    @classmethod
    def acquire(cls, directory: Path) -> FolderLock:
        """Lock `directory`, which must exist.

        Raises:
            FolderLockedError: another process, or this one, holds it.
            OSError: the lock file cannot be made.
        """
        handle = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            pid = _pid_in(handle)
            os.close(handle)
            raise FolderLockedError(directory, pid) from None
        except BaseException:
            os.close(handle)
            raise
        return cls(handle)

    def release(self) -> None:
        """Give the folder free; releasing twice is no error."""
        if self._handle is not None:
            os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def _pid_in(handle: int) -> int | None:
    with contextlib.suppress(ValueError):
        return int(os.pread(handle, 32, 0))
    return None
