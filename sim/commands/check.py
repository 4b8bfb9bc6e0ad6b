"""`powernode sim check`."""

from __future__ import annotations

from pathlib import Path

import click

from api.cli.lazy import Command
from sim.commands.shared import FILE
from sim.scenario.load import ScenarioError, load


@click.command("check", cls=Command)
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
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
