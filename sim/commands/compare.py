"""`powernode sim compare`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from sim.commands.shared import all_loaded, document, files_of
from sim.levels import Comparison, compare


@click.command("compare", cls=Command)
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--seed", type=int, help="The first seed, in place of each file's own.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, metavar="K", help="K seeds for each file, counted up from the first.")
@click.option("--tolerance", type=click.FloatRange(min=0), metavar="S", help="In seconds; by default as much as what moves a status needs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per seed on standard output.")
def compare_(files: tuple[Path, ...], seed: int | None, seeds: int, tolerance: float | None, as_json: bool) -> None:
    """Run scenarios at frame level and over sockets; exit 1 if the two tell different stories.

    Compared are the verdicts of expectations and checkers, the answers to named steps, and every status of every peer row, which both
    levels must have within the tolerance of the same moment. What the frame level tells under another seed is chance. FILE may be a folder.
    """
    different = 0
    for scenario in all_loaded(files_of(files)):
        first = scenario.world.seed if seed is None else seed
        for number in range(seeds):
            found = compare(scenario, first + number, tolerance)
            different += bool(found.differences)
            _show(found, as_json)
    if different:
        raise click.exceptions.Exit(1)


def _show(found: Comparison, as_json: bool) -> None:
    if as_json:
        differences = [{"about": each.about, "at_s": each.at, "text": each.text} for each in found.differences]
        told = {"frames": document(found.frames), "sockets": document(found.sockets), "differences": differences}
        click.echo(json.dumps({"seed": found.frames.seed, "agree": not differences, "chance": found.chance, **told}))
        return
    verdict = "DIFFER" if found.differences else "agree "
    chance = "" if found.chance is None else f", by chance: the frame level tells the same under seed {found.chance}"
    click.echo(f"{verdict}  {found.frames.scenario}  seed {found.frames.seed}{chance}")
    for each in found.differences:
        click.echo(f"  {each.about} at {each.at:.3f} s: {each.text}")
