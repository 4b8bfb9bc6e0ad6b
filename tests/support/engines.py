"""A small world for tests of the engine: a clock moved by hand, a record kind that uses every feature, and an actor that does as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from runtime.actor import Actor, CallResult, Due, Ref, Resume, handles
from runtime.context import Context
from runtime.crash import Crash, CrashPolicy, QuarantineFor, RestartAfter
from runtime.crash_policy import SupervisedCrashes
from runtime.deadlines import has_come
from runtime.engine import Engine
from runtime.random import Randomness, SeededRandomness
from runtime.store.port import Event, Kind
from runtime.trace import Trace
from runtime.values import evolve
from sim.store import MemoryStore

WALL = 1_800_000_000.0


class ManualClock:
    """Both clocks of a host, moved by hand."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.wall_at = WALL

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.wall_at

    def advance(self, seconds: float) -> None:
        self.at += seconds
        self.wall_at += seconds


@attrs.frozen
class AccountRecord:
    """What an account remembers: the tags of everything that it was told to do."""

    id: str
    version: int = 0
    email: str | None = None
    tags: tuple[str, ...] = ()
    due_at: float | None = None
    fired: int = 0
    resume: bool = False


@attrs.frozen
class Seen:
    """Evidence."""

    count: int = 0


ACCOUNT = Kind(
    "account",
    AccountRecord,
    unique={"email": "email_taken"},
    keys=lambda record: {"email": record.email},
    due=lambda record: record.due_at,
    resume=lambda record: record.resume,
    evidence=Seen,
)
ROW = Kind("row", AccountRecord)
PATIENCE_S = 600.0
LOOKER = Kind("looker", AccountRecord, due=lambda record: record.due_at, put_off_s=PATIENCE_S)
"""Looks again after ten minutes at most."""
MIXED = Kind("mixed", AccountRecord, due=lambda record: record.due_at, put_off_s=PATIENCE_S, has_dates=True)
"""The same, with dates of its own beside."""


@attrs.frozen
class Do:
    """Run this function as the handler."""

    what: Callable[[Actor, Context], None] = attrs.field(repr=False)
    name: str = "do"


class Fetched(CallResult, frozen=True):
    """The outcome of a port call."""


@attrs.frozen
class Fetch:
    """A request to the port of the tests."""

    what: str = ""


@attrs.frozen
class Note:
    """Only counted."""

    text: str = ""


class Account(Actor):
    """Does as told; what happened to it is written to `world.seen`, reached through the settings."""

    kind = ACCOUNT

    @handles(Do)
    def on_do(self, message: Do, ctx: Context) -> None:
        message.what(self, ctx)

    @handles(Note)
    def on_note(self, message: Note, ctx: Context) -> None:
        ctx.settings.append((self.ref, message))

    @handles(Fetched)
    def on_fetched(self, message: Fetched, ctx: Context) -> None:
        ctx.settings.append((self.ref, message))
        slot = getattr(self, "slot", None)
        if slot is not None:
            self.slot = None
            ctx.answer(slot, message.outcome)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        ctx.settings.append((self.ref, message))
        record = self.record
        if record is not None and record.due_at is not None and record.due_at <= ctx.wall:
            ctx.save(evolve(record, due_at=None, fired=record.fired + 1))

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        ctx.settings.append((self.ref, message))

    def on_activated(self, ctx: Context) -> None:
        ctx.settings.append((self.ref, "activated"))

    def holds_work(self) -> bool:
        return getattr(self, "slot", None) is not None


class Looker(Account):
    kind = LOOKER

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        ctx.settings.append((self.ref, message))
        record = self.record
        if record is not None and has_come(record.due_at, ctx.wall, PATIENCE_S):
            ctx.save(evolve(record, due_at=None, fired=record.fired + 1))


class Mixed(Looker):
    kind = MIXED


class DropOldest(Account):
    kind = None
    mailbox_max = 2
    overflow = "drop_oldest"


class Coalesce(Account):
    kind = None
    mailbox_max = 2
    overflow = "coalesce"


class Block(Account):
    kind = None
    mailbox_max = 2
    overflow = "block"


class Reject(Account):
    kind = None
    mailbox_max = 2
    overflow = "reject"


ACTORS: dict[str, type[Actor]] = {
    "account": Account, "looker": Looker, "mixed": Mixed, "drop_oldest": DropOldest, "coalesce": Coalesce, "block": Block, "reject": Reject,
}  # fmt: skip


class AtOnce:
    """A crash policy that always restarts at once."""

    def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor:
        return RestartAfter(0.0)

    def healthy(self, ref: Ref) -> None:
        pass


class World:
    """One engine with its store, clock and port."""

    def __init__(
        self,
        *,
        hold: bool = False,
        scheduler: Callable[[int], int] | None = None,
        trace: Trace | None = None,
        policy: CrashPolicy | None = None,
        chance: Randomness | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.chance = chance or SeededRandomness(1)
        self.store = MemoryStore([ACCOUNT, ROW, LOOKER, MIXED], hold=hold, chance=self.chance)
        self.seen: list[tuple[Ref, Any]] = []
        self.calls: list[tuple[Fetch, Callable[[Any], None]]] = []
        self.events: list[Event] = []
        self.wakes = 0
        self.policy = policy or AtOnce()
        self.scheduler = scheduler
        self.trace = trace
        self.engine = self.new_engine()

    def new_engine(self) -> Engine:
        engine = Engine(
            store=self.store, clock=self.clock, randomness=self.chance, actors=ACTORS, settings=self.seen,
            ports={Fetch: lambda request, done: self.calls.append((request, done))}, crash_policy=self.policy,
            scheduler=self.scheduler, trace=self.trace, wake=self._woken,
        )  # fmt: skip
        engine.on_events.append(self._events)
        return engine

    def _woken(self) -> None:
        self.wakes += 1

    def _events(self, events: Sequence[Event]) -> None:
        self.events += events

    def run(self) -> None:
        """Run until nothing is ready."""
        for _ in range(10_000):
            if not self.engine.run():
                return
        raise AssertionError("the engine never comes to rest")

    def advance(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass in steps, running the engine after each."""
        while seconds > 0:
            self.clock.advance(min(step, seconds))
            seconds -= step
            self.run()

    def ask(self, ref: Ref, what: Callable[[Actor, Context], None] | Any, timeout_s: float = 30.0) -> list[Any]:
        """Ask; the list fills with the outcomes."""
        outcomes: list[Any] = []
        message = Do(what) if callable(what) else what
        self.engine.ask(ref, message, timeout_s, outcomes.append)
        return outcomes

    def record(self, ref: Ref) -> AccountRecord | None:
        """What is on the disk."""
        row = self.store.load(ref.kind, ref.id)
        return None if row is None else row.record

    def crash_process(self) -> None:
        """Kill the process and start another on what the disk holds."""
        self.store = self.store.crash()
        self.calls.clear()
        self.engine = self.new_engine()
        self.engine.start()


def quarantining(clock: ManualClock) -> SupervisedCrashes:
    return SupervisedCrashes(list(ACTORS), clock, SeededRandomness(1))


def add(tag: str, **fields: Any) -> Callable[[Actor, Context], None]:
    """A handler that saves one more tag and answers with the number of tags."""

    def handler(actor: Actor, ctx: Context) -> None:
        record = actor.record or AccountRecord(actor.ref.id)
        ctx.save(evolve(record, tags=(*record.tags, tag), **fields))
        ctx.reply(len(record.tags) + 1)

    return handler
