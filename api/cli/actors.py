"""`powernode actors`: the flight recorder of one actor, as the daemon kept it in memory, and what actors do by themselves.

Lives here: the commands. Must not live here: what is recorded.
"""

from __future__ import annotations

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, cell, emit_json, say, table

actors = LazyGroup(
    "actors",
    help="Look into the daemon's actors.",
    lazy={
        "periodic": ("api.cli.actors:periodic", "List what the platform does by itself, and how the last runs went."),
        "show": ("api.cli.actors:show", "Show the last turns of one actor: what it was told, decided and did."),
    },
)


@click.command(cls=Command)
@connected
def periodic() -> None:
    """List what the platform does by itself, and how the last runs went.

    A run that a stop of the daemon made it miss is made once at the next start. What a run met is said by a code.
    """
    client = Client(current())
    rows = [row for row in client.get("/platform/periodic_work").data or [] if isinstance(row, dict)]
    if client.application.as_json:
        for row in rows:
            emit_json(row)
        return
    now = client.application.clock.wall()
    columns = ("work", "runs", "last run", "last error", "next run", "cadence")
    times = [(ago(row.get("last_run_at"), now), row.get("last_error"), row.get("next_run_at")) for row in rows]
    table(
        columns,
        [(row.get("name"), cell(row.get("runs")), *map(cell, time), row.get("cadence")) for row, time in zip(rows, times, strict=True)],
        empty="nothing is done by itself",
    )


@click.command(cls=Command)
@click.argument("actor", metavar="KIND/ID")
@connected
def show(actor: str) -> None:
    """Show the last turns of one actor: what it was told, decided and did.

    Secrets are masked by the daemon. A peer is `peer/<its id>`.
    """
    kind, slash, identifier = actor.partition("/")
    if not slash or not kind or not identifier:
        raise click.UsageError("name the actor as KIND/ID, as in peer/0190e1c4-…")
    client = Client(current())
    data = client.get(f"/actors/{segment(kind)}/{segment(identifier)}").data
    found = data.get("actor") if isinstance(data, dict) else None
    if client.application.as_json or not isinstance(found, dict):
        emit_json(found)
        return
    block((name, value) for name, value in found.items() if name != "turns")
    say()
    columns = ("at", "message", "outcome", "effects", "draws", "version", "detail")
    turns = [turn for turn in found.get("turns") or [] if isinstance(turn, dict)]
    table(columns, [[_shown(turn.get(column)) for column in columns] for turn in turns], empty="no turn is remembered")


def _shown(value: object) -> str:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else cell(value)
