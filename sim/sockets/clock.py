"""Virtual time for trio: one run whose deadlines are events of a world's timeline.

Lives here: the clock, and the stepping of the run between events. Must not live here: trio's internals (`compat`), or a network.

trio asks its clock how long to sleep only when no task can run. That question is where the run goes idle and the timeline goes on: with
the next event, or with the run's own next deadline, whichever is earlier. Time therefore moves only when everything at one moment is done.
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import outcome
import trio

from sim.clock import Timeline
from sim.sockets import compat
from sim.world import LivelockError

TICKS_AT_ONCE_MAX: Final = 200_000
"""Passes of the loop at one moment; whoever needs more is going round in circles."""


class DeadlockError(RuntimeError):
    """Nothing can ever happen again, and somebody still waits; the text shows every task."""


class BusyError(LivelockError):
    """Tasks kept each other busy without time passing."""


class WorldClock(trio.abc.Clock):
    """The timeline's time, for trio.

    Attributes:
        idle: no task could run when trio last asked.
        deadline: when the first task is to be woken by time alone.
    """

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self.run: compat.GuestRun | None = None
        self.idle = False
        self.deadline = math.inf

    def start_clock(self) -> None:
        return

    def current_time(self) -> float:
        return self._timeline.now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        # Never sleeps: what is due now, or was called for from outside, comes before idleness.
        if deadline <= self._timeline.now or self.run is None or self.run.has_calls:
            return 0.0
        if self.run.has_idle_waiters:
            # trio wakes them itself if it believes that there is time to wait.
            return 1.0
        self.idle = True
        self.deadline = deadline
        return 0.0


class VirtualLoop:
    """A trio run on a timeline.

    Whatever changes something for a task from outside (a packet, a commit) does so through `wake` or `call`; the run then goes on at
    the same moment, before anything else happens.

    Args:
        order: decides which of several ready tasks runs first.

    Attributes:
        on_idle: called whenever no task can run any more at one moment.
    """

    def __init__(self, timeline: Timeline, order: random.Random, *, prepare: Callable[[], None] = lambda: None) -> None:
        self.timeline = timeline
        self._clock = WorldClock(timeline)
        self._prepare = prepare
        self._nursery: trio.Nursery | None = None
        self._armed_at = math.inf
        self._arming = 0
        self._pumping = False
        self._called = False
        self._failed = False
        self.on_idle: Callable[[], None] = lambda: None
        self._run = compat.GuestRun(self._main, self._clock, order)
        self._clock.run = self._run
        self.pump()

    async def _main(self) -> None:
        self._prepare()
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await trio.sleep_forever()

    # --- from outside --------------------------------------------------------------------------------------------

    def start(self, function: Callable[..., Awaitable[object]], *args: Any, name: str | None = None) -> None:
        """Start a task. An exception that leaves it ends the whole run, and comes out of the timeline's step."""
        assert self._nursery is not None
        nursery = self._nursery
        self.call(lambda: nursery.start_soon(function, *args, name=name))

    def call(self, function: Callable[[], Any]) -> Any:
        """Run something that may use trio's functions, and let the tasks that it has woken go on; what it returns."""
        if self._pumping:
            return function()
        with self._run.inside():
            found = function()
        self._soon()
        return found

    def wake(self, task: trio.lowlevel.Task, value: outcome.Outcome[Any] | None = None) -> None:
        """Let a task go on that waits in `wait_task_rescheduled`."""
        self._run.reschedule(task, outcome.Value(None) if value is None else value)
        if not self._pumping:
            self._soon()

    def hold(self, holds: compat.Judge | None) -> None:
        """From now on ready tasks of which this is true get no turn."""
        self._run.hold(holds)
        self._soon()

    def let_go(self) -> None:
        """Judge again the tasks that were held."""
        self._run.let_go()
        self._soon()

    def pump(self) -> None:
        """Let every task run that can run now.

        Raises:
            BusyError: there is no end to it.
            BaseException: whatever ended the run.
        """
        clock, run = self._clock, self._run
        clock.idle = self._called = False
        self._pumping = True
        try:
            with run.inside():
                for _ in range(TICKS_AT_ONCE_MAX):
                    if clock.idle or not run.tick():
                        break
                else:
                    raise BusyError(f"tasks work without end at {self.timeline.now:.3f} s")
        finally:
            self._pumping = False
        self.on_idle()
        if run.outcome is not None:
            if not self._failed:
                self._failed = True
                run.outcome.unwrap()
            return
        if clock.deadline < math.inf:
            self._arm(clock.deadline)

    def _soon(self) -> None:
        """Go on before anything else happens."""
        if not self._called:
            self._called = True
            self.timeline.soon(self.pump)

    def _arm(self, when: float) -> None:
        if when >= self._armed_at:
            return
        self._armed_at = when
        self._arming += 1
        number = self._arming

        def event() -> None:
            if self._arming == number:
                self._armed_at = math.inf
                self.pump()

        self.timeline.at(when, event)

    # --- one function to its end ---------------------------------------------------------------------------------

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Run one async function to its end, with everything that happens meanwhile; what it returns.

        Raises:
            DeadlockError: it waits for what can never come.
        """
        ended: list[outcome.Outcome[Any]] = []

        async def main() -> None:
            ended.append(await outcome.acapture(function, *args))

        self.start(main, name=getattr(function, "__name__", "main"))
        while not ended:
            if not self.timeline.step():
                self._run.check_escapes()
                raise DeadlockError(f"nothing can happen any more at {self.timeline.now:.3f} s\n{self._run.task_tree()}")
        return ended[0].unwrap()

    def close(self) -> None:
        """Cancel every task and end the run. What tasks shield from cancellation gets the virtual time that it asks for, without events."""
        if self._run.outcome is not None:
            return
        nursery = self._nursery
        self._failed = True
        if nursery is not None:
            self.call(nursery.cancel_scope.cancel)
        while self._run.outcome is None:
            self.pump()
            if self._run.outcome is None:
                if self._clock.deadline == math.inf:
                    raise DeadlockError(f"a task cannot be cancelled\n{self._run.task_tree()}")
                self.timeline.now = max(self.timeline.now, self._clock.deadline)
