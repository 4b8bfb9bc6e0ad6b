"""The engine's laws under random workloads, crashes of the process and failing commits."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.actor import Actor, Ref
from runtime.context import Context
from runtime.errors import Fault
from runtime.random import SeededRandomness
from tests.support.engines import ACCOUNT, AccountRecord, Do, Note, World, add

NAMES = "abc"
Steps = list[tuple[str, int]]

steps_of_a_workload: st.SearchStrategy[Steps] = st.lists(
    st.tuples(
        st.sampled_from(
            ["add", "add", "unique", "forward", "boom", "run", "flush", "kill", "unknown", "full disk", "time", "passivate", "evidence"]
        ),
        st.integers(0, 2),
    ),
    max_size=60,
)


class Bank:
    """Runs a workload and remembers what every asker was told."""

    def __init__(self, seed: int) -> None:
        self.world = World(hold=True, chance=SeededRandomness(seed), scheduler=random.Random(seed).randrange)
        self.told: dict[str, list[Any]] = {}
        self.killed: set[str] = set()
        self.events_seen: list[int] = []
        self._watch()

    def _watch(self) -> None:
        engine = self.world.engine
        engine.on_unknown = lambda error: self._reopen()
        engine.on_events.append(lambda events: self.events_seen.extend(event.cursor for event in events))

    def _reopen(self) -> None:
        self.world.store.disk.full = False
        self.world.store = self.world.store.crash()
        self.world.engine.reset(self.world.store)

    def ask(self, ref: Ref, tag: str, what: Any) -> None:
        self.told[tag] = self.world.ask(ref, what, timeout_s=30.0)

    def step(self, step: str, number: int, tag: str) -> None:
        world, ref = self.world, Ref("account", NAMES[number])
        if step == "add":
            self.ask(ref, tag, _adding(tag))
        elif step == "unique":
            self.ask(ref, tag, add(tag, email="the one"))
        elif step == "forward":
            target = Ref("account", NAMES[(number + 1) % 3])
            world.engine.tell(ref, Do(lambda actor, ctx: ctx.send(target, Do(_adding(tag)))))
        elif step == "boom":
            self.ask(ref, tag, _booming(tag, times=number))
        elif step == "evidence":
            world.engine.tell(ref, Do(lambda actor, ctx: ctx.set_evidence(ACCOUNT.evidence(1))))  # type: ignore[misc]
        elif step == "run":
            world.engine.run(budget=number + 1)
        elif step == "flush":
            world.store.flush()
        elif step == "time":
            world.advance(number * 8.0, step=4.0)
        elif step == "passivate":
            world.engine.passivate(ref)
        elif step == "unknown":
            world.store.fail_next_commit()
        elif step == "full disk":
            world.store.disk.full = True
        else:
            self._kill()

    def _kill(self) -> None:
        self.killed |= {tag for tag, outcome in self.told.items() if not outcome}
        self.world.store.disk.full = False
        self.world.crash_process()
        self._watch()

    def finish(self) -> None:
        self.world.store.disk.full = False
        for _ in range(40):
            self.world.advance(4.0, step=4.0)
            self.world.store.flush()
            self.world.run()

    def tags(self) -> list[str]:
        records = [self.world.record(Ref("account", name)) for name in NAMES]
        return [tag for record in records if record is not None for tag in record.tags]


def _adding(tag: str) -> Any:
    def handler(actor: Actor, ctx: Context) -> None:
        add(tag)(actor, ctx)
        ctx.emit("added", "low", None, tag=tag)

    return handler


def _booming(tag: str, times: int) -> Any:
    left = [times]

    def handler(actor: Actor, ctx: Context) -> None:
        _adding(tag)(actor, ctx)
        if left[0] > 0:
            left[0] -= 1
            raise ValueError("bad")

    return handler


def check(bank: Bank) -> None:
    tags = bank.tags()
    assert len(tags) == len(set(tags)), "an effect was committed twice"
    for tag, outcomes in bank.told.items():
        if tag in bank.killed:
            assert outcomes == [], "an asker of a dead process was answered by nobody"
            continue
        assert len(outcomes) == 1, "exactly one outcome for each ask"
        (outcome,) = outcomes
        if not isinstance(outcome, Fault):
            assert tag in tags, "what was answered is on the disk"
        elif outcome.code in ("email_taken", "internal_error"):
            assert tag not in tags, "what was refused is not on the disk"
    events = [event.payload["tag"] for event in bank.world.store.events(0, 10_000)]
    assert len(events) == len(set(events))
    assert set(events) <= set(tags)
    assert len(bank.events_seen) == len(set(bank.events_seen))
    for name in NAMES:
        record = bank.world.record(Ref("account", name))
        row = bank.world.engine.directory.row("account", name)
        assert (None if row is None else row.record) == record
        if record is not None:
            assert record.version == len(record.tags), "one version for each save, none for evidence"


@settings(max_examples=150, deadline=None)
@given(steps_of_a_workload, st.integers(0, 1_000))
def test_every_ask_has_one_outcome_and_every_effect_happens_once(steps: Steps, seed: int) -> None:
    bank = Bank(seed)
    for count, (step, number) in enumerate(steps):
        bank.step(step, number, f"t{count}")
    bank.finish()
    check(bank)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1_000))
def test_without_faults_every_ask_succeeds_in_order(count: int, seed: int) -> None:
    bank = Bank(seed)
    for number in range(count * 3):
        bank.step("add", number % 3, f"t{number}")
    bank.finish()
    check(bank)
    assert [outcome for outcomes in bank.told.values() for outcome in outcomes] == [n // 3 + 1 for n in range(count * 3)]


def test_a_queue_between_turns_that_save_is_worked_off_in_order() -> None:
    world = World(hold=True)
    for number in range(5):
        world.ask(Ref("account", "a"), add(str(number)))
        world.engine.tell(Ref("account", "a"), Note(str(number)))
    for _ in range(6):
        world.run()
        world.store.flush()
    world.run()
    record = world.record(Ref("account", "a"))
    assert isinstance(record, AccountRecord)
    assert record.tags == ("0", "1", "2", "3", "4")
    assert [message.text for _, message in world.seen] == ["0", "1", "2", "3", "4"]
