"""`powernode sim list`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from sim.commands.shared import loaded


@click.command("list", cls=Command)
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="scenarios", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per scenario.")
def list_(folder: Path, as_json: bool) -> None:
    """List the scenario files of a folder."""
    for file in sorted(folder.glob("*.toml")):
        scenario = loaded(file)
        if as_json:
            click.echo(json.dumps({"file": str(file), "name": scenario.name, "description": scenario.description}))
        else:
            click.echo(f"{file}  {scenario.name}")
