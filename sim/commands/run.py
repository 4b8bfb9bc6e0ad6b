"""`powernode sim run`."""

from __future__ import annotations

import json
import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click

from api.cli.lazy import Command
from api.cli.text import counted
from runtime.clock import SystemClock
from sim.commands.progress import Progress, figures
from sim.commands.shared import all_loaded, document, failure_lines, files_of, replay_command, show
from sim.scenario.run import Result
from sim.scenario.schema import Scenario
from sim.sweep import Case, Tally, cases, spread, sweep

INTERRUPTED: Final = 130
IN_FULL_MAX: Final = 3
"""Failures of one scenario by one checker that are shown with all that is known; the others go without the last events."""

ALONE_COST_MAX: Final = 60.0
"""Runs that cost no more in all are done before other processes would have started."""


def finite(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    """A sweep of `nan` minutes would run nothing and pass, and no clock comes to the end of `inf`."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no time; write a number of minutes, as in 10", ctx, param)
    return value


@click.command("run", cls=Command)
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--seed", type=int, help="The first seed, in place of each file's own.")
@click.option("--seeds", type=click.IntRange(min=1), metavar="K", help="K seeds for each file, counted up from the first.")
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="N runs in all: more of files that run fast, at least three of each.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), callback=finite, metavar="M", help="Begin no run after M minutes.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="J", help="Processes that run at once; by default one per processor.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on standard output, and one for all at the end.")
def run_(
    files: tuple[Path, ...],
    seed: int | None,
    seeds: int | None,
    runs: int | None,
    minutes: float | None,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Run scenario files, or all of a folder; exit 1 if a promise does not hold.

    Without --seeds, --runs and --minutes each file runs once, under its own seed. Ctrl-C ends a sweep with what it has found.
    """
    if seeds is not None and runs is not None:
        raise click.UsageError("--seeds counts the runs of each file and --runs those of all; give one of them")
    scenarios = all_loaded(files_of(files))
    total = runs if runs is not None else None if minutes is not None and seeds is None else (seeds or 1) * len(scenarios)
    chosen = _weighted(scenarios, runs, seed) if runs is not None else cases(scenarios, None if total is None else seeds or 1, seed)
    report = _Report(as_json, each=total is not None and total <= len(scenarios))
    interrupted = _play(chosen, total, _jobs(jobs, total, scenarios), minutes, report)
    report.end(interrupted)
    if report.tally.failed or report.never:
        raise click.exceptions.Exit(1)
    if interrupted:
        raise click.exceptions.Exit(INTERRUPTED)


def _play(chosen: Iterator[Case], total: int | None, jobs: int, minutes: float | None, report: _Report) -> bool:
    """Run and report; whether the user ended it."""
    stream = sweep(chosen, jobs=jobs, for_s=None if minutes is None else minutes * 60.0)
    try:
        with closing(stream), Progress(total, minutes) as progress:
            for done in stream:
                report.tally.add(done)
                if report.tells(done.result):
                    with progress.aside(sys.stdout):
                        report.result(done.result)
                progress.show(report.tally)
    except KeyboardInterrupt:
        return True
    return False


def _jobs(wanted: int | None, total: int | None, scenarios: list[Scenario]) -> int:
    cost = sum(scenario.cost for scenario in scenarios) / len(scenarios)
    if wanted is None and total is not None and total * cost <= ALONE_COST_MAX:
        return 1
    wanted = wanted or os.cpu_count() or 1
    return wanted if total is None else min(wanted, total)


def _weighted(scenarios: list[Scenario], runs: int, first: int | None) -> Iterator[Case]:
    """`runs` cases spread by cost, the rounds in turns."""
    counts = spread([scenario.cost for scenario in scenarios], runs)
    for number in range(max(counts)):
        due = [scenario for scenario, count in zip(scenarios, counts, strict=True) if number < count]
        yield from ((scenario, (scenario.world.seed if first is None else first) + number) for scenario in due)


class _Report:
    """What a sweep says on standard output, and the last line on standard error.

    Args:
        each: say something of every run, not of failures alone.
    """

    def __init__(self, as_json: bool, *, each: bool) -> None:
        self.tally = Tally()
        self._as_json = as_json
        self._each = each
        self._clock = SystemClock()
        self._started = self._clock.now()
        self._shown: Counter[tuple[str, str]] = Counter()

    def tells(self, result: Result) -> bool:
        """Whether something is said of this run."""
        return self._as_json or self._each or not result.passed

    def result(self, result: Result) -> None:
        if self._as_json:
            click.echo(json.dumps(document(result)))
        elif result.passed:
            show(result)
        else:
            self._failure(result)

    def _failure(self, result: Result) -> None:
        kind = (result.path, result.failures[0].checker)
        self._shown[kind] += 1
        if self._shown[kind] <= IN_FULL_MAX:
            show(result)
        else:
            click.echo(f"FAILED  {result.scenario}\n{next(failure_lines(result))}\n  replay: {replay_command(result)}")

    @property
    def never(self) -> list[str]:
        """What should have happened in some run of this sweep and never did; one run of each file is no sweep."""
        return [] if self._each else self.tally.never

    def end(self, interrupted: bool) -> None:
        elapsed_s = self._clock.now() - self._started
        if self._as_json:
            click.echo(json.dumps(self._summary(elapsed_s, interrupted)))
        elif not self._each:
            for path, (runs, failed, busy_s) in self.tally.by_scenario.items():
                verdict, pace = "FAILED" if failed else "passed", runs / max(busy_s, 1e-9)
                click.echo(f"{verdict}  {path}  {counted(runs, 'seed')}, {failed} failed, {pace:.0f} seeds/s")
        if not self._as_json:
            for hope in self.never:
                click.echo(f"NEVER   {hope}")
        end = "ended early: " if interrupted else ""
        click.echo(f"{end}{figures(self.tally, elapsed_s)}", err=True)

    def _summary(self, elapsed_s: float, interrupted: bool) -> dict[str, Any]:
        tally = self.tally
        return {
            "summary": True,
            "runs": tally.runs,
            "failed": tally.failed,
            "interrupted": interrupted,
            "elapsed_s": round(elapsed_s, 3),
            "seeds_per_s": round(tally.runs / max(elapsed_s, 1e-9), 1),
            "virtual_s": round(tally.virtual_s, 3),
            "never": self.never,
            "events": tally.events,
            "faults": dict(sorted(tally.faults.items())),
            "scenarios": {
                path: {"runs": runs, "failed": failed, "seconds_per_run": round(busy_s / runs, 6)}
                for path, (runs, failed, busy_s) in sorted(tally.by_scenario.items())
            },
        }
