"""`powernode audit`: whether audit chains are whole, and what of them stands in the archive.

Lives here: the commands. A chain is verified here, from the entries that the daemon shows, by the same function as everywhere; with
`--data` also the archive, without any daemon. Must not live here: reading one peer's trail (`powernode peers audit`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import click
import msgspec

from actors.audit_archive.record import SHIPMENT, ShipmentRecord, follows, object_bytes
from actors.peer.record import KIND as PEER
from api.cli.application import Application, connected
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, block, emit_json, listing, note, say
from api.cli.peer_names import peer_path
from api.cli.peers import resolved, trail
from runtime.store.chain import verify as broken_at
from runtime.store.port import AuditEntry, Condition, Query

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

ENTRIES_READ: int = 5_000


@attrs.frozen
class Verdict:
    """What was found about one peer's chain; `problem` None means that it is whole."""

    peer_id: str
    entries: int
    shipments: int
    problem: str | None

    def document(self) -> Mapping[str, Any]:
        """For machines."""
        return {"federation_peer_id": self.peer_id, "entries": self.entries, "shipments": self.shipments, "problem": self.problem}


@click.command(cls=Command)
@click.argument("peer", required=False)
@click.option(
    "--data", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
    help="Read this data folder instead of asking a daemon, its archive included.",
)  # fmt: skip
@connected
def verify(peer: str | None, data: Path | None) -> None:
    """Verify audit chains, link by link; exit 1 if one is broken.

    Without PEER every chain is verified, those of ended peerings included.
    """
    application = click.get_current_context().ensure_object(Application)
    verdicts = list(_of_folder(data, peer) if data is not None else _of_daemon(application, peer))
    for verdict in verdicts:
        if application.as_json:
            emit_json(dict(verdict.document()))
        else:
            shipped = f", {verdict.shipments} shipments" if verdict.shipments else ""
            say(f"{verdict.peer_id}  {verdict.entries} entries{shipped}  {verdict.problem or 'whole'}")
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
        yield Verdict(peer_id, len(entries), 0, _chain_problem(broken_at(entries)))


def _entry(told: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        chain=told["federation_peer_id"], sequence=told["sequence"], action=told["action"], at=float(told["at_epoch_s"]),
        actor_kind=told["actor"]["kind"], actor_id=told["actor"]["id"], payload=told["payload"], previous_hash=told["prev_hash"],
        hash=told["hash"],
    )  # fmt: skip


def _of_folder(data: Path, peer: str | None) -> Iterator[Verdict]:
    from actors.registry import DOMAIN_VERSION, KINDS
    from runtime.store.sqlite import DATABASE_NAME, SqliteStore

    store = SqliteStore.open(data / DATABASE_NAME, KINDS, deliver=lambda callback: callback(), domain_version=DOMAIN_VERSION)
    try:
        for row in store.query(Query(PEER.name, newest_first=False)):
            if peer in (None, row.record.id):
                yield _examined(store, data, row.record.id)
    finally:
        store.close()


def _examined(store: Any, data: Path, peer_id: str) -> Verdict:
    count, head, problem = 0, "0" * 64, None
    while problem is None and (entries := store.audit(peer_id, count, ENTRIES_READ)):
        problem = _chain_problem(broken_at(entries, count, head))
        count, head = entries[-1].sequence, entries[-1].hash
    mine = Query(SHIPMENT.name, ((Condition("federation_peer_id", "=", peer_id),),), newest_first=False)
    shipped: list[ShipmentRecord] = [row.record for row in store.query(mine)]
    former: ShipmentRecord | None = None
    for each in shipped:
        problem = problem or _shipment_problem(store, data, each, former)
        former = each
    return Verdict(peer_id, count, len(shipped), problem)


def _chain_problem(sequence: int | None) -> str | None:
    return None if sequence is None else f"broken from entry {sequence} on"


def _shipment_problem(store: Any, data: Path, record: ShipmentRecord, former: ShipmentRecord | None) -> str | None:
    """What is wrong with a shipment: its place in the sequence, its object, or that the two do not hold the same entries."""
    if not follows(record, former):
        return f"shipment {record.number} does not follow on the one before"
    entries = store.audit(record.federation_peer_id, record.first_sequence - 1, record.entry_count)
    if hashlib.sha256(object_bytes(record, entries)).hexdigest() != record.sha256:
        return f"shipment {record.number} holds other entries than the chain"
    if record.state != "verified":
        return None
    try:
        content = (data / "archive" / record.path).read_bytes()
    except OSError:
        return f"shipment {record.number} is missing from the archive"
    if hashlib.sha256(content).hexdigest() != record.sha256:
        return f"shipment {record.number} was changed in the archive"
    return None


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
