"""`powernode sim replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from api.cli.lazy import Command
from sim.commands.shared import FILE, failure_lines, loaded, moment
from sim.scenario.run import run

LEGEND: Final = """\
# seconds   platform actor/id Message: outcome [effects]   a turn of an actor; effects are what it saved, sent, timed or called
# seconds   from > to call METHOD path                     a request arrives
# seconds   from > to answer STATUS path                   its answer leaves; the time on the way is the difference to the next turn
# seconds   platform operator CALL: code                   the answer to an operator's call"""


@click.command("replay", cls=Command)
@click.argument("file", type=FILE)
@click.option("--seed", type=int, required=True, help="The seed of the run.")
@click.option("--until", callback=moment, metavar="T", help="Stop at this moment, as in 90s or 1h30m.")
def replay(file: Path, seed: int, until: float | None) -> None:
    """Run the scenario in FILE once more and print everything that happens."""
    scenario = loaded(file)
    click.echo(LEGEND)
    result = run(scenario, seed, until=until, tell=click.echo)
    for line in failure_lines(result):
        click.echo(line)
    click.echo(f"digest {result.digest}")
    if not result.passed:
        raise click.exceptions.Exit(1)
