"""`powernode sim replay`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from api.cli.lazy import Command
from sim.commands.shared import FILE, document, failure_lines, loaded, span
from sim.drivers import DRIVERS, driven
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.trace.events import LEGEND, TraceEvent
from sim.trace.find import NoEventError, window
from sim.trace.tracer import Tracer

CONTEXT: Final = 15


@click.command("replay", cls=Command)
@click.argument("file", type=FILE)
@click.option("--seed", type=int, help="The seed of the run; the file's own if not given.")
@click.option("--until", callback=span, metavar="T", help="Stop at this moment, as in 90s or 1h30m.")
@click.option("--around", metavar="EVENT", help="Show only what is around an event: a number, a time, or words as in 'b accepted'.")
@click.option("--context", type=click.IntRange(min=0), default=CONTEXT, show_default=True, help="Events before and after it.")
@click.option(
    "--driver", type=click.Choice(sorted(DRIVERS)), default="step", show_default=True, help="How handlers are run; the digest is the same."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per event, and one for the outcome.")
def replay(file: Path, seed: int | None, until: float | None, around: str | None, context: int, driver: str, as_json: bool) -> None:
    """Run the scenario in FILE once more and print everything that happens."""
    scenario = loaded(file)
    if until is not None and until >= scenario.world.for_s:
        until = None
    shown: Callable[[TraceEvent], None] = _as_json if as_json else _as_line
    if not as_json:
        click.echo(LEGEND)
    if around is None:
        result = _run(scenario, seed, until, driver, shown)
    else:
        events: list[TraceEvent] = []
        result = _run(scenario, seed, until, driver, events.append)
        try:
            found = window(events, around, context)
        except NoEventError as error:
            raise click.UsageError(str(error)) from error
        for event in found.events:
            shown(event)
        if not as_json:
            click.echo(found.remark)
    _end(result, as_json, judged=until is None)


def _run(scenario: Scenario, seed: int | None, until: float | None, driver: str, listener: Callable[[TraceEvent], None]) -> Result:
    with driven(driver) as drive:
        return run(scenario, seed, until=until, tracer=Tracer(listener), drive=drive)


def _end(result: Result, as_json: bool, *, judged: bool) -> None:
    if as_json:
        # What was stopped before its end has not been judged, unless a rule was broken on the way.
        click.echo(json.dumps(document(result) | ({} if judged or not result.passed else {"passed": None})))
    else:
        for line in failure_lines(result):
            click.echo(line)
        click.echo(f"digest {result.digest}")
    if not result.passed:
        raise click.exceptions.Exit(1)


def _as_line(event: TraceEvent) -> None:
    click.echo(event.line)


def _as_json(event: TraceEvent) -> None:
    told: dict[str, Any] = dict(event.document())
    click.echo(json.dumps(told))
