"""Durable deadlines: the structure that finds them, and the law that each fires at least once and takes effect once."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.actor import Actor, Due, Ref, Resume
from runtime.context import Context
from runtime.deadlines import BUCKET_S, Deadlines, has_come
from runtime.limits import DUE_REPEAT_S, DUE_SLICE, RESUME_SLICE, SLICE_EVERY_S, WALL_RECHECK_S, WALL_STEP_S
from runtime.values import evolve
from tests.support.engines import PATIENCE_S, WALL, AccountRecord, Do, World, add

A = Ref("account", "a")


def dues(world: World) -> int:
    return sum(isinstance(message, Due) for _, message in world.seen)


# --- the structure -----------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("set"), st.integers(0, 5), st.one_of(st.none(), st.floats(-10 * BUCKET_S, 10 * BUCKET_S))),
            st.tuples(st.just("due"), st.integers(0, 3), st.floats(-10 * BUCKET_S, 10 * BUCKET_S)),
        ),
        max_size=80,
    )
)
def test_deadlines_agree_with_a_plain_table(steps: list[tuple[str, int, float | None]]) -> None:
    deadlines = Deadlines()
    table: dict[Ref, float] = {}
    for step, number, at in steps:
        ref = Ref("kind" if number % 2 else "other", str(number))
        if step == "set":
            deadlines.set(ref, at)
            table.pop(ref, None)
            if at is not None:
                table[ref] = at
        else:
            assert at is not None
            found = deadlines.due(at, number)
            late = sorted((when, ref) for ref, when in table.items() if when <= at)
            assert [table[ref] for ref in found] == [when for when, _ in late[:number]]
            assert len(set(found)) == len(found)
            for ref in found:
                del table[ref]
        assert len(deadlines) == len(table)
        assert deadlines.earliest() <= min(table.values(), default=math.inf)
        assert all(deadlines.get(ref) == when for ref, when in table.items())
    if not table:
        assert deadlines.due(1e12, 1) == []


def test_moving_one_deadline_for_ever_costs_no_memory() -> None:
    deadlines = Deadlines()
    for number in range(20_000):
        deadlines.set(A, WALL + number)
    assert deadlines._entries < 2_000
    assert deadlines.due(WALL + 30_000, 10) == [A]


@pytest.mark.parametrize("at", [math.inf, math.nan])
def test_a_deadline_that_never_comes_is_none(at: float) -> None:
    deadlines = Deadlines()
    deadlines.set(A, at)
    assert (len(deadlines), deadlines.earliest()) == (0, math.inf)


# --- the law -------------------------------------------------------------------------------------------------------


def world_with(due_in: float) -> World:
    world = World()
    world.ask(A, add("x", due_at=WALL + due_in))
    world.run()
    return world


def fired(world: World) -> int:
    record = world.record(A)
    assert record is not None
    return record.fired


def test_a_deadline_fires_when_it_has_come_and_not_before() -> None:
    world = world_with(10.0)
    world.advance(9.0)
    assert dues(world) == 0
    world.advance(2.0)
    assert (dues(world), fired(world)) == (1, 1)
    world.advance(100.0)
    assert (dues(world), fired(world)) == (1, 1)


def test_a_deadline_reaches_an_actor_that_has_left_memory() -> None:
    world = world_with(5_000.0)
    world.advance(3_000.0, step=30.0)
    assert not world.engine.state(A)["in_memory"]
    world.advance(2_100.0, step=30.0)
    assert fired(world) == 1


def test_a_moved_deadline_fires_at_its_new_time_only() -> None:
    world = world_with(10.0)
    world.ask(A, add("y", due_at=WALL + 50.0))
    world.run()
    world.advance(40.0)
    assert dues(world) == 0
    world.ask(A, add("z", due_at=None))
    world.advance(100.0)
    assert dues(world) == 0


def test_a_deadline_survives_the_process() -> None:
    world = world_with(10.0)
    world.crash_process()
    world.run()
    world.advance(12.0)
    assert fired(world) == 1


def test_a_deadline_whose_effect_was_not_committed_fires_again() -> None:
    world = world_with(1.0)
    world.store.hold = True
    world.advance(2.0)
    assert (dues(world), fired(world)) == (1, 0)
    world.crash_process()
    world.store.hold = False
    world.advance(2.0)
    assert fired(world) == 1


def test_a_wall_clock_that_steps_is_noticed_in_time() -> None:
    world = world_with(1_000_000.0)
    world.run()
    world.clock.wall_at += 2_000_000.0
    world.advance(WALL_RECHECK_S + 1.0)
    assert fired(world) == 1


def test_a_deadline_left_as_it_is_is_repeated_slowly() -> None:
    world = World()

    def stubborn(actor: Actor, ctx: Context) -> None:
        ctx.save(evolve(actor.record or AccountRecord("a"), due_at=WALL + 1e-3, tags=("x",)))

    world.engine.tell(A, Do(stubborn))
    world.run()
    cell = world.engine._cells[A]
    cell.handlers = {**cell.handlers, Due: lambda actor, message, ctx: (world.seen.append((A, message)), stubborn(actor, ctx))}
    world.advance(10.0, step=0.25)
    assert 5 <= dues(world) <= 10 / DUE_REPEAT_S + 1


def test_deadlines_do_not_pile_up_before_an_actor_that_cannot_run() -> None:
    world = world_with(5.0)
    world.store.hold = True
    world.ask(A, add("y"))
    world.advance(100.0)
    assert world.engine.state(A)["mailbox"] == 1


def test_a_flood_of_deadlines_comes_in_slices() -> None:
    world = World()
    count = DUE_SLICE * 2 + 10
    for number in range(count):
        world.ask(Ref("account", f"{number:04d}"), add("x", due_at=WALL + 1.0))
    world.run()
    world.clock.advance(2.0)
    world.engine.run(budget=0)
    assert sum(1 for ref in world.engine.in_memory if world.engine.state(ref)["mailbox"]) == DUE_SLICE
    world.advance(5.0, step=0.1)
    assert dues(world) == count


def test_records_that_asked_for_it_are_resumed_in_slices_after_a_start() -> None:
    world = World()
    for number in range(RESUME_SLICE + 1):
        world.ask(Ref("account", f"{number:04d}"), add("x", resume=number > 0))
    world.ask(A, add("x", resume=True))
    world.run()
    world.crash_process()
    world.run()
    assert sum(isinstance(message, Resume) for _, message in world.seen) == RESUME_SLICE
    world.advance(1.0, step=0.1)
    assert sum(isinstance(message, Resume) for _, message in world.seen) == RESUME_SLICE + 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("time"), st.floats(0.0, 20.0)),
            st.tuples(st.just("step"), st.floats(-500.0, 500.0)),
            st.tuples(st.just("crash"), st.just(0.0)),
            st.tuples(st.just("hold"), st.just(0.0)),
            st.tuples(st.just("flush"), st.just(0.0)),
        ),
        max_size=25,
    )
)
def test_whatever_clocks_and_processes_do_a_deadline_takes_effect_once(steps: list[tuple[str, float]]) -> None:
    world = world_with(10.0)
    for step, amount in steps:
        if step == "time":
            world.advance(amount, step=5.0)
        elif step == "step":
            world.clock.wall_at += amount
        elif step == "crash":
            world.crash_process()
        elif step == "hold":
            world.store.hold = True
        else:
            world.store.hold = False
            world.store.flush()
        world.run()
        assert fired(world) <= 1
    world.store.hold = False
    world.store.flush()
    world.clock.wall_at = max(world.clock.wall_at, WALL + 10.0)
    world.advance(2 * WALL_RECHECK_S, step=5.0)
    world.clock.wall_at += 1_000.0
    world.advance(2 * WALL_RECHECK_S, step=5.0)
    assert fired(world) == 1
    assert dues(world) >= 1


# --- a clock that was ahead ------------------------------------------------------------------------------------------

B, C = Ref("looker", "b"), Ref("mixed", "c")
AHEAD_S = 20 * 86_400.0


def put_off_by_a_clock_ahead(world: World, ref: Ref) -> None:
    world.clock.wall_at += AHEAD_S
    world.ask(ref, add("x", due_at=world.clock.wall() + PATIENCE_S))
    world.run()


def looks(world: World, ref: Ref) -> int:
    record = world.record(ref)
    assert record is not None
    return record.fired


@given(st.floats(0, 2e9), st.floats(0, 2e9), st.floats(0, 1e7))
def test_a_look_is_due_when_it_has_come_or_can_not_have_been_put_off_so_far(at: float, wall: float, longest_s: float) -> None:
    assert has_come(at, wall, longest_s) == (at <= wall or at > wall + longest_s + WALL_STEP_S)
    assert not has_come(None, wall, longest_s)


def test_when_the_clock_is_put_right_who_was_put_off_looks_soon() -> None:
    world = World()
    put_off_by_a_clock_ahead(world, B)
    world.advance(2 * WALL_RECHECK_S)
    assert looks(world, B) == 0
    world.clock.wall_at -= AHEAD_S
    world.advance(WALL_RECHECK_S + 1.0)
    assert looks(world, B) == 1
    world.advance(PATIENCE_S, step=30.0)
    assert (dues(world), looks(world, B)) == (1, 1)


def test_a_clock_that_was_put_right_before_the_start_is_no_reason_to_wait() -> None:
    world = World()
    put_off_by_a_clock_ahead(world, B)
    world.clock.wall_at -= AHEAD_S
    world.crash_process()
    world.run()
    assert looks(world, B) == 1


def test_where_dates_stand_beside_looks_a_start_wakes_nobody_and_a_clock_put_right_does() -> None:
    world = World()
    put_off_by_a_clock_ahead(world, C)
    world.crash_process()
    world.clock.wall_at -= AHEAD_S
    world.crash_process()
    world.run()
    assert (dues(world), looks(world, C)) == (0, 0)
    world.clock.wall_at += AHEAD_S
    world.advance(WALL_RECHECK_S + 1.0)
    world.clock.wall_at -= AHEAD_S
    world.advance(WALL_RECHECK_S + 1.0)
    assert (dues(world), looks(world, C)) == (1, 1)


def test_a_date_of_its_own_stays_what_it_is() -> None:
    world = World()
    put_off_by_a_clock_ahead(world, A)
    world.clock.wall_at -= AHEAD_S
    world.advance(WALL_RECHECK_S + 1.0)
    world.crash_process()
    world.run()
    assert (dues(world), looks(world, A)) == (0, 0)


@pytest.mark.parametrize("back_s", [0.0, 1.0, WALL_STEP_S - 1.0])
def test_a_clock_that_is_put_right_by_little_wakes_nobody(back_s: float) -> None:
    world = World()
    world.ask(B, add("x", due_at=WALL + PATIENCE_S))
    world.run()
    world.clock.wall_at -= back_s
    world.advance(2 * WALL_RECHECK_S)
    world.crash_process()
    world.run()
    assert dues(world) == 0
    world.advance(PATIENCE_S + back_s, step=30.0)
    assert looks(world, B) == 1


def test_many_that_were_put_off_look_in_slices() -> None:
    world = World()
    refs = [Ref("looker", f"{number:04}") for number in range(RESUME_SLICE + 5)]
    for ref in refs:
        put_off_by_a_clock_ahead(world, ref)
        world.clock.wall_at -= AHEAD_S
    world.crash_process()
    world.run()
    assert sum(looks(world, ref) for ref in refs) == RESUME_SLICE
    world.advance(SLICE_EVERY_S)
    assert all(looks(world, ref) == 1 for ref in refs)


def test_a_look_that_a_crash_has_swallowed_comes_again() -> None:
    world = World()
    put_off_by_a_clock_ahead(world, B)
    world.clock.wall_at -= AHEAD_S
    world.store.hold = True
    world.advance(WALL_RECHECK_S + 1.0)
    assert (dues(world), looks(world, B)) == (1, 0)
    world.crash_process()
    world.store.hold = False
    world.run()
    assert looks(world, B) == 1
