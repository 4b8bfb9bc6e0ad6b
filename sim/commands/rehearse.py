"""`powernode sim rehearse`: a rotation with the platform's own peers, before anything is touched."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import IO, Any

import attrs
import click

from actors.limits import OVERLAP_DAYS_MAX, OVERLAP_DAYS_MIN
from api.cli.lazy import Command
from api.cli.option_types import DaysType
from api.cli.text import clean, counted
from runtime.clock import SystemClock
from sim.commands.progress import Share
from sim.rehearsal import Report, Untold, overlap_told, rehearse
from sim.sweep import quiet


@click.command("rehearse", cls=Command)
@click.argument("source", type=click.File("r"), default="-", metavar="[FILE]")
@click.option("--overlap", type=DaysType(OVERLAP_DAYS_MIN, OVERLAP_DAYS_MAX), metavar="TIME",
              help="How long both roots would count, as in 7d; without it as long as the platform's own setting in FILE says.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1, 1_000), default=3, show_default=True, metavar="K", help="Under how many seeds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def rehearse_(source: IO[str], overlap: int | None, seeds: int, as_json: bool) -> None:
    """Rehearse a rotation of the root with the peers that FILE tells of: what `powernode trust status --json` prints, or standard input.

    Peers that are silent stay silent for as long again as they have been. Exit 1 if a peer would be left behind, or the rotation would
    not begin. `powernode trust rotate --drill` asks the daemon for its peers and does the same.
    """
    quiet()
    try:
        told = json.load(source)
        if not isinstance(told, dict):
            raise Untold("it is no JSON object")
        with Share("rehearsal") as share:
            report = rehearse(
                told, now=SystemClock().wall(), overlap_days=overlap or overlap_told(told), seeds=range(1, seeds + 1),
                tell=partial(_tell, share), watch=share.show,
            )  # fmt: skip
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.UsageError(f"FILE is no JSON: {error}") from error
    except Untold as error:
        raise click.UsageError(f"FILE does not tell of peers: {error}") from error
    _show(report, as_json)
    if report.left_behind or report.obstacles:
        raise click.exceptions.Exit(1)


def _tell(share: Share, text: str) -> None:
    with share.aside(sys.stderr):
        click.echo(text, err=True)


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        told: dict[str, Any] = attrs.asdict(report) | {"left_behind": len(report.left_behind)}
        click.echo(json.dumps(told))
        return
    for outcome in report.outcomes:
        verdict = "left behind" if outcome.why is not None else "follows"
        when = "" if outcome.latest_s is None else f" within {outcome.latest_s / 60:.0f} min"
        why = f": {outcome.why}" if outcome.why else ""
        click.echo(f"{verdict:11s} {clean(outcome.url)}  {outcome.followed} of {counted(outcome.runs, 'run')}{when}{why}")
    for obstacle in report.obstacles:
        click.echo(f"obstacle    {clean(obstacle)}")
    if report.scale > 1.0 and any(outcome.why for outcome in report.outcomes):
        played = f"the overlap of {report.overlap_days:g} days was played as one day, silences alike"
        click.echo(f"({played}; nobody can know when a peer comes back)", err=True)
    click.echo(f"{len(report.outcomes) - len(report.left_behind)} follow, {len(report.left_behind)} would be left behind, "
               f"{len(report.set_aside)} are not concerned")  # fmt: skip
