"""`powernode hub`: relaying for peers that can only dial out, and being reached through such a platform.

Lives here: operators' consents on both sides, and what has been relayed.
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, note, say, table
from api.cli.peer_names import peer_path
from api.cli.peers import resolved
from api.cli.text import clean

hub = LazyGroup(
    "hub",
    help="Relay TLS, unopened, for peers that can only dial out. PEER is an id, the beginning of one, a URL or a host.",
    lazy={
        "leave": ("api.cli.hub:leave", "Take no connections from a hub any more."),
        "permit": ("api.cli.hub:permit", "Let a peer be reached through this platform."),
        "show": ("api.cli.hub:show", "Show the consents with one peer, and what was relayed."),
        "status": ("api.cli.hub:status", "Show whether this platform is a hub, for whom, and what was relayed."),
        "use": ("api.cli.hub:use", "Be reached through a peer, as a hub."),
        "withdraw": ("api.cli.hub:withdraw", "Stop relaying to a peer."),
    },
)

_REASON = click.option("--reason", metavar="TEXT", help="Kept with the consent and in the peer's audit trail.")


def consents_of(data: Any) -> dict[str, Any]:
    """The consents in an answer.

    Raises:
        Failure: there are none.
    """
    found = data.get("hub") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise Failure("daemon_error", "the answer holds no consents", Exit.FAILURE)
    return found


@click.command(cls=Command)
@connected
def status() -> None:
    """Show whether this platform is a hub, for whom, and what was relayed."""
    client = Client(current())
    found = client.get("/platform/hub").data
    if client.application.as_json:
        emit_json(found)
        return
    say("this platform relays to the peers below" if found.get("enabled") else "this platform is no hub (federation.hub.enabled)")
    if found.get("enabled"):
        block([*found.get("limits", {}).items(), ("denied", ", ".join(found.get("denied", ())) or "nobody")])
    now = client.application.clock.wall()
    table(
        (
            "peer",
            "name",
            "we relay to it",
            "it relays to us",
            "in the way",
            "open",
            "connections",
            "bytes to",
            "bytes from",
            "refused",
            "last",
        ),
        [_row(peer, now) for peer in found.get("peers", ())],
        empty="no consents; `powernode hub permit PEER` or `powernode hub use PEER` gives one",
    )


def _row(peer: dict[str, Any], now: float) -> tuple[Any, ...]:
    counted = peer.get("accounting", {})
    return (
        peer.get("federation_peer_id"),
        peer.get("server_name"),
        peer.get("relaying"),
        peer.get("relayed"),
        ", ".join(peer.get("in_the_way", ())) or None,
        counted.get("open"),
        counted.get("connections"),
        counted.get("bytes_to"),
        counted.get("bytes_from"),
        sum(counted.get("refused", {}).values()),
        ago(counted.get("last_at"), now),
    )


@click.command(cls=Command)
@click.argument("peer")
@connected
def show(peer: str) -> None:
    """Show the consents with one peer, what is in the way of them now, and what was relayed.

    Each side shows its own consent only. If nothing is in the way on both sides, and connections are still not relayed, `refused` says why.
    """
    client, peer_id = resolved(peer)
    _print(client, consents_of(client.get(peer_path(peer_id, "hub")).data))


@click.command(cls=Command)
@click.argument("peer")
@click.option("--connections", type=click.IntRange(min=1), metavar="N", help="Relayed connections at a time at most.")
@click.option("--new-connections", type=click.IntRange(min=1), metavar="N", help="Relayed connections that begin within a minute at most.")
@click.option("--rate", type=click.IntRange(min=1), metavar="BYTES", help="Bytes per second, both directions together.")
@click.option("--deny", "denied", multiple=True, metavar="NETWORK", help="Relay nothing that comes from this network; may be given again.")
@click.option("--source", "sources", multiple=True, metavar="NETWORK", help="Relay only what comes from this network; may be given again.")
@_REASON
@connected
def permit(
    peer: str,
    connections: int | None,
    new_connections: int | None,
    rate: int | None,
    denied: tuple[str, ...],
    sources: tuple[str, ...],
    reason: str | None,
) -> None:
    """Let a peer be reached through this platform, on these terms.

    Connections that ask our public port for the host of the peer's URL are passed on to it, unopened. The peer has to choose this
    platform as its hub, too: `powernode hub use` there. A second time replaces the terms.
    """
    client, peer_id = resolved(peer)
    given = {
        "connections_max": connections,
        "new_connections_max": new_connections,
        "rate_bytes": rate,
        "sources": list(sources) or None,
        "denied": list(denied) or None,
        "reason": reason,
    }
    body = {name: value for name, value in given.items() if value is not None}
    found = consents_of(client.post(peer_path(peer_id, "hub", "permit"), body).data)
    if client.application.as_json:
        emit_json(found)
        return
    say(f"{clean(found.get('server_name'))} is reached through this platform")
    note("On its side: powernode hub use PEER, where PEER is this platform")


@click.command(cls=Command)
@click.argument("peer")
@click.option("--not-announced", is_flag=True, help="Do not tell peers of this hub; they find it only if our name leads to it.")
@_REASON
@connected
def use(peer: str, not_announced: bool, reason: str | None) -> None:
    """Be reached through a peer, as a hub. Its operators have to permit it, too: `powernode hub permit` there.

    Peers are told with the next heartbeat, and new invitations say it, so that the hub is dialled whatever our name leads to.
    Nothing but the federation API is served on connections that come through a hub. A second time replaces what was said.
    """
    client, peer_id = resolved(peer)
    found = consents_of(
        client.post(peer_path(peer_id, "hub", "use"), {"announce": not not_announced} | ({"reason": reason} if reason else {})).data
    )
    if client.application.as_json:
        emit_json(found)
    else:
        say("the peer may hand connections to this platform")
        note("Peers are told of it with the next heartbeat" if found.get("announced") else "Peers are not told of it")


def _taken_back(word: str, summary: str, asks: str, done: str) -> click.Command:
    def take(peer: str, reason: str | None, yes: bool) -> None:
        client, peer_id = resolved(peer)
        confirm(client, asks, yes=yes)
        found = consents_of(client.post(peer_path(peer_id, "hub", word), {"reason": reason} if reason else {}).data)
        if client.application.as_json:
            emit_json(found)
        else:
            say(done)

    take.__doc__ = summary
    return click.command(word, cls=Command)(click.argument("peer")(_REASON(YES(connected(take)))))


withdraw = _taken_back(
    "withdraw",
    "Stop relaying to a peer; its relayed connections are cut at once.",
    "Stop relaying to this peer? Its relayed connections are cut.",
    "the peer is not reached through this platform any more",
)
leave = _taken_back(
    "leave",
    "Take no connections from a hub any more; those that came through it are cut at once.",
    "Take no connections from this hub any more? Open ones are cut.",
    "no connections are taken from this hub any more",
)


def _print(client: Client, found: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(found)
        return
    counted = found.get("accounting", {})
    block([*((name, value) for name, value in found.items() if name != "accounting"), *counted.items()])
