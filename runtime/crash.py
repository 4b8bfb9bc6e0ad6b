"""What is known of a handler that raised, and what may be done with its actor.

Lives here: the words between the engine and whoever decides about restarts. Must not live here: the decision (see `crash_policy`), or
carrying it out (see `engine`).
"""

from __future__ import annotations

from typing import Any, Protocol

from runtime.actor import Ref
from runtime.recorder import Recorded
from runtime.values import Value


class Crash(Value, frozen=True):
    """What is known of a handler that raised: the error without its locals, and the last turns of the actor."""

    ref: Ref
    message: Any
    error: BaseException
    dead_lettered: bool
    history: tuple[Recorded, ...]


class RestartAfter(Value, frozen=True):
    """Run the actor again, from its committed record, after `delay_s`."""

    delay_s: float


class QuarantineFor(Value, frozen=True):
    """Refuse the actor's messages for `duration_s`, then start it afresh."""

    duration_s: float


class CrashPolicy(Protocol):
    """Decides what happens to an actor whose handler raised (see `crash_policy`)."""

    def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor: ...

    def healthy(self, ref: Ref) -> None:
        """The actor left memory in good order; its crash history may be dropped."""
        ...


def forget_locals(error: BaseException) -> None:
    """Drop the tracebacks of a kept error: their frames hold the handler's locals, which may be secret and are never small."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            waiting += (each.__cause__, each.__context__)
