"""Turns, commits and effects: durable before visible, group commit, refusals without a trace, unknown outcomes, evidence."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.actor import Actor, Ref
from runtime.context import Context
from runtime.errors import InternalFault, OperatorFault
from runtime.store.port import Committed
from runtime.values import evolve
from tests.support.engines import AccountRecord, Do, Fetch, Fetched, Note, Seen, World, add

A, B, C = Ref("account", "a"), Ref("account", "b"), Ref("account", "c")


def everything(actor: Actor, ctx: Context) -> None:
    """One effect of every sort, around a save."""
    ctx.send(B, Note("sent"))
    ctx.call(Fetch("called"), Fetched)
    ctx.after(0.0, Note("timer"), "t")
    ctx.emit("happened", "low", None)
    ctx.audit("did", "operator", None)
    ctx.put_row("row", AccountRecord("r", 1))
    ctx.set_evidence(Seen(1))
    ctx.save(AccountRecord(actor.ref.id, email="x@y"))
    ctx.reply("done")


def test_nothing_is_visible_before_the_commit_and_everything_after_it() -> None:
    world = World(hold=True)
    outcome = world.ask(A, everything)
    world.run()
    world.advance(1.0)
    assert (outcome, world.calls, world.events, world.seen) == ([], [], [], [])
    assert world.engine.directory.row("account", "a") is None
    world.store.flush()
    world.run()
    assert outcome == ["done"]
    assert [request.what for request, _ in world.calls] == ["called"]
    assert [event.kind for event in world.events] == ["happened"]
    assert [message for _, message in world.seen] == [Note("sent")]
    row = world.engine.directory.row("account", "a")
    assert row is not None
    assert (row.record.email, row.record.version, row.evidence) == ("x@y", 1, Seen(1))
    world.advance(0.1)
    assert (A, Note("timer")) in world.seen


def test_the_directory_is_up_to_date_when_events_and_replies_leave() -> None:
    world = World()
    rows: list[Any] = []
    world.engine.on_events.insert(0, lambda events: rows.append(world.engine.directory.row("account", "a")))
    world.engine.ask(A, Do(everything), 5.0, lambda value: rows.append(world.engine.directory.row("account", "a")))
    world.run()
    assert [row.record.email for row in rows] == ["x@y", "x@y"]


def test_an_actor_whose_turn_is_being_committed_takes_no_message_while_others_run() -> None:
    world = World(hold=True)
    world.ask(A, add("one"))
    world.run()
    world.engine.tell(A, Note("later"))
    world.engine.tell(B, Note("now"))
    world.run()
    assert world.seen == [(B, Note("now"))]
    assert world.engine.state(A)["committing"]
    world.store.flush()
    world.run()
    assert world.seen == [(B, Note("now")), (A, Note("later"))]


def test_many_turns_share_few_commits() -> None:
    world = World(hold=True)
    refs = [Ref("account", f"{number:03d}") for number in range(100)]
    outcomes = [world.ask(ref, add("one")) for ref in refs]
    world.run()
    world.store.flush()
    world.run()
    world.store.flush()
    world.run()
    assert all(outcome == [1] for outcome in outcomes)
    assert world.engine.counters["units"] == 100
    assert world.engine.counters["commits"] <= 2


def test_effects_leave_in_the_order_of_the_turns() -> None:
    world = World(hold=True)
    order: list[str] = []
    for name in ("a", "b", "c"):
        world.engine.ask(Ref("account", name), Do(add(name)), 5.0, lambda value, name=name: order.append(name))
    world.run()
    world.store.flush()
    world.run()
    assert order == ["a", "b", "c"]


def colliding(actor: Actor, ctx: Context) -> None:
    actor.volatile = 1  # type: ignore[attr-defined]
    everything(actor, ctx)


def bad_version(actor: Actor, ctx: Context) -> None:
    everything(actor, ctx)
    ctx.put_row("row", AccountRecord("r", 9), expected_version=8)


@pytest.mark.parametrize(("what", "code"), [(colliding, "email_taken"), (bad_version, "internal_error")])
def test_a_refused_turn_leaves_no_trace(what: Any, code: str) -> None:
    world = World()
    world.ask(C, add("first", email="x@y" if what is colliding else None))
    world.run()
    outcome = world.ask(A, what)
    after = world.ask(A, lambda actor, ctx: ctx.reply((actor.record, vars(actor))))
    world.run()
    world.advance(1.0)
    (fault,) = outcome
    assert isinstance(fault, OperatorFault if what is colliding else InternalFault)
    assert fault.code == code
    assert after == [(None, {})]
    assert world.record(A) is None
    assert world.store.load("row", "r") is None
    assert world.engine.directory.row("account", "a") is None
    assert (world.calls, world.events, world.seen) == ([], [], [])
    assert world.store.audit("a", 0, 10) == []
    assert world.engine.history(A)[0].outcome == ("refused:email_taken" if what is colliding else "refused:version")


def test_a_refused_turn_takes_no_other_of_its_batch_with_it() -> None:
    world = World(hold=True)
    outcomes = [world.ask(Ref("account", name), add(name, email=email)) for name, email in (("a", "1"), ("b", "1"), ("c", "2"))]
    world.run()
    world.store.flush()
    world.run()
    assert [type(outcome[0]).__name__ for outcome in outcomes] == ["int", "OperatorFault", "int"]


@pytest.mark.parametrize("scheduler", [None, lambda count: count - 1])
def test_an_unknown_outcome_stops_every_actor_until_the_store_is_reopened(scheduler: Any) -> None:
    world = World(hold=True, scheduler=scheduler)
    told: list[str] = []
    world.engine.on_unknown = told.append
    in_flight = world.ask(A, add("one"))
    world.run()
    deferred = world.ask(B, lambda actor, ctx: ctx.defer())
    behind = world.ask(A, add("two"))
    world.run()
    world.store.fail_next_commit()
    world.store.flush()
    other = world.ask(C, add("other"))
    world.engine.tell(B, Note("not any more"))
    world.run()
    assert len(told) == 1
    for outcome in (in_flight, deferred, behind, other):
        assert [fault.code for fault in outcome] == ["unavailable"]
    assert world.engine.tell(C, Note()) is False
    assert world.seen == []
    world.store = world.store.crash()
    world.engine.reset(world.store)
    again = world.ask(A, add("three"))
    world.run()
    world.store.flush()
    world.run()
    record = world.record(A)
    assert record is not None
    assert again == [len(record.tags)]
    assert record.tags[-1] == "three"
    assert "two" not in record.tags


def test_whoever_hears_of_an_unknown_outcome_may_reset_at_once() -> None:
    world = World()
    world.ask(B, add("kept"))
    world.run()

    def reopen(error: str) -> None:
        world.store = world.store.crash()
        world.engine.reset(world.store)

    world.engine.on_unknown = reopen
    world.store.fail_next_commit()
    lost = world.ask(A, add("lost"))
    world.run()
    assert [fault.code for fault in lost] == ["unavailable"]
    assert world.ask(B, add("more")) == []
    world.run()
    record = world.record(B)
    assert record is not None
    assert record.tags == ("kept", "more")


def test_a_reset_forgets_what_was_cached_and_late_news_of_the_former_life() -> None:
    world = World(hold=True)
    directory = world.engine.directory
    waiting = world.ask(A, add("one"))
    world.engine.tell(B, Do(lambda actor, ctx: ctx.call(Fetch(), Fetched)))
    world.run()
    old = world.store
    world.store = old.crash()
    world.engine.reset(world.store)
    assert [fault.code for fault in waiting] == ["unavailable"]
    assert world.engine.directory is directory
    world.calls[0][1]("late")
    world.run()
    assert world.engine.counters["stale_results"] == 1
    assert world.seen == []


def test_a_store_that_cannot_be_read_stops_the_engine_and_answers_the_asker() -> None:
    world = World()
    told: list[str] = []
    world.engine.on_unknown = told.append
    world.store.close()
    outcome = world.ask(A, Note())
    assert [fault.code for fault in outcome] == ["unavailable"]
    assert len(told) == 1


def test_evidence_is_flushed_lazily_and_never_raises_the_version() -> None:
    world = World()
    world.ask(A, add("one"))
    world.run()
    commits = world.engine.counters["commits"]
    for count in range(20):
        world.engine.tell(A, Do(lambda actor, ctx, count=count: ctx.set_evidence(Seen(count))))
        world.run()
    assert world.engine.counters["commits"] == commits
    assert world.engine.directory.row("account", "a").evidence == Seen(19)  # type: ignore[union-attr]
    assert world.store.load("account", "a").evidence is None  # type: ignore[union-attr]
    world.advance(2.0)
    row = world.store.load("account", "a")
    assert row is not None
    assert (row.evidence, row.record.version) == (Seen(19), 1)
    assert world.engine.counters["commits"] == commits + 1


def test_evidence_that_the_store_refuses_takes_no_other_with_it() -> None:
    world = World()
    for ref in (A, B):
        world.ask(ref, add("one"))
    world.run()
    rows = Ref("block", "x")
    world.engine.tell(rows, Do(lambda actor, ctx: ctx.set_evidence(Seen(7))))
    for ref in (A, B):
        world.engine.tell(ref, Do(lambda actor, ctx: ctx.set_evidence(Seen(1))))
    world.advance(2.0)
    assert [world.store.load("account", ref.id).evidence for ref in (A, B)] == [Seen(1), Seen(1)]  # type: ignore[union-attr]


def test_evidence_set_before_the_first_save_goes_out_with_it() -> None:
    world = World()
    world.engine.tell(A, Do(lambda actor, ctx: ctx.set_evidence(Seen(5))))
    world.advance(3.0)
    assert world.store.load("account", "a") is None
    world.ask(A, add("one"))
    world.run()
    assert world.store.load("account", "a").evidence == Seen(5)  # type: ignore[union-attr]


def test_evidence_can_be_flushed_before_a_stop() -> None:
    world = World()
    world.ask(A, add("one"))
    world.run()
    world.engine.tell(A, Do(lambda actor, ctx: ctx.set_evidence(Seen(3))))
    world.run()
    wakes = world.wakes
    world.engine.flush_evidence()
    assert world.wakes == wakes + 1
    world.run()
    assert world.store.load("account", "a").evidence == Seen(3)  # type: ignore[union-attr]


def test_saving_twice_keeps_the_later_and_raises_the_version_once() -> None:
    def twice(actor: Actor, ctx: Context) -> None:
        ctx.save(AccountRecord("a", tags=("1",)))
        ctx.save(evolve(ctx.record, tags=("2",)))

    world = World()
    world.engine.tell(A, Do(twice))
    world.run()
    assert world.record(A) == AccountRecord("a", 1, tags=("2",))


def test_removing_and_saving_in_one_turn_ends_as_the_last_word_says() -> None:
    def gone(actor: Actor, ctx: Context) -> None:
        ctx.save(AccountRecord("a", tags=("x",)))
        ctx.remove()

    def kept(actor: Actor, ctx: Context) -> None:
        ctx.remove()
        ctx.save(AccountRecord("a", tags=("y",)))

    world = World()
    world.ask(A, add("one"))
    world.engine.tell(A, Do(kept))
    world.run()
    assert world.record(A) == AccountRecord("a", 2, tags=("y",))
    world.engine.tell(A, Do(gone))
    world.run()
    assert world.record(A) is None
    assert world.engine.directory.row("account", "a") is None
    world.ask(A, add("again"))
    world.run()
    assert world.record(A) == AccountRecord("a", 1, tags=("again",))


def test_a_deleted_row_leaves_the_directory() -> None:
    world = World()
    world.engine.tell(A, Do(lambda actor, ctx: ctx.put_row("row", AccountRecord("r", 1))))
    world.run()
    assert world.engine.directory.row("row", "r") is not None
    world.engine.tell(A, Do(lambda actor, ctx: ctx.delete_row("row", "r")))
    world.run()
    assert world.engine.directory.row("row", "r") is None


def test_a_listener_that_raises_keeps_nobody_from_going_on() -> None:
    world = World()
    world.engine.on_events.insert(0, lambda events: 1 / 0)  # type: ignore[arg-type, return-value]
    outcome = world.ask(A, everything)
    world.run()
    assert outcome == ["done"]
    assert len(world.events) == 1


def test_a_timer_callback_that_raises_does_not_lock_the_engine() -> None:
    world = World()
    world.engine.ask(Ref("account", "a"), Do(lambda actor, ctx: ctx.defer()), 1.0, lambda value: 1 / 0)
    world.run()
    world.clock.advance(2.0)
    with pytest.raises(ZeroDivisionError):
        world.engine.run()
    outcome = world.ask(B, add("one"))
    world.run()
    assert outcome == [1]


def test_draws_are_recorded_and_no_actor_is_given_another_ones_second_gauss() -> None:
    world, twin = World(), World()
    drawn: list[float] = []
    for each in (world, twin):
        if each is twin:
            each.engine.tell(B, Do(lambda actor, ctx: drawn.append(ctx.random.gauss())))
        each.engine.tell(A, Do(lambda actor, ctx: drawn.append(ctx.random.gauss())))
        each.run()
    assert drawn[0] == drawn[2]
    assert len(world.engine.history(A)[-1].draws) == 2


def test_the_outcome_of_a_commit_of_the_former_life_changes_nothing() -> None:
    world = World()
    commits: list[Any] = []
    world.store.commit = lambda units, done: commits.append((units, done))  # type: ignore[method-assign]
    world.ask(A, add("one"))
    world.run()
    world.store = world.store.crash()
    world.engine.reset(world.store)
    commits[0][1]((Committed(),))
    world.run()
    assert world.engine.directory.row("account", "a") is None
    again = world.ask(A, add("two"))
    world.run()
    assert again == [1]


def test_an_engine_cannot_be_reset_from_within_its_pass() -> None:
    world = World()
    refused: list[str] = []

    def reset(value: Any) -> None:
        with pytest.raises(RuntimeError):
            world.engine.reset(world.store)
        refused.append("refused")

    world.engine.ask(A, Do(add("one")), 5.0, reset)
    world.run()
    assert refused == ["refused"]


def test_a_flush_never_writes_older_evidence_over_newer() -> None:
    def newer(actor: Actor, ctx: Context) -> None:
        ctx.set_evidence(Seen(2))
        add("two")(actor, ctx)

    world = World()
    world.ask(A, add("one"))
    world.engine.tell(A, Do(lambda actor, ctx: ctx.set_evidence(Seen(1))))
    world.run()
    world.clock.advance(2.0)
    world.engine.tell(A, Do(newer))
    world.run()
    assert world.store.load("account", "a").evidence == Seen(2)  # type: ignore[union-attr]


def test_evidence_goes_with_its_record() -> None:
    def gone(actor: Actor, ctx: Context) -> None:
        ctx.set_evidence(Seen(1))
        ctx.remove()

    world = World()
    world.ask(A, add("one"))
    world.engine.tell(A, Do(gone))
    outcome = world.ask(A, lambda actor, ctx: ctx.reply(actor.evidence))
    world.run()
    assert outcome == [None]


def test_the_recorder_outlives_a_reset_and_waiting_senders_are_woken_by_it() -> None:
    world = World()
    ref = Ref("block", "x")
    world.engine.tell(ref, Note("handled"))
    world.run()
    for text in ("1", "2"):
        world.engine.tell(ref, Note(text))
    woken: list[str] = []
    assert world.engine.when_admitted(ref, lambda: woken.append("woken"))
    world.store = world.store.crash()
    world.engine.reset(world.store)
    assert woken == ["woken"]
    assert [entry.message for entry in world.engine.history(ref)] == [Note("handled")]
