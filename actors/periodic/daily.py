"""Work that an account does once a day: when it is due, and that a run which was missed is made once.

Lives here: the record of the runs, and the rhythm. Must not live here: what a run does (its actor).
"""

from __future__ import annotations

import abc
import datetime
from typing import Any, ClassVar

import attrs

from actors.periodic.messages import Begin
from runtime.actor import Actor, Due, handles
from runtime.context import Context
from runtime.values import evolve


@attrs.frozen(kw_only=True)
class DailyRuns:
    """The runs of one work of an account, whose id is `id`. Times are seconds since the epoch."""

    id: str
    version: int = 0
    next_run_at: float
    last_run_at: float | None = None
    last_error: str | None = None
    runs: int = 0


class DailyActor(Actor, abc.ABC):
    """One per account; its record is `DailyRuns`.

    Class attributes:
        at: when a run is due, UTC.
        runs: the record, `DailyRuns` or what adds to it.
    """

    at: ClassVar[datetime.time]
    runs: ClassVar[type[DailyRuns]] = DailyRuns
    running: Any = None

    def holds_work(self) -> bool:
        return self.running is not None

    @handles(Begin)
    def on_begin(self, message: Begin, ctx: Context) -> None:
        if self.record is None:
            ctx.save(self.runs(id=message.account_id, next_run_at=next_at(self.at, ctx.wall)))

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        if self.record is not None and self.running is None:
            # The time of the next run moves when this one ends, so that a crash in between repeats it.
            self.run_due(ctx)

    @abc.abstractmethod
    def run_due(self, ctx: Context) -> None:
        """Begin the daily run, and set `running`."""

    def ended(self, ctx: Context, error: str | None, *, stays_due: bool = False, **noted: Any) -> None:
        """A run has ended. With `stays_due` it was a shorter one, which does not put the daily one off. `noted`: further fields."""
        record: DailyRuns = self.record
        following = record.next_run_at if stays_due else next_at(self.at, ctx.wall)
        ctx.save(evolve(record, next_run_at=following, last_run_at=ctx.wall, last_error=error, runs=record.runs + 1, **noted))


def next_at(time: datetime.time, wall: float) -> float:
    """The first `time` (UTC) of a day after `wall`, both ends in seconds since the epoch."""
    now = datetime.datetime.fromtimestamp(wall, datetime.UTC)
    today = datetime.datetime.combine(now.date(), time, datetime.UTC)
    return (today if now < today else today + datetime.timedelta(days=1)).timestamp()
