"""Long-running async services (listeners, loops, pumps) as supervised trio tasks.

Lives here: the trio host of the supervision engine. Must not live here: restart decisions (see `supervisor`), or any particular service.
A service never sees the context variables of whoever opened the tree, so that no request's state leaks into a loop that outlives it.
"""

from __future__ import annotations

import contextvars
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Literal

import trio

from runtime.clock import Clock
from runtime.random import Randomness
from runtime.supervision import (
    AutoShutdown,
    Backoff,
    ChildSpec,
    CrashReport,
    Notice,
    Quarantine,
    Shutdown,
    Strategy,
    SupervisorEnd,
    SupervisorSpec,
    describe,
)
from runtime.supervisor import Supervisor, make_supervisor

_log = logging.getLogger(__name__)


class ServiceTreeError(Exception):
    """The services could not be started, or crashed more often than their supervisor allows."""

    def __init__(self, name: str, end: SupervisorEnd) -> None:
        super().__init__(f"services {name!r} ended ({end.reason}): {end.error}")
        self.name = name
        self.end = end


class Service:
    """What a running service is given: a way to say that it is ready, and a way to learn that it should stop.

    It serves as the `task_status` of trio's own functions:

        async def listen(service: Service) -> None:
            with service.until_stop():
                await trio.serve_tcp(handle, 0, task_status=service)
            await finish_open_requests()
    """

    def __init__(self, on_started: Callable[[], None]) -> None:
        self._on_started = on_started
        self._has_started = False
        self._stop_scopes: set[trio.CancelScope] = set()
        self._drains = False
        self._stopping = False
        self._scope = trio.CancelScope(shield=True)

    def started(self, value: object = None) -> None:
        """Say once that the service is ready; the next one in order starts only then. The value is ignored.

        Raises:
            RuntimeError: it was said before.
        """
        if self._has_started:
            raise RuntimeError("a service may say only once that it has started")
        self._has_started = True
        self._on_started()

    @contextmanager
    def until_stop(self) -> Iterator[None]:
        """A block that is cancelled at the request to stop.

        What follows it may still finish open work, until the shutdown time has passed. A service that never entered such a block is
        cancelled at once.
        """
        self._drains = True
        with trio.CancelScope() as scope:
            if self._stopping:
                scope.cancel()
            self._stop_scopes.add(scope)
            try:
                yield
            finally:
                self._stop_scopes.discard(scope)

    def _stop(self, shutdown: Shutdown) -> None:
        self._stopping = True
        if shutdown == "brutal" or not self._drains:
            self._scope.cancel()
            return
        self._scope.deadline = min(self._scope.deadline, math.inf if shutdown == "infinity" else trio.current_time() + shutdown)
        for scope in self._stop_scopes:
            scope.cancel()


ReportSink = Callable[[CrashReport | Notice], None]


def log_report(report: CrashReport | Notice) -> None:
    """Write a report to the log: crashes as errors, the rest as information."""
    if isinstance(report, CrashReport):
        _log.error("%s/%s: %s; %s after %.3f s", report.supervisor, report.child, report.error, report.decision, report.delay_s)
    else:
        _log.info("%s%s %s %s", report.supervisor, f"/{report.child}" if report.child else "", report.what, report.detail)


class ServiceTree:
    """The trio host of one supervisor and all that stand below it. Made by `open_service_tree`.

    Attributes:
        supervisor: the root; ask it for states, lift a quarantine, or (dynamic) add and remove services.
        end: why the tree ended, None while it runs.
    """

    def __init__(
        self,
        name: str,
        spec: SupervisorSpec,
        clock: Clock,
        randomness: Randomness,
        nursery: trio.Nursery,
        report: ReportSink = log_report,
    ) -> None:
        self._clock = clock
        self._random = randomness.stream(f"supervisor/{name}")
        self._nursery = nursery
        self._report = report
        self._services: dict[tuple[Supervisor, str], Service] = {}
        self._timers: set[trio.CancelScope] = set()
        self._ready_or_ended = trio.Event()
        self._ended = trio.Event()
        self.end: SupervisorEnd | None = None
        self.supervisor = make_supervisor(name, spec, self, on_ready=self._ready_or_ended.set, on_end=self._on_end)

    async def _start(self) -> None:
        self.supervisor.start()
        await self._ready_or_ended.wait()

    async def _stop(self) -> None:
        with trio.CancelScope(shield=True):
            self.supervisor.stop()
            await self._ended.wait()
            for scope in self._timers:
                scope.cancel()

    def _on_end(self, end: SupervisorEnd) -> None:
        self.end = end
        self._ended.set()
        self._ready_or_ended.set()
        self._nursery.cancel_scope.cancel()

    # --- SupervisorHost ---

    @property
    def random(self) -> random.Random:
        return self._random

    def now(self) -> float:
        return self._clock.now()

    def start_child(self, supervisor: Supervisor, spec: ChildSpec) -> None:
        service = Service(lambda: supervisor.started(spec.id))
        self._services[supervisor, spec.id] = service
        self._spawn(self._run, supervisor, spec, service)

    def stop_child(self, supervisor: Supervisor, child_id: str, shutdown: Shutdown) -> None:
        self._services[supervisor, child_id]._stop(shutdown)

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> trio.CancelScope:
        scope = trio.CancelScope(shield=True)
        self._timers.add(scope)
        self._spawn(self._wait, scope, delay_s, callback)
        return scope

    def report(self, report: CrashReport | Notice) -> None:
        self._report(report)

    # --- tasks ---

    def _spawn(self, function: Callable[..., Awaitable[None]], *arguments: object) -> None:
        contextvars.Context().run(self._nursery.start_soon, function, *arguments)

    async def _wait(self, scope: trio.CancelScope, delay_s: float, callback: Callable[[], None]) -> None:
        try:
            with scope:
                await trio.sleep(delay_s)
        finally:
            self._timers.discard(scope)
        if not scope.cancel_called:
            callback()

    async def _run(self, supervisor: Supervisor, spec: ChildSpec, service: Service) -> None:
        """Run one service to its end. What is not an `Exception` (an interrupt) ends the whole tree, but is reported first."""
        error: BaseException | None = None
        try:
            with service._scope:
                await spec.start(service)
        except BaseException as caught:
            error = caught
        del self._services[supervisor, spec.id]
        supervisor.ended(spec.id, None if error is None else describe(error))
        if error is not None and not isinstance(error, Exception):
            raise error


@asynccontextmanager
async def open_service_tree(
    name: str,
    strategy: Strategy,
    specs: Sequence[ChildSpec],
    clock: Clock,
    randomness: Randomness,
    *,
    intensity: int = 5,
    period_s: float = 60.0,
    backoff: Backoff | None = None,
    on_excess: Literal["escalate"] | Quarantine = "escalate",
    auto_shutdown: AutoShutdown = "never",
    report: ReportSink = log_report,
) -> AsyncIterator[ServiceTree]:
    """Run services while the block runs; entering returns once all are ready, leaving stops them in reverse order.

    The stop is orderly also when the block fails or is cancelled from outside: services are shielded, and each has its shutdown time.
    If the tree ends by itself, the block is cancelled.

    Args:
        specs: `start` is an `async` function that takes a `Service`, or a `SupervisorSpec` for a subtree.
        report: gets every crash report and notice; the default writes them to the log.

    Raises:
        ServiceTreeError: a service failed to start, or the supervisor gave up.
    """
    rules = SupervisorSpec(strategy, tuple(specs), intensity, period_s, backoff or Backoff(), on_excess, auto_shutdown)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        tree = ServiceTree(name, rules, clock, randomness, nursery, report)
        try:
            await tree._start()
            if tree.end is None or tree.end.error is None:
                yield tree
        except Exception as caught:
            # Kept outside the nursery, which would wrap it in a group.
            failure = caught
        finally:
            await tree._stop()
    if tree.end is not None and tree.end.error is not None:
        raise ServiceTreeError(name, tree.end) from failure
    if failure is not None:
        raise failure
