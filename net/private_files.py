"""Small private files: keys and what is written once.

Lives here: reading a file that only its owner may read, and creating one durably without ever replacing another. Must not live here:
what the files mean.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

PRIVATE_FILE_BYTES_MAX: Final = 65_536


class PrivateFileError(Exception):
    """The file exists but must not or cannot be used; the message says what to do and holds nothing of the content."""


def read_private(path: Path, *, provided: bool = False) -> bytes | None:
    """The content of `path`, or None if nothing at all stands there (a dangling link counts as something).

    Args:
        path: the file.
        provided: it was put there by a service manager; such a file may be readable by the group if it belongs to root, because a
            POSIX access list that names the service's user shows as group permission (`LoadCredential=` of systemd).

    Raises:
        PrivateFileError: unreadable, not a regular file, too large, or open to the group or to others.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        if not path.is_symlink():
            return None
        raise PrivateFileError(f"{path} is a link to nothing; restore its target") from error
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be opened ({error.strerror}); make it readable for the service's user") from error
    try:
        _must_be_private(path, os.fstat(descriptor), provided)
        content = _read_all(descriptor)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    if len(content) > PRIVATE_FILE_BYTES_MAX:
        raise PrivateFileError(f"{path} is larger than {PRIVATE_FILE_BYTES_MAX} bytes")
    return content


def _must_be_private(path: Path, found: os.stat_result, provided: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise PrivateFileError(f"{path} is not a regular file")
    tolerated = stat.S_IRGRP if provided and found.st_uid == 0 else 0
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077 & ~tolerated:
        raise PrivateFileError(f"{path} is open to other users (mode {mode:04o}); run: chmod 600 {path}")


def _read_all(descriptor: int) -> bytes:
    content = b""
    while len(content) <= PRIVATE_FILE_BYTES_MAX:
        part = os.read(descriptor, PRIVATE_FILE_BYTES_MAX + 1 - len(content))
        if not part:
            break
        content += part
    return content


def create_private(path: Path, content: bytes) -> bool:
    """Create `path` with mode 0600, durable when this returns; False if something already stands there, which is left alone.

    The content is complete before the name exists: a crash leaves either no file or the whole one. Missing parent directories are
    made with mode 0700.

    Raises:
        PrivateFileError: the directory cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()  # left by a crash of a former process with our number
        try:
            _write_durably(draft, content)
            created = _link_new(draft, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
        _sync_directory(path.parent)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be written ({error.strerror}); check the directory's owner and space") from error
    return created


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _link_new(draft: Path, path: Path) -> bool:
    """A link, unlike a rename, fails if the name is taken: two processes that start at once cannot replace each other's file."""
    try:
        os.link(draft, path, follow_symlinks=False)
    except FileExistsError:
        return False
    return True


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
