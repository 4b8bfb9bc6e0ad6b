"""`powernode sim record`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from runtime.clock import iso
from sim.commands.shared import span, writable, write
from sim.record import NoRecordingError, document, take
from sim.scenario.write import to_toml


@click.command("record", cls=Command)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, metavar="DIR", help="The daemon's data folder."
)
@click.option("--since", callback=span, metavar="SPAN", help="Only the last part, as in 10m; all that is kept if not given.")
@click.option("--actor", "actors", multiple=True, metavar="KIND[/ID]", help="Only this actor, or this kind of actors; may be repeated.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("recording.toml"), show_default=True, callback=writable,
    metavar="FILE", help="The scenario file to write.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def record(data: Path, since: float | None, actors: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Turn what a daemon's flight recorder holds into a scenario that plays it again.

    A running daemon is asked for it; after a stop, or a crash of a handler, what it wrote then is taken. Every turn of the chosen actors is
    played with its time, its message and its draws, in the actors of this program, and must end as it was recorded. `sim replay FILE
    --until T` stops at any of them, `sim run FILE` says whether a rule is broken. Secrets are replaced, consistently, before anything is
    written.
    """
    try:
        taken = take(data)
        told = document(taken.flight, since_s=since, actors=actors)
    except NoRecordingError as error:
        raise click.ClickException(str(error)) from error
    write(out, to_toml(told), as_json=as_json)
    if not taken.fresh:
        text = f"no daemon runs on this folder: this is what the last one wrote at {iso(taken.written_at)}, at its stop, after a crash of a"
        click.echo(f"{text} handler or because it was asked; if it was killed later, what it did since then is not in it", err=True)
    click.echo(f"{out}: {told['description'].split('.')[0]}", err=True)
    if as_json:
        click.echo(json.dumps({"file": str(out), "of_running_daemon": taken.fresh, "written_at": iso(taken.written_at)}))
