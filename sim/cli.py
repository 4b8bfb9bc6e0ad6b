"""`powernode sim`: run scenario files, replay one run in full, check files, list them.

Lives here: the commands and their output. Must not live here: anything about scenarios that a program may want without a terminal.
"""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from api.cli.lazy import Group
from api.durations import parse_duration
from sim.scenario.load import ScenarioError, load
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario

LEGEND: Final = """\
# seconds   platform actor/id Message: outcome [effects]   a turn of an actor; effects are what it saved, sent, timed or called
# seconds   from > to call METHOD path                     a request arrives
# seconds   from > to answer STATUS path                   its answer leaves; the time on the way is the difference to the next turn
# seconds   platform operator CALL: code                   the answer to an operator's call"""

_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A moment of a run, written as a duration from its start."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.group("sim", cls=Group)
def sim() -> None:
    """Run whole platforms in virtual time, from scenario files.

    A run depends on the file and the seed alone: the same seed gives the same digest, on any machine.
    """
    # What platforms would log is in the trace, and a fault that a scenario plants is no news.
    logging.getLogger().addHandler(logging.NullHandler())


@sim.command("run")
@click.argument("file", type=_FILE)
@click.option("--seed", type=int, help="This seed in place of the file's own.")
@click.option("--seeds", type=click.IntRange(min=1), help="That many seeds, counted up from the first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on standard output.")
def run_(file: Path, seed: int | None, seeds: int | None, as_json: bool) -> None:
    """Run the scenario in FILE; exit 1 if a promise does not hold."""
    scenario = _loaded(file)
    first = scenario.world.seed if seed is None else seed
    failed = 0
    for number in range(seeds or 1):
        result = run(scenario, first + number)
        failed += not result.passed
        if as_json:
            click.echo(json.dumps(_document(result)))
        else:
            _show(result)
        click.echo(f"{number + 1}/{seeds or 1} seeds run, {failed} failed", err=True)
    if failed:
        raise click.exceptions.Exit(1)


@sim.command("replay")
@click.argument("file", type=_FILE)
@click.option("--seed", type=int, required=True, help="The seed of the run.")
@click.option("--until", callback=_moment, metavar="T", help="Stop at this moment, as in 90s or 1h30m.")
def replay(file: Path, seed: int, until: float | None) -> None:
    """Run the scenario in FILE once more and print everything that happens."""
    scenario = _loaded(file)
    click.echo(LEGEND)
    result = run(scenario, seed, until=until, tell=click.echo)
    for line in _failures(result):
        click.echo(line)
    click.echo(f"digest {result.digest}")
    if not result.passed:
        raise click.exceptions.Exit(1)


@sim.command("check")
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[Path, ...]) -> None:
    """Read scenario files without running them; exit 2 if one has problems."""
    problems = []
    for file in files:
        try:
            load(file)
        except ScenarioError as error:
            problems.append(str(error))
    if problems:
        raise click.UsageError("\n" + "\n".join(problems))
    click.echo(f"{len(files)} file(s) without problems", err=True)


@sim.command("list")
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="scenarios", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per scenario.")
def list_(folder: Path, as_json: bool) -> None:
    """List the scenario files of a folder."""
    for file in sorted(folder.glob("*.toml")):
        scenario = _loaded(file)
        if as_json:
            click.echo(json.dumps({"file": str(file), "name": scenario.name, "description": scenario.description}))
        else:
            click.echo(f"{file}  {scenario.name}")


def _loaded(file: Path) -> Scenario:
    try:
        return load(file)
    except ScenarioError as error:
        raise click.UsageError("\n" + str(error)) from error


def _command(result: Result) -> str:
    return f"powernode sim replay {shlex.quote(result.path)} --seed {result.seed}"


def _document(result: Result) -> dict[str, Any]:
    failures = [{"checker": failure.checker, "at_s": failure.at, "text": failure.text} for failure in result.failures]
    return {
        "scenario": result.scenario,
        "file": result.path,
        "seed": result.seed,
        "passed": result.passed,
        "digest": result.digest,
        "turns": result.turns,
        "failures": failures,
        "last": list(result.last) if failures else [],
        "replay": _command(result),
    }


def _show(result: Result) -> None:
    click.echo(f"{'passed' if result.passed else 'FAILED'}  {result.scenario}  seed {result.seed}  digest {result.digest}")
    for line in _failures(result):
        click.echo(line)
    if not result.passed:
        click.echo("  last:")
        for line in result.last:
            click.echo(f"    {line}")
        click.echo(f"  replay: {_command(result)}")


def _failures(result: Result) -> Iterator[str]:
    for failure in result.failures:
        yield f"  {failure.checker} at {failure.at:.3f} s (seed {result.seed}): {failure.text}"
