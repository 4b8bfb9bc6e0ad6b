"""`powernode peers renew`, `peers rotate` and `peers approve-anchor`: certificates and anchors of one peer."""

from __future__ import annotations

import click

from api.cli.application import connected
from api.cli.confirming import YES, confirm
from api.cli.lazy import Command
from api.cli.output import emit_json, say
from api.cli.peer_names import peer_of, peer_path
from api.cli.peers import resolved
from api.cli.text import clean


@click.command(cls=Command)
@click.argument("peer")
@connected
def renew(peer: str) -> None:
    """Renew our client certificate for a peer now."""
    client, peer_id = resolved(peer)
    found = peer_of(client.application.run(client.request, "POST", peer_path(peer_id, "trust/renew")).data)
    if client.application.as_json:
        emit_json(found)
    else:
        say(f"renewed; it ends at {clean(found.get('trust', {}).get('outbound_not_after'))}")


@click.command(cls=Command)
@click.argument("peer")
@connected
def rotate(peer: str) -> None:
    """Take the next step of a rotation with a peer now: of ours, or of the peer's. By itself that takes some minutes."""
    client, peer_id = resolved(peer)
    found = peer_of(client.application.run(client.request, "POST", peer_path(peer_id, "trust/rotate")).data)
    if client.application.as_json:
        emit_json(found)
    else:
        say(f"done with {clean(found.get('remote_instance_url'))}; `powernode trust status` shows all peers")


@click.command(cls=Command)
@click.argument("peer")
@click.argument("fingerprint")
@YES
@connected
def approve_anchor(peer: str, fingerprint: str, yes: bool) -> None:
    """Trust a CA of a peer that its former one did not sign for. Compare the fingerprint by another way first."""
    client, peer_id = resolved(peer)
    confirm(client, f"Trust the CA {clean(fingerprint)} for this peer from now on?", yes=yes)
    found = peer_of(client.post(peer_path(peer_id, "trust/approve_anchor"), {"fingerprint": fingerprint}).data)
    if client.application.as_json:
        emit_json(found)
    else:
        say(f"{clean(found.get('remote_instance_url'))} is trusted under its new CA")
