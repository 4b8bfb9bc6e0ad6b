"""`powernode sim shrink`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from api.cli.lazy import Command
from api.cli.text import counted
from sim.commands.shared import FILE, loaded, writable, write
from sim.scenario.write import read_document
from sim.shrink import RUNS_MAX, NotFailingError, Shrunk, shrink


@click.command("shrink", cls=Command)
@click.argument("file", type=FILE)
@click.option("--seed", type=int, help="The seed under which it fails; the file's own if not given.")
@click.option("--checker", metavar="NAME", help="Keep the failure that this checker tells of; the first one if not given.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), callback=writable,
    help="Where to write it; beside FILE as X.min.toml if not given.",
)  # fmt: skip
@click.option("--runs", type=click.IntRange(min=1), default=RUNS_MAX, show_default=True, help="Stop after that many runs.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as a JSON object on standard output.")
def shrink_(file: Path, seed: int | None, checker: str | None, out: Path | None, runs: int, as_json: bool) -> None:
    """Write the smallest scenario that still fails as the one in FILE does under a seed."""
    scenario = loaded(file)
    seed = scenario.world.seed if seed is None else seed
    target = file.with_name(f"{file.stem}.min.toml") if out is None else out
    if target.resolve() == file.resolve():
        raise click.BadParameter(f"{target} is what is to be shrunk, and would be lost", param_hint="'--out'")
    try:
        shrunk = shrink(
            read_document(file), seed, str(file), checker=checker, runs_max=runs, progress=lambda text: click.echo(text, err=True)
        )  # fmt: skip
    except NotFailingError as error:
        raise click.ClickException(str(error)) from error
    write(target, shrunk.text.replace("sim replay FILE", f"sim replay {target.name}"), as_json=as_json)
    if as_json:
        click.echo(json.dumps(_document(shrunk, target, seed)))
        return
    if shrunk.exhausted:
        click.echo(f"stopped after {counted(shrunk.runs, 'run')}; --runs allows more", err=True)
    click.echo(f"{target}: {counted(shrunk.steps_before, 'step')} became {shrunk.steps_after} in {counted(shrunk.runs, 'run')}")
    click.echo(f"  {shrunk.failure.checker} at {shrunk.failure.at:.3f} s (seed {seed}): {shrunk.failure.sentence}")


def _document(shrunk: Shrunk, target: Path, seed: int) -> dict[str, Any]:
    return {
        "file": str(target), "seed": seed, "runs": shrunk.runs, "steps_before": shrunk.steps_before, "steps_after": shrunk.steps_after,
        "exhausted": shrunk.exhausted,
        "failure": {"checker": shrunk.failure.checker, "at_s": shrunk.failure.at, "text": shrunk.failure.text},
    }  # fmt: skip
