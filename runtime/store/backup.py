"""Backup of a running store into one archive, and restore from it.

The archive is a zip file: the database, the extra files that the caller names (keys, certificates), and `manifest.json`, which
says what they are and carries their digests. It holds secrets and is readable by its owner only.

A restored platform is an earlier one: its epoch is raised so that peers can tell, and the domain says, kind by kind, which rows
must not come back as they were (a token spent since then must not be open again). Must not live here: what those rows are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import msgspec

from runtime.store.codec import encode_json
from runtime.store.ledger import read_ledger, walk
from runtime.store.port import BatchResult, Committed, Delete, Kind, Put, Query, Store, StoreError, Unit, Write
from runtime.store.sqlite import DATABASE_NAME, SqliteStore
from runtime.store.sqlite_schema import stored_versions
from runtime.values import evolve

FORMAT = 1
"""Version of the archive's own layout."""

MANIFEST_NAME = "manifest.json"
MANIFEST_BYTES_MAX = 1024 * 1024
SLICE_PAGES = 1024
"""Pages of 4 KiB copied between two reports of progress."""

_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What zipfile raises for a file that is missing, damaged, cut short, or packed in a way that we never use."""

_CHUNK_BYTES = 1024 * 1024

OnRestore = Mapping[str, Callable[[Any], Any]]
"""By record kind: what a restored record becomes. The same object leaves the row alone; another (with its own higher version)
replaces it; None removes it."""


@attrs.frozen
class FileDigest:
    """Size and lower-case hex SHA-256 of one file in the archive."""

    bytes: int
    sha256: str


@attrs.frozen
class Manifest:
    """What an archive holds. `created_at` is in seconds since the epoch."""

    format: int
    schema_version: int
    domain_version: int
    instance_id: str | None
    boot_epoch: int
    created_at: float
    files: dict[str, FileDigest]


@attrs.frozen
class Restored:
    """What a restore did.

    Attributes:
        manifest: the archive's.
        boot_epoch: the epoch after it was raised.
        changed: rows that the domain changed or removed, by kind.
        broken_chains: audit chains that do not verify, with the first bad sequence; empty for an untouched backup.
        audit_problems: what else is wrong, too: each audit chain that is not what the ledger says, or cannot be read, with a sentence.
        ledger_problem: what is wrong with the ledger of all chains itself; None for an untouched backup.
        ledger_head: its last position and the hash over all of it, `position:total`, to be compared with one that was kept.
    """

    manifest: Manifest
    boot_epoch: int
    changed: Mapping[str, int]
    broken_chains: Mapping[str, int]
    audit_problems: Mapping[str, str]
    ledger_problem: str | None
    ledger_head: str | None


def backup(
    database: Path,
    archive: Path,
    *,
    created_at: float,
    extra: Mapping[str, Path] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Write a consistent copy of `database`, which may be in use, and of the `extra` files to the new file `archive`.

    Args:
        extra: name in the archive (relative, with slashes) to the file or directory copied under it.
        progress: told (pages copied, pages in all) after each slice.

    Raises:
        StoreError: the archive exists already, something cannot be read or written, or the database is damaged, so that no restore
            would take it. No partial archive is left.
    """
    if archive.exists():
        raise StoreError(f"{archive} exists already; a backup never overwrites")
    part, copy = archive.with_name(archive.name + ".part"), archive.with_name(archive.name + ".part-db")
    try:
        for leftover in (part, copy):
            leftover.unlink(missing_ok=True)
            _make_private(leftover)
        _copy_database(database, copy, progress)
        _check_integrity(copy, "the database")
        manifest = _write_archive(part, _describe(copy, created_at), {DATABASE_NAME: copy, **_flatten(extra or {})})
        os.rename(part, archive)
        _sync(archive.parent)
        return manifest
    except (OSError, sqlite3.Error, zipfile.BadZipFile) as error:
        raise StoreError(f"cannot back up {database}: {error}") from error
    finally:
        for leftover in (part, copy):
            leftover.unlink(missing_ok=True)


def _copy_database(database: Path, copy: Path, progress: Callable[[int, int], None] | None) -> None:
    """One read transaction spans all slices: otherwise every commit of the daemon would start the copy over."""
    if not database.is_file():
        raise StoreError(f"there is no database at {database}")
    source = sqlite3.connect(database, isolation_level=None)
    target = sqlite3.connect(copy)
    try:
        source.execute("begin")
        source.execute("select count(*) from sqlite_schema").fetchone()

        def report(_status: int, remaining: int, total: int) -> None:
            if progress is not None:
                progress(total - remaining, total)

        source.backup(target, pages=SLICE_PAGES, progress=report)
        target.execute("pragma journal_mode = delete")
    finally:
        target.close()
        source.close()


def _describe(copy: Path, created_at: float) -> Manifest:
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        schema_version, domain_version = stored_versions(connection)
        facts = dict(connection.execute("select key, value from store_meta"))
    return Manifest(FORMAT, schema_version, domain_version, facts.get("instance_id"), int(facts.get("boot_epoch", 0)), created_at, {})


def _flatten(extra: Mapping[str, Path]) -> dict[str, Path]:
    """Each single file with its name in the archive."""
    files: dict[str, Path] = {}
    for name, path in extra.items():
        found = {name: path} if not path.is_dir() else {f"{name}/{p.relative_to(path).as_posix()}": p for p in sorted(path.rglob("*"))}
        files |= {inner: p for inner, p in found.items() if not p.is_dir()}
    for name in files:
        _check_name(name)
    return files


def _check_name(name: str) -> None:
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or "\\" in name or "\0" in name or ".." in parts or PurePosixPath(name).as_posix() != name:
        raise StoreError(f"{name!r} cannot name a file in a backup")
    if parts[0].startswith(DATABASE_NAME) or parts[0] == MANIFEST_NAME:
        raise StoreError(f"{name!r} is taken by the backup itself")


def _write_archive(part: Path, manifest: Manifest, files: Mapping[str, Path]) -> Manifest:
    digests: dict[str, FileDigest] = {}
    with part.open("r+b") as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, path in files.items():
                with path.open("rb") as source, packed.open(_entry(name), "w", force_zip64=True) as target:
                    digests[name] = _copy(_chunks(source), target.write)
            manifest = evolve(manifest, files=digests)
            packed.writestr(_entry(MANIFEST_NAME), json.dumps(json.loads(encode_json(manifest)), indent=2))
        raw.flush()
        os.fsync(raw.fileno())
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    """An entry with a fixed date: equal content makes equal archives, and the manifest holds the time."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _chunks(source: Any) -> Iterator[bytes]:
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk


def _copy(chunks: Iterator[bytes], write: Callable[[bytes], Any]) -> FileDigest:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
        write(chunk)
    return FileDigest(size, digest.hexdigest())


def read_manifest(archive: Path) -> Manifest:
    """The manifest of `archive`; nothing else in it is read.

    Raises:
        StoreError: the file is no backup, or one of a newer layout.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            return _read_manifest(packed)
    except _UNREADABLE as error:
        raise StoreError(f"{archive} is not a readable backup: {error}") from error


def _read_manifest(packed: zipfile.ZipFile) -> Manifest:
    try:
        with packed.open(MANIFEST_NAME) as source:
            data = source.read(MANIFEST_BYTES_MAX + 1)
        if len(data) > MANIFEST_BYTES_MAX:
            raise StoreError(f"the manifest is larger than {MANIFEST_BYTES_MAX} bytes")
        manifest = msgspec.json.decode(data, type=Manifest)
    except (KeyError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError("the file holds no backup manifest") from error
    if manifest.format > FORMAT:
        raise StoreError(f"the backup has layout {manifest.format}, but this program knows only up to {FORMAT}; use a newer program")
    return manifest


def restore(
    archive: Path,
    directory: Path,
    kinds: Sequence[Kind],
    *,
    domain_version: int = 1,
    on_restore: OnRestore | None = None,
) -> Restored:
    """Make `directory` (absent or empty) from `archive`: every file checked, the epoch raised, `on_restore` applied to every row.

    All happens in a directory beside it, which takes its name only at the end: a restore that fails leaves nothing behind that
    a daemon could start from.

    Raises:
        StoreError: the directory is in use, or the archive is damaged, incomplete or newer than this program.
    """
    directory = directory.absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StoreError(f"{directory} is not empty; restore into a new directory")
    staging = directory.with_name(f".{directory.name}.restoring")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700, parents=True)
        manifest = _unpack(archive, staging)
        _check_integrity(staging / DATABASE_NAME, "the database in the backup")
        restored = _rejuvenate(staging / DATABASE_NAME, manifest, kinds, domain_version, on_restore or {})
        os.rename(staging, directory)
        _sync(directory.parent)
        return restored
    except (*_UNREADABLE, sqlite3.Error) as error:
        raise StoreError(f"cannot restore {archive}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unpack(archive: Path, staging: Path) -> Manifest:
    with zipfile.ZipFile(archive) as packed:
        manifest = _read_manifest(packed)
        if DATABASE_NAME not in manifest.files:
            raise StoreError("the backup holds no database")
        names = packed.namelist()
        if sorted(names) != sorted([*manifest.files, MANIFEST_NAME]):
            raise StoreError("the backup does not hold the files that its manifest lists")
        for name, expected in manifest.files.items():
            if name != DATABASE_NAME:
                _check_name(name)
            _unpack_one(packed, name, expected, staging / name)
    return manifest


def _unpack_one(packed: zipfile.ZipFile, name: str, expected: FileDigest, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_private(target)
    with packed.open(name) as source, target.open("r+b") as file:
        found = _copy(_at_most(_chunks(source), expected.bytes, name), file.write)
        file.flush()
        os.fsync(file.fileno())
    if found != expected:
        raise StoreError(f"{name} in the backup is damaged: its digest is not the manifest's")


def _at_most(chunks: Iterator[bytes], limit: int, name: str) -> Iterator[bytes]:
    """Stop a file that unpacks to more than its manifest says before it fills the disk."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise StoreError(f"{name} in the backup is damaged: it is larger than the manifest says")
        yield chunk


def _check_integrity(database: Path, what: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found = connection.execute("pragma integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(f"{what} is damaged: {found}")


def _rejuvenate(database: Path, manifest: Manifest, kinds: Sequence[Kind], domain_version: int, on_restore: OnRestore) -> Restored:
    store = SqliteStore.open(database, kinds, deliver=lambda callback: callback(), domain_version=domain_version)
    try:
        epoch, changed = rejuvenate(store, on_restore)
        return Restored(manifest, epoch, changed, *_examine(store))
    finally:
        store.close()


def _examine(store: SqliteStore) -> tuple[dict[str, int], dict[str, str], str | None, str | None]:
    """What the audit trail is like. Nothing that is wrong with it keeps a platform from being restored: the operator is told."""
    broken, problems = dict[str, int](), dict[str, str]()
    ledger, unread = None, None
    try:
        ledger = read_ledger(store)
    except StoreError as error:
        unread = str(error)
    for chain in dict.fromkeys([*store.chains(), *(() if ledger is None else ledger.chains)]):
        try:
            walked = walk(store, chain)
        except StoreError as error:
            problems[chain] = str(error)
            continue
        if walked.broken_from is not None:
            broken[chain] = walked.broken_from
        problem = walked.problem() or (None if ledger is None else ledger.problem_of(chain, walked.count, walked.head))
        if problem is not None:
            problems[chain] = problem
    return broken, problems, *((unread, None) if ledger is None else (ledger.problem, ledger.head))


def rejuvenate(store: Store, on_restore: OnRestore) -> tuple[int, dict[str, int]]:
    """Make an earlier state fit to live on: what must not come back is closed, and the epoch is raised.

    The store must carry out commits without anybody's help. Returned are the new epoch and, by kind, how many rows were changed.

    Raises:
        StoreError: the rows cannot be written.
    """
    writes = {kind: list(_changes(store, kind, change)) for kind, change in on_restore.items()}
    _commit(store, Unit(tuple(write for changes in writes.values() for write in changes)))
    epoch = store.bump_epoch()
    store.meta_set("restored_at_epoch", str(epoch))
    return epoch, {kind: len(changes) for kind, changes in writes.items()}


def _changes(store: Store, kind: str, change: Callable[[Any], Any]) -> Iterator[Write]:
    for row in store.query(Query(kind)):
        after = change(row.record)
        if after is None:
            yield Delete(kind, row.record.id)
        elif after is not row.record:
            yield Put(kind, after, row.record.version)


def _commit(store: Store, unit: Unit) -> None:
    outcome: queue.SimpleQueue[BatchResult] = queue.SimpleQueue()
    store.commit([unit], outcome.put)
    result = outcome.get()
    if not isinstance(result, tuple) or not isinstance(result[0], Committed):
        raise StoreError(f"the restored rows cannot be written: {result}")


def _make_private(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _sync(directory: Path) -> None:
    """Make a new name in `directory` durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
