"""The run of one scenario under one seed.

Lives here: the order of steps, the end of faults, and the verdict. Must not live here: what a step does, or what must hold.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import attrs

from runtime.engine import Engine
from sim.clock import HostClock
from sim.exposure import listening, read_recorders
from sim.garbage import seldom_collected
from sim.scenario.actions.registry import FAULTS
from sim.scenario.ending import end
from sim.scenario.expectations import Hope
from sim.scenario.failures import Failure, StageError
from sim.scenario.history import History
from sim.scenario.progress import DeadlockError
from sim.scenario.schema import Scenario
from sim.scenario.stage import BrokenError, Stage
from sim.schedule import Schedule, Tape
from sim.trace.events import TraceEvent
from sim.trace.tracer import Tracer
from sim.world import LivelockError

LAST_LINES: Final = 20


@attrs.frozen
class Result:
    """What came of a run.

    Attributes:
        digest: one text for all that happened; equal for equal scenario, seed and program.
        turns: how many turns the actors took.
        failures: broken promises, none if the scenario passed.
        last: the last lines of the trace before the failure, none if the scenario passed.
        virtual_s: how much time passed in the world.
        faults: word of an action that is a fault to how often it happened.
        history: statuses and answers over time.
        impossible: how many steps were passed over because they could not happen at their time.
        reached: what the file says must happen in some run, and whether it did in this one; empty if the run was stopped early.
        events: how much happened (see `World.events_count`).
        steps: of lifecycles, those that were taken (see `sim.lives`).
    """

    scenario: str
    path: str
    seed: int
    digest: str
    turns: int
    failures: tuple[Failure, ...]
    last: tuple[str, ...]
    virtual_s: float = 0.0
    faults: Mapping[str, int] = attrs.field(factory=dict)
    history: History = attrs.field(factory=lambda: History(0.0), repr=False)
    impossible: int = 0
    reached: Mapping[str, bool] = attrs.field(factory=dict)
    events: int = 0
    steps: tuple[str, ...] = attrs.field(default=(), repr=False)

    @property
    def passed(self) -> bool:
        """Whether every promise held."""
        return not self.failures


@seldom_collected()
def run(
    scenario: Scenario,
    seed: int | None = None,
    *,
    until: float | None = None,
    tracer: Tracer | None = None,
    schedule: Schedule | None = None,
    drive: Callable[[Engine], bool] = Engine.run,
    explain: bool = True,
    staged: Callable[[Stage], None] | None = None,
) -> Result:
    """Run a scenario.

    Args:
        seed: in place of the file's own.
        until: stop at this moment, seconds since the start, without judging what was expected.
        tracer: is told everything that happens.
        schedule: decides about turns in place of the file and the seed.
        drive: makes one pass of an engine (see `World`).
        explain: run a failure once more for the last lines of its trace.
        staged: gets the stage once its platforms run, before the first step.
    """
    seed = scenario.world.seed if seed is None else seed
    if schedule is None and scenario.world.schedule is not None:
        schedule = Tape(scenario.world.schedule)
    stage = Stage(scenario, seed, schedule=schedule, tracer=tracer, drive=drive)
    if staged is not None:
        staged(stage)
    try:
        with listening(stage.watch, HostClock(stage.world.timeline)):
            failures = _judged(scenario, stage, until)
        last: deque[TraceEvent] = deque(maxlen=LAST_LINES)
        if failures and explain and tracer is None:
            run(scenario, seed, until=until, tracer=Tracer(last.append), explain=False)
        turns = sum(host.trace.turns for host in stage.world.hosts.values())
        lines = tuple(event.line for event in last)
        reached = _reached(scenario, stage) if until is None else {}
        faults = +stage.faults
        if stage.world.buggify is not None:
            faults.update({f"buggify {name}": count for name, count in stage.world.buggify.fired.items()})
        stage.steps.end(stage.world.hosts.values())
        done = stage.now, dict(faults), stage.history, stage.skipped, reached, stage.world.events_count, tuple(stage.steps.taken)
        return Result(scenario.name, scenario.path, seed, _digest(stage), turns, failures, lines, *done)
    finally:
        stage.world.close()


def _judged(scenario: Scenario, stage: Stage, until: float | None) -> tuple[Failure, ...]:
    failures: list[Failure] = []
    try:
        _play(scenario, stage, until)
        if until is None and scenario.world.converge:
            failures += end(stage, scenario.world.core)
        stage.check_all()
        if stage.world.seed == scenario.world.seed:
            # It takes a third as long as the run: once for each file is enough, whatever else is swept.
            read_recorders(stage.watch)
            stage.check()
    except BrokenError as broken:
        failures.append(broken.failure)
    except LivelockError as error:
        failures.append(Failure("livelock", stage.now, str(error)))
    except DeadlockError as error:
        failures.append(Failure("deadlock", stage.now, str(error)))
    except StageError as error:
        failures.append(Failure("step", stage.now, str(error)))
    if until is None and not any(failure.checker != "convergence" for failure in failures):
        failures += _disappointments(scenario, stage)
    return tuple(failures)


def _play(scenario: Scenario, stage: Stage, until: float | None) -> None:
    end = scenario.world.for_s if until is None else min(until, scenario.world.for_s)
    for step in sorted(scenario.steps, key=lambda step: step.t):
        if step.t > end:
            break
        stage.run_to(max(step.t, stage.now))
        try:
            stage.perform(step.action, step.do, step.name)
        except StageError as error:
            if not scenario.world.skip_impossible:
                raise StageError(f"{scenario.path}:{step.line}: {step.do}: {error}") from error
            stage.skipped += 1
        else:
            stage.faults[step.do] += step.do in FAULTS
        stage.observe()
        stage.check_all()
    stage.run_to(max(end, stage.now))
    stage.check_all()


def _disappointments(scenario: Scenario, stage: Stage) -> list[Failure]:
    found = []
    for expected in scenario.expected:
        text = expected.expectation.failure(stage.history)
        if text is not None:
            found.append(Failure(expected.that, stage.now, f"{scenario.path}:{expected.line}: {text}"))
    return found


def _reached(scenario: Scenario, stage: Stage) -> dict[str, bool]:
    """What must happen somewhere in a sweep, by its place in the file."""
    hoped = [(each.line, each.expectation) for each in scenario.expected if isinstance(each.expectation, Hope)]
    return {f"{scenario.path}:{line}: {hope.hope()}": hope.reached(stage.history) for line, hope in hoped}


def _digest(stage: Stage) -> str:
    whole = hashlib.blake2b(stage.world.digest().encode(), digest_size=16)
    for name, code in stage.history.answers.items():
        whole.update(f"{name}={code}\n".encode())
    for at, host, what, code in stage.history.heard:
        whole.update(f"{at!r} {host} {what}={code}\n".encode())
    return whole.hexdigest()
