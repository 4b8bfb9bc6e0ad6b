"""The commands that pause, resume and end a peering.

Lives here: these commands. Must not live here: withdrawing a proposal (see `pairing`).
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected
from api.cli.client import Client
from api.cli.confirming import YES, confirm
from api.cli.lazy import Command
from api.cli.output import emit_json, note, say
from api.cli.peer_names import peer_of, peer_path
from api.cli.peers import resolved
from api.cli.text import clean

_REASON = click.option("--reason", metavar="TEXT", help="Kept with the peer and in its audit trail.")


@click.command(cls=Command)
@click.argument("peer")
@_REASON
@YES
@connected
def suspend(peer: str, reason: str | None, yes: bool) -> None:
    """Pause a peering: calls stop in both directions, nothing is lost.

    What was granted stays granted, without effect. `powernode peers resume` ends the pause.
    """
    client, peer_id = resolved(peer)
    confirm(client, f"Pause the peering with {_called(client, peer_id)}? Its calls are refused from now on.", yes=yes)
    found = _done(client, peer_id, "suspend", {"reason": reason} if reason else {})
    if found is not None:
        say(f"{clean(found.get('remote_instance_url'))} is suspended")


@click.command(cls=Command)
@click.argument("peer")
@_REASON
@connected
def resume(peer: str, reason: str | None) -> None:
    """End the pause of a peering; the next heartbeat makes it active."""
    client, peer_id = resolved(peer)
    found = _done(client, peer_id, "resume", {"reason": reason} if reason else {})
    if found is None:
        return
    say(f"{clean(found.get('remote_instance_url'))} is {clean(found.get('status'))}")
    if found.get("status") == "accepted":
        note(f"It has to prove itself again: powernode peers wait {clean(peer_id)} --for active")


@click.command(cls=Command)
@click.argument("peer")
@click.option("--reason", metavar="TEXT", help="Kept with the peer, in its audit trail, and told to the remote.")
@click.option("--immediate", is_flag=True, help="After a compromise: no notice, no grace for what is under way, our key destroyed at once.")
@YES
@connected
def revoke(peer: str, reason: str | None, immediate: bool, yes: bool) -> None:
    """End a peering for good.

    Access ends at once and everything granted under the peering is void. The remote is told, what is under way may finish for five minutes,
    then our key for it is destroyed. Peering again needs a new invitation.
    """
    client, peer_id = resolved(peer)
    confirm(client, f"End the peering with {_called(client, peer_id)} for good? It cannot be undone.", yes=yes)
    found = _done(client, peer_id, "revoke", ({"reason": reason} if reason else {}) | ({"immediate": True} if immediate else {}))
    if found is None:
        return
    say(f"the peering with {clean(found.get('remote_instance_url'))} has ended")
    if found.get("notification_pending"):
        note(f"The remote is being told; `powernode peers show {clean(peer_id)}` shows whether it heard.")


@click.command(cls=Command)
@click.argument("peer")
@click.option("--reason", metavar="TEXT", help="Kept in the audit trail, and told to the parent.")
@YES
@connected
def emancipate(peer: str, reason: str | None, yes: bool) -> None:
    """Stand on our own: PEER, our parent, operates this platform no more.

    Only at a managed child. The peering goes on; what was given to the parent for operating this platform ends at once and for good.
    """
    client, peer_id = resolved(peer)
    confirm(client, f"Part from {_called(client, peer_id)} for good? It cannot be undone.", yes=yes)
    found = _done(client, peer_id, "emancipate", {"reason": reason} if reason else {})
    if found is not None:
        say(f"{clean(found.get('remote_instance_url'))} operates this platform no more; the peering is {clean(found.get('status'))}")


def _called(client: Client, peer_id: str) -> str:
    return clean(peer_of(client.get(peer_path(peer_id)).data).get("remote_instance_url"))


def _done(client: Client, peer_id: str, verb: str, body: dict[str, Any]) -> dict[str, Any] | None:
    """The peer afterwards; None if it was printed as JSON."""
    found = peer_of(client.post(peer_path(peer_id, verb), body).data)
    if client.application.as_json:
        emit_json(found)
        return None
    return found
