"""Sessions of `powernode login`: one per daemon, in one file that only its owner can read.

Lives here: the file. Must not live here: requests. The tokens in it are as good as a password until they expire.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from runtime.secret import Secret

_FILE: Final = "sessions.json"
_FIELDS: Final = ("access_token", "refresh_token", "expires_at", "email")


@attrs.frozen
class Session:
    """A logged-in operator at one daemon; `expires_at` is when the access token ends, in seconds since the epoch."""

    access_token: Secret
    refresh_token: Secret
    expires_at: float
    email: str


class SessionFile:
    """The stored sessions by daemon URL. A damaged file counts as empty: the way out, logging in again, is the same."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _FILE

    def load(self, url: str) -> Session | None:
        """The session for that daemon, or None."""
        found = self._read().get(url)
        if not isinstance(found, Mapping) or not all(isinstance(found.get(name), str) for name in _FIELDS if name != "expires_at"):
            return None
        expires_at = found.get("expires_at")
        if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
            return None
        return Session(Secret(found["access_token"]), Secret(found["refresh_token"]), float(expires_at), found["email"])

    def save(self, url: str, session: Session | None) -> None:
        """Replace or, with None, forget the session for that daemon."""
        everything = self._read()
        if session is None:
            everything.pop(url, None)
        else:
            everything[url] = {
                "access_token": session.access_token.reveal(),
                "refresh_token": session.refresh_token.reveal(),
                "expires_at": session.expires_at,
                "email": session.email,
            }
        self._write(everything)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other commands of this user out, since a refresh token is good for one use only."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self._folder / "sessions.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}

    def _write(self, everything: Mapping[str, Any]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A fresh file beside the old one: its mode is right from its first byte, and a crash leaves one of the two whole.
        fresh = self._folder / f".{_FILE}.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(everything, stream)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._path)
