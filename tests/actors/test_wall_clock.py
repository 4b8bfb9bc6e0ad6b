"""What ends for good waits until the wall clock is known to be right, and no longer than it must."""

from __future__ import annotations

import math
from typing import Any

import pytest

from actors.grant.actor import GrantActor
from actors.grant.record import KIND as GRANT
from actors.received_grant.record import KIND as HELD
from actors.wall_clock.messages import ClockHeard
from actors.wall_clock.record import KIND, LOOK_AGAIN_S, WAITED_EVERY_S, WAITED_MAX_S, Settled, WallClockRecord, holds, passed_until
from runtime.actor import Due, Ref
from runtime.clock import iso
from runtime.store.port import Query
from sim.world import Host
from tests.support.grants import Peers, peers

DAY = 86_400.0
YEAR = 365 * DAY
T = 1_800_000_000.0


@pytest.fixture
def two() -> Peers:
    return peers()


def known(host: Host) -> WallClockRecord:
    row = host.store.load(KIND.name, host.instance_id)
    assert row is not None
    record: WallClockRecord = row.record
    return record


def settled(host: Host) -> Settled | None:
    found = known(host).settled
    return found if holds(found, host.boot_epoch, host.clock.wall() - host.clock.now()) else None


def hear(host: Host, peer_id: str, skew_s: float) -> None:
    host.engine.tell(Ref(KIND.name, host.instance_id), ClockHeard(peer_id, skew_s))


def rows(host: Host, kind: str) -> list[Any]:
    return [row.record for row in host.store.query(Query(kind))]


def told(two: Peers) -> list[str]:
    """The causes that `a` gives for what it holds back, if it does."""
    found = two.ask("GET", "/api/v1/system/federation/governance?kind=clock_in_question").data
    return [row["payload"]["cause"] for row in found if row.get("resolved_at") is None]


def test_the_first_contact_settles_it_and_is_written_once(two: Peers) -> None:
    two.world.run_for(600.0)
    record = known(two.a)
    assert (record.version, record.waiting) == (1, None)
    assert settled(two.a) is not None
    assert passed_until(record, two.a.boot_epoch, T, T - (two.a.clock.wall() - two.a.clock.now())) == T


def test_it_is_in_question_after_a_start_and_after_a_leap_and_not_after_the_leap_is_taken_back(two: Peers) -> None:
    two.world.run_for(120.0)
    two.a.clock.offset_s += DAY
    assert settled(two.a) is None
    two.a.clock.offset_s -= DAY
    assert settled(two.a) is not None
    two.a.crash()
    two.a.restart()
    assert settled(two.a) is None
    two.world.run_for(120.0)
    assert settled(two.a) is not None


def test_a_leap_within_the_tolerance_changes_nothing(two: Peers) -> None:
    two.world.run_for(120.0)
    two.a.clock.offset_s += 500.0
    assert settled(two.a) is not None


def test_what_ended_by_this_clock_alone_is_refused_and_kept(two: Peers) -> None:
    grant_id, _ = two.issue()
    two.a.clock.offset_s += YEAR
    two.world.run_for(600.0)
    assert two.ask("GET", grant_id).data["grant"]["state"] == "expired"
    (grant,) = rows(two.a, GRANT.name)
    assert (grant.expired_at, grant.archived_at) == (None, None)
    two.a.clock.offset_s -= YEAR
    two.world.run_for(120.0)
    assert two.ask("GET", grant_id).data["grant"]["state"] == "active"
    assert rows(two.a, HELD.name) == []


def test_held_back_deadlines_do_not_spin(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    two.issue()
    two.a.clock.offset_s += YEAR
    told: list[float] = []
    look = GrantActor.handlers[Due]

    def counting(actor: Any, message: Any, ctx: Any) -> None:
        told.append(ctx.now)
        look(actor, message, ctx)

    monkeypatch.setitem(GrantActor.handlers, Due, counting)
    two.world.run_for(600.0)
    assert 10 <= len(told) <= 600.0 / LOOK_AGAIN_S + 1


def test_peers_that_say_otherwise_hold_back_by_as_much_as_they_say(two: Peers) -> None:
    two.world.run_for(120.0)
    two.a.clock.offset_s += 10 * DAY
    hear(two.a, "b", -10 * DAY)
    two.world.run_for(1.0)
    found = settled(two.a)
    assert found is not None
    assert (found.by, found.ahead_s) == ("peers", 10 * DAY)
    wall, now = two.a.clock.wall(), two.a.clock.now()
    assert passed_until(known(two.a), two.a.boot_epoch, wall, now) == wall - 10 * DAY


def test_one_that_lies_is_outvoted_and_a_clock_that_is_behind_holds_nothing_back(two: Peers) -> None:
    two.a.clock.offset_s += DAY
    for peer_id, skew_s in (("liar", -YEAR), ("b", 3.0), ("c", -3.0)):
        hear(two.a, peer_id, skew_s)
    two.world.run_for(1.0)
    found = settled(two.a)
    assert found is not None
    assert found.ahead_s == 0.0
    two.a.clock.offset_s -= 2 * DAY
    hear(two.a, "b", DAY)
    two.world.run_for(1.0)
    found = settled(two.a)
    assert found is not None
    assert found.ahead_s == 0.0


def test_a_platform_that_hears_nothing_goes_by_its_own_clock_in_the_end(two: Peers) -> None:
    two.issue()
    two.b.crash()
    two.a.crash()
    two.a.clock.offset_s += YEAR
    two.a.restart()
    two.a.sign_in()
    two.world.run_for(60.0)
    waiting = known(two.a).waiting
    assert waiting is not None
    two.world.run_for(2 * WAITED_EVERY_S)
    waiting = known(two.a).waiting
    assert waiting is not None
    assert waiting.waited_s == 2 * WAITED_EVERY_S
    assert passed_until(known(two.a), two.a.boot_epoch, two.a.clock.wall(), two.a.clock.now()) == -math.inf


def test_the_wait_is_taken_up_by_the_next_start_and_ends(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.wall_clock.actor.WAITED_MAX_S", 3 * WAITED_EVERY_S)
    assert WAITED_MAX_S == 7 * DAY
    two.issue()
    two.b.crash()
    two.a.clock.offset_s += YEAR
    two.world.run_for(60.0 + 2 * WAITED_EVERY_S)
    two.a.crash()
    two.a.restart()
    two.world.run_for(60.0 + WAITED_EVERY_S)
    found = settled(two.a)
    assert found is not None
    assert found.by == "time"
    two.world.run_for(60.0)
    (grant,) = rows(two.a, GRANT.name)
    assert grant.expired_at is not None


def test_what_is_held_back_is_told_until_it_is_not(two: Peers) -> None:
    two.issue()
    two.world.run_for(120.0)
    two.b.crash()
    two.a.clock.offset_s += YEAR
    two.world.run_for(WAITED_EVERY_S - 60.0)
    assert told(two) == []
    two.world.run_for(120.0)
    (cause,) = told(two)
    assert "no peer has confirmed" in cause
    two.a.clock.offset_s -= YEAR
    two.world.run_for(WAITED_EVERY_S)
    assert told(two) == []


def test_peers_that_say_that_it_is_earlier_are_told_of(two: Peers) -> None:
    two.world.run_for(120.0)
    two.a.clock.offset_s += 10 * DAY
    hear(two.a, "b", -10 * DAY)
    two.world.run_for(1.0)
    assert told(two) == [f"by the clocks of most peers heard it is {10 * 86_400} seconds earlier"]
    two.a.clock.offset_s -= 10 * DAY
    two.world.run_for(300.0)
    assert told(two) == []


CLOCK = "/api/v1/system/platform/clock"


def confirm(two: Peers, time: float | None = None, **headers: str) -> Any:
    body = {"time": iso(two.a.clock.wall() if time is None else time), "reason": "compared with the clock on the wall"}
    return two.ask("POST", f"{CLOCK}/confirm", body, **headers)


def left_alone(two: Peers) -> str:
    """`a` has started again, its peer is silent, and a grant that it gave has ended. The id of that grant."""
    grant_id, _ = two.issue()
    two.world.run_for(120.0)
    two.b.crash()
    two.a.crash()
    two.world.run_for(400 * DAY)
    two.a.restart()
    two.a.sign_in()
    two.world.run_for(60.0)
    return grant_id


def test_an_operator_says_that_the_clock_is_right_and_what_was_held_back_goes_on(two: Peers) -> None:
    left_alone(two)
    (grant,) = rows(two.a, GRANT.name)
    assert grant.expired_at is None
    seen = two.ask("GET", CLOCK).data
    assert (seen["settled"], seen["held_back_since"] is not None) == (False, True)
    reply = confirm(two, two.a.clock.wall() + 300.0)
    assert reply.status == 200, reply.body
    assert (reply.data["settled"], reply.data["settled_by"], reply.data["held_back_since"]) == (True, "operator", None)
    two.world.run_for(2 * LOOK_AGAIN_S)
    (grant,) = rows(two.a, GRANT.name)
    assert grant.expired_at is not None
    entry = two.a.store.audit(two.a.instance_id, 0, 1000)[-1]
    assert (entry.action, entry.actor_id, entry.payload["reason"]) == (
        "clock.confirmed", two.a.operator_id, "compared with the clock on the wall"
    )  # fmt: skip
    again = confirm(two)
    assert (again.status, again.body["code"]) == (409, "clock_not_in_question")


def test_another_time_than_the_clock_shows_confirms_nothing(two: Peers) -> None:
    left_alone(two)
    reply = confirm(two, two.a.clock.wall() - YEAR)
    assert (reply.status, reply.body["code"]) == (409, "clock_differs")
    two.world.run_for(2 * LOOK_AGAIN_S)
    assert settled(two.a) is None
    assert rows(two.a, GRANT.name)[0].expired_at is None


@pytest.mark.parametrize("then", ["leap", "start"])
def test_the_word_holds_for_this_start_and_the_clock_as_it_is_set(two: Peers, then: str) -> None:
    left_alone(two)
    assert confirm(two).status == 200
    assert settled(two.a) is not None
    if then == "leap":
        two.a.clock.offset_s += YEAR
    else:
        two.a.crash()
        two.a.restart()
    assert settled(two.a) is None
    two.world.run_for(60.0)
    assert settled(two.a) is None


def test_the_word_stands_against_what_peers_had_said_and_not_against_what_they_say_anew(two: Peers) -> None:
    two.world.run_for(120.0)
    two.b.crash()
    two.a.clock.offset_s += 10 * DAY
    hear(two.a, "liar", -10 * DAY)
    two.world.run_for(1.0)
    two.a.sign_in()
    reply = confirm(two)
    assert (reply.data["settled_by"], reply.data["ahead_s"], reply.data["overruled_s"]) == ("operator", 0, 10 * 86_400)
    hear(two.a, "liar", -10 * DAY - 5.0)
    two.world.run_for(1.0)
    found = settled(two.a)
    assert found is not None
    assert found.by == "operator"
    hear(two.a, "liar", -20 * DAY)
    two.world.run_for(1.0)
    found = settled(two.a)
    assert found is not None
    assert (found.by, found.ahead_s) == ("peers", 20 * DAY)


def test_the_word_serves_nobody_whose_time_is_over(two: Peers) -> None:
    grant_id, _ = two.issue()
    two.world.run_for(120.0)
    two.b.crash()
    two.a.clock.offset_s += YEAR
    two.a.sign_in()
    assert confirm(two).status == 200
    assert two.ask("GET", grant_id).data["grant"]["state"] == "expired"


def test_the_same_word_twice_is_one(two: Peers) -> None:
    left_alone(two)
    at = two.a.clock.wall()
    first, second = (confirm(two, at, idempotency_key="once") for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    entries = two.a.store.audit(two.a.instance_id, 0, 1000)
    assert [entry.action for entry in entries].count("clock.confirmed") == 1
