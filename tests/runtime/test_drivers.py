"""Both trio drivers: the same trace for the same workload, asks that may be cancelled, senders that wait for room."""

from __future__ import annotations

import contextvars
import itertools
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
import trio

from runtime.actor import Actor, Ref, handles
from runtime.context import Context
from runtime.engine import Engine
from runtime.errors import Fault
from runtime.limits import MESSAGES_PER_PASS
from runtime.random import SeededRandomness
from runtime.trace import Trace
from runtime.trio_driver import StepDriver, TaskDriver
from runtime.values import evolve
from sim.store import MemoryStore
from tests.support.engines import ACCOUNT, ACTORS, ROW, WALL, Account, AccountRecord, AtOnce, Do, Fetch, Fetched, Note, add

Driver = StepDriver | TaskDriver
DRIVERS = [StepDriver, TaskDriver]


class TrioClock:
    """trio's clock as the host's; both start at the same moment."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return WALL + trio.current_time()


@attrs.frozen
class Wander:
    """Do something that the actor's own stream decides, and go on elsewhere."""

    left: int


class Wanderer(Account):
    """Spends a random life: saves, collides, crashes, sends, waits, calls."""

    @handles(Wander)
    def on_wander(self, message: Wander, ctx: Context) -> None:
        chance = ctx.random
        next_ref = Ref("wanderer", str(chance.randrange(5)))
        what = chance.randrange(8)
        record = self.record or AccountRecord(self.ref.id)
        if what == 0:
            ctx.save(evolve(record, tags=(*record.tags[-3:], str(message.left)), due_at=ctx.wall + chance.random() * 3))
        elif what == 1:
            ctx.save(evolve(record, email=str(chance.randrange(12))))
        elif what == 2:
            ctx.after(chance.random(), Note("timer"), str(chance.randrange(2)))
        elif what == 3:
            ctx.call(Fetch(str(message.left)), Fetched)
        elif what == 4 and chance.random() < 0.3:
            raise ValueError("bad luck")
        if message.left:
            ctx.send(next_ref, Wander(message.left - 1))
            if chance.random() < 0.1:
                ctx.send(next_ref, Wander(message.left // 2))
        ctx.reply(message.left)


KIND = evolve(ACCOUNT, name="wanderer")
Wanderer.kind = KIND


async def life_of(driver_type: type[Driver], seed: int) -> tuple[str, int]:
    """The digest of one random workload; `seed` decides the schedule and the draws."""
    trace = Trace()

    started = itertools.count()

    async def fetch(request: Fetch, done: Callable[[Any], None], delay_s: float) -> None:
        await trio.sleep(delay_s)
        done(request.what)

    def start(request: Fetch, done: Callable[[Any], None]) -> None:
        # No two calls end at one moment: the order of trio's tasks within a moment is nobody's promise.
        nursery.start_soon(fetch, request, done, 0.25 + next(started) * 0.001237)

    async with trio.open_nursery() as nursery:
        engine = Engine(
            store=MemoryStore([ACCOUNT, ROW, KIND]), clock=TrioClock(), randomness=SeededRandomness(seed),
            actors={**ACTORS, "wanderer": Wanderer}, settings=[], crash_policy=AtOnce(), trace=trace,
            ports={Fetch: start},
            scheduler=random.Random(seed).randrange,
        )  # fmt: skip
        driver = driver_type(engine)
        for number in range(5):
            engine.tell(Ref("wanderer", str(number)), Wander(200))
        for number in range(3 * MESSAGES_PER_PASS):
            engine.tell(Ref("account", str(number % 3)), Note(str(number)))
        await nursery.start(driver.run)
        await trio.sleep(1.0)
        for number in range(5):
            assert await driver.ask(Ref("wanderer", str(number)), Note(), 5.0) is not None
            await trio.sleep(0.5)
        await trio.sleep(60.0)
        nursery.cancel_scope.cancel()
    return trace.digest(), trace.turns


@pytest.mark.parametrize("seed", range(6))
def test_both_drivers_tell_the_same_story(seed: int) -> None:
    def story(driver_type: type[Driver]) -> tuple[str, int]:
        return trio.run(life_of, driver_type, seed, clock=trio.testing.MockClock(autojump_threshold=0))

    step, task = story(StepDriver), story(TaskDriver)
    assert step == task
    assert step[1] > 300
    assert step == story(StepDriver)


def test_another_seed_is_another_story() -> None:
    stories = {trio.run(life_of, StepDriver, seed, clock=trio.testing.MockClock(autojump_threshold=0))[0] for seed in range(4)}
    assert len(stories) == 4


# --- one driver ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=DRIVERS)
async def driver(request: pytest.FixtureRequest, nursery: trio.Nursery) -> AsyncIterator[Driver]:
    engine = Engine(
        store=MemoryStore([ACCOUNT, ROW]), clock=TrioClock(), randomness=SeededRandomness(1), actors=ACTORS, settings=[],
        ports={}, crash_policy=AtOnce(),
    )  # fmt: skip
    driver: Driver = request.param(engine)
    await nursery.start(driver.run)
    yield driver
    nursery.cancel_scope.cancel()


A = Ref("account", "a")


async def test_an_ask_returns_the_answer(driver: Driver, autojump_clock: Any) -> None:
    assert await driver.ask(A, Do(add("one")), 5.0) == 1
    assert await driver.ask(A, Do(add("two")), 5.0) == 2


async def test_an_ask_never_takes_longer_than_its_time(driver: Driver, autojump_clock: Any) -> None:
    started = trio.current_time()
    fault = await driver.ask(A, Do(lambda actor, ctx: ctx.defer()), 5.0)
    assert isinstance(fault, Fault)
    assert fault.code == "deadline_exceeded"
    assert 5.0 <= trio.current_time() - started < 5.1


async def test_a_cancelled_asker_harms_nobody(driver: Driver, autojump_clock: Any) -> None:
    slots: list[Any] = []

    def defer(actor: Actor, ctx: Context) -> None:
        slots.append(ctx.defer())

    with trio.move_on_after(1.0) as scope:
        await driver.ask(A, Do(defer), 60.0)
    assert scope.cancelled_caught
    assert await driver.ask(A, Do(add("one")), 5.0) == 1
    assert await driver.ask(A, Do(lambda actor, ctx: (ctx.answer(slots[0], "late"), ctx.reply("fine"))), 5.0) == "fine"
    assert await driver.ask(A, Do(add("two")), 5.0) == 2


async def test_many_tasks_ask_at_once(driver: Driver, autojump_clock: Any) -> None:
    answers: list[Any] = []

    async def asker(number: int) -> None:
        answers.append(await driver.ask(Ref("account", str(number % 7)), Do(add(str(number))), 5.0))

    async with trio.open_nursery() as nursery:
        for number in range(70):
            nursery.start_soon(asker, number)
    assert sorted(answers) == sorted(list(range(1, 11)) * 7)


async def test_senders_wait_for_room_and_all_get_in(driver: Driver, autojump_clock: Any) -> None:
    ref = Ref("block", "x")
    cancelled = trio.CancelScope()
    done: list[int] = []

    async def sender(number: int) -> None:
        assert await driver.tell_when_admitted(ref, Note(str(number)))
        done.append(number)

    async def impatient() -> None:
        with cancelled:
            await driver.tell_when_admitted(ref, Note("never"))

    driver.engine.tell(ref, Do(lambda actor, ctx: None))
    driver.engine.tell(ref, Do(lambda actor, ctx: None))
    cancelled.cancel()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(impatient)
        for number in range(20):
            nursery.start_soon(sender, number)
    assert sorted(done) == list(range(20))
    await trio.sleep(1.0)
    assert sorted(int(message.text) for _, message in driver.engine.settings) == list(range(20))


@pytest.mark.parametrize("driver_type", DRIVERS)
async def test_a_sender_cancelled_while_it_waits_leaves_the_room_to_the_next(
    driver_type: type[Driver], nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Narrow(Account):
        mailbox_max = 1
        overflow = "block"

    store = MemoryStore([ACCOUNT, ROW], hold=True)
    engine = Engine(
        store=store, clock=TrioClock(), randomness=SeededRandomness(1), actors={"account": Narrow}, settings=[],
        ports={}, crash_policy=AtOnce(),
    )  # fmt: skip
    driver = driver_type(engine)
    await nursery.start(driver.run)
    engine.tell(A, Do(add("one")))
    await trio.sleep(1.0)
    engine.tell(A, Note("fills the mailbox"))
    impatient = trio.CancelScope()

    async def give_up() -> None:
        with impatient:
            await driver.tell_when_admitted(A, Note("never"))

    nursery.start_soon(give_up)
    await trio.sleep(1.0)
    with trio.fail_after(30.0):
        async with trio.open_nursery() as senders:
            senders.start_soon(driver.tell_when_admitted, A, Note("patient"))
            await trio.sleep(1.0)
            impatient.cancel()
            await trio.sleep(1.0)
            assert engine.settings == []
            store.flush()
    await trio.sleep(1.0)
    assert [message.text for _, message in engine.settings] == ["fills the mailbox", "patient"]
    nursery.cancel_scope.cancel()


async def test_no_callers_context_reaches_a_handler_task(driver: Driver, autojump_clock: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")
    if isinstance(driver, TaskDriver):
        seen = await driver.ask(A, Do(lambda actor, ctx: ctx.reply(variable.get("nothing"))), 5.0)
        assert seen == "nothing"


async def test_timers_run_without_a_sleeping_task_each(driver: Driver, autojump_clock: Any) -> None:
    tasks_before = trio.lowlevel.current_statistics().tasks_living
    for number in range(50):
        driver.engine.tell(A, Do(lambda actor, ctx, n=number: ctx.after(10.0 + n, Note(str(n)), str(n))))
    await trio.sleep(5.0)
    assert trio.lowlevel.current_statistics().tasks_living <= tasks_before + 1
    await trio.sleep(60.0)
    assert len(driver.engine.settings) == 50
