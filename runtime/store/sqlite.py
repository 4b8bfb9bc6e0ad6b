"""The store on one SQLite file: synchronous reads, one writer thread, group commit.

Readers never wait for the writer: the file is in WAL mode, and each read sees the newest commit. A commit is on the disk before
it is acknowledged (`synchronous=FULL`). Must not live here: reads (`sqlite_reader`), the transaction itself (`sqlite_batch`),
statements (`sqlite_table`), the shape of the file (`sqlite_schema`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from runtime.store.port import BatchResult, Kind, StoreError, Unit, Unknown
from runtime.store.projection import check_kinds
from runtime.store.sqlite_batch import BatchWriter
from runtime.store.sqlite_reader import SqliteReader
from runtime.store.sqlite_schema import prepare
from runtime.store.sqlite_table import Table
from runtime.values import Value

DATABASE_NAME = "powernode.sqlite3"
"""The file of a platform's store in its data directory."""

BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction."""

FREE_SPACE_BYTES_MIN = 16 * 1024 * 1024
"""Below this much free disk the store says that it is not writable, while it still is: refusing early beats failing at a commit."""

WAL_BYTES_MAX = 64 * 1024 * 1024
"""To what a checkpoint cuts the write-ahead log back."""

Deliver = Callable[[Callable[[], None]], None]

_log = logging.getLogger(__name__)


class _Batch(Value, frozen=True):
    units: tuple[Unit, ...]
    done: Callable[[BatchResult], None]


class _Call(Value, frozen=True):
    """Something else to run on the writer's connection; its outcome is waited for."""

    work: Callable[[sqlite3.Connection], Any]
    outcome: Future[Any]


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode with the store's settings; it may be handed to another thread, once.

    Raises:
        StoreError: the file cannot be opened, is no database, or lies where write-ahead logging does not work.
    """
    try:
        _make(path)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512)
        connection.execute(f"pragma busy_timeout = {BUSY_TIMEOUT_MS}")
        mode = connection.execute("pragma journal_mode = wal").fetchone()[0]
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma journal_size_limit = {WAL_BYTES_MAX}")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot open {path}: {error}") from error
    if mode != "wal":
        connection.close()
        raise StoreError(f"{path} lies on a file system without shared memory; put it on a local disk")
    return connection


def _make(path: Path) -> None:
    """The file, if there is none yet: made here rather than by SQLite, so that nobody else may read it; the log files inherit the mode.

    A file that is there is not even opened: to close any descriptor of it takes the locks of this process's other connections away
    (POSIX), and then whoever else looks into the file removes the write-ahead log of a running platform as they leave.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


class SqliteStore(SqliteReader):
    """The `Store` port on one SQLite file. Reads belong to the engine's thread; the writer thread is the store's own."""

    def __init__(
        self, path: Path, tables: dict[str, Table], reader: sqlite3.Connection, writer: sqlite3.Connection, deliver: Deliver
    ) -> None:
        """Use `open`."""
        super().__init__(path, tables, reader)
        self._deliver = deliver
        self._failure: str | None = None
        self._jobs: queue.SimpleQueue[_Batch | _Call | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_all, args=(writer,), name="store-writer", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: str | os.PathLike[str], kinds: Sequence[Kind], *, deliver: Deliver, domain_version: int = 1) -> SqliteStore:
        """Open the file, made or carried to today's shape first.

        Args:
            deliver: runs a callback in the engine's thread; called in the writer thread.
            domain_version: raised by the domain whenever the meaning of its records, columns, keys or deadlines changes; every
                row is then upcast and projected anew, and an older program refuses the file.

        Raises:
            StoreError: the file is newer than this program, unreadable, or holds rows that no longer fit.
            ValueError: the kinds are declared wrongly.
        """
        tables = {name: Table(kind) for name, kind in check_kinds(kinds).items()}
        opened: list[sqlite3.Connection] = []
        try:
            opened.append(writer := connect(Path(path)))
            prepare(writer, list(tables.values()), domain_version)
            opened.append(reader := connect(Path(path)))
            reader.execute("pragma query_only = on")
        except sqlite3.Error as error:
            _close_all(opened)
            raise StoreError(f"cannot open {path}: {error}") from error
        except BaseException:
            _close_all(opened)
            raise
        return cls(Path(path), tables, reader, writer, deliver)

    # Writes

    def commit(self, units: Sequence[Unit], done: Callable[[BatchResult], None]) -> None:
        self._check_open()
        self._jobs.put(_Batch(tuple(units), done))

    def meta_set(self, key: str, value: str) -> None:
        statement = "insert into store_meta (key, value) values (?, ?) on conflict (key) do update set value = excluded.value"
        self._call(lambda db: db.execute(statement, (key, value)).fetchall())

    def bump_epoch(self) -> int:
        statement = (
            "insert into store_meta (key, value) values ('boot_epoch', '1') "
            "on conflict (key) do update set value = cast(value as integer) + 1 returning cast(value as integer)"
        )
        return int(self._call(lambda db: db.execute(statement).fetchall())[0][0])

    def writable(self) -> bool:
        if self._closed or self._failure is not None or not self._thread.is_alive():
            return False
        try:
            disk = os.statvfs(self._path)
        except OSError:
            return False
        return not disk.f_flag & os.ST_RDONLY and disk.f_bavail * disk.f_frsize >= FREE_SPACE_BYTES_MIN

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        self._thread.join()
        super().close()

    def _call(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        self._check_open()
        call = _Call(work, Future())
        self._jobs.put(call)
        try:
            return call.outcome.result()
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {self._path}: {error}") from error

    # The writer thread

    def _write_all(self, connection: sqlite3.Connection) -> None:
        writer = BatchWriter(connection, self._tables)
        while (job := self._jobs.get()) is not None:
            if isinstance(job, _Call):
                self._run(job, connection)
            else:
                self._hand_back(job.done, self._apply(writer, job.units))
        connection.close()

    def _apply(self, writer: BatchWriter, units: tuple[Unit, ...]) -> BatchResult:
        if self._failure is not None:
            # What an earlier failed commit left in the log is settled by reopening only.
            return Unknown(f"not attempted after an earlier failure: {self._failure}")
        result = writer.apply(units)
        if isinstance(result, Unknown):
            self._failure = result.error
            _log.error("the outcome of a commit is unknown: %s", result.error)
        return result

    def _run(self, call: _Call, connection: sqlite3.Connection) -> None:
        try:
            if self._failure is not None:
                raise StoreError(f"not attempted after an earlier failure: {self._failure}")
            call.outcome.set_result(call.work(connection))
        except Exception as error:
            call.outcome.set_exception(error)

    def _hand_back(self, done: Callable[[BatchResult], None], result: BatchResult) -> None:
        try:
            self._deliver(lambda: done(result))
        except RuntimeError as error:
            # The engine's loop has ended before its store; what is queued must be written all the same.
            _log.warning("nobody is left to hear the outcome of a commit: %s", error)


def _close_all(connections: Sequence[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
