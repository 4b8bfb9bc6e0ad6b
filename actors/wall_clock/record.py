"""What is known of this platform's wall clock, and until when time has passed for certain.

Lives here: fields, and the pure judgement. Must not live here: hearing peers (see `actor`), or what is destroyed at its time.

A refusal needs no certainty: what has ended by our clock is refused at once, and served again once the clock is right. Destruction does: it
waits until the clock is settled, in this start of the process and since the clock was set last.
"""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import attrs

from actors.limits import SKEW_MAX_S
from runtime.clock import iso
from runtime.store.port import Kind

SettledBy = Literal["peers", "time", "operator"]

LOOK_AGAIN_S: Final = 30.0
"""How often what is held back asks again."""
WORDS_GATHERED_S: Final = 180.0
"""For how long words of further peers are awaited, unless most have spoken: each of them sends a heartbeat a minute."""
WAITED_EVERY_S: Final = 600.0
WAITED_MAX_S: Final = 7 * 86_400.0
"""How long a platform whose peers say nothing of the time has to have run before it goes by its own clock all the same."""
WORDS_ENOUGH: Final = 16
"""So many peers are enough to decide by, however many there are."""
WORDS_MAX: Final = 1_000
AHEAD_CHANGED_S: Final = 60.0


@attrs.frozen(kw_only=True)
class Settled:
    """The clock is known. Times are seconds since the epoch.

    Attributes:
        epoch: the start of the process (`Identity.boot_epoch`) for which that holds.
        offset_s: wall clock minus monotonic clock. As long as it is the same nobody has set the clock.
        ahead_s: by how much the clock is ahead of what peers say; 0 while they agree.
        overruled_s: by `operator`: by how much it was ahead by what most peers had said when they were overruled. More than that is news.
    """

    epoch: int
    offset_s: float
    by: SettledBy
    ahead_s: float
    at: float
    overruled_s: float = 0.0


@attrs.frozen(kw_only=True)
class Waiting:
    """Something is held back. `waited_s`: seconds for which the platform has run since, all its starts together."""

    epoch: int
    offset_s: float
    since: float
    waited_s: float = 0.0


@attrs.frozen(kw_only=True)
class WallClockRecord:
    """One row for the platform; `id` is its instance id. Written once a start, if nothing is wrong."""

    id: str
    version: int = 0
    settled: Settled | None = None
    waiting: Waiting | None = None


KIND: Final = Kind(name="wall_clock", record=WallClockRecord)


def holds(known: Settled | Waiting | None, epoch: int, offset_s: float) -> bool:
    """Whether what was known of the clock is so still: in the same start of the process, with a clock that has not been set since."""
    return known is not None and known.epoch == epoch and abs(offset_s - known.offset_s) <= SKEW_MAX_S


def passed_until(record: WallClockRecord | None, epoch: int, wall: float, now: float) -> float:
    """The moment (seconds since the epoch) up to which time has passed for certain; minus infinity while the clock is not settled."""
    settled = record.settled if record is not None else None
    if settled is None or not holds(settled, epoch, wall - now):
        return -math.inf
    return wall - settled.ahead_s


def shown(record: WallClockRecord | None, epoch: int, wall: float, now: float) -> dict[str, Any]:
    """The form of the operator surface: what the clock says, whether that is known to be right, and what waits for it."""
    settled = record.settled if record is not None and holds(record.settled, epoch, wall - now) else None
    waiting = record.waiting if record is not None and settled is None and holds(record.waiting, epoch, wall - now) else None
    return {
        "time": iso(wall),
        "settled": settled is not None,
        "settled_by": settled.by if settled is not None else None,
        "settled_at": iso(settled.at) if settled is not None else None,
        "ahead_s": int(settled.ahead_s) if settled is not None else None,
        "overruled_s": int(settled.overruled_s) if settled is not None else None,
        "held_back_since": iso(waiting.since) if waiting is not None else None,
    }
