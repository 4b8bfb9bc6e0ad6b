"""`powernode sim check`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from api.cli.text import counted
from sim.commands.shared import ProblemsError, files_of
from sim.scenario.load import Problem, ScenarioError, load


@click.command("check", cls=Command)
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one object per file, with its problems.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Read scenario files, or all of a folder, without running them; exit 2 if one has problems."""
    wrong: list[ScenarioError] = []
    given = files_of(files)
    for file in given:
        problems: list[Problem] = []
        try:
            load(file)
        except ScenarioError as error:
            wrong.append(error)
            problems = error.problems
        if as_json:
            told = [{"line": each.line, "key": each.key, "text": each.text} for each in problems]
            click.echo(json.dumps({"file": str(file), "problems": told}))
    if wrong and as_json:
        raise click.exceptions.Exit(ProblemsError.exit_code)
    if wrong:
        raise ProblemsError("\n".join(map(str, wrong)))
    click.echo(f"{counted(len(given), 'file')} without problems", err=True)
