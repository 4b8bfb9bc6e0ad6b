"""Drivers that run an engine inside trio, and the awaitable face of `ask`.

Lives here: `StepDriver` (all actors in one task; production and default) and `TaskDriver` (one task per actor; tests compare its trace
digest). Must not live here: any rule about turns. A driver decides only when, and in which task, a handler runs.
"""

from __future__ import annotations

import contextvars
import math
from typing import Any

import trio

from runtime.actor import Ref
from runtime.cell import Cell
from runtime.engine import Engine
from runtime.limits import MESSAGES_PER_PASS
from runtime.mailbox import Envelope

_UNANSWERED = object()


class _Answer:
    """Where one waiting task receives the outcome of its ask."""

    __slots__ = ("task", "value")

    def __init__(self) -> None:
        self.value: Any = _UNANSWERED
        self.task: trio.lowlevel.Task | None = None

    def __call__(self, value: Any) -> None:
        self.value = value
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task)


class _Driver:
    """What both drivers share: parking, the timer task, `ask` and `tell_when_admitted`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        engine.wake = self._wake
        self._parked: trio.lowlevel.Task | None = None
        self._woken = False
        self._armed_at = math.inf
        self._timer_scope: trio.CancelScope | None = None

    def _wake(self) -> None:
        self._woken = True
        task, self._parked = self._parked, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    async def _park(self) -> None:
        if self._woken:
            self._woken = False
            await trio.lowlevel.checkpoint()
            return

        def abort(_: Any) -> trio.lowlevel.Abort:
            self._parked = None
            return trio.lowlevel.Abort.SUCCEEDED

        self._parked = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        self._woken = False

    def _check_timer(self) -> None:
        at = self.engine.next_timer_at()
        if at < self._armed_at and self._timer_scope is not None:
            self._armed_at = at
            self._timer_scope.deadline = trio.current_time() + (at - self.engine.clock.now())

    async def _keep_time(self) -> None:
        while True:
            with trio.CancelScope() as scope:
                self._timer_scope, self._armed_at = scope, math.inf
                self._check_timer()
                await trio.sleep_forever()
            self._wake()

    async def ask(self, ref: Ref, message: Any, timeout_s: float) -> Any:
        """The outcome of `message`: the actor's reply, or a `Fault`; never longer than `timeout_s`. Runs ready actors in passing."""
        answer = _Answer()
        self.engine.ask(ref, message, timeout_s, answer)
        return await self._outcome(answer)

    async def _outcome(self, answer: _Answer) -> Any:
        self._check_timer()
        if answer.value is not _UNANSWERED:
            # An outcome that is here already is not thrown away for a cancellation.
            await trio.lowlevel.cancel_shielded_checkpoint()
            return answer.value

        def abort(_: Any) -> trio.lowlevel.Abort:
            answer.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        answer.task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(abort)
        return answer.value

    async def tell_when_admitted(self, ref: Ref, message: Any) -> bool:
        """Queue a message, waiting for room in the actor's mailbox first (overflow policy `block`)."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            room = trio.Event()
            if not self.engine.when_admitted(ref, room.set):
                queued = self.engine.tell(ref, message)
                await trio.lowlevel.cancel_shielded_checkpoint()
                return queued
            try:
                await room.wait()
            except trio.Cancelled:
                self.engine.stop_waiting(ref, room.set)
                raise


class StepDriver(_Driver):
    """Runs every actor in one task: the ready queue is emptied in passes, and the task sleeps when nothing is ready."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await trio.lowlevel.checkpoint()
            task_status.started()
            while True:
                more = self.engine.run()
                self._check_timer()
                if more:
                    await trio.lowlevel.checkpoint()
                else:
                    await self._park()

    async def ask(self, ref: Ref, message: Any, timeout_s: float) -> Any:
        answer = _Answer()
        engine = self.engine
        # The caller's task runs the pass itself: an answer that needs no disk costs no task switch.
        waker, engine.wake = engine.wake, _stay_asleep
        try:
            engine.ask(ref, message, timeout_s, answer)
        finally:
            engine.wake = waker
        if engine.run():
            self._wake()
        return await self._outcome(answer)


class ActorTasks:
    """A trio task for every actor of one engine, in which its handlers run. The tasks end with the nursery of their first message."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks: dict[Ref, trio.MemorySendChannel[tuple[Cell, Envelope, trio.Event]]] = {}

    async def run_pass(self, nursery: trio.Nursery) -> bool:
        """As `Engine.run`, message by message: passes end after as many as there, so that both drivers commit at the same points."""
        engine = self._engine
        if not engine.begin_pass():
            return True
        try:
            for _ in range(MESSAGES_PER_PASS):
                picked = engine.pick()
                if picked is None:
                    break
                await self._hand_over(nursery, *picked)
        finally:
            more = engine.end_pass()
        return more

    async def _hand_over(self, nursery: trio.Nursery, cell: Cell, envelope: Envelope) -> None:
        channel = self._tasks.get(cell.ref)
        if channel is None:
            channel, receive = trio.open_memory_channel[tuple[Cell, Envelope, trio.Event]](1)
            self._tasks[cell.ref] = channel
            # A pristine context: an actor's task must not keep alive what some caller had in its context variables.
            contextvars.Context().run(nursery.start_soon, self._actor_task, receive)
        done = trio.Event()
        await channel.send((cell, envelope, done))
        await done.wait()

    async def _actor_task(self, receive: trio.MemoryReceiveChannel[tuple[Cell, Envelope, trio.Event]]) -> None:
        async for cell, envelope, done in receive:
            self._engine.execute(cell, envelope)
            done.set()


class TaskDriver(_Driver):
    """Runs every actor in a trio task of its own, in the order that the engine's scheduler picks."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        tasks = ActorTasks(self.engine)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await trio.lowlevel.checkpoint()
            task_status.started()
            while True:
                more = await tasks.run_pass(nursery)
                self._check_timer()
                if not more:
                    await self._park()


def _stay_asleep() -> None:
    """Stands in for `wake` while the caller is about to run the engine itself."""
