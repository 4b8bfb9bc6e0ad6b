"""Rows of migrations: one for each at the source, one for each at the destination, and one for each step that waits there.

Lives here: records, how they are found, their form for operators. Must not live here: which step is allowed (`lifecycle`).

The two sides never share a row, though they may share an id: a platform that lets a record go and gets it back is the source of one
migration and the destination of another. The row at the destination (`arrival`) belongs to the catalogue, so that what it says and
what was written are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from actors.migration.lifecycle import HOLDING, Status, Verdict
from actors.migration.limits import RECOVERY_S
from actors.migration.steps import Header, Operation, Step, receipt_digest
from runtime.clock import iso, iso_or_none
from runtime.store.port import Condition, Kind, Query

HOP_KIND: Final = "chain_hop"
"""The kind of the actor that stands for a hop of a chain."""


@attrs.frozen(kw_only=True)
class MigrationRecord:
    """A migration at its source. Times are seconds since the epoch.

    Attributes:
        destination_peer_id, peering_epoch: to whom, and in which peering; in another one it does not go on.
        transfer_id: what the destination calls this attempt; a further attempt has another, since a fence is for ever.
        steps: without payloads, which the catalogue holds.
        plan_digest: of the steps with their payloads.
        cleared_digest: the digest that a preflight found nothing against; None while there is none.
        applying: an operator wants it to go on as soon as nothing stands in the way.
        releasing: the catalogue may still hold records for it and has not said otherwise.
        departed: the catalogue has let go of the records for good.
        conflict_log, audit_log: what was found and what was done, newest last.
        sealed_bearer: the bearer of the destination's grant, sealed; empty once nothing more can be sent.
        receipt: the destination's receipt with its proof, as verified.
        destination_anchors: CA certificates of the destination when everything had been uploaded, so that its receipt can still be verified
            once the peering, and with it the anchors of its row, is over.
        error: code of the last refusal or failure.
        next_look_at: when a migration that is under way is looked at again.
        unknown_since: since when the destination says that it knows nothing of what it has signed for; None unless it does.
        hop_id: of the hop that it carries out, which hears of every change of its status; None for one that stands alone.
        claimed: the destination says so, and this copy of our data does not know it; only an operator ends it.
        resolved: what an operator said of one whose destination could not be asked any more.
        chain_id, chain_position: the chain that the hop belongs to, and the hop's number in it.
        residency_exception, excepted_extent: an approved exception from our residency rules, and what it covers; for one attempt only.
        created_for: the approval by which it was planned; None if it waited for none.
    """

    id: str
    version: int = 0
    account_id: str
    operation: Operation
    root_resource_kind: str
    root_resource_id: str
    destination_peer_id: str
    peering_epoch: int
    status: Status = "planned"
    dry_run: bool = True
    transfer_id: str
    attempt: int = 1
    steps: tuple[Step, ...]
    plan_digest: str
    cleared_digest: str | None = None
    applying: bool = False
    acknowledge_residency: bool = False
    cross_jurisdiction: bool = False
    conflict_log: tuple[Mapping[str, Any], ...] = ()
    audit_log: tuple[Mapping[str, Any], ...] = ()
    sealed_bearer: bytes = attrs.field(repr=False)
    receipt: Mapping[str, Any] | None = None
    receipt_digest: str | None = None
    destination_anchors: tuple[str, ...] = ()
    departed: bool = False
    releasing: bool = False
    error: str | None = None
    created_by: str | None = None
    created_at: float
    updated_at: float
    completed_at: float | None = None
    next_look_at: float | None = None
    claimed: bool = False
    resolved: str | None = None
    unknown_since: float | None = None
    hop_id: str | None = None
    chain_id: str | None = None
    chain_position: int | None = None
    residency_exception: str | None = None
    excepted_extent: str | None = None
    created_for: str | None = None

    @property
    def header(self) -> Header:
        """What it is about."""
        return Header(operation=self.operation, root_resource_kind=self.root_resource_kind, root_resource_id=self.root_resource_id)

    @property
    def holds(self) -> bool:
        """Whether its records must not change."""
        return self.operation == "migrate" and self.status in HOLDING


MIGRATION: Final = Kind(
    name="migration",
    record=MigrationRecord,
    columns={
        "account_id": "text",
        "status": "text",
        "operation": "text",
        "destination_peer_id": "text",
        "bearer_held": "integer",
        "transfer_id": "text",
    },
    project=lambda record: {
        "account_id": record.account_id,
        "status": record.status,
        "operation": record.operation,
        "destination_peer_id": record.destination_peer_id,
        "bearer_held": int(bool(record.sealed_bearer)),
        "transfer_id": record.transfer_id,
    },
    due=lambda record: record.next_look_at,
    put_off_s=RECOVERY_S,
    resume=lambda record: record.next_look_at is not None,
)


@attrs.frozen(kw_only=True)
class ArrivalRecord:
    """A migration at its destination. Its id is that of the attempt at the source.

    Attributes:
        federation_peer_id, peering_epoch: from whom, and in which peering.
        verdict: what is said of it; see `lifecycle.VERDICTS`.
        step_count: how many steps the whole plan has.
        receipt: what was done, as the source will read it; only with `applied` and `finalized`.
        applied_ids: the records that it brought and that wait for its end.
        refusal: why it was refused, as a fault's fields, with `failed`.
        expires_at: when a plan that nobody commits is dropped.
        reclaimed: the source has come back under a new peering, and asks about it there.
        chain_id, chain_position: the hop of a chain that the source says it carries out; the receipt names it.
    """

    id: str
    version: int = 0
    account_id: str
    federation_peer_id: str
    peering_epoch: int
    source_instance_id: str
    operation: Operation
    root_resource_kind: str
    root_resource_id: str
    verdict: Verdict
    plan_digest: str = ""
    step_count: int = 0
    acknowledge_residency: bool = False
    cross_jurisdiction: bool = False
    receipt: Mapping[str, Any] | None = None
    applied_ids: tuple[str, ...] = ()
    refusal: Mapping[str, Any] | None = None
    opened_at: float
    ended_at: float | None = None
    expires_at: float | None = None
    reclaimed: bool = False
    chain_id: str | None = None
    chain_position: int | None = None

    @property
    def header(self) -> Header:
        """What it is about."""
        return Header(operation=self.operation, root_resource_kind=self.root_resource_kind, root_resource_id=self.root_resource_id)


ARRIVAL: Final = Kind(
    name="arrival",
    record=ArrivalRecord,
    columns={
        "account_id": "text",
        "verdict": "text",
        "operation": "text",
        "federation_peer_id": "text",
        "root_resource_id": "text",
        "source_instance_id": "text",
    },
    project=lambda record: {
        "account_id": record.account_id,
        "verdict": record.verdict,
        "operation": record.operation,
        "federation_peer_id": record.federation_peer_id,
        "root_resource_id": record.root_resource_id,
        "source_instance_id": record.source_instance_id,
    },
    due=lambda record: record.expires_at,
)


@attrs.frozen(kw_only=True)
class StagedStep:
    """One step that waits at the destination for its plan to be complete. Its id is that of the arrival and its order."""

    id: str
    version: int = 0
    arrival_id: str
    step: Step


STAGED: Final = Kind(
    name="staged_step",
    record=StagedStep,
    columns={"arrival_id": "text"},
    project=lambda record: {"arrival_id": record.arrival_id},
)


def staged_id(arrival_id: str, order: int) -> str:
    """The id of a staged step; ids of one plan sort as its steps do."""
    return f"{arrival_id}-{order:05d}"


def staged_steps(arrival_id: str) -> Query:
    """The query for the staged steps of a plan, in order."""
    return Query(STAGED.name, ((Condition("arrival_id", "=", arrival_id),),), newest_first=False)


def next_look(record: MigrationRecord, wall: float) -> float | None:
    """When a migration must be looked at again, if nothing happens before; None if it waits for its operators or has ended."""
    asking = record.status == "validating" and (record.applying or record.cleared_digest != record.plan_digest)
    return wall + RECOVERY_S if record.releasing or asking or record.status in HOLDING else None


def shown(record: MigrationRecord, *, whole: bool = True) -> dict[str, Any]:
    """The form of the operator surface; never the bearer."""
    counts = {action: sum(1 for step in record.steps if step.action == action) for action in ("create", "link_local", "skip")}
    out: dict[str, Any] = {
        "id": record.id,
        "side": "source",
        **record.header.to_json(),
        "destination_peer_id": record.destination_peer_id,
        "status": record.status,
        "dry_run": record.dry_run,
        "transfer_id": record.transfer_id,
        "attempt": record.attempt,
        "plan_summary": {"steps": len(record.steps), **counts},
        "plan_digest": record.plan_digest,
        "cleared": record.cleared_digest == record.plan_digest,
        "cross_jurisdiction": record.cross_jurisdiction,
        "metadata": _metadata(record.cross_jurisdiction),
        "receipt_digest": record.receipt_digest,
        "error": record.error,
        "claimed": record.claimed,
        "resolved": record.resolved,
        "chain_id": record.chain_id,
        "chain_position": record.chain_position,
        "residency_exception": record.residency_exception,
        "created_by": record.created_by,
        "created_at": iso(record.created_at),
        "updated_at": iso(record.updated_at),
        "completed_at": iso_or_none(record.completed_at),
        "version": record.version,
    }
    if whole:
        out |= {
            "steps": [step.to_json(payload=False) for step in record.steps],
            "conflict_log": [dict(entry) for entry in record.conflict_log],
            "audit_log": [dict(entry) for entry in record.audit_log],
            "receipt": dict(record.receipt) if record.receipt is not None else None,
        }
    return out


def _metadata(crossing: bool) -> dict[str, Any]:
    """What is remarked on a migration: that it has crossed a boundary of residency, and nothing if it has not."""
    return {"cross_jurisdiction": True} if crossing else {}


def shown_arrival(record: ArrivalRecord, *, whole: bool = True) -> dict[str, Any]:
    """The form of the operator surface at the destination."""
    receipt = {"receipt": dict(record.receipt) if record.receipt is not None else None} if whole else {}
    return {
        "id": record.id,
        "side": "destination",
        **record.header.to_json(),
        "source_peer_id": record.federation_peer_id,
        "status": record.verdict,
        "plan_summary": {"steps": record.step_count},
        "plan_digest": record.plan_digest,
        "cross_jurisdiction": record.cross_jurisdiction,
        "metadata": _metadata(record.cross_jurisdiction),
        "receipt_digest": receipt_digest(record.receipt) if record.receipt is not None else None,
        **receipt,
        "error": record.refusal["code"] if record.refusal is not None else None,
        "created_at": iso(record.opened_at),
        "completed_at": iso_or_none(record.ended_at),
        "version": record.version,
    }
