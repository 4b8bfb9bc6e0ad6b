"""`powernode trust rotate` and `powernode trust status`: the change of this platform's own root.

Lives here: these commands. Must not live here: the anchors of one peer (see `anchors`).
"""

from __future__ import annotations

from typing import Any

import click

from actors.limits import OVERLAP_DAYS_DEFAULT, OVERLAP_DAYS_MAX, OVERLAP_DAYS_MIN
from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.ending import confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import block, emit_json, note, say
from api.cli.text import clean

_DAYS = click.IntRange(OVERLAP_DAYS_MIN, OVERLAP_DAYS_MAX)


@click.command(cls=Command)
@click.option("--overlap", type=_DAYS, default=OVERLAP_DAYS_DEFAULT, show_default=True, metavar="DAYS", help="How long both roots count.")
@click.option("--force", is_flag=True, help="After a compromise: do not wait for open tokens that pin the present root.")
@click.option("--reason", metavar="TEXT", help="Kept in the audit trail; demanded with --force.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def rotate(overlap: int, force: bool, reason: str | None, yes: bool) -> None:
    """Replace the root of this platform's own CA, without outage.

    Peers are shown the next root with a proof by the present one, and accept both for the overlap. This command only begins it and ends
    with exit code 1 while peers have not followed; `powernode trust status` ends with 0 once all of them have.
    """
    if force and not reason:
        raise click.UsageError("--force needs --reason")
    client = Client(current())
    confirm(client, "Begin to replace the root of this platform's CA?", yes=yes)
    body: dict[str, Any] = {"overlap_days": overlap} | ({"force": True} if force else {}) | ({"reason": reason} if reason else {})
    _print(client, client.post("/platform/trust/rotate", body).data)


@click.command(cls=Command)
@connected
def status() -> None:
    """Show how far the rotation of the root has come. Exit code 1 while a live peer has not followed."""
    client = Client(current())
    _print(client, client.get("/platform/trust/rotation").data)


def _print(client: Client, data: dict[str, Any]) -> None:
    found = data.get("rotation", {})
    if client.application.as_json:
        emit_json(found)
    else:
        say("the rotation is complete" if found.get("complete") else "a rotation is under way or peers are left behind")
        block((name, value) for name, value in found.items() if name != "peers")
        for peer in found.get("peers", ()):
            say(f"  {clean(peer.get('remote_instance_url'))}  {clean(peer.get('progress'))}")
    if not found.get("complete"):
        note("Look again with `powernode trust status`; a peer that never follows must approve the new fingerprint, or be revoked.")
        raise Failure("rotation_incomplete", f"{found.get('waiting')} peers have not followed yet", Exit.FAILURE)
