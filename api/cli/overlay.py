"""`powernode overlay`: peers that share overlay networks and nothing else.

Lives here: these commands. Must not live here: platform peers (see `peers`), or which network is open to whom (see `bridges`).
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import DurationType, several
from api.cli.output import ago, block, emit_json, listing, note, say
from api.cli.resources import find_record_id
from api.cli.secrets_input import read_secret
from api.cli.text import clean

PEERS = "/sdwan/federation_peers"

overlay = LazyGroup(
    "overlay",
    help="Look after peers that share overlay networks and nothing else. PEER is an id.",
    lazy={
        "accept": ("api.cli.overlay:accept", "Accept such a peer, with the token of its proposal."),
        "list": ("api.cli.overlay:list_", "List peers as the overlay knows them, newest first."),
        "propose": ("api.cli.overlay:propose", "Propose such a peer, and print its token."),
        "resume": ("api.cli.overlay:resume", "End the pause of a peer."),
        "revoke": ("api.cli.overlay:revoke", "End a peering for good."),
        "show": ("api.cli.overlay:show", "Show one peer as the overlay knows it."),
        "suspend": ("api.cli.overlay:suspend", "Pause a peer."),
        "update": ("api.cli.overlay:update", "Change the prefix of a peer, or the end of the peering."),
    },
)

_REASON = click.option("--reason", metavar="TEXT", help="Kept with the peer and in its audit trail.")
_PREFIX = click.option("--prefix", metavar="CIDR", help="IPv6 unique local prefix of the other side: /48, /56 or /64.")


def _path(peer: str, *rest: str) -> str:
    return "/".join((PEERS, segment(peer), *rest))


def _peer_of(data: Any) -> dict[str, Any]:
    peer = data.get("federation_peer") if isinstance(data, dict) else None
    if not isinstance(peer, dict):
        raise Failure("daemon_error", "the answer holds no peer", Exit.FAILURE)
    return peer


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


@click.command("list", cls=Command)
@click.option("--all", "every", is_flag=True, help="Platform peers, too.")
@several("--status", help="Only these statuses")
@connected
def list_(every: bool, status: str | None) -> None:
    """List peers as the overlay knows them, newest first."""
    client = Client(current())
    rows = client.pages(PEERS, {"status": status, "peer_kind": None if every else "sdwan_only"})
    listing(
        client.application,
        rows,
        ("id", "platform", "kind", "prefix", "status", "since"),
        lambda row, now: (
            row.get("id"),
            row.get("remote_instance_url"),
            row.get("peer_kind"),
            row.get("remote_prefix_advertisement"),
            row.get("status"),
            ago(row.get("status_since"), now),
        ),
        empty="no such peers; `powernode overlay propose https://…` proposes one",
    )


@click.command(cls=Command)
@click.argument("peer")
@connected
def show(peer: str) -> None:
    """Show one peer as the overlay knows it."""
    client = Client(current())
    _print(client, client.get(_path(peer)).data)


@click.command(cls=Command)
@click.argument("url")
@_PREFIX
@click.option("--network", metavar="NETWORK", help="Propose a bridge to this overlay network, too: its id or slug.")
@click.option("--account", metavar="ID", help="Whose networks they are, at the other platform.")
@click.option("--ttl", type=DurationType(), metavar="TIME", help="Lifetime of the token, as in 1h or 7d.  [default: 7d]")
@connected
def propose(url: str, prefix: str | None, network: str | None, account: str | None, ttl: float | None) -> None:
    """Propose a peer that shares overlay networks and nothing else, and print its token.

    Nothing is sent, then or later: such a peer has no certificates, no heartbeats and no grants. Whoever is to agree gets the token; with
    it `powernode overlay accept` accepts the peer here.
    """
    client = Client(current())
    fields = _given(
        remote_instance_url=url,
        remote_prefix_advertisement=prefix,
        sdwan_network_id=None if network is None else find_record_id(client, "SdwanNetwork", network),
        remote_account_id=account,
        token_ttl_seconds=None if ttl is None else int(ttl),
    )
    data = client.post(PEERS, {"federation_peer": fields}).data
    if client.application.as_json:
        emit_json(data)
        return
    say(clean(data.get("acceptance_token")))
    peer = _peer_of(data)
    ends = data.get("acceptance_expires_at")
    note(f"This is shown once, and ends {ago(ends, client.application.clock.wall())} ({clean(ends)}).")
    note(f"It accepts the peer here:  powernode overlay accept {clean(peer.get('id'))}      and paste it at the prompt.")


@click.command(cls=Command)
@click.argument("peer")
@click.argument("source", required=False, metavar="[FILE|-]")
@connected
def accept(peer: str, source: str | None) -> None:
    """Accept such a peer, with the token of its proposal.

    The token is read from FILE, from standard input (-), or asked for. It is a secret, so it is no argument itself.
    """
    token = read_secret(source, "acceptance token")
    _step(peer, "accepted", token=token.reveal())


@click.command(cls=Command)
@click.argument("peer")
@_PREFIX
@click.option("--expires-at", metavar="TIME", help="Hard end of the peering, ISO-8601 with zone; never for none.")
@connected
def update(peer: str, prefix: str | None, expires_at: str | None) -> None:
    """Change the prefix of a peer, or the end of the peering. If somebody else changes the peer meanwhile, nothing is done."""
    fields = _given(remote_prefix_advertisement=prefix, expires_at=expires_at)
    if not fields:
        raise click.UsageError("nothing to change; see --help for what can be")
    if expires_at == "never":
        fields["expires_at"] = None
    client = Client(current())
    etag = client.get(_path(peer)).headers.get("etag")
    _print(client, client.patch(_path(peer), {"federation_peer": fields}, etag=etag).data)


@click.command(cls=Command)
@click.argument("peer")
@_REASON
@YES
@connected
def suspend(peer: str, reason: str | None, yes: bool) -> None:
    """Pause a peer: its prefix counts no more and its bridges are closed, nothing is lost."""
    confirm(Client(current()), "Pause this peer?", yes=yes)
    _step(peer, "suspended", reason=reason)


@click.command(cls=Command)
@click.argument("peer")
@_REASON
@connected
def resume(peer: str, reason: str | None) -> None:
    """End the pause of a peer."""
    _step(peer, "accepted", reason=reason)


@click.command(cls=Command)
@click.argument("peer")
@_REASON
@YES
@connected
def revoke(peer: str, reason: str | None, yes: bool) -> None:
    """End a peering for good. Its bridges end with it."""
    client = Client(current())
    confirm(client, "End this peering for good? It cannot be undone.", yes=yes)
    _say_status(client, client.post(_path(peer, "revoke"), _given(reason=reason)).data)


def _step(peer: str, status: str, *, reason: str | None = None, token: str | None = None) -> None:
    client = Client(current())
    body = {"federation_peer": _given(status=status, reason=reason, acceptance_token=token)}
    _say_status(client, client.patch(_path(peer), body).data)


def _say_status(client: Client, data: Any) -> None:
    peer = _peer_of(data)
    if client.application.as_json:
        emit_json(peer)
    else:
        say(f"{clean(peer.get('remote_instance_url'))} is {clean(peer.get('status'))}")


def _print(client: Client, data: Any) -> None:
    peer = _peer_of(data)
    if client.application.as_json:
        emit_json(peer)
    else:
        block(peer.items())
