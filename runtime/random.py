"""The only door to chance.

Lives here: named random streams, so that a draw added in one place moves no other, and secret bytes.
Must not live here: ids (see `ids`), or any draw outside a named stream.
"""

from __future__ import annotations

import hashlib
import os
import random
import struct
from collections import deque
from typing import Final, Protocol


class Randomness(Protocol):
    """Chance for one platform."""

    def stream(self, name: str) -> random.Random:
        """The generator of that name; the same object on every call."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for secrets."""
        ...


WORD_BITS: Final = 64
WORDS_AT_ONCE: Final = 512


class _EntropyByTheWord(random.SystemRandom):
    """The operating system's entropy, asked for many words at a time: an id needs two draws, and each call of a peer an id.

    Safe for use by several threads: a word is taken by one operation that cannot be interrupted, and never given twice. The words
    wait in memory until they are drawn, so nothing that must stay secret is drawn from here (see `SystemRandomness.token_bytes`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._words: deque[int] = deque()

    def getrandbits(self, k: int, /) -> int:
        if not 0 < k <= WORD_BITS:
            return super().getrandbits(k)
        while True:
            try:
                return self._words.pop() >> (WORD_BITS - k)
            except IndexError:
                self._words.extend(struct.unpack(f"={WORDS_AT_ONCE}Q", os.urandom(8 * WORDS_AT_ONCE)))

    def random(self) -> float:
        return self.getrandbits(53) * 2.0**-53


class SystemRandomness:
    """Chance from the operating system; streams share its entropy."""

    def __init__(self) -> None:
        self._system = _EntropyByTheWord()

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
