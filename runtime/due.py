"""Durable deadlines, told to the actors whose records hold them.

Lives here: one timer for the earliest of them all, armed by the wall clock and looked at again, since that may be set. Must not live here:
finding the earliest (see `deadlines`), or what a deadline means (its actor decides by its record).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from runtime.actor import Ref
from runtime.buggify import Decide, site
from runtime.clock import Clock
from runtime.deadlines import Deadlines
from runtime.limits import DUE_REPEAT_S, DUE_SLICE, RESUME_SLICE, SLICE_EVERY_S, WALL_RECHECK_S, WALL_STEP_S
from runtime.timers import Timer, TimerHeap

DUE_TWICE: Final = site("due.twice", "a deadline is told twice")


class DueDeadlines:
    """The durable deadlines of one engine.

    Args:
        tell: tells an actor that its deadline has come.
        knows: whether the actor has been told and has not looked yet.
        armed: called when the next moment at which something is to be done may have come nearer.
        put_off_s: kinds whose looks are put off for a while, each with the longest while (`Kind.put_off_s`). After a start, and when the
            wall clock was put back, those that are further away are told as well: a clock that was ahead has set them.
        with_dates: those of them that are not told after a start (`Kind.has_dates`).
    """

    def __init__(
        self,
        clock: Clock,
        timers: TimerHeap,
        buggify: Decide,
        tell: Callable[[Ref], None],
        knows: Callable[[Ref], bool],
        armed: Callable[[], None],
        put_off_s: Mapping[str, float],
        with_dates: frozenset[str],
    ) -> None:
        self._clock = clock
        self._timers = timers
        self._buggify = buggify
        self._tell = tell
        self._knows = knows
        self._armed = armed
        self._put_off_s = put_off_s
        self._put_off_at_start_s = {kind: longest_s for kind, longest_s in put_off_s.items() if kind not in with_dates}
        self._behind_s = math.inf
        self._timer: Timer | None = None
        self._deadlines = Deadlines()

    def forget(self) -> None:
        """Forget all deadlines. The timer is not cancelled: whoever forgets clears all timers."""
        self._deadlines = Deadlines()
        self._timer = None

    def load(self, deadlines: list[tuple[Ref, float]]) -> None:
        """Take up all deadlines that are stored."""
        for ref, at in deadlines:
            self._deadlines.set(ref, at)
        self._behind_s = self._clock.now() - self._clock.wall()
        self._tell_doubtful(self._put_off_at_start_s)
        self._arm()

    def set(self, ref: Ref, at: float | None) -> None:
        """Make `at` (seconds since the epoch; None for none) the deadline of `ref`."""
        self._deadlines.set(ref, at)
        if at is not None:
            # Even if the clock is put right before the next look at it, what it has set meanwhile must be noticed.
            self._behind_s = min(self._behind_s, self._clock.now() - self._clock.wall())
            self._arm()

    def look_again(self, ref: Ref, delay_s: float) -> None:
        """Put off the repetition of a deadline that has come; one that is still to come stays."""
        wall = self._clock.wall()
        at = self._deadlines.get(ref)
        if at is not None and at <= wall + DUE_REPEAT_S:
            self._deadlines.set(ref, wall + delay_s)

    def _arm(self) -> None:
        earliest = self._deadlines.earliest()
        if not len(self._deadlines):
            return
        at = self._clock.now() + min(max(0.0, earliest - self._clock.wall()), WALL_RECHECK_S)
        if self._timer is not None:
            if self._timer.callback is not None and self._timer.at <= at:
                return
            self._timer.cancel()
        self._timer = self._timers.add(at, self._fire)
        self._armed()

    def _fire(self) -> None:
        self._timer = None
        wall = self._clock.wall()
        self._notice_step(wall)
        fired = self._deadlines.due(wall, DUE_SLICE)
        for ref in fired:
            # Until a commit moves the deadline it stays in force: fires at least once, takes effect once.
            self._deadlines.set(ref, wall + DUE_REPEAT_S)
            if not self._knows(ref):
                self._tell(ref)
                if self._buggify(DUE_TWICE):
                    self._tell(ref)
        if len(fired) < DUE_SLICE:
            self._arm()
        else:
            self._timer = self._timers.add(self._clock.now() + SLICE_EVERY_S, self._fire)

    # --- a clock that was ahead ----------------------------------------------------------------------------------

    def _notice_step(self, wall: float) -> None:
        """Doubt deadlines if the wall clock, against the other one, is further behind than it was."""
        former_s, self._behind_s = self._behind_s, self._clock.now() - wall
        if self._behind_s - former_s > WALL_STEP_S:
            self._tell_doubtful(self._put_off_s)

    def _tell_doubtful(self, put_off_s: Mapping[str, float]) -> None:
        """Have those look that are put off for longer than anybody means to. What they do moves their deadlines; one that waits for a date
        of its own does nothing."""
        doubtful = deque(self._deadlines.doubtful(self._clock.wall(), put_off_s))
        if doubtful:
            self._tell_slice(doubtful)

    def _tell_slice(self, doubtful: deque[Ref]) -> None:
        for _ in range(min(RESUME_SLICE, len(doubtful))):
            ref = doubtful.popleft()
            if not self._knows(ref):
                self._tell(ref)
        if doubtful:
            self._timers.add(self._clock.now() + SLICE_EVERY_S, lambda: self._tell_slice(doubtful))
