"""The calls of a migration's source: preflight, upload, commit, and the search for an outcome that was not heard.

Lives here: what is sent in which status, and what each answer means. Until the commit has been sent nothing is lost by trying again or
giving up; from then on only the destination's own word, its receipt or its fence, ends the migration. Must not live here: operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from actors.migration.lifecycle import HOLDING, STUCK, TERMINAL, Trigger, transition
from actors.migration.limits import BATCH_BYTES_MAX, CONFLICTS_KEPT, FORGOTTEN_AFTER_S
from actors.migration.messages import (
    Depart,
    Departed,
    FinalizeAnswered,
    MigrationMoved,
    OutcomeAnswered,
    PreflightAnswered,
    ReclaimAnswered,
    Release,
    Released,
    TransferAnswered,
)
from actors.migration.planning import current_steps
from actors.migration.receipts import flaw
from actors.migration.record import HOP_KIND, MIGRATION, MigrationRecord, next_look
from actors.migration.steps import Step, receipt_digest, size
from actors.peer import endpoints, standing
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.peer.steps import can_be_told, reachable_identity
from actors.ports import RemoteReply, RemoteRequest
from actors.resource.catalogue import KIND as CATALOGUE
from runtime.actor import Actor, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, InternalFault, RemoteFault
from runtime.values import evolve

BASE = "/federation_api/migrations"
TRANSIENT_STATUSES = frozenset({408, 425, 429})
LOG_KEPT = 200
CODE_CHARS_MAX = 64


class Transfer(Actor):
    """The calling half of a migration."""

    kind = MIGRATION
    planning: Any = None
    batches: Sequence[Sequence[Step]] = ()
    batch: int = 0
    busy: str | None = None

    def holds_work(self) -> bool:
        return self.planning is not None or self.busy is not None

    # --- keeping -------------------------------------------------------------------------------------------------

    def keep(self, ctx: Context, record: MigrationRecord) -> None:
        """Save, with the time of the next look."""
        look = next_look(record, ctx.wall)
        if record.status in TERMINAL:
            record = evolve(record, sealed_bearer=b"")
        log = record.conflict_log[-CONFLICTS_KEPT:]
        if record.hop_id is not None and (self.record is None or self.record.status != record.status):
            ctx.send(Ref(HOP_KIND, record.hop_id), MigrationMoved(record.id))
        ctx.save(evolve(record, next_look_at=look, updated_at=ctx.wall, conflict_log=log, audit_log=record.audit_log[-LOG_KEPT:]))

    def stepped(self, ctx: Context, record: MigrationRecord, trigger: Trigger, *, by: str | None = None) -> MigrationRecord:
        """The record after a step of its life, with the entry of it."""
        status = transition(record.status, trigger)
        assert status is not None, (record.status, trigger)
        entry = {"at": iso(ctx.wall), "by": by, "from": record.status, "to": status, "why": trigger}
        if status != record.status:
            self.note(ctx, record, f"migration.{status}", by, previous=record.status)
        completed = ctx.wall if status == "completed" else record.completed_at
        return evolve(record, status=status, audit_log=(*record.audit_log, entry), completed_at=completed)

    def note(self, ctx: Context, record: MigrationRecord, action: str, by: str | None, **told: Any) -> None:
        """An entry in the audit chain of the destination's peer."""
        actor_kind = "user" if by is not None else "system"
        ctx.audit_in(record.destination_peer_id, action, actor_kind, by, migration_id=record.id, **told)

    def fail(self, ctx: Context, record: MigrationRecord, code: str, *, by: str | None = None) -> None:
        """A definite no: nothing has moved, so what was held goes back."""
        releasing = record.operation == "migrate"
        failed = self.stepped(ctx, evolve(record, error=code, applying=False, releasing=releasing), "refused", by=by)
        told = {"migration_id": record.id, "federation_peer_id": record.destination_peer_id, "code": code}
        ctx.emit("migration.failed", "medium", record.account_id, **told)
        self.keep(ctx, failed)
        if releasing:
            self.catalogue(ctx, record, Release(record.id))

    @handles(Released)
    def on_released(self, message: Released, ctx: Context) -> None:
        record: MigrationRecord | None = self.record
        if record is not None and record.releasing:
            self.keep(ctx, evolve(record, releasing=False))

    def catalogue(self, ctx: Context, record: MigrationRecord, message: Any) -> None:
        """Say something to the catalogue of the account."""
        ctx.send(Ref(CATALOGUE.name, record.account_id), message)

    # --- calls ---------------------------------------------------------------------------------------------------

    def ask_preflight(self, ctx: Context, record: MigrationRecord) -> None:
        """Ask whether the names of the plan are free."""
        body = {
            **record.header.to_json(),
            "acknowledge_residency": record.acknowledge_residency,
            "steps": [step.to_json(payload=False) for step in record.steps],
        }
        self._call(ctx, record, "POST", f"{BASE}/preflight", body, PreflightAnswered, (record.transfer_id, record.plan_digest))

    def go_on_transferring(self, ctx: Context, record: MigrationRecord) -> None:
        """What a status after the freeze asks for."""
        if self.busy is not None:
            return
        if record.status in STUCK and (record.claimed or self.may_not_finish(ctx, record)):
            self._reclaim(ctx, record)
            return
        path = f"{BASE}/{record.transfer_id}"
        if record.status == "transferring":
            self._open(ctx, record)
        elif record.status in ("applying", "in_doubt"):
            # Whoever comes here has not heard what became of the commit.
            self.busy = "look"
            self._call(ctx, record, "GET", path, None, OutcomeAnswered, (record.transfer_id, "look"))
        elif record.status == "finalizing" and record.operation == "migrate" and not record.departed:
            self._depart(ctx, record)
        elif record.status == "finalizing":
            self.busy = "finalize"
            self._call(ctx, record, "POST", f"{path}/finalize", {}, FinalizeAnswered, record.transfer_id)

    def may_not_finish(self, ctx: Context, record: MigrationRecord) -> bool:
        """Whether the peering in which it began has ended for good, so that its destination cannot be asked in it."""
        peer = self.peer(ctx, record)
        over = peer is None or peer.status == "revoked" or peer.peering_epoch != record.peering_epoch
        return over and not standing.may_finish(peer, record.peering_epoch, ctx.wall)

    def _reclaim(self, ctx: Context, record: MigrationRecord) -> None:
        """Ask the same instance under the peering that we have with it now, if there is one; and let go of what is proven."""
        if record.status == "finalizing" and record.operation == "migrate" and not record.departed:
            self._depart(ctx, record)
            return
        if record.resolved is not None or record.claimed:
            if record.status == "finalizing":
                self._completed(ctx, evolve(record, error="destination_not_told"))
            return
        former = self.peer(ctx, record)
        instance_id = former.remote_instance_id if former is not None else None
        found = ctx.find(PEER.name, "instance", f"{record.account_id} {instance_id}") if instance_id is not None else None
        row = ctx.row(PEER.name, found) if found is not None else None
        if row is None or not standing.in_force(row.record, row.record.peering_epoch, ctx.wall):
            return
        self.busy = "reclaim"
        body = {**record.header.to_json(), "plan_digest": record.plan_digest}
        path = f"{BASE}/{record.transfer_id}/reclaim"
        self._call_peer(ctx, record, row.record, "POST", path, body, ReclaimAnswered, (record.transfer_id, row.record.id))

    @handles(ReclaimAnswered)
    def on_reclaim_answered(self, message: ReclaimAnswered, ctx: Context) -> None:
        record: MigrationRecord = self.record
        self.busy = None
        transfer_id, peer_id = message.tag
        if record.status not in STUCK or transfer_id != record.transfer_id:
            return
        outcome = message.outcome
        if isinstance(outcome, RemoteReply) and outcome.status == 200:
            row = ctx.row(PEER.name, peer_id)
            epoch = row.record.peering_epoch if row is not None else record.peering_epoch
            self.note(ctx, record, "migration.reclaimed", None, federation_peer_id=peer_id)
            self._reclaimed(ctx, evolve(record, destination_peer_id=peer_id, peering_epoch=epoch, sealed_bearer=b""), outcome.body)
        elif refused_by(outcome).code == "migration_not_found" and record.status != "finalizing":
            # What the destination does not know it cannot apply any more: the peering in which it could have come is over.
            self.fail(ctx, record, "migration_not_found")
        else:
            self.keep(ctx, evolve(record, error=refused_by(outcome).code))

    def _reclaimed(self, ctx: Context, record: MigrationRecord, body: Mapping[str, Any]) -> None:
        """The same migration, under the new peering: it ends by the destination's receipt, or by its word that it was never applied."""
        said = data_of(body).get("status")
        if record.status == "finalizing":
            self.keep(ctx, record)
            self.go_on_transferring(ctx, ctx.record)
        elif said in ("applied", "finalized"):
            self._take_receipt(ctx, record, body)
        elif said in ("fenced", "released"):
            self.fail(ctx, record, record.error or f"migration_{said}")
        else:
            self._doubt(ctx, record, "receipt_invalid")

    def _depart(self, ctx: Context, record: MigrationRecord) -> None:
        peer = self.peer(ctx, record)
        instance_id = peer.remote_instance_id if peer is not None and peer.remote_instance_id is not None else ""
        self.catalogue(ctx, record, Depart(migration_id=record.id, peer_id=record.destination_peer_id, instance_id=instance_id))

    def _open(self, ctx: Context, record: MigrationRecord) -> None:
        steps = self.payloads(ctx, record)
        if steps is None:
            self.fail(ctx, record, "resource_not_found")
            return
        self.batches, self.batch, self.busy = batched(steps), 0, "open"
        body = {
            **record.header.to_json(),
            "migration_id": record.transfer_id,
            "plan_digest": record.plan_digest,
            "step_count": len(steps),
            "acknowledge_residency": record.acknowledge_residency,
            **({"chain": {"id": record.chain_id, "hop": record.chain_position}} if record.chain_id is not None else {}),
        }
        self._call(ctx, record, "POST", BASE, body, TransferAnswered, (record.transfer_id, "open"))

    def payloads(self, ctx: Context, record: MigrationRecord) -> tuple[Step, ...] | None:
        """The steps with what the catalogue holds; None if a record has gone."""
        policies = {step.order: step.conflict_policy for step in record.steps}
        header = record.header
        steps = current_steps(ctx.query, record.account_id, header.root_resource_kind, header.root_resource_id, header.operation, policies)
        return None if isinstance(steps, Fault) else steps

    @handles(TransferAnswered)
    def on_transfer_answered(self, message: TransferAnswered, ctx: Context) -> None:
        record: MigrationRecord = self.record
        transfer_id, asked = message.tag
        if transfer_id != record.transfer_id or asked != self.busy:
            return
        self.busy = None
        if asked == "commit":
            self._committed(ctx, record, message.outcome)
        elif record.status == "transferring":
            self._uploaded(ctx, record, message.outcome)

    def _uploaded(self, ctx: Context, record: MigrationRecord, outcome: Any) -> None:
        if not (isinstance(outcome, RemoteReply) and outcome.status in (200, 201)):
            fault = refused_by(outcome)
            if self.transient(fault):
                # The next look begins again with the same plan.
                self.keep(ctx, evolve(record, error=fault.code))
            else:
                self.fail(ctx, record, fault.code)
            return
        path = f"{BASE}/{record.transfer_id}"
        if self.batch < len(self.batches):
            steps, self.busy = self.batches[self.batch], f"steps {self.batch}"
            self.batch += 1
            body = {"steps": [step.to_json() for step in steps]}
            self._call(ctx, record, "PUT", f"{path}/steps", body, TransferAnswered, (record.transfer_id, self.busy))
            return
        # The intent is durable before a byte of the commit leaves.
        peer = self.peer(ctx, record)
        anchors = trusted(peer) if peer is not None else ()
        self.keep(ctx, self.stepped(ctx, evolve(record, destination_anchors=anchors), "uploaded"))
        self.busy, self.batches = "commit", ()
        self._call(ctx, record, "POST", f"{path}/commit", {}, TransferAnswered, (record.transfer_id, "commit"))

    def _committed(self, ctx: Context, record: MigrationRecord, outcome: Any) -> None:
        if record.status != "applying":
            return
        if isinstance(outcome, RemoteReply) and outcome.status in (200, 201):
            self._take_receipt(ctx, record, outcome.body)
        elif self.transient(fault := refused_by(outcome)):
            self._doubt(ctx, record, fault.code)
        else:
            self._fence(ctx, evolve(record, error=fault.code))

    def _doubt(self, ctx: Context, record: MigrationRecord, code: str) -> None:
        if record.status == "in_doubt":
            self.keep(ctx, evolve(record, error=code))
            return
        doubtful = self.stepped(ctx, evolve(record, error=code), "answer_lost")
        ctx.emit("migration.in_doubt", "high", record.account_id, migration_id=record.id, federation_peer_id=record.destination_peer_id)
        self.keep(ctx, doubtful)

    def _fence(self, ctx: Context, record: MigrationRecord) -> None:
        """Have the destination promise never to apply; only that lets go of the records."""
        self.keep(ctx, record)
        self.busy = "fence"
        path = f"{BASE}/{record.transfer_id}/fence"
        self._call(ctx, record, "POST", path, record.header.to_json(), OutcomeAnswered, (record.transfer_id, "fence"))

    @handles(OutcomeAnswered)
    def on_outcome_answered(self, message: OutcomeAnswered, ctx: Context) -> None:
        record: MigrationRecord = self.record
        transfer_id, asked = message.tag
        if transfer_id != record.transfer_id or asked != self.busy:
            return
        self.busy = None
        if record.status not in ("applying", "in_doubt"):
            return
        outcome = message.outcome
        data = data_of(outcome.body) if isinstance(outcome, RemoteReply) and outcome.status == 200 else {}
        said = data.get("status")
        if said in ("applied", "finalized"):
            self._take_receipt(ctx, record, outcome.body)
        elif said in ("fenced", "released"):
            self.fail(ctx, record, record.error or "migration_fenced")
        elif asked == "look" and (said in ("staged", "failed") or refused_by(outcome).code == "migration_not_found"):
            self._fence(ctx, record)
        else:
            self._doubt(ctx, record, refused_by(outcome).code)

    def _take_receipt(self, ctx: Context, record: MigrationRecord, body: Mapping[str, Any]) -> None:
        proof = data_of(body)
        wrong = self.flaw_of(ctx, record, proof)
        if wrong is not None:
            self.note(ctx, record, "migration.receipt_refused", None, reason=wrong)
            self._doubt(ctx, record, "receipt_invalid")
            return
        self.keep(ctx, self.stepped(ctx, with_receipt(record, proof), "receipt_held"))
        told = {"migration_id": record.id, "federation_peer_id": record.destination_peer_id, "side": "source"}
        ctx.emit("migration.applied", "low", record.account_id, **told)
        self.go_on_transferring(ctx, ctx.record)

    def flaw_of(self, ctx: Context, record: MigrationRecord, proof: Mapping[str, Any]) -> str | None:
        """Why this is no receipt of the destination, by every CA certificate that we know or have known to be its, or None."""
        peer = self.peer(ctx, record)
        anchors = tuple(dict.fromkeys((*(trusted(peer) if peer is not None else ()), *record.destination_anchors)))
        instance_id = peer.remote_instance_id if peer is not None else None
        return flaw(proof, anchors, instance_id or "", record.transfer_id, record.plan_digest, record.operation, ctx.wall)

    @handles(Departed)
    def on_departed(self, message: Departed, ctx: Context) -> None:
        record: MigrationRecord | None = self.record
        if record is not None and record.status == "finalizing" and not record.departed:
            self.keep(ctx, evolve(record, departed=True))
            self.go_on_transferring(ctx, ctx.record)

    @handles(FinalizeAnswered)
    def on_finalize_answered(self, message: FinalizeAnswered, ctx: Context) -> None:
        record: MigrationRecord = self.record
        self.busy = None
        if record.status != "finalizing" or message.tag != record.transfer_id:
            return
        if isinstance(message.outcome, RemoteReply) and message.outcome.status == 200:
            self._completed(ctx, evolve(record, error=None))
            return
        code = refused_by(message.outcome).code
        since = (record.unknown_since or ctx.wall) if code == "migration_not_found" else None
        after = evolve(record, error=code, unknown_since=since)
        if since is not None and ctx.wall - since >= FORGOTTEN_AFTER_S:
            self._forgotten(ctx, after)
        else:
            self.keep(ctx, after)

    def _forgotten(self, ctx: Context, record: MigrationRecord) -> None:
        """The destination has signed that it holds the records, and runs on a copy from before: there is nobody left to tell."""
        self.note(ctx, record, "migration.destination_forgot", None, receipt_digest=record.receipt_digest)
        told = {"migration_id": record.id, "federation_peer_id": record.destination_peer_id}
        ctx.emit("migration.destination_forgot", "high", record.account_id, **told)
        self._completed(ctx, evolve(record, error="destination_forgot"))

    def _completed(self, ctx: Context, record: MigrationRecord) -> None:
        completed = self.stepped(ctx, evolve(record, applying=False), "departed")
        told = {"migration_id": record.id, "federation_peer_id": record.destination_peer_id, "side": "source"}
        ctx.emit("migration.completed", "low", record.account_id, **told)
        self.keep(ctx, completed)

    # --- the way to the destination --------------------------------------------------------------------------------

    def peer(self, ctx: Context, record: MigrationRecord) -> PeerRecord | None:
        """The committed row of the destination."""
        return peer_of(ctx, record.destination_peer_id)

    def transient(self, fault: Fault) -> bool:
        """Whether another try may have another outcome."""
        return fault.status >= 500 or fault.status in TRANSIENT_STATUSES

    def _call(self, ctx: Context, record: MigrationRecord, method: Any, path: str, body: Any, then: Any, tag: Any) -> None:
        peer = self.peer(ctx, record)
        # The grace of a revocation is for what holds records already; looking and planning begin nothing then.
        stands = standing.may_finish if record.status in HOLDING else standing.in_force
        if peer is not None and stands(peer, record.peering_epoch, ctx.wall):
            self._call_peer(ctx, record, peer, method, path, body, then, tag)
        else:
            ctx.after(0.0, then(UNREACHABLE, tag), "unreachable")

    def _call_peer(
        self, ctx: Context, record: MigrationRecord, peer: PeerRecord, method: Any, path: str, body: Any, then: Any, tag: Any
    ) -> None:  # fmt: skip
        known = reachable_identity(peer)
        if known is None or not can_be_told(peer, ctx.wall):
            # Not a word of the destination's: what is in doubt stays so.
            ctx.after(0.0, then(UNREACHABLE, tag), "unreachable")
            return
        listed = endpoints.candidates(peer.endpoints, peer.remote_instance_url)
        request = RemoteRequest(
            peer_id=peer.id,
            method=method,
            path=path,
            body=body,
            urls=tuple(target.url for target in listed if target.cidr_hint is None),
            identity=known[0],
            expectation=known[1],
            timeout_s=ctx.settings.federation.request_timeout_s,
            sealed_bearer=record.sealed_bearer or None,
        )
        ctx.call(request, then=then, tag=tag)


UNREACHABLE = InternalFault("peer_not_ready", "no call can leave for this peer now", 503)


def with_receipt(record: MigrationRecord, proof: Mapping[str, Any]) -> MigrationRecord:
    """The record with a receipt that was found good."""
    kept = {name: proof[name] for name in ("receipt", "signature", "certificate_pem")}
    return evolve(record, receipt=kept, receipt_digest=receipt_digest(kept["receipt"]), error=None)


def trusted(peer: PeerRecord) -> tuple[str, ...]:
    """The CA certificates that a peer's statements may come from."""
    following = peer.server_anchor_next
    listed = (peer.server_anchor_pem, following.pem if following is not None else None, *(anchor.pem for anchor in peer.trusted_anchors))
    return tuple(dict.fromkeys(pem for pem in listed if pem))


def data_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of an answer, or nothing."""
    data = body.get("data")
    return data if isinstance(data, dict) else {}


def refused_by(outcome: Any) -> Fault:
    """The refusal in an outcome, in the remote's own code; what it says is hostile, so its sentence is ours."""
    if isinstance(outcome, Fault):
        return outcome
    assert isinstance(outcome, RemoteReply)
    code, details = outcome.body.get("code"), outcome.body.get("details")
    known = code if isinstance(code, str) and len(code) <= CODE_CHARS_MAX and code.isascii() and code.isidentifier() else "remote_rejected"
    return RemoteFault(known, "the destination refuses", outcome.status, details if isinstance(details, dict) else {})


def without_payloads(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps as the source keeps them."""
    return tuple(evolve(step, payload={}) for step in steps)


def batched(steps: Sequence[Step]) -> list[list[Step]]:
    """The steps in uploads of bounded size."""
    out: list[list[Step]] = []
    left = 0
    for step in steps:
        length = size(step)
        if not out or left < length:
            out.append([])
            left = BATCH_BYTES_MAX
        out[-1].append(step)
        left -= length
    return out
