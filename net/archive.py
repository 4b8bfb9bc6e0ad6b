"""The archive as a folder of read-only files.

Lives here: the real side of `StoreObject` and `CheckObject`. Must not live here: what the objects mean. Mount the folder from a store with
object lock if even the owner of this machine must not change it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Final

from actors.ports import CheckObject, StoredObject, StoreObject
from net.private_files import PrivateFileError, create_private
from runtime.errors import Fault, InternalFault

READ_ONLY: Final = 0o400
_PATH: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(/[a-z0-9][a-z0-9.-]*){0,7}", re.ASCII)


class FolderArchive:
    """Objects under one folder. Calls block: hand them to a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle(self, request: StoreObject | CheckObject) -> StoredObject | Fault:
        """Answer one request of the port."""
        if not _PATH.fullmatch(request.path):
            return InternalFault("archive_unavailable", "that is no path of an object", 503)
        path = self._folder / request.path
        return self._store(path, request.content) if isinstance(request, StoreObject) else self._check(path)

    def _store(self, path: Path, content: bytes) -> StoredObject | Fault:
        try:
            if not create_private(path, content):
                there = self._check(path)
                if isinstance(there, StoredObject) and there.sha256 != hashlib.sha256(content).hexdigest():
                    return InternalFault("object_exists", "other content stands there, which is left alone", 503)
                return there
            path.chmod(READ_ONLY)
        except (OSError, PrivateFileError):
            return InternalFault("archive_unavailable", "the archive cannot be written; check its folder and the space there", 503)
        return self._check(path)

    def _check(self, path: Path) -> StoredObject | Fault:
        digest, size = hashlib.sha256(), 0
        try:
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
                while part := file.read(1 << 20):
                    digest.update(part)
                    size += len(part)
        except FileNotFoundError:
            return InternalFault("object_missing", "the archive does not hold this object", 503)
        except OSError:
            return InternalFault("archive_unavailable", "the archive cannot be read; check its folder", 503)
        return StoredObject(digest.hexdigest(), size)
