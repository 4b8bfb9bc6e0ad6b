"""Dead letters: what could not be delivered or handled, remembered without its content.

Lives here: a bounded ring and its counters. Must not live here: payloads. A message may hold a token or a key, so that only the name
of its type is kept, with the ids that lead to the record and to the operation.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal, get_args

from runtime.values import Value

DeadLetterReason = Literal["no_target", "not_understood", "mailbox_full", "poison", "late", "stale", "stopping", "quarantined"]

DEAD_LETTERS_MAX = 1_000


class DeadLetter(Value, frozen=True):
    """One message that found no handler.

    Attributes:
        message: name of the message's type.
        target: whom it was for, `kind/id`.
        reason: `no_target` nobody has that address; `not_understood` no handler for the type; `mailbox_full` refused by the
            overflow policy; `poison` crashed its handler twice; `late` a reply after its deadline; `stale` a result for an earlier
            incarnation; `stopping` the target was on its way down; `quarantined` it had crashed too often.
        at: monotonic seconds of the host.
        operation: id of the operation that it belonged to, or None.
    """

    message: str
    target: str
    reason: DeadLetterReason
    at: float
    operation: str | None = None


class DeadLetters:
    """The most recent dead letters, and how many there ever were of each reason."""

    def __init__(self, capacity: int = DEAD_LETTERS_MAX) -> None:
        if capacity < 1:
            raise ValueError("a ring of dead letters needs room for at least one")
        self._ring: deque[DeadLetter] = deque(maxlen=capacity)
        self._counts: Counter[DeadLetterReason] = Counter(dict.fromkeys(get_args(DeadLetterReason), 0))

    def put(self, message: object, target: str, reason: DeadLetterReason, at: float, operation: str | None = None) -> DeadLetter:
        """Remember that `message` went nowhere; of the message only the name of its type is kept."""
        letter = DeadLetter(type(message).__qualname__, target, reason, at, operation)
        self._ring.append(letter)
        self._counts[reason] += 1
        return letter

    @property
    def total(self) -> int:
        """How many there ever were, those included that the ring has dropped since."""
        return self._counts.total()

    def counts(self) -> dict[DeadLetterReason, int]:
        """How many there ever were, by reason; every reason is named."""
        return dict(self._counts)

    def recent(self, limit: int | None = None) -> list[DeadLetter]:
        """The latest ones that are still held, newest first."""
        newest_first = list(reversed(self._ring))
        return newest_first if limit is None else newest_first[:limit]
