"""`powernode trust`: whether trust is frozen, and the decision that ends it; the group that rotations belong to, too.

Lives here: these commands. Must not live here: the trust of one peer (see `peers`).
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.confirming import YES, confirm
from api.cli.lazy import Command, LazyGroup
from api.cli.output import block, emit_json, note, say

trust = LazyGroup(
    "trust",
    help="Replace this platform's root, and decide whether it runs on an earlier copy of its data.",
    lazy={
        "rotate": ("api.cli.rotation:rotate", "Replace the root of this platform's own CA, without outage."),
        "finish": ("api.cli.rotation:finish", "End the overlap of a rotation now, or give peers up that do not follow."),
        "status": ("api.cli.rotation:status", "Show how far the rotation of the root has come."),
        "show": ("api.cli.trust:show", "Show whether trust is frozen, and why."),
        "unfreeze": ("api.cli.trust:unfreeze", "Decide what still holds, so that trust can be opened again."),
    },
)


@click.command(cls=Command)
@connected
def show() -> None:
    """Show whether trust is frozen, and why."""
    client = Client(current())
    _print(client, client.get("/platform/trust").data)


@click.command(cls=Command)
@click.option("--restored/--not-restored", default=None, help="Whether this is an earlier copy, or the peers that say so are wrong.")
@click.option("--keep-peerings", is_flag=True, help="With --restored: do not pause the peerings in force.")
@click.option("--keep-grants", is_flag=True, help="With --restored: what the copy holds as granted stays in force.")
@YES
@connected
def unfreeze(restored: bool | None, keep_peerings: bool, keep_grants: bool, yes: bool) -> None:
    """Decide what still holds, so that trust can be opened again.

    With --restored, open tokens die, grants are void and peerings are paused for review, unless they are kept.
    """
    if restored is None:
        raise click.UsageError("say --restored or --not-restored; `powernode trust show` tells who noticed what")
    if not restored and (keep_peerings or keep_grants):
        raise click.UsageError("--keep-peerings and --keep-grants go with --restored")
    client = Client(current())
    what = "this platform runs on an earlier copy" if restored else "the peers that say so are wrong"
    confirm(client, f"Decide that {what}?", yes=yes)
    body: dict[str, Any] = {"decision": "restored" if restored else "not_restored"}
    body |= {name: True for name, given in (("keep_peerings", keep_peerings), ("keep_grants", keep_grants)) if given}
    _print(client, client.post("/platform/trust/unfreeze", body).data)


def _print(client: Client, found: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(found)
        return
    say("trust is frozen" if found.get("frozen") else "trust is not frozen")
    block(found.items())
    if found.get("closing"):
        note("The decision is on its way to the peers.")
    elif found.get("frozen"):
        note("Decide with `powernode trust unfreeze --restored` or `--not-restored`.")
    if found.get("unanswered_peer_ids"):
        note("These peers have not said yet what has moved to them; until then no resource of the copy is changed. Resume or revoke them.")
    if found.get("restart_needed"):
        note("Restart the daemon, so that its peers take its word again.")
