"""The trace of an engine: one history per actor, folded into one digest.

Lives here: the digest by which two drivers, two processes or two hash seeds are compared. Off unless a test or a world attaches it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from runtime.actor import Ref
from runtime.cell import Effect

Listener = Callable[[float, Ref, Any, str, tuple[str, ...], Sequence[Effect], Any], None]
"""Gets every turn: when, which actor, the message, the outcome, names of effects, these themselves, the record as the turn leaves it."""


# Sets and maps are written in order of their elements, because the order in which they stand may differ between processes.
_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=repr, order="deterministic")


def _encoded(now: float, message: Any, outcome: str, effects: tuple[str, ...]) -> bytes:
    """One turn as bytes that are the same in every process. Secrets are masked, since they have no form but `repr`."""
    kind = type(message).__name__
    try:
        return _ENCODER.encode((now, kind, message, outcome, effects))
    except (OverflowError, RecursionError, TypeError, UnicodeEncodeError, ValueError):
        return _ENCODER.encode((now, kind, repr(message).encode("utf-8", "backslashreplace"), outcome, effects))


class Trace:
    """Folds every turn into a BLAKE2b hash per actor; `digest()` folds those in order of the actors' ids."""

    def __init__(self, listener: Listener | None = None) -> None:
        self._histories: dict[Ref, Any] = {}
        self._listener = listener
        self.turns = 0

    def turn(
        self, now: float, ref: Ref, message: Any, outcome: str, names: tuple[str, ...], effects: Sequence[Effect], record: Any
    ) -> None:
        """Note a turn of an actor: the names of its effects, and the effects for whoever follows what they do."""
        history = self._histories.get(ref)
        if history is None:
            history = self._histories[ref] = hashlib.blake2b(digest_size=16)
        history.update(_encoded(now, message, outcome, names))
        self.turns += 1
        if self._listener is not None:
            self._listener(now, ref, message, outcome, names, effects, record)

    def digest(self) -> str:
        whole = hashlib.blake2b(digest_size=16)
        for ref in sorted(self._histories):
            whole.update(f"{ref}={self._histories[ref].hexdigest()}\n".encode())
        return whole.hexdigest()
