"""Port calls as trio tasks: the bridge between an engine that never waits and the functions that do.

Lives here: starting, and turning every failure into a `Fault`. Must not live here: what a port does.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from runtime.engine import PortStart
from runtime.errors import InternalFault

log = logging.getLogger("powernode.ports")

_FAILED = InternalFault("internal_error", "a port of this platform failed; see its log", 500)


class PortRunner:
    """Starts port calls in one nursery; at most `together` of those that use threads run at a time.

    Every task starts in a pristine context, so that it keeps nothing of its caller alive.
    """

    def __init__(self, nursery: trio.Nursery, *, together: int = 8) -> None:
        self._nursery = nursery
        self._threads = trio.CapacityLimiter(together)

    def asynchronous(self, function: Callable[[Any], Awaitable[Any]]) -> PortStart:
        """A port side that awaits."""

        def start(request: Any, done: Callable[[Any], None]) -> None:
            contextvars.Context().run(self._nursery.start_soon, self._run, function, request, done)

        return start

    def threaded(self, function: Callable[[Any], Any]) -> PortStart:
        """A port side that computes for long: it runs in a worker thread."""

        async def call(request: Any) -> Any:
            return await trio.to_thread.run_sync(function, request, limiter=self._threads, abandon_on_cancel=True)

        return self.asynchronous(call)

    def direct(self, function: Callable[[Any], Any]) -> PortStart:
        """A port side that answers within microseconds."""

        def start(request: Any, done: Callable[[Any], None]) -> None:
            try:
                outcome = function(request)
            except Exception:
                log.exception("port failed", extra={"request": type(request).__name__})
                outcome = _FAILED
            done(outcome)

        return start

    async def _run(self, function: Callable[[Any], Awaitable[Any]], request: Any, done: Callable[[Any], None]) -> None:
        try:
            outcome = await function(request)
        except trio.Cancelled:
            raise
        except Exception:
            log.exception("port failed", extra={"request": type(request).__name__})
            outcome = _FAILED
        done(outcome)
