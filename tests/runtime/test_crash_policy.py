"""The crash policy: restarts that are counted for each actor apart, seeded backoff, quarantine, and memory that is given back."""

import pytest

from runtime.actor import Ref
from runtime.crash import Crash, QuarantineFor, RestartAfter
from runtime.crash_policy import DEFAULT_RULES, QUARANTINE_S, SupervisedCrashes
from runtime.random import SeededRandomness
from runtime.supervision import CrashReport, Notice, Quarantine, SupervisorSpec


class ManualClock:
    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


A, B = Ref("peer", "a"), Ref("peer", "b")


def crash(ref: Ref) -> Crash:
    return Crash(ref, "message", ValueError("bad"), False, ())


def policy_with(clock: ManualClock, seed: int = 1, **options: object) -> SupervisedCrashes:
    return SupervisedCrashes(["peer", "grant"], clock, SeededRandomness(seed), **options)  # type: ignore[arg-type]


def decisions(policy: SupervisedCrashes, ref: Ref, count: int) -> list[RestartAfter | QuarantineFor]:
    return [policy.crashed(crash(ref)) for _ in range(count)]


def test_restarts_back_off_and_excess_is_quarantine() -> None:
    *restarts, last = decisions(policy_with(ManualClock()), A, DEFAULT_RULES.intensity + 1)
    assert restarts[0] == RestartAfter(0.0)
    for number, restart in enumerate(restarts, 1):
        assert isinstance(restart, RestartAfter)
        assert 0 <= restart.delay_s <= DEFAULT_RULES.backoff.ceiling_s(number)
    assert last == QuarantineFor(QUARANTINE_S)


def test_actors_are_counted_apart() -> None:
    policy = policy_with(ManualClock())
    assert isinstance(decisions(policy, A, 6)[-1], QuarantineFor)
    assert policy.quarantined() == [A]
    assert policy.crashed(crash(B)) == RestartAfter(0.0)


def test_the_seed_decides_the_delays() -> None:
    def delays(seed: int) -> list[float]:
        return [d.delay_s for d in decisions(policy_with(ManualClock(), seed), A, 5) if isinstance(d, RestartAfter)]

    assert delays(1) == delays(1)
    assert delays(1) != delays(2)


def test_old_restarts_stop_counting() -> None:
    clock = ManualClock()
    policy = policy_with(clock)
    for _ in range(40):
        assert isinstance(policy.crashed(crash(A)), RestartAfter)
        clock.at += DEFAULT_RULES.period_s / DEFAULT_RULES.intensity + 0.1


def test_quarantine_ends_by_itself_and_with_a_clean_count() -> None:
    clock = ManualClock()
    reports: list[CrashReport | Notice] = []
    policy = policy_with(clock, on_report=reports.append)
    decisions(policy, A, 6)
    clock.at += QUARANTINE_S
    assert policy.quarantined() == []
    assert [r.what for r in reports if isinstance(r, Notice) and r.child == "a"] == ["quarantined", "released"]
    assert policy.crashed(crash(A)) == RestartAfter(0.0)


def test_an_actor_that_runs_again_before_its_quarantine_is_over_is_counted_anew() -> None:
    policy = policy_with(ManualClock())
    assert isinstance(decisions(policy, A, 6)[-1], QuarantineFor)
    assert isinstance(decisions(policy, A, 6)[-1], QuarantineFor)


def test_memory_is_given_back_once_crashes_no_longer_count() -> None:
    clock = ManualClock()
    policy = policy_with(clock)
    for number in range(100):
        decisions(policy, Ref("peer", str(number)), 1 + number % 7)
    assert len(policy) == 100
    policy.healthy(A)
    assert len(policy) == 100, "leaving memory does not wash an actor clean"
    clock.at += DEFAULT_RULES.period_s + 0.1
    policy.healthy(A)
    assert len(policy) == 0


def test_reports_name_the_error_without_its_locals() -> None:
    reports: list[CrashReport | Notice] = []
    policy_with(ManualClock(), on_report=reports.append).crashed(crash(A))
    (report,) = [r for r in reports if isinstance(r, CrashReport)]
    assert (report.supervisor, report.child, report.error, report.decision) == ("actors/peer", "a", "ValueError: bad", "restart")


@pytest.mark.parametrize(
    "rules",
    [
        {"nobody": DEFAULT_RULES},
        {"peer": SupervisorSpec("dynamic")},
        {"peer": SupervisorSpec("one_for_one", on_excess=Quarantine(1.0))},
    ],
)
def test_rules_that_could_end_every_actor_of_a_kind_are_refused(rules: dict[str, SupervisorSpec]) -> None:
    with pytest.raises(ValueError, match="rules for"):
        policy_with(ManualClock(), rules=rules)
