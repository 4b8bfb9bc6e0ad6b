"""What turns a run into events: a tracer that a world carries if somebody asked for one, and the two parts of a world that tell it causes.

Lives here: the numbering of events and the finding of causes. Must not live here: how events look (see `events`).

A cause is carried in three ways. Whatever runs at once is caused by the event that is current. Whatever waits for its time keeps the event
that was current when it was arranged. A message that waits in a mailbox is remembered together with the event that put it there. A world
without a tracer is made of the ordinary timeline and engine and pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from runtime.actor import CallResult, Ref
from runtime.cell import Ask, Cell, Effect
from runtime.engine import Engine
from runtime.values import evolve
from sim.clock import Timeline, Timeout
from sim.trace.events import TraceEvent

Listener = Callable[[TraceEvent], None]


class Tracer:
    """Numbers everything that happens in one world and hands it on.

    Args:
        listener: gets every event, in order.

    Attributes:
        current: the number of the event that is the cause of what happens now.
    """

    def __init__(self, listener: Listener) -> None:
        self.current: int | None = None
        self._listener = listener
        self._started_at: float | None = None
        self._opening: list[TraceEvent] = []
        self._last = 0
        self._mail: dict[tuple[str, Ref, int], tuple[Any, int | None]] = {}
        self._leaving: dict[int, tuple[Sequence[Effect], int]] = {}
        self._saved: dict[tuple[str, str], int] = {}

    def begin(self, now: float) -> None:
        """Call this moment of the timeline zero. What happened before it is told now."""
        self._started_at, self.current = now, None
        for event in self._opening:
            self._listener(evolve(event, at=event.at - now))
        self._opening.clear()

    def event(self, now: float, host: str, kind: str, who: str = "", what: str = "", **more: Any) -> int:
        """Something happens because of the current event, and becomes the current one; its number."""
        return self._tell(self.current, now, host, kind, who, what, **more)

    def turn(
        self, now: float, host: str, ref: Ref, message: Any, outcome: str, names: tuple[str, ...], effects: Sequence[Effect], record: Any
    ) -> None:
        """An actor took a turn."""
        _, cause = self._mail.pop((host, ref, id(message)), (None, None))
        state = str(getattr(record, "status", "") or "")
        seq = self._tell(
            cause, now, host, "turn", str(ref), type(message).__name__,
            outcome=outcome, state=state, effects=names, message=message, record=record,
        )  # fmt: skip
        if outcome == "saved":
            self._leaving[id(effects)] = (effects, seq)
            self._saved[(host, str(ref))] = seq

    def _tell(self, cause: int | None, now: float, host: str, kind: str, who: str, what: str, **more: Any) -> int:
        self._last += 1
        self.current = self._last
        at = now - (self._started_at or 0.0)
        event = TraceEvent(seq=self._last, cause=cause, at=at, host=host, kind=kind, who=who, what=what, **more)
        (self._listener if self._started_at is not None else self._opening.append)(event)
        return self._last

    def saved(self, host: str, ref: Ref) -> int | None:
        """The number of the turn in which an actor saved last."""
        return self._saved.get((host, str(ref)))

    def mailed(self, host: str, ref: Ref, message: Any) -> None:
        """A message was put into a mailbox because of the current event."""
        self._mail[(host, ref, id(message))] = (message, self.current)

    def leaving(self, effects: Sequence[Effect]) -> None:
        """The effects of a turn that has been committed leave now."""
        kept = self._leaving.pop(id(effects), None)
        if kept is not None:
            self.current = kept[1]

    @contextmanager
    def because_of(self, cause: int | None) -> Iterator[None]:
        """What happens within has this cause."""
        former, self.current = self.current, cause
        try:
            yield
        finally:
            self.current = former


class TracedTimeline(Timeline):
    """A timeline whose events keep the cause that was current when they were arranged."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def at(self, when: float, event: Callable[[], None]) -> None:
        super().at(when, self._caused(event))

    def after(self, delay_s: float, event: Callable[[], None]) -> None:
        self.at(self.now + delay_s, event)

    def soon(self, event: Callable[[], None]) -> None:
        super().soon(self._caused(event))

    def timeout(self, delay_s: float, event: Callable[[], None]) -> Timeout:
        return super().timeout(delay_s, self._caused(event))

    def _caused(self, event: Callable[[], None]) -> Callable[[], None]:
        cause = self._tracer.current

        def caused() -> None:
            with self._tracer.because_of(cause):
                event()

        return caused


class TracedEngine(Engine):
    """An engine that tells a tracer who put which message where."""

    def __init__(self, tracer: Tracer, host: str, **parts: Any) -> None:
        self._tracer = tracer
        self._host = host
        super().__init__(**parts)

    def tell(self, ref: Ref, message: Any, ask: Ask | None = None) -> bool:
        self._tracer.mailed(self._host, ref, message)
        return super().tell(ref, message, ask)

    def arm(self, cell: Cell, what: tuple[str, float, Any]) -> None:
        self._tracer.mailed(self._host, cell.ref, what[2])
        super().arm(cell, what)

    def start_call(self, cell: Cell, what: tuple[Any, type[CallResult], Any]) -> None:
        request, then, tag = what

        def noted(outcome: Any, tag: Any) -> CallResult:
            result = then(outcome, tag)
            self._tracer.mailed(self._host, cell.ref, result)
            return result

        super().start_call(cell, (request, noted, tag))  # type: ignore[arg-type]  # it is only called

    def _perform(self, cell: Cell, effects: list[Effect]) -> None:
        self._tracer.leaving(effects)
        super()._perform(cell, effects)
