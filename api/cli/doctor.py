"""`powernode doctor`: what would stop this platform from federating, and what to do about it.

Lives here: the command and its report. Must not live here: the checks (see `data_checks` and `daemon_checks`).
"""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import click

from api.cli import daemon_checks, data_checks
from api.cli.application import DEFAULT_URL, Application, connected, current
from api.cli.config import config_option
from api.cli.examination import SERIOUS, Ground, Verdict, examine
from api.cli.failures import Exit
from api.cli.lazy import Command
from api.cli.output import emit_json, say, table
from api.cli.text import clean
from api.configuration import ConfigurationError, load
from api.started import flags_of_last_start


@click.command(cls=Command)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="POWERNODE_DATA",
    metavar="DIR",
    help="Data directory to examine; also POWERNODE_DATA. Without it only the running daemon is asked.",
)
@config_option
@connected
def doctor(data: Path | None, file: Path | None) -> None:
    """Find out what would stop this platform from federating.

    With --data it looks into the directory, and asks the daemon if one runs on it. It changes nothing. Exits with 1 if anything of severity
    high or critical is found.
    """
    application = current()
    ground = survey(application, data, file)
    needs = frozenset({"daemon"} if data is None else {"data", "daemon"} if ground.running else {"data"})
    verdicts = examine(ground, (*data_checks.registry.checks, *daemon_checks.registry.checks), needs=needs)
    serious = [verdict for verdict in verdicts if verdict.problems and verdict.severity in SERIOUS]
    if application.as_json:
        emit_json({"ok": not serious, "checks": [{**attrs.asdict(verdict), "verdict": verdict.word} for verdict in verdicts]})
    else:
        _report(verdicts)
    if serious:
        click.get_current_context().exit(int(Exit.FAILURE))


def survey(application: Application, data: Path | None, file: Path | None) -> Ground:
    """The ground for the checks; a configuration that cannot be read is itself something to report."""
    if data is None:
        return Ground(application, None, None)
    try:
        ground = Ground(application, data, load(data=data, file=file, environment=os.environ, flags=flags_of_last_start(data)))
    except ConfigurationError as error:
        return Ground(application, data, None, tuple(str(problem) for problem in error.problems))
    address = ground.settings.server.operator_listen
    if application.url == DEFAULT_URL and address.port:
        application.url = f"http://{address}"
    return ground


def _report(verdicts: list[Verdict]) -> None:
    rows = []
    for verdict in verdicts:
        texts = verdict.problems or ((verdict.skipped,) if verdict.skipped else ("",))
        rows += [(verdict.word if first else "", verdict.title if first else "", text) for first, text in _marked(texts)]
    table(("verdict", "check", "found"), rows, empty="nothing was checked")
    troubled = [verdict for verdict in verdicts if verdict.problems]
    if troubled:
        say()
    for verdict in troubled:
        say(f"{clean(verdict.title)}: {clean(verdict.remedy)}")


def _marked(texts: tuple[str, ...]) -> list[tuple[bool, str]]:
    return [(index == 0, text) for index, text in enumerate(texts)]
