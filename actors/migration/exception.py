"""The approved one-off exception from our own refusal to let data cross a boundary.

Lives here: what it covers, and what an operator is asked. An exception belongs to one migration, to exactly the records that were shown to
who approved it, to the places that both platforms named then, and to one attempt: a further attempt needs another. It says nothing about
the rules of the destination. Must not live here: the rules themselves (`actors.residency`), or an effect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from actors import residency
from actors.approval.categories import RESIDENCY_OVERRIDE
from actors.approval.limits import SUMMARY_CHARS_MAX
from actors.approval.messages import AskApproval
from actors.idempotency.record import Mark
from actors.migration.record import MIGRATION, MigrationRecord
from actors.migration.steps import Header, Step, canonical
from actors.peer.record import PeerRecord
from runtime.errors import OperatorFault

RECORDS_SHOWN_MAX: Final = 64
BEARER_NOT_KEPT: Final = OperatorFault(
    "bearer_not_kept", "what waits for approval keeps no bearer; keep it as a received grant first, and leave it out here", 422
)


def extent(header: Header, peer: PeerRecord, ours: str, steps: Sequence[Step]) -> str:
    """Hex SHA-256 of what moves from where to where: the records by kind and id, whatever they hold and however conflicts are decided."""
    tags = [residency.tag(text) for text in (ours, peer.data_residency, peer.declared_residency)]
    records = sorted([step.kind, step.id, step.action] for step in steps)
    return hashlib.sha256(canonical([header.to_json(), peer.id, tags, records])).hexdigest()


def covers(record: MigrationRecord, steps: Sequence[Step], peer: PeerRecord | None, ours: str) -> bool:
    """Whether an approved exception covers the migration with these steps, as both platforms say now where they keep data."""
    if record.residency_exception is None or peer is None:
        return False
    return record.excepted_extent == extent(record.header, peer, ours, steps)


def asked(planned: MigrationRecord, peer: PeerRecord, ours: str, *, by: str | None, mark: Mark | None) -> AskApproval:
    """The request for an exception for a migration that would be planned.

    Args:
        ours: where this platform says that it keeps data.
    """
    create = [step for step in planned.steps if step.action == "create"]
    what = "Move" if planned.operation == "migrate" else "Copy"
    summary = f"{what} a {planned.root_resource_kind} to {peer.remote_instance_url or peer.id} although our residency rules refuse it"
    return AskApproval(
        account_id=planned.account_id,
        action_category=RESIDENCY_OVERRIDE,
        requested_by=by,
        origin="rest",
        federation_peer_id=peer.id,
        subject_kind=MIGRATION.name,
        subject_id=planned.id,
        summary=summary[:SUMMARY_CHARS_MAX],
        impact="Data leaves for a place where our rules do not let it go. This one migration is planned; the rules stay as they are.",
        plan={
            "records": len(create),
            "first_records": [{"kind": step.kind, "id": step.id} for step in create[:RECORDS_SHOWN_MAX]],
            "plan_digest": planned.plan_digest,
            "situation": residency.situation(ours, peer),
            "our_residency": ours,
            "decided_for_the_peer": peer.data_residency,
            "declared_by_the_peer": peer.declared_residency,
        },
        params={
            "migration_id": planned.id,
            **planned.header.to_json(),
            "destination_peer_id": peer.id,
            "dry_run": planned.dry_run,
            "acknowledge_residency": planned.acknowledge_residency,
            "extent": extent(planned.header, peer, ours, planned.steps),
        },
        mark=mark,
    )
