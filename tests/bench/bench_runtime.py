"""Figures of the actor engine: messages, asks, memory, durable turns.

Lives here: each figure with the side that it is compared with. Must not live here: a timed assertion; the targets are shown, not tested.
"""

from __future__ import annotations

import gc
import tempfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pykka
import trio

from runtime.actor import Actor, Ref, handles
from runtime.clock import SystemClock
from runtime.crash_policy import SupervisedCrashes
from runtime.engine import Engine
from runtime.limits import PASSIVATE_BUCKET_S, PASSIVATE_SLICE, SLICE_EVERY_S
from runtime.random import SystemRandomness
from runtime.store.port import Kind, Put, Store, Unit
from runtime.store.sqlite import SqliteStore
from runtime.trio_driver import StepDriver
from runtime.values import evolve
from sim.store import MemoryStore
from tests.bench.figures import Figure, rate, ratio

MESSAGES = 60_000
ASKS = 6_000
ACTORS = 50_000
WRITERS = 64
TURNS_EACH = 20


@attrs.frozen
class Ball:
    """Passed from one player to the other."""


@attrs.frozen
class Question:
    """Answered at once."""


@attrs.frozen
class Step:
    """Saves."""


class Player(Actor):
    """Returns every ball until the count is used up."""

    passivate_after_s = None

    @handles(Ball)
    def on_ball(self, message: Ball, ctx: Any) -> None:
        settings = ctx.settings
        settings["left"] -= 1
        if settings["left"] > 0:
            ctx.send(settings["other"][ctx.ref], message)


class Clerk(Actor):
    """Answers."""

    @handles(Question)
    def on_question(self, message: Question, ctx: Any) -> None:
        ctx.reply(1)


@attrs.frozen
class Account:
    """A record to save."""

    id: str
    version: int = 0
    balance: int = 0
    due_at: float | None = None


ACCOUNT = Kind("account", Account, due=lambda record: record.due_at)


class Holder(Actor):
    """Saves its record at every step."""

    kind = ACCOUNT

    @handles(Step)
    def on_step(self, message: Step, ctx: Any) -> None:
        record = self.record or Account(self.ref.id)
        ctx.save(evolve(record, balance=record.balance + 1))
        ctx.reply(record.balance + 1)


class ShiftedClock(SystemClock):
    """The system's clock, moved forward at will."""

    shift_s = 0.0

    def now(self) -> float:
        return super().now() + self.shift_s


def engine_of(store: Store, settings: Any = None, clock: Any = None) -> Engine:
    actors: dict[str, type[Actor]] = {"player": Player, "clerk": Clerk, "account": Holder}
    clock = clock or SystemClock()
    chance = SystemRandomness()
    return Engine(
        store=store, clock=clock, randomness=chance, actors=actors, settings=settings, ports={},
        crash_policy=SupervisedCrashes(actors, clock, chance),
    )  # fmt: skip


# --- messages between two actors ---------------------------------------------------------------------------------


def engine_messages() -> float:
    a, b = Ref("player", "a"), Ref("player", "b")
    engine = engine_of(MemoryStore([ACCOUNT]), {"left": MESSAGES, "other": {a: b, b: a}})
    engine.tell(a, Ball())

    def work() -> None:
        while engine.run():
            pass

    return rate(MESSAGES, work)


def trio_messages() -> float:
    """One trio task for each actor, memory channels as mailboxes."""

    async def player(inbox: trio.MemoryReceiveChannel[Ball], other: trio.MemorySendChannel[Ball], left: list[int]) -> None:
        async for ball in inbox:
            left[0] -= 1
            if left[0] <= 0:
                other.close()
                return
            await other.send(ball)

    async def main() -> None:
        left = [MESSAGES // 6]
        to_a, at_a = trio.open_memory_channel[Ball](1024)
        to_b, at_b = trio.open_memory_channel[Ball](1024)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(player, at_a, to_b, left)
            nursery.start_soon(player, at_b, to_a, left)
            await to_a.send(Ball())

    return rate(MESSAGES // 6, lambda: trio.run(main))


def messages() -> dict[str, float]:
    return ratio(engine_messages, trio_messages)


# --- asks ----------------------------------------------------------------------------------------------------------


def engine_asks() -> float:
    driver = StepDriver(engine_of(MemoryStore([ACCOUNT])))
    reached: list[float] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.run)
            ref = Ref("clerk", "a")
            started = trio.current_time()
            for _ in range(ASKS):
                await driver.ask(ref, Question(), 10.0)
            reached.append(ASKS / (trio.current_time() - started))
            nursery.cancel_scope.cancel()

    trio.run(main)
    return reached[0]


class PykkaClerk(pykka.ThreadingActor):  # type: ignore[misc]
    """The same clerk under Pykka."""

    def on_receive(self, message: Any) -> int:
        return 1


def pykka_asks() -> float:
    clerk = PykkaClerk.start()

    def work() -> None:
        for _ in range(ASKS // 3):
            clerk.ask(Question(), timeout=10.0)

    try:
        return rate(ASKS // 3, work)
    finally:
        clerk.stop()


def asks() -> dict[str, float]:
    return ratio(engine_asks, pykka_asks)


# --- memory --------------------------------------------------------------------------------------------------------


def bytes_each(count: int, fill: Callable[[], Any]) -> float:
    """What `fill` leaves allocated, by the `count` things that it makes."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = fill()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / count


def idle_actor() -> dict[str, float]:
    """An actor that has had a message, one sweep later; its address is the caller's."""
    ids = [f"{number:036d}" for number in range(ACTORS)]
    clock = ShiftedClock()
    engine = engine_of(MemoryStore([ACCOUNT]), clock=clock)

    def fill() -> Engine:
        for id in ids:
            engine.tell(Ref("clerk", id), Question())
        while engine.run():
            pass
        clock.shift_s += PASSIVATE_BUCKET_S
        for _ in range(2 + ACTORS // PASSIVATE_SLICE):
            clock.shift_s += SLICE_EVERY_S
            engine.run()
        assert len(list(engine.in_memory)) == ACTORS
        return engine

    return {"figure": bytes_each(ACTORS, fill)}


def passivated_record() -> dict[str, float]:
    """What the engine keeps of a known record that is not in memory but has a deadline a month ahead; the record lies in the store."""
    clock = SystemClock()
    store = MemoryStore([ACCOUNT])
    month = clock.wall() + 30 * 86_400
    units = [Unit((Put("account", Account(f"{number:036d}", 1, 0, month + number % 86_400)),)) for number in range(ACTORS)]
    store.commit(units, lambda result: None)
    engine = engine_of(store)

    def fill() -> Engine:
        engine.start()
        engine.run()
        return engine

    return {"figure": bytes_each(ACTORS, fill)}


# --- durable turns ---------------------------------------------------------------------------------------------------


class _Loop:
    """Runs an engine over a real store without trio, so that nothing but turns and commits is measured."""

    def __init__(self, folder: str) -> None:
        self._news = threading.Event()
        self._inbox: list[Callable[[], None]] = []
        self.store = SqliteStore.open(Path(folder) / "bench.db", [ACCOUNT], deliver=self._deliver)
        self.engine = engine_of(self.store)

    def _deliver(self, callback: Callable[[], None]) -> None:
        self._inbox.append(callback)
        self._news.set()

    def run_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            if not self.engine.run() and not self._inbox and not reached():
                self._news.wait()
            self._news.clear()
            while self._inbox:
                self._inbox.pop(0)()


def durable_turns(at_once: int) -> float:
    """Turns that save, by as many actors as `at_once`, each asking again as soon as it is answered."""
    turns = WRITERS * TURNS_EACH if at_once > 1 else WRITERS * TURNS_EACH // 8
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        loop = _Loop(folder)
        answered = [0]

        def asker(ref: Ref) -> Callable[[Any], None]:
            def done(value: Any) -> None:
                assert isinstance(value, int), value
                answered[0] += 1
                if answered[0] + at_once <= turns:
                    loop.engine.ask(ref, Step(), 60.0, done)

            return done

        def work() -> None:
            for number in range(at_once):
                ref = Ref("account", f"{number:036d}")
                loop.engine.ask(ref, Step(), 60.0, asker(ref))
            loop.run_until(lambda: answered[0] >= turns)

        try:
            return rate(turns, work)
        finally:
            loop.store.close()


def group_commit() -> dict[str, float]:
    return ratio(lambda: durable_turns(WRITERS), lambda: durable_turns(1), rounds=5)


FIGURES = [
    Figure("messages between two actors / one trio task per actor", ">= 8", "x", messages, 8.0),
    Figure("ask round trips from a trio task / Pykka", ">= 2", "x", asks, 2.0),
    Figure("memory of an idle actor", "<= 400", "bytes", idle_actor, 400.0, "lower"),
    Figure("memory of a passivated record beyond itself", "<= 150", "bytes", passivated_record, 150.0, "lower"),
    Figure("durable turns of 64 actors / one commit per turn", ">= 5", "x", group_commit, 5.0),
]
