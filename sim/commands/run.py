"""`powernode sim run`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from sim.commands.shared import FILE, document, loaded, show
from sim.scenario.run import run


@click.command("run", cls=Command)
@click.argument("file", type=FILE)
@click.option("--seed", type=int, help="This seed in place of the file's own.")
@click.option("--seeds", type=click.IntRange(min=1), help="That many seeds, counted up from the first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per run on standard output.")
def run_(file: Path, seed: int | None, seeds: int | None, as_json: bool) -> None:
    """Run the scenario in FILE; exit 1 if a promise does not hold."""
    scenario = loaded(file)
    first = scenario.world.seed if seed is None else seed
    failed = 0
    for number in range(seeds or 1):
        result = run(scenario, first + number)
        failed += not result.passed
        if as_json:
            click.echo(json.dumps(document(result)))
        else:
            show(result)
        click.echo(f"{number + 1}/{seeds or 1} seeds run, {failed} failed", err=True)
    if failed:
        raise click.exceptions.Exit(1)
