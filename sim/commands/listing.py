"""`powernode sim list`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from api.cli.lazy import Command
from api.cli.text import counted
from sim.commands.progress import span
from sim.commands.shared import all_loaded, files_of
from sim.scenario.schema import Scenario
from sim.sweep import run_one

CLASSES: Final = ((3.0, "quick"), (30.0, "moderate"), (300.0, "long"))
"""Cost below which a scenario is called so; beyond the last it is a `day`'s work."""


def cost_class(scenario: Scenario) -> str:
    """What one run costs, in a word."""
    return next((word for limit, word in CLASSES if scenario.cost < limit), "day")


@click.command("list", cls=Command)
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), default="scenarios", show_default=True,
    metavar="DIR", help="Where the scenario files are.",
)  # fmt: skip
@click.option("--time", "timed", is_flag=True, help="Run each scenario once, under its own seed, and show how long that took.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per scenario.")
def list_(folder: Path, timed: bool, as_json: bool) -> None:
    """List the scenario files of a folder, with what a run of each costs.

    The cost is judged by how many platforms live for how long: quick, moderate, long, or a day's work. Faults can make it more.
    """
    files = files_of((folder,))
    for file, scenario in zip(files, all_loaded(files), strict=True):
        elapsed_s = run_one((scenario, scenario.world.seed)).elapsed_s if timed else None
        word, life = cost_class(scenario), span(scenario.world.for_s)
        if as_json:
            told: dict[str, Any] = {"file": str(file), "name": scenario.name, "description": scenario.description, "cost": word}
            told |= {"platforms": len(scenario.platforms), "virtual_s": scenario.world.for_s, "level": scenario.world.level}
            click.echo(json.dumps(told if elapsed_s is None else {**told, "seconds_per_run": round(elapsed_s, 4)}))
        else:
            took = "" if elapsed_s is None else f"  {elapsed_s * 1000:.0f} ms"
            click.echo(f"{file}  {scenario.name}  ({word}: {counted(len(scenario.platforms), 'platform')} for {life}){took}")
