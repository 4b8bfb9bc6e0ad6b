"""What the engine keeps in memory: cells (one per actor), asks, and turns whose writes are on their way to the disk.

Lives here: the data of the engine. Must not live here: what it does with them (see `engine`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from runtime.actor import Actor, Ref
from runtime.mailbox import Envelope, Mailbox
from runtime.recorder import Ring
from runtime.store.port import Unit
from runtime.timers import Timer

Effect = tuple[str, Callable[[Any, Any], Any], Any, Any]
"""(name, function, first argument, second argument): carried out in the act step."""


class Ask:
    """One question waiting for exactly one answer: the reply, the deadline, or the loss of whoever held it."""

    __slots__ = ("_done", "_open_asks", "holder")

    def __init__(self, done: Callable[[Any], None], open_asks: dict[Ask, None]) -> None:
        self._done: Callable[[Any], None] | None = done
        self._open_asks = open_asks
        self.holder: Cell | None = None
        open_asks[self] = None

    def __repr__(self) -> str:
        return "Ask()"

    @property
    def open(self) -> bool:
        return self._done is not None

    def finish(self, value: Any) -> bool:
        """Hand over the outcome; False if there was one already."""
        done = self._done
        if done is None:
            return False
        self._done = None
        self._open_asks.pop(self, None)
        if self.holder is not None:
            self.holder.release(self)
        done(value)
        return True


class Cell(Mailbox):
    """One actor in memory: its mailbox (inherited, since an idle actor must stay small), its instance, and what is volatile about it.

    Attributes:
        parked: nothing is queued and nothing forbids to run, so that the next message must put the cell into the ready queue.
        gate: a turn's commit is under way; no message is taken.
        room: bound of the user lane where a message may simply be appended; 0 where more must be decided, -1 in quarantine.
        poisoned: the envelope whose handling has crashed last, and how often.
        used: monotonic seconds of the last turn.
    """

    __slots__ = (
        "actor", "asks", "calls", "dirty", "gate", "handlers", "parked", "poisoned", "ref", "resting", "ring", "room", "timers",
        "used",
    )  # fmt: skip

    def __init__(self, actor: Actor, used: float) -> None:
        self.system = self.user = self.waiters = None
        self.actor = actor
        self.ref: Ref = actor.ref
        self.handlers = actor.handlers
        self.parked = True
        self.gate = False
        self.resting: Timer | None = None
        self.asks: dict[Ask, None] | None = None
        self.calls: set[int] | None = None
        self.timers: dict[str, Timer] | None = None
        self.ring: Ring | None = None
        self.dirty = False
        self.used = used
        self.poisoned: tuple[Envelope, int] | None = None
        self.room = 0
        self.open_up()

    @property
    def quarantined(self) -> bool:
        """Whether every message is refused."""
        return self.room < 0

    def open_up(self) -> None:
        """Take messages (again)."""
        self.room = 0 if self.actor.overflow == "coalesce" else self.actor.mailbox_max

    def quarantine(self) -> None:
        """Refuse every message until `open_up`."""
        self.room = -1

    def hold(self, ask: Ask) -> None:
        if self.asks is None:
            self.asks = {}
        self.asks[ask] = None
        ask.holder = self

    def release(self, ask: Ask) -> None:
        ask.holder = None
        if self.asks is not None:
            self.asks.pop(ask, None)

    @property
    def idle(self) -> bool:
        """Whether nothing but the record would be lost if the actor left memory."""
        return self.parked and not (self.dirty or self.asks or self.calls or self.timers or self.waiters or self.actor.holds_work())

    def trim(self) -> None:
        """Give back what an idle actor does not need."""
        super().trim()
        self.asks = self.asks or None
        self.calls = self.calls or None
        self.timers = self.timers or None


class ArmedMessage:
    """A message that a timer of an actor brings, called by the timer. An object and no closure, since idle actors hold two or three."""

    __slots__ = ("_arrive", "cell", "key", "message")

    def __init__(self, arrive: Callable[[Cell], None], cell: Cell, key: str, message: Any) -> None:
        self._arrive = arrive
        self.cell = cell
        self.key = key
        self.message = message

    def __call__(self) -> None:
        cell = self.cell
        if cell.timers is not None:
            cell.timers.pop(self.key, None)
        cell.put_system((self.message, None))
        self._arrive(cell)


class ArmedLook(ArmedMessage):
    """A message by which an actor looks whether there is something to do (see `runtime.actor.spared_while`).

    Args:
        spare: arms this again instead of the message, if nothing is to be seen; whether it has.
    """

    __slots__ = ("_spare", "period_s")

    def __init__(
        self, arrive: Callable[[Cell], None], cell: Cell, key: str, message: Any, period_s: float, spare: Callable[[ArmedLook], bool]
    ) -> None:
        super().__init__(arrive, cell, key, message)
        self.period_s = period_s
        self._spare = spare

    def __call__(self) -> None:
        if not self._spare(self):
            super().__call__()


@attrs.define(eq=False)
class PendingTurn:
    """A turn whose writes are on their way to the disk.

    Attributes:
        record: what the turn saved, or None.
        removed: whether the turn removed the record.
        evidence: the evidence written with it, or None.
        answered: asks that the turn answers; `ask` the one it was handling.
    """

    cell: Cell
    unit: Unit
    effects: list[Effect]
    record: Any
    removed: bool
    evidence: Any
    answered: list[Ask]
    ask: Ask | None
