"""The only door to chance.

Lives here: named random streams, so that a draw added in one place moves no other, and secret bytes.
Must not live here: ids (see `ids`), or any draw outside a named stream.
"""

from __future__ import annotations

import hashlib
import os
import random
from typing import Protocol


class Randomness(Protocol):
    """Chance for one platform."""

    def stream(self, name: str) -> random.Random:
        """The generator of that name; the same object on every call."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for secrets."""
        ...


class SystemRandomness:
    """Chance from the operating system; streams share its entropy pool."""

    def __init__(self) -> None:
        self._system = random.SystemRandom()

    def stream(self, name: str) -> random.Random:
        return self._system

    def token_bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SeededRandomness:
    """Chance that a seed reproduces: stream `name` is `Random(blake2b(seed, name))`."""

    def __init__(self, seed: int | str) -> None:
        self._seed = str(seed)
        self._streams: dict[str, random.Random] = {}

    def stream(self, name: str) -> random.Random:
        found = self._streams.get(name)
        if found is None:
            digest = hashlib.blake2b(f"{self._seed}\0{name}".encode(), digest_size=16).digest()
            found = self._streams[name] = random.Random(int.from_bytes(digest, "big"))
        return found

    def token_bytes(self, count: int) -> bytes:
        return self.stream("tokens").randbytes(count)
