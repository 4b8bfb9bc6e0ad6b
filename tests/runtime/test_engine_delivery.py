"""Delivery: one activation per key, lanes and overflow, asks with exactly one outcome, crashes, stale results, passivation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.actor import Actor, Ref, handles, spared_while
from runtime.context import Context
from runtime.crash import Crash, QuarantineFor, RestartAfter
from runtime.errors import InternalFault
from runtime.limits import PASSIVATE_AFTER_S, PASSIVATE_BUCKET_S, RECORDER_RETIRED_ACTORS, RECORDER_RING
from runtime.values import Value
from tests.support.engines import Account, AtOnce, Do, Fetch, Fetched, Note, World, add, quarantining

A, B = Ref("account", "a"), Ref("account", "b")
Handler = Callable[[Actor, Context], None]


def notes(world: World, ref: Ref = A) -> list[str]:
    return [message.text for at, message in world.seen if at == ref and isinstance(message, Note)]


# --- activation --------------------------------------------------------------------------------------------------


def test_an_address_is_one_actor_at_most() -> None:
    world = World()
    instances: set[int] = set()
    kept: list[Actor] = []

    def look(actor: Actor, ctx: Context) -> None:
        instances.add(id(actor))
        kept.append(actor)
        ctx.send(A, Note("again"))

    for _ in range(5):
        world.engine.tell(Ref("account", "a"), Do(look))
        world.engine.tell(B, Do(lambda actor, ctx: ctx.send(A, Do(look))))
    world.run()
    assert len(kept) == 10
    assert len(instances) == 1
    assert world.engine.counters["activations"] == 2


def test_a_kind_that_does_not_exist_is_a_dead_letter_and_its_asker_hears_it() -> None:
    world = World()
    outcome = world.ask(Ref("nothing", "x"), Note())
    assert [fault.code for fault in outcome] == ["internal_error"]
    assert world.engine.dead_letters.counts()["no_target"] == 1


def test_a_message_that_is_not_understood_harms_nobody() -> None:
    world = World()
    outcome = world.ask(A, "what?")
    world.engine.tell(A, Note("after"))
    world.run()
    assert [fault.code for fault in outcome] == ["internal_error"]
    assert world.engine.dead_letters.counts()["not_understood"] == 1
    assert world.engine.counters["crashes"] == 0
    assert notes(world) == ["after"]


# --- lanes and overflow --------------------------------------------------------------------------------------------


def fill(world: World, ref: Ref, *texts: str) -> list[bool]:
    return [world.engine.tell(ref, Note(text)) for text in texts]


def test_system_messages_overtake_user_messages() -> None:
    world = World()
    world.engine.tell(A, Do(lambda actor, ctx: ctx.call(Fetch(), Fetched)))
    world.run()
    fill(world, A, "user")
    world.calls[0][1]("result")
    world.run()
    assert [message for _, message in world.seen] == [Fetched("result"), Note("user")]


@pytest.mark.parametrize(
    ("kind", "accepted", "handled"),
    [
        ("reject", [True, True, False, False], ["1", "2"]),
        ("block", [True, True, False, False], ["1", "2"]),
        ("drop_oldest", [True, True, True, True], ["3", "4"]),
        ("coalesce", [True, True, True, True], ["4"]),
    ],
)
def test_overflow_policies(kind: str, accepted: list[bool], handled: list[str]) -> None:
    world = World()
    ref = Ref(kind, "x")
    assert fill(world, ref, "1", "2", "3", "4") == accepted
    world.run()
    assert notes(world, ref) == handled
    expected = {"coalesce": 0}.get(kind, 2)
    assert world.engine.dead_letters.counts()["mailbox_full"] == expected
    assert world.engine.counters["coalesced"] == (3 if kind == "coalesce" else 0)


@pytest.mark.parametrize(
    ("kind", "loser", "code"), [("reject", 2, "mailbox_full"), ("drop_oldest", 0, "mailbox_full"), ("coalesce", 0, "superseded")]
)
def test_whoever_loses_a_place_in_a_mailbox_hears_of_it_once(kind: str, loser: int, code: str) -> None:
    world = World()
    ref = Ref(kind, "x")
    outcomes = [world.ask(ref, lambda actor, ctx, n=n: ctx.reply(n)) for n in range(3)]
    world.run()
    assert [fault.code for fault in outcomes[loser]] == [code]
    assert all(len(outcome) == 1 for outcome in outcomes)


def test_system_messages_are_never_refused() -> None:
    world = World()
    ref = Ref("reject", "x")
    world.engine.tell(ref, Do(lambda actor, ctx: ctx.call(Fetch(), Fetched)))
    world.run()
    fill(world, ref, "1", "2")
    world.calls[0][1]("result")
    world.run()
    assert (ref, Fetched("result")) in world.seen


def test_a_sender_that_gives_up_waiting_leaves_the_room_to_the_next() -> None:
    world = World()
    ref = Ref("block", "x")
    fill(world, ref, "1", "2")
    woken: list[str] = []

    def first() -> None:
        woken.append("first")

    def second() -> None:
        woken.append("second")

    assert world.engine.when_admitted(ref, first)
    assert world.engine.when_admitted(ref, second)
    world.engine.stop_waiting(ref, first)
    world.engine.run(budget=1)
    assert woken[0] == "second"
    fill(world, ref, "3", "4")
    woken.clear()
    assert world.engine.when_admitted(ref, first)
    assert world.engine.when_admitted(ref, second)
    cell = world.engine._cells[ref]
    cell.take()
    assert woken == ["first"]
    world.engine.stop_waiting(ref, first)
    assert woken == ["first", "second"]


# --- asks ----------------------------------------------------------------------------------------------------------


def reply(actor: Actor, ctx: Context) -> None:
    ctx.reply("answer")


def silence(actor: Actor, ctx: Context) -> None:
    pass


def keep(actor: Actor, ctx: Context) -> None:
    actor.slot = ctx.defer()  # type: ignore[attr-defined]


def twice(actor: Actor, ctx: Context) -> None:
    ctx.reply("answer")
    ctx.reply("another")


@pytest.mark.parametrize(
    ("what", "outcome"), [(reply, "answer"), (silence, "internal_error"), (keep, "deadline_exceeded"), (twice, "answer")]
)
def test_every_ask_has_exactly_one_outcome(what: Handler, outcome: str) -> None:
    world = World()
    outcomes = world.ask(A, what, timeout_s=5.0)
    world.run()
    world.advance(10.0)
    assert [getattr(value, "code", value) for value in outcomes] == [outcome]
    assert world.engine._asks == {}
    assert world.engine.state(A)["held_asks"] == 0


def test_a_deferred_answer_comes_from_a_later_turn_and_a_late_one_is_counted() -> None:
    world = World()

    def start(actor: Actor, ctx: Context) -> None:
        actor.slot = ctx.defer()  # type: ignore[attr-defined]
        ctx.call(Fetch(), Fetched)

    first = world.ask(A, start, timeout_s=5.0)
    world.run()
    world.calls[0][1]("fetched")
    world.run()
    assert first == ["fetched"]
    second = world.ask(A, start, timeout_s=5.0)
    world.run()
    world.advance(6.0)
    world.calls[1][1]("fetched")
    world.run()
    assert [fault.code for fault in second] == ["deadline_exceeded"]
    assert world.engine.counters["late_replies"] == 1


def test_a_slot_lost_by_a_crash_answers_its_asker_once() -> None:
    world = World()
    held = world.ask(A, keep)
    world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
    world.run()
    world.advance(60.0)
    assert [fault.code for fault in held] == ["unavailable"]


# --- crashes -------------------------------------------------------------------------------------------------------


def fails(times: int, then: Handler = reply) -> tuple[Handler, list[int]]:
    ran: list[int] = []

    def handler(actor: Actor, ctx: Context) -> None:
        ran.append(1)
        if len(ran) <= times:
            ctx.save(actor.record)
            ctx.send(B, Note("from a crashed turn"))
            ctx.defer()
            raise ValueError("bad")
        then(actor, ctx)

    return handler, ran


def test_a_crash_ends_the_timers_of_that_life() -> None:
    world = World()
    world.engine.tell(A, Do(lambda actor, ctx: ctx.after(5.0, Note("of a former life"), "t")))
    world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
    world.run()
    world.advance(10.0)
    assert notes(world) == []
    assert world.engine.state(A)["timers"] == []


def test_a_timer_of_the_same_key_is_replaced_and_one_cancelled_is_silent() -> None:
    world = World()
    for text, key in (("first", "t"), ("second", "t"), ("third", "u")):
        world.engine.tell(A, Do(lambda actor, ctx, text=text, key=key: ctx.after(5.0, Note(text), key)))
    world.engine.tell(A, Do(lambda actor, ctx: ctx.cancel("u")))
    world.run()
    world.advance(10.0)
    assert notes(world) == ["second"]


# --- looks that find nothing ---------------------------------------------------------------------------------------


class Look(Value, frozen=True):
    """Sees whether there is anything to do."""


class Watchful(Account):
    """Looks every five seconds. `quiet` is asked first; a function that raises is one that cannot tell."""

    quiet: Callable[[], bool] = staticmethod(lambda: True)

    @handles(Look)
    @spared_while(lambda actor, ctx: actor.quiet())
    def on_look(self, message: Look, ctx: Context) -> None:
        ctx.after(5.0, Look(), "look")
        ctx.settings.append((self.ref, Note(f"looked at {ctx.now - 1000.0:g}")))


def watchful(quiet: Callable[[], bool]) -> World:
    """A world whose actor A has looked once, at 5 s."""
    world = World()
    world.engine.swap_actors("account", Watchful)
    world.engine.tell(A, Do(lambda actor, ctx: (setattr(actor, "quiet", quiet), ctx.after(5.0, Look(), "look"))))
    world.run()
    return world


def pass_seconds(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.advance(1.0)


def test_a_look_is_spared_while_there_is_nothing_to_see_and_comes_at_the_time_at_which_it_would_have_come() -> None:
    nothing = True
    world = watchful(lambda: nothing)
    pass_seconds(world, 17)
    assert notes(world) == []
    assert world.engine.state(A)["timers"] == ["look"]
    nothing = False
    pass_seconds(world, 10)
    assert notes(world) == ["looked at 20", "looked at 25"]


def test_who_cannot_tell_looks() -> None:
    world = watchful(lambda: bool(1 / 0))
    pass_seconds(world, 5)
    assert notes(world) == ["looked at 5"]


def test_an_actor_that_has_something_to_do_looks_in_its_turn() -> None:
    world = World(hold=True)
    world.engine.swap_actors("account", Watchful)
    world.engine.tell(A, Do(lambda actor, ctx: ctx.after(5.0, Look(), "look")))
    world.run()
    world.engine.tell(A, Do(add("one")))
    world.run()
    assert world.engine.state(A)["committing"]
    pass_seconds(world, 6)
    assert notes(world) == []
    world.store.flush()
    world.run()
    assert notes(world) == ["looked at 6"]


def test_a_handler_in_the_place_of_the_one_that_is_spared_hears_of_every_look() -> None:
    world = watchful(lambda: True)
    other = type("Other", (Watchful,), {})
    other.handlers = {**Watchful.handlers, Look: lambda actor, message, ctx: ctx.settings.append((actor.ref, Note("other")))}
    world.engine.swap_actors("account", other)
    pass_seconds(world, 6)
    assert notes(world) == ["other"]


def test_a_look_that_is_spared_can_be_cancelled_and_ends_with_the_life_of_its_actor() -> None:
    world = watchful(lambda: True)
    pass_seconds(world, 7)
    world.engine.tell(A, Do(lambda actor, ctx: ctx.cancel("look")))
    world.run()
    assert world.engine.state(A)["timers"] == []
    world.engine.tell(A, Do(lambda actor, ctx: ctx.after(5.0, Look(), "look")))
    world.run()
    pass_seconds(world, 7)
    world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
    world.run()
    assert world.engine.state(A)["timers"] == []


@pytest.mark.parametrize(("times", "ran", "outcome"), [(1, 2, "answer"), (2, 2, "internal_error")])
def test_a_message_is_tried_twice_and_then_given_up(times: int, ran: int, outcome: str) -> None:
    world = World()
    world.ask(A, add("before"))
    world.run()
    handler, runs = fails(times)
    outcomes = world.ask(A, handler)
    fill(world, A, "1", "2")
    world.run()
    assert len(runs) == ran
    assert [getattr(value, "code", value) for value in outcomes] == [outcome]
    assert notes(world) == ["1", "2"]
    assert notes(world, B) == []
    assert world.engine.dead_letters.counts()["poison"] == (times == 2)
    assert world.seen.count((A, "activated")) == times
    record = world.record(A)
    assert record is not None
    assert record.version == 1


def test_one_message_sent_often_is_judged_each_time_anew() -> None:
    world = World()
    runs: list[int] = []

    def every_second(actor: Actor, ctx: Context) -> None:
        runs.append(1)
        if len(runs) % 2:
            raise ValueError("bad")

    message = Do(every_second)
    for _ in range(4):
        world.engine.tell(A, message)
    world.run()
    assert len(runs) == 8
    assert world.engine.dead_letters.counts()["poison"] == 0


def test_a_crash_report_holds_the_last_turns_and_no_locals() -> None:
    world = World()
    fill(world, A, *[str(number) for number in range(RECORDER_RING + 10)])
    world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
    world.run()
    crash = world.engine.crashes[-1]
    assert len(crash.history) == RECORDER_RING
    assert crash.history[-1].outcome == "crashed:ZeroDivisionError"
    assert crash.error.__traceback__ is None


def test_a_resting_actor_keeps_its_messages_and_a_quarantined_one_refuses_them() -> None:
    class Policy(AtOnce):
        decision: RestartAfter | QuarantineFor = RestartAfter(5.0)

        def crashed(self, crash: Crash) -> RestartAfter | QuarantineFor:
            return self.decision

    policy = Policy()
    world = World(policy=policy)
    handler, runs = fails(1, silence)
    world.engine.tell(A, Do(handler))
    fill(world, A, "kept")
    world.run()
    fill(world, A, "also kept")
    world.advance(4.0)
    assert (len(runs), notes(world)) == (1, [])
    world.advance(2.0)
    assert (len(runs), notes(world)) == (2, ["kept", "also kept"])
    policy.decision = QuarantineFor(5.0)
    handler, runs = fails(1, silence)
    poisonous, queued = world.ask(A, handler), world.ask(A, reply)
    world.run()
    during = world.ask(A, reply)
    assert [[fault.code for fault in outcome] for outcome in (poisonous, queued, during)] == [["unavailable"]] * 3
    assert world.engine.state(A)["quarantined"]
    world.advance(6.0)
    assert world.ask(A, reply) == []
    world.run()
    assert len(runs) == 1
    policy.decision = QuarantineFor(1000.0)
    world.ask(A, fails(1)[0])
    world.run()
    assert world.engine.lift(A)
    assert not world.engine.lift(A)
    after = world.ask(A, reply)
    world.run()
    assert after == ["answer"]


def test_one_crashing_actor_does_not_disturb_another() -> None:
    world = World()
    policy = quarantining(world.clock)
    world.policy = policy
    world.engine = world.new_engine()
    for _ in range(50):
        world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
        fill(world, B, "fine")
        world.advance(0.5)
    assert len(notes(world, B)) == 50
    assert policy.quarantined() == [A]
    assert world.engine.counters["crashes"] <= 12


# --- stale results, failing ports ------------------------------------------------------------------------------------


def test_results_for_an_earlier_life_and_second_results_are_counted_and_dropped() -> None:
    world = World()
    for _ in range(2):
        world.engine.tell(A, Do(lambda actor, ctx: ctx.call(Fetch(), Fetched)))
    world.run()
    world.calls[0][1]("first")
    world.calls[0][1]("first again")
    world.engine.tell(A, Do(lambda actor, ctx: 1 / 0))  # type: ignore[arg-type, return-value]
    world.run()
    world.calls[1][1]("stale")
    world.run()
    assert [message for _, message in world.seen] == [Fetched("first")]
    assert world.engine.counters["stale_results"] == 2
    assert world.engine.state(A)["open_calls"] == 0


def test_a_port_that_cannot_start_answers_with_a_fault() -> None:
    world = World()
    world.engine._ports[Fetch] = lambda request, done: 1 / 0  # type: ignore[assignment]
    world.engine.tell(A, Do(lambda actor, ctx: ctx.call(Fetch(), Fetched)))
    world.engine.tell(A, Do(lambda actor, ctx: ctx.call("unknown", Fetched)))
    world.run()
    assert all(isinstance(message.outcome, InternalFault) for _, message in world.seen)
    assert len(world.seen) == 2
    assert world.engine.state(A)["open_calls"] == 0


# --- passivation, recorder ---------------------------------------------------------------------------------------------


def later(world: World, seconds: float = PASSIVATE_AFTER_S + 3 * PASSIVATE_BUCKET_S) -> None:
    world.advance(seconds, step=PASSIVATE_BUCKET_S)


def test_an_idle_actor_leaves_memory_and_comes_back_as_its_record() -> None:
    world = World()
    world.ask(A, add("one"))
    world.run()
    later(world)
    assert world.engine.state(A) == {"in_memory": False}
    outcome = world.ask(A, add("two"))
    world.run()
    assert outcome == [2]
    assert world.seen == [(A, "activated")]


@pytest.mark.parametrize(
    "what",
    [
        lambda actor, ctx: ctx.call(Fetch(), Fetched),
        lambda actor, ctx: ctx.after(1e6, Note(), "t"),
        lambda actor, ctx: ctx.defer(),
        lambda actor, ctx: setattr(actor, "slot", "taken"),
    ],
    ids=["call", "timer", "deferred ask", "slot"],
)
def test_an_actor_with_open_work_stays(what: Handler) -> None:
    world = World()
    world.ask(A, add("one"))
    world.run()
    world.ask(A, what, timeout_s=3600.0)
    world.run()
    later(world)
    assert world.engine.state(A)["in_memory"]
    assert not world.engine.passivate(A)


def test_an_actor_whose_commit_is_under_way_stays() -> None:
    world = World(hold=True)
    world.ask(A, add("one"), timeout_s=3600.0)
    world.run()
    later(world)
    assert world.engine.state(A)["in_memory"]


def test_a_strangers_address_does_not_stay_in_memory() -> None:
    world = World()
    for number in range(100):
        world.engine.tell(Ref("account", str(number)), Note())
    world.run()
    later(world, 2 * PASSIVATE_BUCKET_S)
    assert list(world.engine.in_memory) == []


def test_the_recorder_is_bounded_and_outlives_passivation() -> None:
    world = World()
    fill(world, A, *[str(number) for number in range(RECORDER_RING + 6)])
    world.run()
    later(world)
    assert not world.engine.state(A)["in_memory"]
    assert [entry.message.text for entry in world.engine.history(A)] == [str(number) for number in range(6, RECORDER_RING + 6)]
    fill(world, A, "back")
    world.run()
    assert [entry.message.text for entry in world.engine.history(A)][-2:] == [str(RECORDER_RING + 5), "back"]


def test_what_one_turn_did_is_not_shown_under_another() -> None:
    world = World()
    world.engine.tell(A, Do(silence))
    world.engine.tell(A, Do(lambda actor, ctx: ctx.send(B, Note("x"))))
    world.run()
    assert [entry.effects for entry in world.engine.history(A)] == [(), ("send",)]


def test_only_so_many_rings_are_kept() -> None:
    world = World()
    for number in range(RECORDER_RETIRED_ACTORS + 5):
        ref = Ref("account", str(number))
        world.engine.tell(ref, Note())
        world.run()
        assert world.engine.passivate(ref)
    assert world.engine.history(Ref("account", "4")) == ()
    assert len(world.engine.history(Ref("account", "5"))) == 1


# --- nothing lost, nothing twice ---------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["tell", "run", "crash", "passivate", "save", "time"]), st.integers(0, 3)), max_size=60))
def test_accepted_messages_run_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """Whatever handlers crash once, actors are passivated or commits are held: each accepted message is handled once, in order."""
    world = World(hold=True)
    accepted: dict[Ref, list[str]] = {}
    for count, (step, number) in enumerate(steps):
        ref = Ref("account", str(number))
        if step == "tell" and world.engine.tell(ref, Note(str(count))):
            accepted.setdefault(ref, []).append(str(count))
        elif step == "crash":
            world.engine.tell(ref, Do(fails(1, silence)[0] if number % 2 else fails(2)[0]))
        elif step == "save":
            world.ask(ref, add(str(count)))
        elif step == "passivate":
            world.engine.passivate(ref)
        elif step == "time":
            world.advance(number * 400.0, step=100.0)
        else:
            world.engine.run(budget=number)
            world.store.flush()
    for _ in range(len(steps) + 1):
        world.run()
        world.store.flush()
    world.run()
    for ref, texts in accepted.items():
        assert notes(world, ref) == texts
    assert world.engine.quiescent
