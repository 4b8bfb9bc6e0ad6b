"""The supervision engine against an independent model of OTP, and OTP's rules one by one."""

from __future__ import annotations

import gc
import heapq
import itertools
import random
import sys
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.supervision import Notice
from runtime.supervisor import (
    Backoff,
    ChildSpec,
    CrashReport,
    DynamicSupervisor,
    Quarantine,
    Shutdown,
    Strategy,
    Supervisor,
    SupervisorEnd,
    SupervisorSpec,
    describe,
    make_supervisor,
)
from runtime.values import evolve

NO_BACKOFF = Backoff(0.0, 0.0)


class FakeTimer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Host:
    """Children are names in a dict; time moves by `run_for`. With `at_once` every request is fulfilled within the call."""

    def __init__(self, seed: int = 1, at_once: bool = True) -> None:
        self.random = random.Random(seed)
        self.at_once = at_once
        self.time = 0.0
        self.trace: list[tuple[str, str]] = []
        self.live: dict[tuple[Supervisor, str], str] = {}
        self.reports: list[CrashReport | Notice] = []
        self.shutdowns: list[tuple[str, Shutdown]] = []
        self.fails: Callable[[str], bool] = lambda child_id: False
        self._timers: list[tuple[float, int, FakeTimer, Callable[[], None]]] = []
        self._count = itertools.count()

    def now(self) -> float:
        return self.time

    def start_child(self, supervisor: Supervisor, spec: ChildSpec) -> None:
        assert (supervisor, spec.id) not in self.live, "two incarnations at once"
        self.trace.append(("start", spec.id))
        self.live[supervisor, spec.id] = "starting"
        if self.at_once:
            self.finish_start(supervisor, spec.id)

    def finish_start(self, supervisor: Supervisor, child_id: str) -> None:
        if self.fails(child_id):
            self.end(supervisor, child_id, "OSError: no")
        else:
            self.live[supervisor, child_id] = "up"
            supervisor.started(child_id)

    def stop_child(self, supervisor: Supervisor, child_id: str, shutdown: Shutdown) -> None:
        self.shutdowns.append((child_id, shutdown))
        if self.live[supervisor, child_id] != "stopping":
            self.trace.append(("stop", child_id))
            self.live[supervisor, child_id] = "stopping"
        if self.at_once:
            self.end(supervisor, child_id)

    def end(self, supervisor: Supervisor, child_id: str, error: str | None = None) -> None:
        del self.live[supervisor, child_id]
        supervisor.ended(child_id, error, ("first", "last") if error else ())

    def schedule(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer()
        heapq.heappush(self._timers, (self.time + delay_s, next(self._count), timer, callback))
        return timer

    def report(self, report: CrashReport | Notice) -> None:
        self.reports.append(report)

    def run_for(self, duration_s: float) -> None:
        until = self.time + duration_s
        while self._timers and self._timers[0][0] <= until:
            self.time, _, timer, callback = heapq.heappop(self._timers)
            if not timer.cancelled:
                callback()
        self.time = until

    def armed(self) -> int:
        return sum(not timer.cancelled for _, _, timer, _ in self._timers)

    def crashes(self) -> list[CrashReport]:
        return [report for report in self.reports if isinstance(report, CrashReport)]

    def running(self, supervisor: Supervisor) -> list[str]:
        return [child_id for (owner, child_id), state in self.live.items() if owner is supervisor and state == "up"]


@attrs.define
class Outcome:
    """What a supervisor told its owner."""

    ready: int = 0
    ends: list[SupervisorEnd] = attrs.field(factory=list)


def supervise(host: Host, spec: SupervisorSpec) -> tuple[Supervisor, Outcome]:
    outcome = Outcome()

    def on_ready() -> None:
        outcome.ready += 1

    supervisor = make_supervisor("root", spec, host, on_ready=on_ready, on_end=outcome.ends.append)
    supervisor.start()
    return supervisor, outcome


def children(names: str, **fields: object) -> tuple[ChildSpec, ...]:
    return tuple(ChildSpec(name, object(), **fields) for name in names)  # type: ignore[arg-type]


def take(host: Host) -> str:
    """The trace since the last call, as `+a -b`."""
    text = " ".join(("+" if what == "start" else "-") + child_id for what, child_id in host.trace)
    host.trace.clear()
    return text


# --- an independent model: OTP's supervisor as the sequential program that it is in Erlang ---


class OtpModel:
    """Follows `supervisor.erl`: one message at a time, each handled to its end."""

    def __init__(self, spec: SupervisorSpec, fails: Callable[[str], bool]) -> None:
        self.spec, self.fails = spec, fails
        self.specs = {child.id: child for child in spec.children}
        self.alive: dict[str, bool] = {}
        self.restarts: list[float] = []
        self.trace: list[tuple[str, str]] = []
        self.dead: str | None = None

    def try_start(self, child_id: str) -> bool:
        self.trace.append(("start", child_id))
        self.alive[child_id] = not self.fails(child_id)
        return self.alive[child_id]

    def terminate(self, child_ids: list[str], forget_temporary: bool) -> list[str]:
        for child_id in reversed(child_ids):
            if self.alive[child_id]:
                self.trace.append(("stop", child_id))
            self.alive[child_id] = False
        kept = [child_id for child_id in child_ids if not (forget_temporary and self.specs[child_id].restart == "temporary")]
        for child_id in set(child_ids) - set(kept):
            del self.alive[child_id]
        return kept

    def give_up(self, why: str) -> None:
        self.terminate(list(self.alive), False)
        self.dead = why

    def start(self) -> None:
        self.alive = dict.fromkeys(self.specs, False)
        for child_id in self.specs:
            if not self.try_start(child_id):
                self.give_up("start_failed")
                return

    def exit(self, child_id: str, failed: bool, now: float) -> None:
        self.alive[child_id] = False
        restart = self.specs[child_id].restart
        if restart == "permanent" or (restart == "transient" and failed):
            self.restart(child_id, now)
            return
        if restart == "temporary":
            del self.alive[child_id]
        if not self.specs[child_id].significant:
            return
        if self.spec.auto_shutdown == "any_significant" or not any(
            up and self.specs[other].significant for other, up in self.alive.items()
        ):
            self.give_up("auto_shutdown")

    def restart(self, child_id: str, now: float) -> None:
        again: str | None = child_id
        while again is not None:
            self.restarts = [at for at in [*self.restarts, now] if now <= at + self.spec.period_s]
            if len(self.restarts) > self.spec.intensity:
                self.give_up("escalated")
                return
            group = [again]
            if self.spec.strategy != "one_for_one":
                everyone = list(self.alive)
                first = 0 if self.spec.strategy == "one_for_all" else everyone.index(again)
                group = self.terminate(everyone[first:], True)
            again = next((member for member in group if not self.try_start(member)), None)


@st.composite
def supervisor_specs(draw: st.DrawFn) -> SupervisorSpec:
    auto_shutdown = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    members = []
    for name in "abcde"[: draw(st.integers(1, 5))]:
        restart = draw(st.sampled_from(["permanent", "transient", "temporary"]))
        significant = auto_shutdown != "never" and restart != "permanent" and draw(st.booleans())
        members.append(ChildSpec(name, None, restart, significant=significant))
    return SupervisorSpec(
        draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        tuple(members),
        draw(st.integers(0, 4)),
        draw(st.integers(1, 20)),
        NO_BACKOFF,
        auto_shutdown=auto_shutdown,
    )


def failing(plan: frozenset[tuple[str, int]]) -> Callable[[str], bool]:
    """Whether the n-th start of a child fails, as `plan` says."""
    counts: dict[str, int] = {}

    def fails(child_id: str) -> bool:
        counts[child_id] = counts.get(child_id, 0) + 1
        return (child_id, counts[child_id]) in plan

    return fails


FAILURES = st.frozensets(st.tuples(st.sampled_from("abcde"), st.integers(1, 6)), max_size=4)
EXITS = st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 8)), max_size=15)


@settings(max_examples=400, deadline=None)
@given(supervisor_specs(), FAILURES, EXITS)
def test_agrees_with_the_model_of_otp(
    spec: SupervisorSpec, failures: frozenset[tuple[str, int]], exits: list[tuple[int, bool, int]]
) -> None:
    host, model = Host(), OtpModel(spec, failing(failures))
    host.fails = failing(failures)
    supervisor, outcome = supervise(host, spec)
    model.start()
    for which, failed, elapsed_s in exits:
        assert host.trace == model.trace
        assert [end.reason for end in outcome.ends] == ([model.dead] if model.dead else [])
        alive = [child_id for child_id, up in model.alive.items() if up]
        assert sorted(host.running(supervisor)) == alive
        if not alive:
            return
        host.run_for(elapsed_s)
        child_id = alive[which % len(alive)]
        host.end(supervisor, child_id, "ValueError: broken" if failed else None)
        model.exit(child_id, failed, host.time)
    assert host.trace == model.trace
    assert [end.reason for end in outcome.ends] == ([model.dead] if model.dead else [])


@settings(max_examples=300, deadline=None)
@given(supervisor_specs(), st.floats(0.0, 1.0), st.booleans(), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=60))
def test_order_holds_when_starts_and_stops_take_time(
    spec: SupervisorSpec, base_s: float, quarantine: bool, steps: list[tuple[int, int]]
) -> None:
    backoff = Backoff(base_s, 1.0) if spec.period_s > spec.intensity else NO_BACKOFF
    spec = evolve(spec, backoff=backoff, on_excess=Quarantine(5.0) if quarantine else "escalate")
    host = Host(at_once=False)
    supervisor, outcome = supervise(host, spec)
    order = [child.id for child in spec.children]
    for which, what in steps:
        states = {child_id: state for (_, child_id), state in host.live.items()}
        stopping = [child_id for child_id in order if states.get(child_id) == "stopping"]
        assert len(stopping) <= 1, "one stop at a time"
        assert all(order.index(child_id) <= order.index(stopping[0]) for child_id in states if stopping), "right to left"
        if spec.strategy != "one_for_one":
            assert list(states.values()).count("starting") <= 1, "one start at a time"
            starting = [child_id for child_id in states if states[child_id] == "starting"]
            assert all(order.index(child_id) <= order.index(starting[0]) for child_id in states if starting), "left to right"
        if states and what < 3:
            child_id = list(states)[which % len(states)]
            if states[child_id] == "starting" and what:
                host.finish_start(supervisor, child_id)
            else:
                host.end(supervisor, child_id, None if states[child_id] == "stopping" or what == 1 else "ValueError: broken")
        else:
            host.run_for(which)
    supervisor.stop()
    while host.live:
        host.end(supervisor, next(child_id for (_, child_id), state in host.live.items() if state == "stopping"))
    assert len(outcome.ends) == 1
    assert outcome.ready <= 1
    assert supervisor.phase == "ended"
    assert host.armed() == 0, "an ended supervisor leaves no timer behind"


# --- start and stop ---


def test_starts_left_to_right_and_only_after_the_former_is_ready() -> None:
    host = Host(at_once=False)
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("abc")))
    assert take(host) == "+a"
    host.finish_start(supervisor, "a")
    assert take(host) == "+b"
    host.finish_start(supervisor, "b")
    host.finish_start(supervisor, "c")
    assert (take(host), outcome.ready) == ("+c", 1)


def test_stops_right_to_left_one_after_the_other() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("abc")))
    take(host)
    host.at_once = False
    supervisor.stop()
    assert (take(host), outcome.ends) == ("-c", [])
    host.end(supervisor, "c")
    host.end(supervisor, "b")
    assert take(host) == "-b -a"
    host.end(supervisor, "a")
    assert outcome.ends == [SupervisorEnd("stopped")]


def test_a_failed_first_start_stops_what_had_started_in_reverse() -> None:
    host = Host()
    host.fails = lambda child_id: child_id == "c"
    _, outcome = supervise(host, SupervisorSpec("one_for_one", children("abcd")))
    assert take(host) == "+a +b +c -b -a"
    assert outcome.ready == 0
    assert outcome.ends == [SupervisorEnd("start_failed", "'c' failed to start: OSError: no")]
    assert [report.decision for report in host.crashes()] == ["fail"]


def test_a_failed_restart_is_one_more_restart() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("ab"), intensity=3, backoff=NO_BACKOFF))
    take(host)
    host.fails = failing(frozenset({("a", 1), ("a", 2)}))
    host.end(supervisor, "a", "ValueError: broken")
    assert take(host) == "+a +a +a"
    assert [report.restarts for report in host.crashes()] == [1, 2, 3]
    assert not outcome.ends


def test_an_empty_supervisor_is_ready_at_once() -> None:
    _, outcome = supervise(Host(), SupervisorSpec("one_for_all"))
    assert outcome.ready == 1


def test_stopping_before_the_start_has_finished() -> None:
    host = Host(at_once=False)
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("ab")))
    supervisor.stop()
    assert take(host) == "+a -a"
    host.end(supervisor, "a")
    assert (outcome.ready, outcome.ends) == (0, [SupervisorEnd("stopped")])


def test_each_child_gets_its_own_time_to_stop_and_brutal_takes_it_away() -> None:
    host = Host()
    members = (ChildSpec("a", None, shutdown=2.5), ChildSpec("b", None, shutdown="brutal"), ChildSpec("c", None, shutdown="infinity"))
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", members))
    host.at_once = False
    supervisor.stop()
    supervisor.stop("brutal")
    host.end(supervisor, "c")
    host.end(supervisor, "b")
    assert host.shutdowns == [("c", "infinity"), ("c", "brutal"), ("b", "brutal"), ("a", "brutal")]


def test_a_limited_stop_turns_brutal_when_its_time_is_over() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("ab", shutdown="infinity")))
    host.at_once = False
    supervisor.stop(3.0)
    host.run_for(2.9)
    assert host.shutdowns == [("b", "infinity")]
    host.run_for(0.2)
    assert host.shutdowns[-1] == ("b", "brutal")


def test_a_report_that_belongs_to_no_child_is_a_bug_of_the_host() -> None:
    supervisor, _ = supervise(Host(), SupervisorSpec("one_for_one", children("a")))
    with pytest.raises(RuntimeError, match="'b' reported an end"):
        supervisor.ended("b")
    with pytest.raises(RuntimeError, match="'a' reported a start"):
        supervisor.started("a")


def test_a_limited_stop_that_ends_in_time_leaves_no_timer() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("a")))
    supervisor.stop(3.0)
    assert [end.reason for end in outcome.ends] == ["stopped"]
    assert host.armed() == 0


def test_the_first_start_goes_on_while_an_earlier_child_restarts_slowly() -> None:
    host = Host(at_once=False)
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("abc")))
    host.finish_start(supervisor, "a")
    host.end(supervisor, "a", "ValueError: broken")
    assert take(host) == "+a +b +a", "c still waits for b"
    host.finish_start(supervisor, "b")
    assert take(host) == "+c", "but not for a"


# --- who is restarted ---


def test_one_for_one_restarts_only_what_crashed() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("abc")))
    take(host)
    host.end(supervisor, "b", "ValueError: broken")
    assert take(host) == "+b"


def test_rest_for_one_restarts_what_crashed_and_what_came_after_in_order() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("rest_for_one", children("abcd")))
    take(host)
    host.end(supervisor, "b", "ValueError: broken")
    assert take(host) == "-d -c +b +c +d"


def test_one_for_all_restarts_everyone_but_the_temporary() -> None:
    host = Host()
    members = (*children("ab"), ChildSpec("t", None, "temporary"), *children("c"))
    supervisor, _ = supervise(host, SupervisorSpec("one_for_all", members))
    take(host)
    host.end(supervisor, "b", "ValueError: broken")
    assert take(host) == "-c -t -a +a +b +c"


def test_one_for_all_brings_back_a_transient_that_had_left_in_peace() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_all", (ChildSpec("t", None, "transient"), *children("a"))))
    host.end(supervisor, "t")
    take(host)
    host.end(supervisor, "a", "ValueError: broken")
    assert take(host) == "+t +a"


@pytest.mark.parametrize(
    ("restart", "error", "again"),
    [
        ("permanent", None, True),
        ("permanent", "ValueError: broken", True),
        ("transient", None, False),
        ("transient", "ValueError: broken", True),
        ("temporary", None, False),
        ("temporary", "ValueError: broken", False),
    ],
)
def test_restart_types(restart: str, error: str | None, again: bool) -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("a", restart=restart)))
    take(host)
    host.end(supervisor, "a", error)
    assert take(host) == ("+a" if again else "")
    assert ("a" in supervisor.states()) is (restart != "temporary")


def test_a_crash_while_the_group_is_being_restarted_widens_the_group() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("rest_for_one", children("abc"), backoff=NO_BACKOFF))
    take(host)
    host.at_once = False
    host.end(supervisor, "b", "ValueError: broken")
    host.end(supervisor, "a", "ValueError: broken")
    assert take(host) == "-c"
    host.end(supervisor, "c")
    for child_id in "abc":
        host.finish_start(supervisor, child_id)
    assert take(host) == "+a +b +c"


# --- intensity ---


def test_the_intensity_is_reached_without_harm_and_exceeded_by_one_more() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("ab"), intensity=3, period_s=10, backoff=NO_BACKOFF))
    for _ in range(3):
        host.end(supervisor, "b", "ValueError: broken")
    assert not outcome.ends
    take(host)
    host.end(supervisor, "b", "ValueError: broken")
    assert take(host) == "-a"
    assert outcome.ends == [SupervisorEnd("escalated", "more than 3 restarts within 10 s; last was 'b': ValueError: broken")]
    assert [report.decision for report in host.crashes()] == ["restart"] * 3 + ["escalate"]


@pytest.mark.parametrize(("pause_s", "ends"), [(10.0, 1), (10.001, 0)])
def test_restarts_outside_the_period_are_forgotten(pause_s: float, ends: int) -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("a"), intensity=1, period_s=10, backoff=NO_BACKOFF))
    host.end(supervisor, "a", "ValueError: broken")
    host.run_for(pause_s)
    host.end(supervisor, "a", "ValueError: broken")
    assert len(outcome.ends) == ends


def test_intensity_zero_allows_no_restart() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("a"), intensity=0))
    host.end(supervisor, "a", "ValueError: broken")
    assert [end.reason for end in outcome.ends] == ["escalated"]


# --- backoff ---


def backoff_delays(seed: int) -> list[float]:
    host = Host(seed)
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("a"), intensity=6, backoff=Backoff(0.5, 4.0)))
    for _ in range(6):
        host.run_for(4.0)
        host.end(supervisor, "a", "ValueError: broken")
    return [report.delay_s for report in host.crashes()]


def test_backoff_is_reproduced_by_its_seed_and_bounded() -> None:
    delays = backoff_delays(7)
    assert delays == backoff_delays(7)
    assert delays != backoff_delays(8)
    assert delays[0] == 0.0
    assert all(0.0 <= delay <= ceiling for delay, ceiling in zip(delays, [0, 0.5, 1, 2, 4, 4], strict=True))
    assert all(delays[1:])


@given(st.integers(1, 10_000), st.floats(0, 10), st.floats(10, 100))
def test_a_backoff_ceiling_never_exceeds_its_cap(restarts: int, base_s: float, cap_s: float) -> None:
    backoff = Backoff(base_s, cap_s)
    assert 0.0 <= backoff.ceiling_s(restarts) <= cap_s
    assert backoff.ceiling_s(restarts) <= backoff.ceiling_s(restarts + 1)


def test_backoff_counts_each_child_apart() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("ab")))
    host.end(supervisor, "a", "ValueError: broken")
    host.end(supervisor, "b", "ValueError: broken")
    assert [(report.restarts, report.delay_s) for report in host.crashes()] == [(1, 0.0), (2, 0.0)]


def test_siblings_run_on_while_one_waits() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("ab")))
    host.end(supervisor, "a", "ValueError: broken")
    host.end(supervisor, "a", "ValueError: broken")
    assert supervisor.states() == {"a": "waiting", "b": "up"}
    host.run_for(0.1)
    assert supervisor.states() == {"a": "up", "b": "up"}


def test_stopping_ends_a_wait() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("rest_for_one", children("ab")))
    host.end(supervisor, "a", "ValueError: broken")
    host.end(supervisor, "a", "ValueError: broken")
    supervisor.stop()
    take(host)
    host.run_for(60)
    assert take(host) == ""
    assert [end.reason for end in outcome.ends] == ["stopped"]


def test_a_new_crash_replaces_the_wait_of_the_group() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("rest_for_one", children("ab")))
    host.end(supervisor, "b", "ValueError: broken")
    host.end(supervisor, "b", "ValueError: broken")
    take(host)
    assert host.armed() == 1
    host.end(supervisor, "a", "ValueError: broken")
    assert take(host) == "+a +b", "the first restart of a is immediate and takes b along"
    assert host.armed() == 0


# --- auto shutdown ---


def test_any_significant_exit_ends_the_supervisor_in_peace() -> None:
    host = Host()
    members = (*children("a"), ChildSpec("s", None, "transient", significant=True), *children("b"))
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", members, auto_shutdown="any_significant"))
    take(host)
    host.end(supervisor, "s", "ValueError: broken")
    assert not outcome.ends, "a crash is restarted, so it is no final exit"
    take(host)
    host.end(supervisor, "s")
    assert take(host) == "-b -a"
    assert outcome.ends == [SupervisorEnd("auto_shutdown")]


def test_all_significant_waits_for_the_last_of_them() -> None:
    host = Host()
    members = (*children("st", restart="temporary", significant=True), *children("a"))
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", members, auto_shutdown="all_significant"))
    host.end(supervisor, "s")
    assert not outcome.ends
    host.end(supervisor, "t")
    assert [end.reason for end in outcome.ends] == ["auto_shutdown"]


def test_auto_shutdown_waits_until_the_start_has_finished() -> None:
    host = Host(at_once=False)
    members = (ChildSpec("s", None, "temporary", significant=True), *children("a"))
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", members, auto_shutdown="any_significant"))
    host.finish_start(supervisor, "s")
    host.end(supervisor, "s")
    assert supervisor.phase == "running"
    host.finish_start(supervisor, "a")
    host.end(supervisor, "a")
    assert (outcome.ready, outcome.ends) == (1, [SupervisorEnd("auto_shutdown")])


# --- quarantine ---


def test_quarantine_rests_an_ordered_supervisor_as_a_whole_and_starts_it_again() -> None:
    host = Host()
    spec = SupervisorSpec("one_for_one", children("ab"), intensity=1, backoff=NO_BACKOFF, on_excess=Quarantine(300.0))
    supervisor, outcome = supervise(host, spec)
    host.end(supervisor, "a", "ValueError: broken")
    take(host)
    host.end(supervisor, "a", "ValueError: broken")
    assert (take(host), supervisor.phase) == ("-b", "quarantined")
    host.run_for(299.0)
    assert take(host) == ""
    host.run_for(1.0)
    assert (take(host), supervisor.phase) == ("+a +b", "running")
    host.end(supervisor, "a", "ValueError: broken")
    assert (take(host), outcome.ends) == ("+a", [])


def test_a_quarantine_before_the_first_start_has_finished_lets_the_owner_go_on() -> None:
    host = Host(at_once=False)
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("ab"), intensity=0, on_excess=Quarantine(60.0)))
    host.finish_start(supervisor, "a")
    host.end(supervisor, "a", "ValueError: broken")
    assert (outcome.ready, supervisor.phase) == (1, "quarantined")


def test_an_operator_lifts_the_quarantine_of_an_ordered_supervisor() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_all", children("ab"), intensity=0, on_excess=Quarantine(300.0)))
    assert not supervisor.lift()
    host.end(supervisor, "a", "ValueError: broken")
    take(host)
    assert supervisor.lift()
    assert take(host) == "+a +b"
    assert host.armed() == 0


def test_a_lift_waits_for_children_that_are_still_stopping() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_all", children("ab"), intensity=0, on_excess=Quarantine(300.0)))
    take(host)
    host.at_once = False
    host.end(supervisor, "a", "ValueError: broken")
    assert supervisor.lift()
    assert take(host) == "-b"
    host.end(supervisor, "b")
    assert take(host) == "+a"


def test_a_failing_start_after_quarantine_leads_back_to_quarantine() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("a"), intensity=0, on_excess=Quarantine(10.0)))
    host.fails = lambda child_id: True
    host.end(supervisor, "a", "ValueError: broken")
    host.run_for(100.0)
    assert (supervisor.phase, outcome.ends) == ("quarantined", [])
    assert take(host) == "+a" + " +a" * 10


def dynamic(host: Host, names: str = "", **fields: object) -> tuple[DynamicSupervisor, Outcome]:
    supervisor, outcome = supervise(host, SupervisorSpec("dynamic", **fields))  # type: ignore[arg-type]
    assert isinstance(supervisor, DynamicSupervisor)
    for name in names:
        supervisor.add_child(ChildSpec(name, None))
    take(host)
    return supervisor, outcome


def test_quarantine_isolates_one_dynamic_child() -> None:
    host = Host()
    supervisor, outcome = dynamic(host, "abc", intensity=2, backoff=NO_BACKOFF, on_excess=Quarantine(300.0))
    for _ in range(3):
        host.end(supervisor, "b", "ValueError: broken")
    assert supervisor.states() == {"a": "up", "b": "quarantined", "c": "up"}
    assert take(host) == "+b +b"
    host.end(supervisor, "a", "ValueError: broken")
    assert supervisor.states()["a"] == "up", "the restarts of b do not count against a"
    host.run_for(300.0)
    assert supervisor.states()["b"] == "up"
    for _ in range(2):
        host.end(supervisor, "b", "ValueError: broken")
    assert supervisor.states()["b"] == "up", "quarantine ends with a clean count"
    assert not outcome.ends


def test_an_operator_lifts_the_quarantine_of_a_dynamic_child() -> None:
    host = Host()
    supervisor, _ = dynamic(host, "ab", intensity=0, on_excess=Quarantine(300.0))
    host.end(supervisor, "a", "ValueError: broken")
    assert not supervisor.lift("b")
    assert not supervisor.lift("nobody")
    assert supervisor.lift("a")
    assert supervisor.states() == {"a": "up", "b": "up"}
    assert host.armed() == 0


# --- dynamic children ---


def test_dynamic_escalates_on_the_sum_of_all_restarts_as_otp_does() -> None:
    host = Host()
    supervisor, outcome = dynamic(host, "abc", intensity=2, backoff=NO_BACKOFF)
    for child_id in "abc":
        host.end(supervisor, child_id, "ValueError: broken")
    assert take(host) == "+a +b -b -a"
    assert [end.reason for end in outcome.ends] == ["escalated"]


def test_adding_answers_with_success_or_the_error_of_the_first_start() -> None:
    host = Host()
    host.fails = lambda child_id: child_id == "bad"
    supervisor, outcome = dynamic(host)
    answers: list[str | None] = []
    supervisor.add_child(ChildSpec("good", None), answers.append)
    supervisor.add_child(ChildSpec("bad", None), answers.append)
    assert answers == [None, "OSError: no"]
    assert list(supervisor.states()) == ["good"]
    assert not outcome.ends


def test_a_dynamic_child_that_leaves_for_good_is_forgotten() -> None:
    host = Host()
    supervisor, _ = dynamic(host)
    supervisor.add_child(ChildSpec("t", None, "transient"))
    host.end(supervisor, "t")
    assert len(supervisor) == 0
    supervisor.add_child(ChildSpec("t", None, "transient"))
    assert "t" in supervisor


def test_removing_stops_and_forgets_in_every_state() -> None:
    host = Host()
    supervisor, _ = dynamic(host, "uwq", intensity=2, on_excess=Quarantine(9.0), backoff=Backoff(1.0, 1.0))
    for _ in range(2):
        host.end(supervisor, "w", "ValueError: broken")
        host.end(supervisor, "q", "ValueError: broken")
    host.run_for(1.0)
    host.end(supervisor, "q", "ValueError: broken")
    host.end(supervisor, "w", "ValueError: broken")
    supervisor.add_child(ChildSpec("v", None))
    for _ in range(2):
        host.end(supervisor, "v", "ValueError: broken")
    assert supervisor.states() == {"u": "up", "w": "quarantined", "q": "quarantined", "v": "waiting"}
    assert all(supervisor.remove_child(child_id) for child_id in "uwqv")
    assert not supervisor.remove_child("u")
    assert supervisor.states() == {}
    assert host.armed() == 0


def test_removing_a_child_that_is_starting_answers_whoever_added_it() -> None:
    host = Host(at_once=False)
    supervisor, _ = dynamic(host)
    answers: list[str | None] = []
    supervisor.add_child(ChildSpec("a", None), answers.append)
    supervisor.remove_child("a")
    with pytest.raises(ValueError, match="exists already"):
        supervisor.add_child(ChildSpec("a", None))
    host.end(supervisor, "a")
    assert answers == ["stopped before it was up"]


def test_dynamic_children_are_stopped_all_at_once_youngest_first() -> None:
    host = Host()
    supervisor, outcome = dynamic(host, "abc")
    host.at_once = False
    supervisor.stop()
    assert take(host) == "-c -b -a"
    with pytest.raises(RuntimeError, match="it is ending"):
        supervisor.add_child(ChildSpec("d", None))
    for child_id in "acb":
        assert not outcome.ends
        host.end(supervisor, child_id)
    assert outcome.ends == [SupervisorEnd("stopped")]


class CountingId(str):
    """An id that counts how often ids are compared."""

    comparisons = 0

    def __eq__(self, other: object) -> bool:
        CountingId.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def work_of_one_life(population: int) -> tuple[int, int]:
    """Lines executed and ids compared by one crash, quarantine, removal and addition among `population` children."""
    host = Host()
    supervisor, _ = dynamic(host, intensity=1, on_excess=Quarantine(60.0))
    for number in range(population):
        supervisor.add_child(ChildSpec(CountingId(f"child {number}"), None))
    lines = 0

    def trace(frame: object, event: str, argument: object) -> object:
        nonlocal lines
        lines += event == "line"
        return trace

    CountingId.comparisons = 0
    before = sys.gettrace()
    # What the collector calls back (Hypothesis asks it to) would be counted as well.
    gc.disable()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        child_id = CountingId(f"child {population // 2}")
        for _ in range(2):
            host.end(supervisor, child_id, "ValueError: broken")
        supervisor.lift(child_id)
        supervisor.remove_child(child_id)
        supervisor.add_child(ChildSpec(child_id, None))
    finally:
        sys.settrace(before)
        gc.enable()
    return lines, CountingId.comparisons


def test_an_event_among_a_hundred_thousand_children_costs_what_it_costs_among_ten() -> None:
    few_lines, _ = work_of_one_life(10)
    many_lines, many_comparisons = work_of_one_life(100_000)
    assert many_lines == few_lines
    assert many_comparisons < 100


def test_a_dynamic_child_is_small() -> None:
    supervisor, _ = dynamic(Host(), "a")
    child = supervisor._children["a"]
    assert not hasattr(child, "__dict__")
    assert sys.getsizeof(child) + sys.getsizeof(child.spec) <= 256
    assert (child.restarts, child.timer, child.nested) == (None, None, None)


# --- nested supervisors ---


def tree(inner: SupervisorSpec, **fields: object) -> SupervisorSpec:
    return SupervisorSpec("one_for_one", (*children("a"), ChildSpec("sub", inner, **fields), *children("z")), backoff=NO_BACKOFF)  # type: ignore[arg-type]


def inner_of(host: Host) -> Supervisor:
    return next(owner for owner, _ in host.live if owner.name == "root/sub")


def test_a_nested_supervisor_takes_its_turn_among_its_siblings() -> None:
    host = Host()
    supervisor, outcome = supervise(host, tree(SupervisorSpec("one_for_one", children("bc"))))
    assert (take(host), outcome.ready) == ("+a +b +c +z", 1)
    supervisor.stop()
    assert take(host) == "-z -c -b -a"


def test_escalation_passes_to_the_parent_which_restarts_the_subtree() -> None:
    host = Host()
    supervisor, outcome = supervise(host, tree(SupervisorSpec("one_for_one", children("bc"), intensity=0)))
    take(host)
    host.end(inner_of(host), "b", "ValueError: broken")
    assert take(host) == "-c +b +c"
    assert [(report.supervisor, report.decision) for report in host.crashes()] == [("root/sub", "escalate"), ("root", "restart")]
    assert not outcome.ends
    assert supervisor.states()["sub"] == "up"


def test_escalation_goes_all_the_way_up() -> None:
    host = Host()
    spec = evolve(tree(SupervisorSpec("one_for_one", children("bc"), intensity=0)), intensity=0)
    _, outcome = supervise(host, spec)
    take(host)
    host.end(inner_of(host), "b", "ValueError: broken")
    assert take(host) == "-c -z -a"
    assert [end.reason for end in outcome.ends] == ["escalated"]
    assert outcome.ends[0].error is not None
    assert "ValueError: broken" in outcome.ends[0].error


def test_quarantine_below_keeps_trouble_from_the_parent() -> None:
    host = Host()
    supervisor, _ = supervise(host, tree(SupervisorSpec("one_for_one", children("bc"), intensity=0, on_excess=Quarantine(60.0))))
    take(host)
    host.end(inner_of(host), "b", "ValueError: broken")
    assert take(host) == "-c"
    assert supervisor.states() == {"a": "up", "sub": "up", "z": "up"}
    host.run_for(60.0)
    assert take(host) == "+b +c"


def test_auto_shutdown_below_is_a_peaceful_exit_above() -> None:
    host = Host()
    inner = SupervisorSpec("one_for_one", (ChildSpec("s", None, "temporary", significant=True),), auto_shutdown="any_significant")
    supervisor, _ = supervise(host, tree(inner, restart="transient"))
    host.end(inner_of(host), "s")
    assert supervisor.states()["sub"] == "down"
    assert not host.crashes()


def test_a_failed_start_below_fails_the_start_above() -> None:
    host = Host()
    host.fails = lambda child_id: child_id == "c"
    _, outcome = supervise(host, tree(SupervisorSpec("one_for_one", children("bc"))))
    assert take(host) == "+a +b +c -b -a"
    assert [end.reason for end in outcome.ends] == ["start_failed"]


def test_a_brutal_stop_reaches_the_workers_below() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", (ChildSpec("sub", SupervisorSpec("dynamic"), shutdown=2.0),)))
    inner = supervisor._children["sub"].nested
    assert isinstance(inner, DynamicSupervisor)
    inner.add_child(ChildSpec("w", None, shutdown="infinity"))
    host.at_once = False
    supervisor.stop()
    assert host.shutdowns == [("w", "infinity")]
    host.run_for(2.0)
    assert host.shutdowns == [("w", "infinity"), ("w", "brutal")]


# --- reports and specifications ---


def test_a_crash_report_says_who_why_and_what_follows() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("a")))
    host.time = 12.5
    host.end(supervisor, "a", "ValueError: broken")
    assert host.crashes() == [CrashReport("root", "a", "ValueError: broken", 12.5, 1, "restart", 0.0, ("first", "last"))]


def test_a_crash_report_keeps_only_the_last_messages() -> None:
    host = Host()
    supervisor, _ = supervise(host, SupervisorSpec("one_for_one", children("a")))
    host.live.clear()
    supervisor.ended("a", "ValueError: broken", range(100))
    assert host.crashes()[0].last_messages == tuple(range(36, 100))


def test_a_crash_during_a_stop_is_reported_and_changes_nothing() -> None:
    host = Host()
    supervisor, outcome = supervise(host, SupervisorSpec("one_for_one", children("a")))
    host.at_once = False
    supervisor.stop()
    host.end(supervisor, "a", "ValueError: broken")
    assert [report.decision for report in host.crashes()] == ["already_stopping"]
    assert outcome.ends == [SupervisorEnd("stopped")]


def test_an_error_is_described_without_locals_and_at_bounded_length() -> None:
    assert describe(ValueError("broken")) == "ValueError: broken"
    assert describe(ExceptionGroup("several", [KeyError("k"), OSError()])) == "KeyError: 'k'; OSError"
    assert len(describe(ValueError("x" * 10_000))) == 500


@pytest.mark.parametrize("strategy", ["one_for_one", "dynamic"])
def test_a_significant_child_needs_a_supervisor_that_shuts_down(strategy: Strategy) -> None:
    child = ChildSpec("s", None, "transient", significant=True)
    if strategy == "dynamic":
        supervisor, _ = dynamic(Host())
        with pytest.raises(ValueError, match="never shuts down by itself"):
            supervisor.add_child(child)
    else:
        with pytest.raises(ValueError, match="never shuts down by itself"):
            SupervisorSpec(strategy, (child,))


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: ChildSpec("s", None, significant=True), "permanent child cannot be significant"),
        (lambda: ChildSpec("s", None, shutdown=-1.0), "must not be negative"),
        (lambda: SupervisorSpec("one_for_one", children("aa")), "must be unique"),
        (lambda: SupervisorSpec("dynamic", children("a")), "starts empty"),
        (lambda: SupervisorSpec("one_for_one", intensity=-1), "intensity"),
        (lambda: SupervisorSpec("one_for_one", period_s=0.0), "period_s"),
        (lambda: SupervisorSpec("one_for_one", intensity=50, backoff=Backoff(1.0, 10.0)), "can never be exceeded"),
        (lambda: Backoff(2.0, 1.0), "base_s <= cap_s"),
        (lambda: Quarantine(0.0), "longer than"),
    ],
)
def test_a_specification_that_makes_no_sense_is_refused(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_shutdown_defaults_follow_the_kind() -> None:
    assert ChildSpec("w", None).shutdown == 5.0
    assert ChildSpec("s", SupervisorSpec("dynamic")).shutdown == "infinity"
