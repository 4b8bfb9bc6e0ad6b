"""The actor of one bridge: operators' decisions, checked against the committed state of the peer.

Lives here: one handler per message. A decision may race with a change of the peer; what a bridge amounts to is derived from both, so
neither order leaves an open door. Must not live here: routes between networks.
"""

from __future__ import annotations

from typing import Any

from actors.bridge import lifecycle
from actors.bridge.lifecycle import PAST, State
from actors.bridge.messages import Create, Step, Update
from actors.bridge.record import KIND, BridgeRecord, effective_state, to_json
from actors.idempotency.record import remember
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

NOT_FOUND = OperatorFault("not_found", "there is no such bridge", 404)
DEPENDANTS.append(Dependant(kind=KIND.name, phase="draining", open=(), peer_column="open_peer_id"))

SEVERITIES = {"proposed": "low", "active": "low", "suspended": "medium", "revoked": "medium"}


class BridgeActor(Actor):
    """One bridge."""

    kind = KIND

    @handles(Create)
    def on_create(self, message: Create, ctx: Context) -> None:
        if self.record is not None:
            ctx.reply(OperatorFault("bridge_exists", "there is a bridge with this id already", 409, {"bridge_id": ctx.ref.id}))
            return
        peer = peer_of(ctx, message.federation_peer_id)
        fault = creation_fault(ctx, message, peer)
        if fault is not None or peer is None:
            ctx.reply(fault)
            return
        record = BridgeRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            federation_peer_id=message.federation_peer_id,
            sdwan_network_id=message.sdwan_network_id,
            peering_epoch=peer.peering_epoch,
            proposed_at=ctx.wall,
            metadata=message.metadata,
            created_by=message.by,
            updated_at=ctx.wall,
        )
        self._entered(ctx, record, None, message.by, None)
        ctx.save(record)
        remember(ctx, message.mark, 201, {"bridge": to_json(ctx.record, peer)})
        ctx.reply(ctx.record)

    @handles(Step)
    def on_step(self, message: Step, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        if fault is not None:
            ctx.reply(fault)
            return
        record: BridgeRecord = self.record
        peer = peer_of(ctx, record.federation_peer_id)
        fault = step_fault(record, message, peer)
        if fault is not None:
            ctx.reply(fault)
            return
        target = lifecycle.TRANSITIONS[record.state, message.trigger]
        changes: dict[str, Any] = {"state": target, f"{PAST[target]}_at": ctx.wall, "updated_at": ctx.wall}
        if target == "revoked":
            changes["revocation_reason"] = message.reason or "operator-initiated"
        elif target == "suspended":
            changes["suspension_reason"] = message.reason
        else:
            changes |= {"suspended_at": None, "suspension_reason": None}
        self._entered(ctx, evolve(record, state=target), record.state, message.by, message.reason)
        ctx.save(evolve(record, **changes))
        remember(ctx, message.mark, 200, {"bridge": to_json(ctx.record, peer)})
        ctx.reply(ctx.record)

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        if fault is not None:
            ctx.reply(fault)
            return
        record: BridgeRecord = self.record
        if record.metadata != message.metadata:
            ctx.save(evolve(record, metadata=message.metadata, updated_at=ctx.wall))
        remember(ctx, message.mark, 200, {"bridge": to_json(ctx.record, peer_of(ctx, record.federation_peer_id))})
        ctx.reply(ctx.record)

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        """Show on the row what the end of the peering has made true already."""
        record: BridgeRecord | None = self.record
        if record is None or record.state == "revoked" or record.peering_epoch != message.peering_epoch:
            return
        ended = evolve(
            record, state="revoked", revoked_at=message.ended_at, revocation_reason=f"peer_revoked: {message.reason}", updated_at=ctx.wall
        )
        self._entered(ctx, ended, record.state, None, ended.revocation_reason)
        ctx.save(ended)

    def _entered(self, ctx: Context, record: BridgeRecord, former: State | None, by: str | None, reason: str | None) -> None:
        """The audit entry in the peer's chain, and the event."""
        told = {"bridge_id": record.id, "sdwan_network_id": record.sdwan_network_id, "from": former, "to": record.state, "reason": reason}
        peer_id, word = record.federation_peer_id, PAST[record.state]
        ctx.audit_in(peer_id, f"bridge.{word}", "user" if by is not None else "system", by, federation_peer_id=peer_id, **told)
        severity: Any = SEVERITIES[record.state]
        ctx.emit(f"federation.bridge.{word}", severity, record.account_id, federation_peer_id=peer_id, **told)

    def _fault(self, expected_version: int | None) -> Fault | None:
        if self.record is None:
            return NOT_FOUND
        if expected_version is not None and expected_version != self.record.version:
            return OperatorFault("version_conflict", "the bridge has changed since; read it again", 409, {"version": self.record.version})
        return None


def creation_fault(ctx: Context, message: Create, peer: PeerRecord | None) -> Fault | None:
    """Why no bridge can be made between these two, or None. Peer and network must be of the caller's account."""
    if peer is None or peer.account_id != message.account_id:
        return OperatorFault("peer_not_found", "there is no such peer", 404)
    if peer.status == "revoked":
        return OperatorFault("peer_revoked", "this peering has ended", 409)
    row = ctx.row(RESOURCE.name, message.sdwan_network_id)
    network = row.record if row is not None else None
    if network is None or network.account_id != message.account_id or network.kind != "SdwanNetwork" or not network.lives:
        return OperatorFault("network_not_found", "there is no such overlay network here", 422, {"field": "sdwan_network_id"})
    return None


def step_fault(record: BridgeRecord, message: Step, peer: PeerRecord | None) -> Fault | None:
    """Why the step cannot be taken now, or None."""
    amounts_to = effective_state(record, peer)
    target = lifecycle.transition(record.state, message.trigger)
    if target is None or (amounts_to == "revoked" and record.state != "revoked"):
        allowed = [] if amounts_to == "revoked" else list(lifecycle.allowed(record.state))
        text = f"a bridge that is {amounts_to} cannot take the step {message.trigger}"
        details = {"from": amounts_to, "to": target, "allowed": allowed}
        return OperatorFault("invalid_transition", text, 422, details)
    if target == "active" and (peer is None or peer.status not in lifecycle.CARRYING):
        status = peer.status if peer is not None else None
        return OperatorFault("peer_not_ready", f"the peer is {status}; a bridge to it cannot be active", 409, {"status": status})
    return None
