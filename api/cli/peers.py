"""`powernode peers`: the group, and the commands that look without changing the pairing.

Lives here: list, show, probe, heartbeat, trust, audit. Must not live here: pairing (see `pairing`), waiting (see `waiting`).
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import PAGE, Client
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import several
from api.cli.output import ago, block, cell, emit_json, listing, note, say, table
from api.cli.peer_names import find_peer_id, peer_of, peer_path
from api.cli.text import clean

peers = LazyGroup(
    "peers",
    help="Pair with other platforms and look after them. PEER is an id, the beginning of one, a URL or a host.",
    lazy={
        "accept": ("api.cli.pairing:accept", "Accept the invitation of another platform."),
        "approve-anchor": ("api.cli.anchors:approve_anchor", "Trust a CA of a peer that its former one did not sign for."),
        "audit": ("api.cli.peers:audit", "Print the audit trail of a peer."),
        "cancel": ("api.cli.pairing:cancel", "Withdraw a proposal; its token stops working at once."),
        "emancipate": ("api.cli.ending:emancipate", "Stand on our own, at a managed child."),
        "entrust": ("api.cli.grants:entrust", "Give our parent the grant to operate us anew, at a managed child."),
        "heartbeat": ("api.cli.peers:heartbeat", "Send one heartbeat to a peer now."),
        "invite": ("api.cli.pairing:invite", "Propose a peering to the platform at URL and print the invitation for its operator."),
        "list": ("api.cli.peers:list_", "List peers, newest first."),
        "probe": ("api.cli.peers:probe", "Try the addresses of a peer, in the order in which they are used."),
        "regenerate": ("api.cli.pairing:regenerate", "Make a new invitation; the former one stops working at once."),
        "rotate": ("api.cli.anchors:rotate", "Take the next step of a rotation with a peer now."),
        "renew": ("api.cli.anchors:renew", "Renew our client certificate for a peer now."),
        "resume": ("api.cli.ending:resume", "End the pause of a peering; the next heartbeat makes it active."),
        "revoke": ("api.cli.ending:revoke", "End a peering for good."),
        "show": ("api.cli.peers:show", "Show everything about one peer."),
        "suspend": ("api.cli.ending:suspend", "Pause a peering: calls stop in both directions, nothing is lost."),
        "trust": ("api.cli.peers:trust", "Show anchors, certificates and when they end; never a key."),
        "update": ("api.cli.pairing:update", "Change what operators decide about a peer."),
        "wait": ("api.cli.waiting:wait", "Wait until a peer reaches a status; say why it does not."),
    },
)


def resolved(name: str) -> tuple[Client, str]:
    """A client, and the id of the peer that `name` means."""
    client = Client(current())
    return client, client.application.run(find_peer_id, client, name)


@click.command("list", cls=Command)
@several("--status", help="Only these statuses")
@click.option("--role", metavar="ROLE", help="Only this spawn role.")
@click.option("--mode", metavar="MODE", help="Only this spawn mode.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@connected
def list_(status: str | None, role: str | None, mode: str | None, limit: int | None) -> None:
    """List peers, newest first."""
    client = Client(current())
    rows = client.pages("/platform/peers", {"status": status, "spawn_role": role, "spawn_mode": mode}, limit=limit)
    listing(
        client.application,
        rows,
        ("id", "platform", "status", "since", "trust", "heartbeat", "note"),
        lambda row, now: (
            row.get("id"),
            row.get("remote_instance_url"),
            row.get("status"),
            ago(row.get("status_since"), now),
            row.get("trust_status"),
            ago(row.get("last_heartbeat_at"), now),
            _remark(row, now),
        ),
        empty="no peers; `powernode peers invite https://…` proposes the first one",
    )


def _remark(peer: dict[str, Any], now: float) -> str:
    if peer.get("acceptance_pending"):
        return f"token ends {ago(peer.get('acceptance_expires_at'), now)}"
    return str(peer.get("status_reason") or "")


@click.command(cls=Command)
@click.argument("peer")
@connected
def show(peer: str) -> None:
    """Show everything about one peer."""
    client, peer_id = resolved(peer)
    print_peer(client, peer_of(client.get(peer_path(peer_id)).data))


def print_peer(client: Client, peer: dict[str, Any]) -> None:
    """One peer as the application wants it: an aligned block, or JSON."""
    if client.application.as_json:
        emit_json(peer)
        return
    tables = ("endpoints", "open_findings")
    block((name, value) for name, value in peer.items() if name not in tables)
    endpoints = [entry for entry in peer.get("endpoints") or [] if isinstance(entry, dict)]
    if endpoints:
        say()
        columns = ("url", "scope", "priority", "status", "last_failure_error")
        table(columns, [[entry.get(column) for column in columns] for entry in endpoints], empty="")
    _note_last_word(peer)
    for finding in peer.get("open_findings") or []:
        if isinstance(finding, dict):
            note(f"finding: {clean(finding.get('severity'))} {clean(finding.get('kind'))}: {clean(finding.get('message'))}")
        else:
            note(f"finding: {clean(finding)}")


def _note_last_word(peer: dict[str, Any]) -> None:
    """Say whether the remote knows that the peering has ended, if that is still open or has failed."""
    metadata = peer.get("metadata")
    if peer.get("notification_pending"):
        note("the peer is still being told that the peering has ended")
    elif isinstance(metadata, dict) and "notification_undelivered_at" in metadata:
        contact = f" ({clean(peer['operator_contact'])})" if peer.get("operator_contact") else ""
        note(f"the peer could not be told that the peering has ended: write to its operators{contact}; its platform hears it when it calls")


@click.command(cls=Command)
@click.argument("peer")
@connected
@click.pass_context
def probe(ctx: click.Context, peer: str) -> None:
    """Try the addresses of a peer, in the order in which they are used.

    Connects and checks the other side's identity, and sends no request. Exits with 6 if no address answers.
    """
    client, peer_id = resolved(peer)
    result = client.post(peer_path(peer_id, "probe")).data
    if client.application.as_json:
        emit_json(result)
    else:
        columns = ("url", "reachable", "elapsed_ms", "error")
        probed = [entry for entry in result.get("probed") or [] if isinstance(entry, dict)]
        table(columns, [[_yes(entry.get(column)) for column in columns] for entry in probed], empty="no address to try")
        say(f"reachable at {clean(result['endpoint'])}" if result.get("ok") else "not reachable")
    if not result.get("ok"):
        ctx.exit(6)


def _yes(value: object) -> object:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


@click.command(cls=Command)
@click.argument("peer")
@connected
def heartbeat(peer: str) -> None:
    """Send one heartbeat to a peer now."""
    client, peer_id = resolved(peer)
    data = client.post(peer_path(peer_id, "heartbeat")).data
    if client.application.as_json:
        emit_json(data)
        return
    found = peer_of(data)
    say(f"{clean(found.get('remote_instance_url'))} answered; the peer is {clean(found.get('status'))}")


@click.command(cls=Command)
@click.argument("peer")
@connected
def trust(peer: str) -> None:
    """Show anchors, certificates and when they end; never a key."""
    client, peer_id = resolved(peer)
    data = client.get(peer_path(peer_id, "trust")).data
    found = data.get("trust") if isinstance(data, dict) else None
    if client.application.as_json or not isinstance(found, dict):
        emit_json(found)
        return
    block(found.items())


@click.command(cls=Command)
@click.argument("peer")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many.")
@connected
def audit(peer: str, limit: int | None) -> None:
    """Print the audit trail of a peer, oldest entry first."""
    client, peer_id = resolved(peer)
    print_trail(client, peer_path(peer_id, "audit_log"), limit)


def print_trail(client: Client, path: str, limit: int | None) -> None:
    """Print the audit entries behind `path`, oldest first; all of them without a limit."""
    entries = client.application.run(trail, client, path, limit)
    if client.application.as_json:
        for entry in entries:
            emit_json(entry)
        return
    columns = ("sequence", "at", "action", "actor", "payload", "hash")
    table(columns, [[_audited(entry, column) for column in columns] for entry in entries], empty="no entries")


async def trail(client: Client, path: str, limit: int | None) -> list[dict[str, Any]]:
    """A chain is numbered, so it is read on behind the last number instead of by cursor."""
    entries: list[dict[str, Any]] = []
    after: object = 0
    while after is not None and (limit is None or len(entries) < limit):
        page = PAGE if limit is None else min(PAGE, limit - len(entries))
        reply = await client.request("GET", path, None, {"after_sequence": after, "limit": page})
        entries += [entry for entry in reply.data or [] if isinstance(entry, dict)]
        after = reply.meta.get("next_after_sequence")
    return entries


def _audited(entry: dict[str, Any], column: str) -> str:
    value = entry.get(column)
    return str(value)[:12] if column == "hash" else cell(value)
