"""Every use of what trio does not promise, in one file; importing it fails if trio has changed shape.

Lives here: a trio run that its host steps without a thread, an epoll wait or a real clock, in an order that a seed decides. Must not live
here: what runs in it, or when (see `clock`).

Outside of `GuestRun.inside` nothing of trio is different, so that other trio runs of the process, and other worlds, notice nothing.

The seams, beside the public ones (`trio.abc.Clock`, custom socket factory and host name resolver, guest mode):

* which of several ready tasks runs first, and which gets no turn for now: trio sorts and shuffles them if its own switch for tests is
  on, by a generator that is ours;
* threads: `trio.to_thread` finds the starter of threads as a global of its module, where one that computes at once takes its place;
* the run that this thread is in: kept in a thread-local, taken out while the host of the run goes on;
* polling: nothing of a simulated run waits for the kernel, so it is not asked.
"""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

import outcome
import trio
from trio._core import _run
from trio._core._entry_queue import EntryQueue
from trio._core._run import GLOBAL_RUN_CONTEXT, Runner

# Typed as anything, since the name that matters is not exported.
_threads: Any = sys.modules["trio._threads"]
_loop: Any = _run

VERSIONS: Final = "trio 0.30 to 0.35"
"""With which these seams were tried."""


class ShapeError(ImportError):
    """trio is not built as this file expects; simulated sockets cannot be had until it has been read again."""


class EscapeError(RuntimeError):
    """Something in a simulated run waits for a real file descriptor, which virtual time cannot wait for."""


def _expectations() -> dict[str, bool]:
    """What must be true of trio, in words."""
    loop = _run.unrolled_run.__code__
    fields = {field.name for field in Runner.__attrs_attrs__}
    queue = {field.name for field in EntryQueue.__attrs_attrs__}
    return {
        "the loop has a switch for deterministic scheduling": "_ALLOW_DETERMINISTIC_SCHEDULING" in loop.co_names,
        "the loop shuffles with a generator of the module": "_r" in loop.co_names and "shuffle" in loop.co_names,
        "the generator is a random.Random": isinstance(_run._r, random.Random),
        "the loop asks the clock how long to sleep": "deadline_to_sleep_time" in loop.co_names,
        "a run has a queue of ready tasks, deadlines and an entry queue": {"runq", "deadlines", "entry_queue", "io_manager"} <= fields,
        "a run knows who waits for all others to block": "waiting_for_idle" in fields,
        "the entry queue has two queues": {"queue", "idempotent_queue"} <= queue,
        "the current run stands in a thread-local": hasattr(GLOBAL_RUN_CONTEXT, "__dict__"),
        "threads are started through a global": "start_thread_soon" in trio.to_thread.run_sync.__code__.co_names,
        "that global takes a function and a receiver": _threads.start_thread_soon.__code__.co_varnames[:3] == ("fn", "deliver", "name"),
        "the guest's ticks poll, in a thread if they have to wait": {"get_events", "start_thread_soon"}
        <= set(_run.GuestState.guest_tick.__code__.co_names),
        "sockets can be made by a factory": all(
            hasattr(trio.socket, name) for name in ("SocketType", "set_custom_socket_factory", "set_custom_hostname_resolver")
        ),
    }


def check() -> None:
    """Raises ShapeError, naming every difference."""
    broken = [what for what, holds in _expectations().items() if not holds]
    if broken:
        raise ShapeError(f"trio {trio.__version__} differs from {VERSIONS}; no longer so: {'; '.join(broken)}")


check()


def at_once(fn: Callable[[], Any], deliver: Callable[[outcome.Outcome[Any]], object], name: str | None = None) -> None:
    """A thread that has ended before it began: the work is done here and now, and its outcome comes as a thread's would."""
    deliver(outcome.capture(fn))


Judge = Callable[[trio.lowlevel.Task], bool]


class _Order:
    """In place of trio's generator: the seed decides about the order of ready tasks, and somebody may hold back some of them.

    Attributes:
        holds: whether a task gets no turn; None: all get theirs.
        held: ready tasks that got none, to be put back by whoever held them.
    """

    def __init__(self, chance: random.Random) -> None:
        self.holds: Judge | None = None
        self.held: list[trio.lowlevel.Task] = []
        self.random, self.uniform = chance.random, chance.uniform
        self._shuffle = chance.shuffle

    def shuffle(self, batch: list[trio.lowlevel.Task]) -> None:
        """Put the tasks of one pass in order."""
        if self.holds is not None:
            free: list[trio.lowlevel.Task] = []
            for task in batch:
                (self.held if self.holds(task) else free).append(task)
            batch[:] = free
        self._shuffle(batch)


class GuestRun:
    """One trio run, stepped by its host. Not re-entrant.

    Attributes:
        outcome: how the main function ended, once it has.
    """

    def __init__(self, main: Callable[[], Awaitable[object]], clock: trio.abc.Clock, order: random.Random) -> None:
        self.outcome: outcome.Outcome[Any] | None = None
        self._ticks: deque[Callable[[], object]] = deque()
        self._order = _Order(order)
        self._context: dict[str, Any] = {}
        self._hooks = sys.get_asyncgen_hooks()
        with self.inside():
            trio.lowlevel.start_guest_run(
                main,
                clock=clock,
                run_sync_soon_threadsafe=self._ticks.append,
                run_sync_soon_not_threadsafe=self._ticks.append,
                done_callback=self._ended,
                host_uses_signal_set_wakeup_fd=True,
            )
            self._runner: Runner = GLOBAL_RUN_CONTEXT.runner
        self._poller: Any = self._runner.io_manager
        self._runner.io_manager = _NoPolling(self._poller, self._runner.entry_queue)  # type: ignore[assignment]

    def _ended(self, how: outcome.Outcome[Any]) -> None:
        self.outcome = how

    def inside(self) -> _Inside:
        """A block in which trio's functions mean this run, threads compute at once, and the seed decides about order."""
        return _Inside(self)

    def tick(self) -> bool:
        """One pass of the loop; False after the last one. To be called inside."""
        if not self._ticks:
            return False
        self._ticks.popleft()()
        return True

    @property
    def has_calls(self) -> bool:
        """Whether calls from outside wait to be run."""
        runner = self._runner
        queue = runner.entry_queue
        return bool(queue.queue or queue.idempotent_queue or runner.runq)

    @property
    def has_idle_waiters(self) -> bool:
        """Whether somebody waits until all others are blocked."""
        return bool(self._runner.waiting_for_idle)

    def hold(self, holds: Judge | None) -> None:
        """From now on ready tasks of which this is true get no turn; those that were held so far are judged again."""
        self._order.holds = holds
        self.let_go()

    def let_go(self) -> None:
        """Let the tasks that were held be judged again, in the next pass."""
        self._runner.runq.extend(self._order.held)
        self._order.held.clear()

    def check_escapes(self) -> None:
        """Raises EscapeError if a task waits for a file descriptor other than the run's own wake-up."""
        waiting = self._poller.statistics()
        if getattr(waiting, "tasks_waiting_read", 1) > 1 or getattr(waiting, "tasks_waiting_write", 0):
            raise EscapeError("a task of a simulated run waits for a real file descriptor")

    def reschedule(self, task: trio.lowlevel.Task, value: outcome.Outcome[Any]) -> None:
        """Let a task go on that waits in `wait_task_rescheduled`; inside or outside."""
        self._runner.reschedule(task, value)

    def task_tree(self) -> str:
        """Every task and what it waits for, as text for a report."""
        lines: list[str] = []

        def describe(task: trio.lowlevel.Task, depth: int) -> None:
            places = [
                f"{frame.f_code.co_name}:{line}"
                for frame, line in task.iter_await_frames()
                if "/trio/_core/" not in frame.f_code.co_filename
            ]
            lines.append(f"{'  ' * depth}{task.name}: {' > '.join(places)}")
            for nursery in task.child_nurseries:
                for child in sorted(nursery.child_tasks, key=lambda child: child._counter):
                    describe(child, depth + 1)

        if self._runner.main_task is not None:
            describe(self._runner.main_task, 0)
        return "\n".join(lines)


class _NoPolling:
    """In place of trio's own: the kernel is asked only when a call from outside is on its way through trio's wake-up socket."""

    def __init__(self, poller: Any, queue: EntryQueue) -> None:
        self._poller = poller
        self._queue = queue

    def get_events(self, timeout: float) -> Any:
        if timeout > 0 or self._queue.queue or self._queue.idempotent_queue:
            return self._poller.get_events(timeout)
        return []

    def process_events(self, events: Any) -> None:
        if events:
            self._poller.process_events(events)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._poller, name)


class _Inside:
    """See `GuestRun.inside`. Written out, since it stands around every step of a world."""

    __slots__ = ("_before", "_run")

    def __init__(self, run: GuestRun) -> None:
        self._run = run

    def __enter__(self) -> None:
        current = GLOBAL_RUN_CONTEXT.__dict__
        self._before = (
            dict(current),
            _run._ALLOW_DETERMINISTIC_SCHEDULING,
            _run._r,
            _threads.start_thread_soon,
            _loop.start_thread_soon,
            sys.get_asyncgen_hooks(),
        )
        current.clear()
        current.update(self._run._context)
        _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
        _loop._r = self._run._order
        _threads.start_thread_soon = _loop.start_thread_soon = at_once
        sys.set_asyncgen_hooks(*self._run._hooks)

    def __exit__(self, *exception: object) -> None:
        current = GLOBAL_RUN_CONTEXT.__dict__
        self._run._context = dict(current)
        self._run._hooks = sys.get_asyncgen_hooks()
        before, switch, generator, starter, poller, hooks = self._before
        current.clear()
        current.update(before)
        _run._ALLOW_DETERMINISTIC_SCHEDULING = switch  # type: ignore[misc]
        _run._r = generator
        _threads.start_thread_soon, _loop.start_thread_soon = starter, poller
        sys.set_asyncgen_hooks(*hooks)
