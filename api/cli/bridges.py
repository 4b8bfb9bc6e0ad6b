"""`powernode bridges`: which overlay networks are open to which peer."""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected
from api.cli.client import Client, segment
from api.cli.confirming import confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, say
from api.cli.peer_names import peer_path
from api.cli.peers import resolved
from api.cli.resources import find_record_id
from api.cli.text import clean

bridges = LazyGroup(
    "bridges",
    help="Open overlay networks to peers. PEER is an id, the beginning of one, a URL or a host; BRIDGE is an id.",
    lazy={
        "activate": ("api.cli.bridges:activate", "Open a proposed bridge."),
        "create": ("api.cli.bridges:create", "Propose a bridge between a peer and an overlay network."),
        "list": ("api.cli.bridges:list_", "List the bridges of a peer."),
        "resume": ("api.cli.bridges:resume", "Open a suspended bridge again."),
        "revoke": ("api.cli.bridges:revoke", "End a bridge for good."),
        "show": ("api.cli.bridges:show", "Show one bridge."),
        "suspend": ("api.cli.bridges:suspend", "Close a bridge for a while."),
    },
)


def bridge_of(data: Any) -> dict[str, Any]:
    """The bridge in an answer.

    Raises:
        Failure: there is none.
    """
    bridge = data.get("bridge") if isinstance(data, dict) else None
    if not isinstance(bridge, dict):
        raise Failure("daemon_error", "the answer holds no bridge", Exit.FAILURE)
    return bridge


@click.command("list", cls=Command)
@click.argument("peer")
@connected
def list_(peer: str) -> None:
    """List the bridges of a peer, newest first."""
    client, peer_id = resolved(peer)
    rows = client.pages(peer_path(peer_id, "bridges"))
    listing(
        client.application,
        rows,
        ("id", "network", "state", "amounts to", "changed"),
        lambda row, now: (
            row.get("id"),
            row.get("sdwan_network_id"),
            row.get("state"),
            row.get("effective_state"),
            ago(row.get("updated_at"), now),
        ),
        empty="no bridges; `powernode bridges create PEER --network NETWORK` proposes one",
    )


@click.command(cls=Command)
@click.argument("peer")
@click.argument("bridge")
@connected
def show(peer: str, bridge: str) -> None:
    """Show one bridge."""
    client, peer_id = resolved(peer)
    _print(client, bridge_of(client.get(peer_path(peer_id, "bridges", segment(bridge))).data))


@click.command(cls=Command)
@click.argument("peer")
@click.option("--network", required=True, metavar="NETWORK", help="An overlay network of the catalogue: its id or slug.")
@connected
def create(peer: str, network: str) -> None:
    """Propose a bridge between a peer and an overlay network; `activate` opens it."""
    client, peer_id = resolved(peer)
    body = {"sdwan_network_id": find_record_id(client, "SdwanNetwork", network)}
    _print(client, bridge_of(client.post(peer_path(peer_id, "bridges"), body).data))


def _print(client: Client, bridge: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(bridge)
    else:
        block(bridge.items())


def _step(trigger: str, summary: str, *, asks: str | None = None) -> click.Command:
    def take(peer: str, bridge: str, reason: str | None, yes: bool = True) -> None:
        client, peer_id = resolved(peer)
        if asks is not None:
            confirm(client, asks, yes=yes)
        path = peer_path(peer_id, "bridges", segment(bridge), trigger)
        found = bridge_of(client.post(path, {"reason": reason} if reason else {}).data)
        if client.application.as_json:
            emit_json(found)
        else:
            say(f"the bridge is {clean(found.get('state'))} and amounts to {clean(found.get('effective_state'))}")

    take.__doc__ = summary
    command = connected(take)
    if asks is not None:
        command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    command = click.option("--reason", metavar="TEXT", help="Kept with the bridge and in the peer's audit trail.")(command)
    command = click.argument("bridge")(command)
    command = click.argument("peer")(command)
    return click.command(trigger, cls=Command)(command)


activate = _step("activate", "Open a proposed bridge.")
suspend = _step("suspend", "Close a bridge for a while; calls through its network are refused at once.")
resume = _step("resume", "Open a suspended bridge again.")
revoke = _step("revoke", "End a bridge for good. A new one may be made afterwards.", asks="End this bridge for good?")
