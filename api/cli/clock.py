"""`powernode clock`: whether the platform's clock is known to be right, and the word of an operator that it is.

Lives here: these commands. Must not live here: what waits for the clock.
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.confirming import YES, confirm
from api.cli.lazy import Command, LazyGroup
from api.cli.output import block, emit_json, note

clock = LazyGroup(
    "clock",
    help="See whether the platform's clock is known to be right, and say that it is.",
    lazy={
        "show": ("api.cli.clock:show", "Show what the clock says, and what waits for it."),
        "confirm": ("api.cli.clock:confirm_time", "Say that the clock is right, so that what was held back goes on."),
    },
)


@click.command(cls=Command)
@connected
def show() -> None:
    """Show what the clock says, and what waits for it."""
    client = Client(current())
    _print(client, client.get("/platform/clock").data)


@click.command("confirm", cls=Command)
@click.option("--reason", metavar="TEXT", required=True, help="How you found out; kept in the audit trail.")
@click.option("--time", metavar="TIME", help="What you hold to be the time, as 2026-01-31T12:00:00Z; else you are shown the platform's.")
@YES
@connected
def confirm_time(reason: str, time: str | None, yes: bool) -> None:
    """Say that the clock is right, so that what was held back goes on.

    Compare it with another clock first: what has ended by it is then destroyed for good. The word holds until the daemon starts again,
    the clock is set, or peers say something new. With --yes give --time, of that other clock.
    """
    if yes and time is None:
        raise click.UsageError("with --yes say by --time what the time is: nobody has looked at the platform's clock")
    client = Client(current())
    told: str = time if time is not None else client.get("/platform/clock").data["time"]
    question = "Is that the time, and may be destroyed for good what has ended by it?"
    confirm(client, f"{told}. {question}", yes=yes)
    _print(client, client.post("/platform/clock/confirm", {"time": told, "reason": reason}).data)


def _print(client: Client, found: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(found)
        return
    block(found.items())
    if not found["settled"] and found["held_back_since"] is not None:
        note("What ends for good is held back until a peer confirms the clock, or you do: `powernode clock confirm --reason TEXT`.")
    elif found["ahead_s"]:
        note("Most peers say that it is earlier. If the clock is right all the same: `powernode clock confirm --reason TEXT`.")
