"""`powernode actors`: the flight recorder of one actor, as the daemon kept it in memory.

Lives here: the command. Must not live here: what is recorded.
"""

from __future__ import annotations

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.lazy import Command, LazyGroup
from api.cli.output import block, cell, emit_json, say, table

actors = LazyGroup(
    "actors",
    help="Look into the daemon's actors.",
    lazy={"show": ("api.cli.actors:show", "Show the last turns of one actor: what it was told, decided and did.")},
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
