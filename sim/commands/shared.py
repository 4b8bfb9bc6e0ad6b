"""What the commands of `powernode sim` share: reading a file, spans of time, and how the outcome of a run is shown.

Must not live here: a command.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import click

from api.cli.failures import Exit, Failure
from api.durations import parse_duration
from sim.scenario.load import ScenarioError, load
from sim.scenario.run import Result
from sim.scenario.schema import Scenario

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


class ProblemsError(click.ClickException):
    """A file is no scenario. Its problems are told as they are: the command was called rightly."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(self.message, file, err=file is None)


def writable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """A file to be written, in a folder that is there: better said before the work than after it."""
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"there is no folder {value.parent}", ctx, param)
    return value


def write(path: Path, text: str, *, as_json: bool) -> None:
    """Write the result of a command into its file.

    Raises:
        Failure: `output_failed`; told as an object after `--json`.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise unwritten(path, error, as_json=as_json) from error


def unwritten(path: Path, error: OSError, *, as_json: bool) -> Failure:
    """What a command says of a file that took nothing."""
    failure = Failure("output_failed", f"{path} could not be written: {error.strerror or error}", Exit.OUTPUT_FAILED)
    failure.as_json = as_json
    return failure


def span(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """A span of time in seconds, written as in 90s or 1h30m; also a moment of a run, which is told from its start."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def loaded(file: Path) -> Scenario:
    try:
        return load(file)
    except ScenarioError as error:
        raise ProblemsError(str(error)) from error


def all_loaded(files: Iterable[Path]) -> list[Scenario]:
    """The scenarios of the files, none if one of them is none: the problems of all are told at once."""
    found, problems = [], []
    for file in files:
        try:
            found.append(load(file))
        except ScenarioError as error:
            problems.append(str(error))
    if problems:
        raise ProblemsError("\n".join(problems))
    return found


def files_of(given: tuple[Path, ...]) -> list[Path]:
    """The files, and those of the folders, each once."""
    found: list[Path] = []
    for path in given:
        inside = sorted(path.glob("*.toml")) if path.is_dir() else [path]
        if not inside:
            raise click.UsageError(f"there are no scenario files in {path}")
        found += inside
    return list(dict.fromkeys(found))


def replay_command(result: Result) -> str:
    return f"powernode sim replay {shlex.quote(result.path)} --seed {result.seed}"


def document(result: Result) -> dict[str, Any]:
    failures = [{"checker": failure.checker, "at_s": failure.at, "text": failure.text} for failure in result.failures]
    return {
        "scenario": result.scenario,
        "file": result.path,
        "seed": result.seed,
        "passed": result.passed,
        "digest": result.digest,
        "turns": result.turns,
        "virtual_s": result.virtual_s,
        "events": result.events,
        "faults": dict(result.faults),
        "failures": failures,
        "last": list(result.last) if failures else [],
        "replay": replay_command(result),
    }


def show(result: Result) -> None:
    click.echo(f"{'passed' if result.passed else 'FAILED'}  {result.scenario}  seed {result.seed}  digest {result.digest}")
    for line in failure_lines(result):
        click.echo(line)
    if not result.passed:
        click.echo("  last:")
        for line in result.last:
            click.echo(f"    {line}")
        click.echo(f"  replay: {replay_command(result)}")


def failure_lines(result: Result) -> Iterator[str]:
    for failure in result.failures:
        yield f"  {failure.checker} at {failure.at:.3f} s (seed {result.seed}): {failure.text}"
