"""The flight recorder: a ring of the last turns of every actor, kept for a while after the actor has left memory.

Lives here: what one entry holds and how rings are bounded. An entry keeps frozen values only (message, record before the turn, times,
draws, names of effects), so recording costs pointers, and secrets stay masked because they are `Secret` values.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, MutableSequence
from typing import Any

from runtime.actor import Actor, Ref
from runtime.limits import RECORDER_RETIRED_ACTORS, RECORDER_RING, RECORDER_RING_CROWDED, RECORDER_ROOMY_ACTORS
from runtime.values import Value

Ring = MutableSequence[tuple[Any, ...]]
"""The last turns of one actor (fewer in a crowd), oldest first, as (now, wall, message, outcome, effects, draws, record)."""


class _ShortRing(list[tuple[Any, ...]]):
    """The ring of one of many actors. A list, since the smallest deque has room for 64 entries, which weigh more than these."""

    __slots__ = ()

    def append(self, entry: tuple[Any, ...], /) -> None:
        if len(self) >= RECORDER_RING_CROWDED:
            del self[0]
        list.append(self, entry)


class Checkpoint(Value, frozen=True):
    """Stands in a ring between turns: what an actor held in memory just then, so that the turns behind it can be run again.

    The record stands where the record of a turn does. Values are those of the actor itself, not copies: what changes in place later is
    seen as it is when somebody looks.
    """

    volatile: Mapping[str, Any]
    evidence: Any


def add_checkpoint(ring: Ring, actor: Actor, now: float, wall: float) -> None:
    """Note what `actor` holds, unless that was the last thing noted."""
    if not ring or type(ring[-1][2]) is not Checkpoint:
        ring.append((now, wall, Checkpoint(dict(actor.__dict__), actor.evidence), "checkpoint", (), (), actor.record))


def new_ring(actors: int) -> Ring:
    """An empty ring, for one more actor when there are so many in memory."""
    return deque(maxlen=RECORDER_RING) if actors <= RECORDER_ROOMY_ACTORS else _ShortRing()


class Recorded(Value, frozen=True):
    """One turn, for people and programs.

    Attributes:
        now, wall: monotonic and epoch seconds as the turn saw them.
        message: the message itself.
        outcome: `done`, `saved`, `refused:<code>` or `crashed:<type>`; `checkpoint` for what is no turn.
        effects: names of the effects in order, for example `save`, `reply`, `call RemoteRequest`.
        draws: values drawn from the actor's random stream, in order.
        record: the committed record before the turn.
    """

    now: float
    wall: float
    message: Any
    outcome: str
    effects: tuple[str, ...]
    draws: tuple[Any, ...]
    record: Any


def recorded(entry: tuple[Any, ...]) -> Recorded:
    """The readable form of a ring entry."""
    now, wall, message, outcome, effects, draws, record = entry
    return Recorded(now, wall, message, outcome, effects, tuple(draws), record)


class Retired:
    """Rings of actors that are idle or have left memory, bounded, least recently retired dropped first."""

    def __init__(self) -> None:
        self._rings: OrderedDict[Ref, Ring] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rings)

    def refs(self) -> Iterable[Ref]:
        """Whose rings are kept."""
        return self._rings.keys()

    def keep(self, ref: Ref, ring: Ring) -> None:
        self._rings[ref] = ring
        self._rings.move_to_end(ref)
        if len(self._rings) > RECORDER_RETIRED_ACTORS:
            self._rings.popitem(last=False)

    def get(self, ref: Ref) -> Ring | None:
        return self._rings.get(ref)

    def take(self, ref: Ref) -> Ring | None:
        return self._rings.pop(ref, None)
