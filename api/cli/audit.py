"""`powernode audit`: whether audit chains are whole, and what of them stands in the archive.

Lives here: the commands. A chain is verified here, from the entries that the daemon shows, by the same function as everywhere. Must not
live here: reading a data folder without a daemon (`audit_folder`), reading one peer's trail (`powernode peers audit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from api.cli.application import Application, connected
from api.cli.audit_verdicts import Verdict, chain_problem
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, note, say
from api.cli.peer_names import peer_path
from api.cli.peers import resolved, trail
from runtime.store.chain import verify as broken_at
from runtime.store.port import AuditEntry

audit = LazyGroup(
    "audit",
    help="Verify audit chains, and see what of them is in the archive.",
    lazy={
        "ask": ("api.cli.audit:ask", "Ask a peer for our part of its audit trail."),
        "ship": ("api.cli.audit:ship", "Ship what is old enough to the archive now."),
        "shipments": ("api.cli.audit:shipments", "List a peer's shipments."),
        "verify": ("api.cli.audit:verify", "Verify audit chains, link by link."),
    },
)


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Read this data folder instead of asking a daemon, its archive included.",
)  # fmt: skip
@connected
def verify(peer: str | None, data: Path | None) -> None:
    """Verify audit chains, link by link; exit 1 if one is broken.

    Without PEER every chain of a peer is verified, those of ended peerings included; with --data also those of approvals, offerings and
    this platform's own root. Nothing is changed in the folder, and a daemon may run on it.
    """
    from api.cli.audit_folder import verdicts_of_folder

    application = click.get_current_context().ensure_object(Application)
    verdicts = verdicts_of_folder(data, peer) if data is not None else list(_of_daemon(application, peer))
    for verdict in verdicts:
        if application.as_json:
            emit_json(dict(verdict.document()))
        else:
            shipped = f", {verdict.shipments} shipments" if verdict.shipments else ""
            say(f"{verdict.chain}  {verdict.entries} entries{shipped}  {verdict.problem or 'whole'}")
    broken = [verdict for verdict in verdicts if verdict.problem is not None]
    note(f"{len(verdicts)} chains verified, {len(broken)} broken")
    if broken:
        raise Failure("audit_broken", "an audit chain was changed; compare it with a backup or the archive", Exit.FAILURE)


def _of_daemon(application: Application, peer: str | None) -> Iterator[Verdict]:
    if peer is not None:
        client, peer_id = resolved(peer)
        ids = [peer_id]
    else:
        client = Client(application)
        ids = [str(row["id"]) for row in client.pages("/platform/peers")]
    for peer_id in ids:
        told = client.application.run(trail, client, peer_path(peer_id, "audit_log"), None)
        try:
            entries = [_entry(each) for each in told]
        except (KeyError, TypeError, ValueError):
            yield Verdict(peer_id, len(told), 0, "the daemon's answer holds no audit entries")
            continue
        yield Verdict(peer_id, len(entries), 0, chain_problem(broken_at(entries), len(entries)))


def _entry(told: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        chain=told["federation_peer_id"], sequence=told["sequence"], action=told["action"], at=float(told["at_epoch_s"]),
        actor_kind=told["actor"]["kind"], actor_id=told["actor"]["id"], payload=told["payload"], previous_hash=told["prev_hash"],
        hash=told["hash"],
    )  # fmt: skip


@click.command(cls=Command)
@click.argument("peer")
@connected
def shipments(peer: str) -> None:
    """List what of a peer's audit chain is in the archive, newest first."""
    client, peer_id = resolved(peer)
    rows = client.pages(peer_path(peer_id, "audit_shipments"))
    listing(
        client.application,
        rows,
        ("number", "entries", "status", "until", "shipped", "sha256"),
        lambda row, now: (
            row.get("number"),
            f"{row.get('first_sequence')}–{row.get('last_sequence')}",
            row.get("status"),
            row.get("period_end"),
            ago(row.get("shipped_at"), now),
            str(row.get("sha256"))[:12],
        ),
        empty="nothing has been shipped; entries are once they are older than `federation.audit_boundary`",
    )


@click.command(cls=Command)
@connected
def ship() -> None:
    """Ship what is old enough of every audit chain to the archive now, as the daily run does; exit 1 if something failed."""
    client = Client(click.get_current_context().ensure_object(Application))
    told = client.post("/platform/audit/ship", {}).data
    if client.application.as_json:
        emit_json(told)
    else:
        block(dict(told).items())
    if told.get("failures"):
        raise Failure("audit_seal_failed", "not everything is safely in the archive; `powernode findings list` says why", Exit.FAILURE)


@click.command(cls=Command)
@click.argument("peer")
@click.option("--since", metavar="TIME", help="From this instant, ISO-8601 with a zone; 90 days ago if not given.")
@click.option("--until", metavar="TIME", help="Up to this instant; now if not given.")
@connected
def ask(peer: str, since: str | None, until: str | None) -> None:
    """Ask a peer for our part of its audit trail, and print it, oldest first."""
    client, peer_id = resolved(peer)
    given: dict[str, Any] = {name: value for name, value in (("since", since), ("until", until)) if value is not None}
    cursor: int | None = 0
    while cursor is not None:
        told = client.post(peer_path(peer_id, "audit_requests"), {**given, "cursor": cursor}).data
        for event in told["events"]:
            if client.application.as_json:
                emit_json(event)
            else:
                payload = msgspec.json.encode(event.get("payload")).decode()
                say(f"{event.get('sequence'):>6}  {event.get('at')}  {event.get('action')}  {payload}")
        cursor = told.get("next_cursor")
