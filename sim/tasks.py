"""The per-actor-task driver for whole worlds: trio runs inside plain code, one pass of one engine at a time.

Lives here: stepping trio from outside. Must not live here: which turn is next; the engine's scheduler decides that under every driver.

Trio runs as a guest whose clock says that it is always time to go on, so that it starts no thread and never waits: it is simply not
called again until there is work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import trio

from runtime.engine import Engine
from runtime.trio_driver import ActorTasks


class _Standing(trio.abc.Clock):
    """A clock for a run in which nothing waits for time."""

    def start_clock(self) -> None:
        pass

    def current_time(self) -> float:
        return 0.0

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return 0.0


class TaskWorld:
    """Runs the passes of any number of engines with a trio task for every actor. A context manager: leaving it ends the tasks."""

    def __init__(self) -> None:
        self._ticks: deque[Callable[[], Any]] = deque()
        self._tasks: WeakKeyDictionary[Engine, ActorTasks] = WeakKeyDictionary()
        self._engine: Engine | None = None
        self._more = False
        self._error: BaseException | None = None
        self._waiting: trio.lowlevel.Task | None = None
        self._ended = False
        self._closing = False

    def __enter__(self) -> TaskWorld:
        trio.lowlevel.start_guest_run(
            self._main, run_sync_soon_threadsafe=self._ticks.append, run_sync_soon_not_threadsafe=self._ticks.append,
            done_callback=self._end, host_uses_signal_set_wakeup_fd=True, clock=_Standing(),
        )  # fmt: skip
        self._step(lambda: self._waiting is not None)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closing = True
        self._wake()
        self._step(lambda: self._ended)

    def run(self, engine: Engine) -> bool:
        """One pass, as `Engine.run`; True if there is more to do at once."""
        self._engine = engine
        self._wake()
        self._step(lambda: self._engine is None or self._ended)
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return self._more

    def _wake(self) -> None:
        task, self._waiting = self._waiting, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _step(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._ticks.popleft()()

    def _end(self, outcome: Any) -> None:
        self._ended = True
        # An actor's task does not raise, because the engine catches what handlers raise; an error here is the engine's own.
        self._error = getattr(outcome, "error", None)

    async def _main(self) -> None:
        async with trio.open_nursery() as nursery:
            while not self._closing:
                if self._engine is not None:
                    await self._pass(nursery, self._engine)
                    self._engine = None
                self._waiting = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
            nursery.cancel_scope.cancel()

    async def _pass(self, nursery: trio.Nursery, engine: Engine) -> None:
        tasks = self._tasks.get(engine)
        if tasks is None:
            tasks = self._tasks[engine] = ActorTasks(engine)
        try:
            self._more = await tasks.run_pass(nursery)
        except Exception as error:
            # It belongs to whoever asked for the pass, outside of trio.
            self._error = error
