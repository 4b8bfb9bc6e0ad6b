"""The catalogue at the destination of a migration: staging a plan, applying it in one transaction, and standing by what was said.

Lives here: handlers whose answers are promises. What an arrival's row says and what became of the records are written in the same turn, by
the one actor that writes the account's records; so a fence and a commit that race have one winner, and a repeated commit finds its own
receipt. Must not live here: what a plan comes to (`applying`), or who may call (the door).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors import residency
from actors.idempotency.record import remember
from actors.migration.applying import Judged, Sender, dangling, judge
from actors.migration.giving import Giving
from actors.migration.lifecycle import Word, verdict
from actors.migration.limits import STAGED_KEPT_S, STEPS_MAX
from actors.migration.messages import Commit, DropStaged, Fence, Finalize, Landed, Open, Reclaim, ResolveArrival, Stage
from actors.migration.record import ARRIVAL, STAGED, ArrivalRecord, StagedStep, shown_arrival, staged_id, staged_steps
from actors.migration.steps import Step, brought_kinds, plan_digest, receipt_digest
from actors.peer import standing
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.resource.plan import Committed
from actors.resource.record import ResourceRecord
from actors.schema_rule.withheld import withheld
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

UNKNOWN: Final = OperatorFault("migration_not_found", "there is no such migration here", 404)
FENCED: Final = OperatorFault("migration_fenced", "this migration was fenced: it is never applied", 409)
ID_CONFLICT: Final = OperatorFault("migration_id_conflict", "another plan has this id here", 409)
NOT_STUCK: Final = OperatorFault("migration_not_stuck", "this migration ends by itself, or has ended; nothing has to be said of it", 409)
NOT_IN_FORCE: Final = OperatorFault("peer_not_admitted", "the peering in which this migration began has ended", 401)


class Receiving(Giving):
    """Handlers of the destination."""

    @handles(Open)
    def on_open(self, message: Open, ctx: Context) -> None:
        wanted, known = message.arrival, arrival(ctx, message.arrival.id)
        if known is not None:
            ctx.reply(reopen_fault(known, wanted) or known)
            return
        said = verdict(None, "open")
        assert said is not None
        opened = evolve(wanted, version=1, verdict=said, opened_at=ctx.wall, expires_at=ctx.wall + STAGED_KEPT_S)
        ctx.put_row(ARRIVAL.name, opened)
        ctx.reply(opened)

    @handles(Stage)
    def on_stage(self, message: Stage, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        fault = spoken(known) if known is None or known.verdict != "staged" else None
        if fault is not None or known is None:
            ctx.reply(known if fault is None else fault)
            return
        here = {row.record.id: row.record for row in ctx.query(staged_steps(known.id))}
        for step in message.steps:
            id = staged_id(known.id, step.order)
            former = here.get(id)
            if step.order >= known.step_count or step.order >= STEPS_MAX or (former is not None and former.step != step):
                text = "the step is outside the plan, or another one was sent under its number"
                ctx.reply(OperatorFault("step_invalid", text, 422, {"index": step.order}))
                return
        for step in message.steps:
            id = staged_id(known.id, step.order)
            if id not in here:
                here[id] = StagedStep(id=id, version=1, arrival_id=known.id, step=step)
                ctx.put_row(STAGED.name, here[id])
        ctx.reply(known)

    @handles(Commit)
    def on_commit(self, message: Commit, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        if known is None or known.verdict != "staged":
            ctx.reply(Landed(known, fresh=False) if known is not None and known.receipt is not None else spoken(known))
            return
        steps = tuple(row.record.step for row in ctx.query(staged_steps(known.id)))
        if len(steps) != known.step_count:
            text = "steps are missing; upload them before the plan is committed"
            ctx.reply(OperatorFault("plan_incomplete", text, 409, {"staged": len(steps), "steps": known.step_count}))
            return
        peer = peer_of(ctx, known.federation_peer_id)
        judged = self._judged(ctx, known, steps, peer)
        if isinstance(judged, Fault) or peer is None:
            self._refuse(ctx, known, judged if isinstance(judged, Fault) else NOT_IN_FORCE)
            return
        self._apply(ctx, known, judged, peer)

    def _judged(self, ctx: Context, known: ArrivalRecord, steps: tuple[Step, ...], peer: PeerRecord | None) -> Judged | Fault:
        if peer is None or not standing.may_finish(peer, known.peering_epoch, ctx.wall):
            return NOT_IN_FORCE
        if plan_digest(known.header, steps) != known.plan_digest:
            return OperatorFault("plan_digest_mismatch", "the steps are not those of the announced plan", 422)
        outcome = residency_outcome(ctx.settings, peer)
        fault = residency.refusal(outcome, acknowledged=known.acknowledge_residency)
        if fault is not None:
            return fault
        unfit = withheld(ctx.query, ctx.settings.platform_version, peer, brought_kinds(steps))
        if unfit is not None:
            return unfit
        committed = Committed(known.account_id, ctx.query)
        sender = Sender(peer_id=peer.id, instance_id=known.source_instance_id, migration_id=known.id)
        judged = judge(known.header, steps, sender, committed, ctx.new_id, named_only=False, at=iso(ctx.wall))
        return judged if isinstance(judged, Fault) else dangling(judged, committed) or judged

    def _apply(self, ctx: Context, known: ArrivalRecord, judged: Judged, peer: PeerRecord) -> None:
        stored = self.store(ctx, [(write.record, write.former) for write in judged.writes])
        receipt = {
            "migration_id": known.id,
            "plan_digest": known.plan_digest,
            "operation": known.operation,
            "applied": len(stored),
            "skipped": judged.skipped,
            "renamed": [dict(entry) for entry in judged.renamed],
            "id_map": dict(judged.id_map),
            "at": iso(ctx.wall),
            **hop_named(known),
        }
        incoming = tuple(record.id for record in stored if record.incoming)
        crossing = residency_outcome(ctx.settings, peer)
        landed = self._speak(ctx, known, "apply", receipt=receipt, applied_ids=incoming, cross_jurisdiction=crossing.crossing)
        told = {"migration_id": known.id, "operation": known.operation, "applied": len(stored), "skipped": judged.skipped}
        digest = receipt_digest(receipt)
        ctx.audit_in(peer.id, "migration.applied", "peer", peer.id, **told, plan_digest=known.plan_digest, receipt_digest=digest)
        ctx.emit("migration.applied", "low", known.account_id, federation_peer_id=peer.id, side="destination", **told)
        if crossing.severity is not None:
            ctx.audit_in(peer.id, "migration.cross_boundary", "system", None, migration_id=known.id)
            ctx.emit("migration.cross_boundary", crossing.severity, known.account_id, federation_peer_id=peer.id, migration_id=known.id)
        elif crossing.noted:
            ctx.audit_in(peer.id, "migration.residency_unknown", "system", None, migration_id=known.id)
        ctx.reply(Landed(landed, fresh=True))

    def _refuse(self, ctx: Context, known: ArrivalRecord, fault: Fault) -> None:
        told = {"code": fault.code, "message": fault.message, "status": fault.status, "details": dict(fault.details)}
        self._speak(ctx, known, "refuse", refusal=told)
        ctx.audit_in(
            known.federation_peer_id, "migration.refused", "peer", known.federation_peer_id, migration_id=known.id, code=fault.code
        )
        ctx.reply(fault)

    @handles(Fence)
    def on_fence(self, message: Fence, ctx: Context) -> None:
        known = arrival(ctx, message.arrival.id)
        if known is None:
            fenced = evolve(message.arrival, version=1, verdict="fenced", opened_at=ctx.wall, ended_at=ctx.wall)
            ctx.put_row(ARRIVAL.name, fenced)
            ctx.audit_in(fenced.federation_peer_id, "migration.fenced", "peer", fenced.federation_peer_id, migration_id=fenced.id)
            ctx.reply(fenced)
        elif known.federation_peer_id != message.arrival.federation_peer_id:
            ctx.reply(UNKNOWN)
        elif verdict(known.verdict, "fence") is None:
            ctx.reply(known)
        else:
            ctx.audit_in(known.federation_peer_id, "migration.fenced", "peer", known.federation_peer_id, migration_id=known.id)
            ctx.reply(self._speak(ctx, known, "fence"))

    @handles(Finalize)
    def on_finalize(self, message: Finalize, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        if known is None or known.verdict == "finalized":
            ctx.reply(known or UNKNOWN)
            return
        if verdict(known.verdict, "finalize") is None:
            ctx.reply(spoken(known) or OperatorFault("migration_not_applied", "the plan has not been applied", 409))
            return
        ctx.reply(self._finalized(ctx, known, "peer", known.federation_peer_id))

    def _finalized(self, ctx: Context, known: ArrivalRecord, by_kind: str, by: str | None, **more: Any) -> ArrivalRecord:
        self.store(ctx, [(evolve(record, incoming=False), record) for record in self._arrived(ctx, known)])
        told = {"migration_id": known.id, "operation": known.operation}
        ctx.audit_in(known.federation_peer_id, "migration.completed", by_kind, by, **told, **more)
        ctx.emit("migration.completed", "low", known.account_id, federation_peer_id=known.federation_peer_id, side="destination", **told)
        return self._speak(ctx, known, "finalize")

    def _arrived(self, ctx: Context, known: ArrivalRecord) -> list[ResourceRecord]:
        """The records that it brought and that still wait for its end."""
        committed = Committed(known.account_id, ctx.query)
        committed.load(known.applied_ids)
        return [record for id in known.applied_ids if (record := committed.record(id)) is not None and record.incoming]

    @handles(Reclaim)
    def on_reclaim(self, message: Reclaim, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        if known is None:
            ctx.reply(UNKNOWN)
            return
        moved = evolve(known, federation_peer_id=message.peer_id, peering_epoch=message.peering_epoch, reclaimed=True)
        ctx.audit_in(message.peer_id, "migration.reclaimed", "peer", message.peer_id, migration_id=known.id, verdict=known.verdict)
        if verdict(known.verdict, "fence") is not None:
            ctx.reply(self._speak(ctx, moved, "fence"))
        else:
            moved = evolve(moved, version=known.version + 1)
            ctx.put_row(ARRIVAL.name, moved, known.version)
            ctx.reply(moved)

    @handles(ResolveArrival)
    def on_resolve_arrival(self, message: ResolveArrival, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        peer = peer_of(ctx, known.federation_peer_id) if known is not None else None
        if known is None or known.verdict != "applied" or standing.may_finish(peer, known.peering_epoch, ctx.wall):
            ctx.reply(UNKNOWN if known is None else NOT_STUCK)
            return
        if message.keep:
            ended = self._finalized(ctx, known, "user", message.by, word=message.word)
        else:
            self.store(ctx, [(gone(record, ctx.wall), record) for record in self._arrived(ctx, known)])
            ctx.audit_in(known.federation_peer_id, "migration.released", "user", message.by, migration_id=known.id, word=message.word)
            ended = self._speak(ctx, known, "release")
        remember(ctx, message.mark, 200, {"migration": shown_arrival(ended)})
        ctx.reply(ended)

    @handles(DropStaged)
    def on_drop_staged(self, message: DropStaged, ctx: Context) -> None:
        known = arrival(ctx, message.arrival_id)
        if known is None or known.verdict != "staged" or known.expires_at is None or known.expires_at > ctx.wall:
            return
        self._drop_steps(ctx, known)
        ctx.delete_row(ARRIVAL.name, known.id)

    def _speak(self, ctx: Context, known: ArrivalRecord, word: Word, **changes: Any) -> ArrivalRecord:
        """Write what is said now; the staged steps have served."""
        said = verdict(known.verdict, word)
        assert said is not None, (known.verdict, word)
        self._drop_steps(ctx, known)
        changed = evolve(known, version=known.version + 1, verdict=said, ended_at=ctx.wall, expires_at=None, **changes)
        ctx.put_row(ARRIVAL.name, changed, known.version)
        return changed

    def _drop_steps(self, ctx: Context, known: ArrivalRecord) -> None:
        for row in ctx.query(staged_steps(known.id)):
            ctx.delete_row(STAGED.name, row.record.id)


def gone(record: ResourceRecord, wall: float) -> ResourceRecord:
    """What is left of a record that had arrived and does not stay: its id, so that nothing of another origin takes it."""
    return evolve(record, attributes={}, deleted_at=wall, incoming=False)


def arrival(ctx: Context, id: str) -> ArrivalRecord | None:
    """The arrival of this id, if it is one of the catalogue's account."""
    row = ctx.row(ARRIVAL.name, id)
    found: ArrivalRecord | None = row.record if row is not None else None
    return found if found is not None and found.account_id == ctx.ref.id else None


def residency_outcome(settings: Any, peer: PeerRecord) -> residency.Outcome:
    """What our rules say of a move between this peer and us."""
    federation = settings.federation
    return residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, peer)


def reopen_fault(known: ArrivalRecord, wanted: ArrivalRecord) -> Fault | None:
    """Why a known id cannot be opened again, or None if it is the same plan (whatever has become of it)."""
    if known.federation_peer_id != wanted.federation_peer_id:
        return ID_CONFLICT
    if known.verdict == "fenced":
        return FENCED
    same = _announced(known) == _announced(wanted)
    return None if same else ID_CONFLICT


def hop_named(known: ArrivalRecord) -> dict[str, Any]:
    """What a receipt says of the hop of a chain for which the records have come."""
    if known.chain_id is None:
        return {}
    return {"chain": {"id": known.chain_id, "hop": known.chain_position, "root": known.root_resource_id}}


def _announced(plan: ArrivalRecord) -> tuple[object, ...]:
    return plan.plan_digest, plan.header, plan.step_count, plan.chain_id, plan.chain_position


def spoken(known: ArrivalRecord | None) -> Fault | None:
    """The refusal that an arrival's verdict amounts to; None if it is no refusal."""
    if known is None:
        return UNKNOWN
    if known.verdict == "fenced":
        return FENCED
    if known.verdict == "failed" and known.refusal is not None:
        refusal: Mapping[str, Any] = known.refusal
        return OperatorFault(refusal["code"], refusal["message"], refusal["status"], refusal["details"])
    return None
