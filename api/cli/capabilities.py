"""`powernode capabilities`: what flows between a peer and this platform by itself.

Lives here: the commands. Must not live here: what a filter means; the daemon reads it and says what is wrong.
"""

from __future__ import annotations

import json
from typing import Any

import click

from actors.capability.lifecycle import DIRECTIONS, POLICIES
from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import DurationType
from api.cli.output import ago, block, emit_json, listing, say, table
from api.cli.peer_names import peer_path
from api.cli.peers import resolved
from api.cli.text import clean

capabilities = LazyGroup(
    "capabilities",
    help="Let records flow between a peer and this platform. PEER is an id, the beginning of one, a URL or a host; "
    "CAPABILITY is an id or the beginning of one.",
    lazy={
        "add": ("api.cli.capabilities:add", "Let records of a kind flow."),
        "list": ("api.cli.capabilities:list_", "List what flows between a peer and this platform."),
        "remove": ("api.cli.capabilities:remove", "Let nothing flow any more."),
        "set": ("api.cli.capabilities:set_", "Change policy, filter or interval."),
        "show": ("api.cli.capabilities:show", "Show one capability, with how far it has come."),
        "sync": ("api.cli.capabilities:sync", "Make a pass now."),
    },
)

SHORT = {"push": "push_local_to_remote", "pull": "pull_remote_to_local", "both": "bidirectional", "migrations": "migration_only"}
"""What may be typed for a direction, beside its own word."""


def capability_of(data: Any) -> dict[str, Any]:
    """The capability in an answer.

    Raises:
        Failure: there is none.
    """
    capability = data.get("capability") if isinstance(data, dict) else None
    if not isinstance(capability, dict):
        raise Failure("daemon_error", "the answer holds no capability", Exit.FAILURE)
    return capability


def _path(client: Client, peer_id: str, capability: str, *rest: str) -> str:
    """The path of a capability that is named by its id or the beginning of it.

    Raises:
        Failure: none, or more than one, begins so.
    """
    if len(capability) < 36:
        rows = client.pages(peer_path(peer_id, "capabilities"))
        found = [str(row["id"]) for row in rows if str(row.get("id")).startswith(capability)]
        if len(found) != 1:
            many = "more than one capability begins" if found else "no capability begins"
            raise Failure("not_found", f"{many} with {clean(capability)}; `powernode capabilities list PEER` shows them", Exit.NOT_FOUND)
        capability = found[0]
    return "/".join((peer_path(peer_id, "capabilities"), segment(capability), *rest))


def _filter(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Failure("usage", 'a filter is a JSON object, such as {"variety": ["web", "proxy"]}', Exit.USAGE)
    return value


def _options(function: Any) -> Any:
    for option in (
        click.option("--acknowledge-residency/--no-acknowledge-residency", default=None, help="The crossing of a boundary is meant."),
        click.option("--interval", type=DurationType(), metavar="TIME", help="Time between two passes, 1m to 1d.  [default: 5m]"),
        click.option("--filter", "filter_", metavar="JSON", help='Only these records, as in {"name": {"prefix": "web-"}}.'),
        click.option("--policy", type=click.Choice(POLICIES), help="When passes are made.  [default: manual]"),
    ):
        function = option(function)
    return function


def _body(policy: str | None, filter_: str | None, interval: float | None, acknowledge_residency: bool | None) -> dict[str, Any]:
    # What is no whole number of seconds is left as it is, for the daemon to refuse.
    interval_s = int(interval) if interval is not None and interval == int(interval) else interval
    given = {"policy": policy, "filter": _filter(filter_), "interval_seconds": interval_s, "acknowledge_residency": acknowledge_residency}
    return {name: value for name, value in given.items() if value is not None}


@click.command("list", cls=Command)
@click.argument("peer")
@connected
def list_(peer: str) -> None:
    """List what flows between a peer and this platform, newest first."""
    client, peer_id = resolved(peer)
    listing(
        client.application,
        client.pages(peer_path(peer_id, "capabilities")),
        ("id", "kind", "direction", "policy", "state", "synced", "last error"),
        lambda row, now: (
            row.get("id"),
            row.get("resource_kind"),
            row.get("direction"),
            row.get("policy"),
            row.get("state"),
            ago(row.get("last_synced_at"), now),
            row.get("last_error"),
        ),
        empty="nothing flows; `powernode capabilities add PEER KIND pull` lets records come",
    )


@click.command(cls=Command)
@click.argument("peer")
@click.argument("capability")
@connected
def show(peer: str, capability: str) -> None:
    """Show one capability: its state, how far each direction has come, the last error, and how old its knowledge is."""
    client, peer_id = resolved(peer)
    _print(client, capability_of(client.get(_path(client, peer_id, capability)).data))


@click.command(cls=Command)
@click.argument("peer")
@click.argument("kind")
@click.argument("direction", type=click.Choice((*SHORT, *DIRECTIONS)))
@_options
@connected
def add(peer: str, kind: str, direction: str, **options: Any) -> None:
    """Let records of a KIND flow.

    A pull keeps read-only mirrors of the peer's records here and needs a received grant with `read`; a push keeps mirrors of ours there and
    needs one with `write`.
    """
    client, peer_id = resolved(peer)
    body = {"resource_kind": kind, "direction": SHORT.get(direction, direction), **_body(**options)}
    _print(client, capability_of(client.post(peer_path(peer_id, "capabilities"), body).data))


@click.command("set", cls=Command)
@click.argument("peer")
@click.argument("capability")
@_options
@click.option("--if-match", "etag", metavar="ETAG", help="Only if the capability is still at this version.")
@connected
def set_(peer: str, capability: str, etag: str | None, **options: Any) -> None:
    """Change policy, filter or interval. With another filter everything is looked at anew, and what does not match is dropped."""
    body = _body(**options)
    if not body:
        raise Failure("usage", "say what to change: --policy, --filter, --interval or --acknowledge-residency", Exit.USAGE)
    client, peer_id = resolved(peer)
    _print(client, capability_of(client.patch(_path(client, peer_id, capability), body, etag=etag).data))


@click.command(cls=Command)
@click.argument("peer")
@click.argument("capability")
@YES
@connected
def remove(peer: str, capability: str, yes: bool) -> None:
    """Let nothing flow any more. Mirrors that it pulled are dropped, and the peer is told to drop those that it pushed."""
    client, peer_id = resolved(peer)
    path = _path(client, peer_id, capability)
    confirm(client, "Remove this capability, and drop its mirrors?", yes=yes)
    data = client.application.run(client.request, "DELETE", path).data
    if client.application.as_json:
        emit_json(data)
    else:
        say("removed")


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.argument("capability", required=False)
@click.option("--full", is_flag=True, help="Look at every record, not only at changes.")
@connected
def sync(peer: str | None, capability: str | None, full: bool) -> None:
    """Make a pass now: of one CAPABILITY, of all of a PEER, or of all that there are. Exit 1 if one of several fails."""
    if peer is not None and capability is not None:
        client, peer_id = resolved(peer)
        told = client.post(_path(client, peer_id, capability, "sync_now"), {"full": full}).data
        if client.application.as_json:
            emit_json(told)
        else:
            goes_on = "; the pass goes on" if told.get("running") else ""
            say(f"{told.get('written')} written, {told.get('dropped')} dropped{goes_on}")
        return
    if full:
        raise Failure("usage", "--full needs one PEER and CAPABILITY", Exit.USAGE)
    body: dict[str, Any] = {}
    client = Client(current())
    if peer is not None:
        client, body["peer_id"] = resolved(peer)
    told = client.post("/platform/capabilities/sync_now", body).data
    if client.application.as_json:
        emit_json(told)
    else:
        say(f"{told.get('swept')} swept, {told.get('synced')} synced, {told.get('failed')} failed")
        rows = [(each.get("federation_peer_id"), each.get("resource_kind"), each.get("code")) for each in told.get("failures") or []]
        if rows:
            table(("peer", "kind", "code"), rows, empty="")
    if told.get("failed"):
        raise click.exceptions.Exit(Exit.FAILURE)


def _print(client: Client, capability: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(capability)
    else:
        block(capability.items())
