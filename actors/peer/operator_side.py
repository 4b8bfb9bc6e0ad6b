"""What operators do to a peer: propose, regenerate, cancel, update, probe; and what they decide about where it keeps data.

Lives here: one small handler per message. Must not live here: accepting (`calling`), pausing and ending (`ending`), or validation of
shapes (the door).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors import sanitize
from actors.approval.deciding import CHANGED
from actors.approval.messages import Execute, Executed, NotApproved
from actors.approval.record import KIND as APPROVAL
from actors.contract import record as contract
from actors.hub.announcing import announced_hubs
from actors.idempotency.record import remember
from actors.limits import PROBE_HANDSHAKE_S, TOKEN_SECRET_BYTES, TOKEN_TTL_MIN_S
from actors.peer import cascade, endpoints, projection, tokens
from actors.peer import invitation as invitations
from actors.peer.lifecycle import STATUSES
from actors.peer.messages import Cancel, Minted, Probed, ProbeNow, Propose, Regenerate, Shown, Update
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import announce, note, operator, reachable_identity, rehandshake_allowed
from actors.ports import ProbeRequest, ProbeResult, ServerExpectation
from actors.rotation.record import ends_for_us, identity_of, rotation_of
from actors.urls import url_of
from runtime.actor import Actor, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import as_dict, evolve

ENDS_SOON = OperatorFault("rotation_ends_soon", "the root that a token would pin ends in a moment; try again afterwards", 409)
NOT_FOUND = OperatorFault("not_found", "there is no such peer", 404)


class OperatorSide(Actor):
    """Handlers of operators' messages."""

    probing: bool = False

    @handles(Propose)
    def on_propose(self, message: Propose, ctx: Context) -> None:
        if self.record is not None:
            ctx.reply(OperatorFault("peer_exists", "there is a peer with this id already", 409, {"peer_id": ctx.ref.id}))
            return
        invited = {"invited_by_user_id": message.by, "invited_at": iso(ctx.wall)}
        record = PeerRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            remote_instance_url=message.url,
            remote_ca_fingerprint=message.ca_fingerprint,
            remote_prefix_advertisement=message.prefix,
            remote_account_id=message.remote_account_id,
            peer_kind="platform" if message.pairing is not None else "sdwan_only",
            spawn_role=message.pairing.role if message.pairing is not None else None,
            spawn_mode=message.pairing.mode if message.pairing is not None else "out_of_band",
            endpoints=message.endpoints,
            metadata={**message.metadata, **invited},
            status_since=ctx.wall,
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        announce(ctx, record, None, "proposed", "registered", operator(message.by), None)
        self._mint(ctx, record, message.token_ttl_s, message.mark, 201)

    @handles(Regenerate)
    def on_regenerate(self, message: Regenerate, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
            return
        if record.status != "proposed" and not rehandshake_allowed(record, ctx.wall):
            text = f"a peer that is {record.status} and has proven itself needs no token"
            ctx.reply(OperatorFault("token_not_applicable", text, 409, {"status": record.status}))
            return
        ctx.audit("peer.token_regenerated", "user", message.by, federation_peer_id=record.id)
        self._mint(ctx, record, message.token_ttl_s, message.mark, 201)

    def _mint(self, ctx: Context, record: PeerRecord, ttl_s: int, mark: Any, status: int) -> None:
        """Put a fresh token on the row; any former one is dead with the commit."""
        identity, rotation = identity_of(ctx), rotation_of(ctx)
        expires_at = ctx.wall + ttl_s
        pinned = record.peer_kind == "platform"
        if pinned and rotation is not None and rotation.next is not None:
            # Our listener proves the pinned root no longer than the rotation lasts.
            expires_at = min(expires_at, ends_for_us(rotation))
            if expires_at - ctx.wall < TOKEN_TTL_MIN_S:
                ctx.reply(ENDS_SOON)
                return
        token = tokens.mint(ctx.token_bytes(TOKEN_SECRET_BYTES), identity.ca_pin if pinned else None)
        newest = max(version.version for version in contract.supported())
        fingerprint = identity.ca_fingerprint if identity.ca_pin is not None else None
        invitation = invitations.encode(invitations.Invitation(identity.url, fingerprint, token, newest, announced_hubs(ctx)))
        ctx.save(
            evolve(
                record,
                acceptance_token_digest=tokens.digest(token),
                acceptance_token_expires_at=expires_at,
                token_expired_at=None,
                token_root=identity.ca_fingerprint if pinned else None,
                updated_at=ctx.wall,
            )
        )
        remember(ctx, mark, status, projection.minted(ctx.record, ctx.settings, ctx.wall, None, None, identity.ca_fingerprint))
        ctx.reply(Minted(ctx.record, token, invitation, identity.ca_fingerprint))

    @handles(Cancel)
    def on_cancel(self, message: Cancel, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif record.status == "revoked":
            ctx.reply(OperatorFault("already_revoked", "this peering has ended already", 409))
        elif record.status != "proposed":
            text = f"only a proposal can be cancelled; this peer is {record.status}"
            ctx.reply(OperatorFault("invalid_transition", text, 422, {"from": record.status, "to": "revoked", "allowed": []}))
        else:
            reason = message.reason or "cancelled by an operator"
            ctx.save(cascade.revoked(ctx, record, "operator_revoked", operator(message.by), reason))
            ctx.reply(Shown(ctx.record, self.evidence))

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = NOT_FOUND if record is None else update_fault(record, message)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        changed = updated(record, message.changes)
        problems = sanitize.check_object(dict(changed.metadata), "metadata", "invalid_metadata") if "metadata" in message.changes else ()
        if problems:
            # Each change may be small; what they add up to is bounded as well.
            ctx.reply(OperatorFault("invalid_metadata", f"{problems[0].field} {problems[0].message}", 422, {"field": problems[0].field}))
            return
        if changed == record:
            ctx.reply(Shown(record, self.evidence))
            return
        ctx.audit("peer.updated", "user", message.by, federation_peer_id=record.id, fields=sorted(message.changes))
        ctx.save(evolve(changed, updated_at=ctx.wall))
        ctx.reply(Shown(ctx.record, self.evidence))

    @handles(Execute)
    def on_execute(self, message: Execute, ctx: Context) -> None:
        """Another tag for where the peer keeps data was approved. It is set if the former one still is what it was."""
        record: PeerRecord | None = self.record
        approval = message.approval
        value, previous = approval.params["data_residency"], approval.params["previous"]
        fault: Fault | None = None
        if record is None:
            fault = NOT_FOUND
        elif record.data_residency != value and record.data_residency != previous:
            text = "the tag is not what it was when this was asked for"
            fault = OperatorFault(CHANGED, text, 409, {"data_residency": record.data_residency})
        elif record.data_residency != value:
            by, operation = approval.requested_by, approval.execution_id
            facts = {"previous": previous, "value": value, "by": by, "approved_by": message.approved_by, "operation_id": operation}
            ctx.audit("peer.data_residency_decided", "user", by, federation_peer_id=record.id, **facts)
            note(ctx, record, "data_residency_changed", "low", declared_by="local_decision", **facts)
            ctx.save(evolve(record, data_residency=value, updated_at=ctx.wall))
        ctx.send(Ref(APPROVAL.name, approval.id), Executed(fault=fault, result={"data_residency": value}))

    @handles(NotApproved)
    def on_not_approved(self, message: NotApproved, ctx: Context) -> None:
        """Nothing was changed, and the request has told so in the audit chain of this peer."""

    # --- probing -------------------------------------------------------------------------------------------------

    @handles(ProbeNow)
    def on_probe_now(self, message: ProbeNow, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = NOT_FOUND if record is None else probe_fault(record)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        known = reachable_identity(record)
        expectation = known[1] if known is not None else ServerExpectation(ca_fingerprint=record.remote_ca_fingerprint)
        request = ProbeRequest(
            peer_id=record.id,
            targets=endpoints.candidates(self._endpoints(), record.remote_instance_url),
            identity=known[0] if known is not None else None,
            expectation=expectation,
            connect_timeout_s=ctx.settings.federation.probe_connect_s,
            handshake_timeout_s=PROBE_HANDSHAKE_S,
        )
        ctx.call(request, then=Probed, tag=ctx.defer())

    @handles(Probed)
    def on_probed(self, message: Probed, ctx: Context) -> None:
        if message.fault is not None:
            ctx.answer(message.tag, message.fault)
            return
        result: ProbeResult = message.outcome
        evidence = self.evidence or PeerEvidence()
        errors = {url_of(probe.url): probe.error for probe in result.probed}
        seen = tuple(
            endpoints.after_probe(endpoint, errors[endpoint.url], ctx.wall, result.endpoint) if endpoint.url in errors else endpoint
            for endpoint in self._endpoints()
        )
        ctx.set_evidence(evolve(evidence, endpoints=seen))
        error = None if result.endpoint is not None else "all_failed" if result.probed else "no_endpoints"
        probed = [as_dict(probe) for probe in result.probed]
        ctx.answer(message.tag, {"ok": result.endpoint is not None, "endpoint": result.endpoint, "probed": probed, "error": error})

    def _endpoints(self) -> tuple[endpoints.Endpoint, ...]:
        """The declared endpoints with what our prober knows of them."""
        seen = self.evidence.endpoints if self.evidence is not None else ()
        return endpoints.replace(seen, self.record.endpoints)


def update_fault(record: PeerRecord, message: Update) -> Fault | None:
    """Why the change cannot be made now, or None."""
    if message.expected_version is not None and message.expected_version != record.version:
        return OperatorFault("version_conflict", "the peer has changed since; read it again", 409, {"version": record.version})
    if "data_residency" in message.changes:
        return OperatorFault("field_not_editable", "data_residency changes by an approval alone", 422)
    early = {"remote_instance_url", "remote_ca_fingerprint"} & message.changes.keys()
    if early and record.status != "proposed":
        return OperatorFault("field_not_editable", f"{min(early)} can only change while the peer is proposed", 422)
    return None


def probe_fault(record: PeerRecord) -> Fault | None:
    """Why the peer is not probed in this status, or None."""
    if record.status == "revoked":
        return OperatorFault("already_revoked", "this peering has ended", 409)
    if "probe" not in STATUSES[record.status].outbound:
        return OperatorFault("peer_suspended", "this peer is paused", 409)
    return None


def updated(record: PeerRecord, changes: Mapping[str, Any]) -> PeerRecord:
    """The record with an operator's changes: metadata is merged key by key (null removes), endpoints keep nothing of former ones."""
    fields = dict(changes)
    if "metadata" in fields:
        merged = {**record.metadata, **fields["metadata"]}
        fields["metadata"] = {key: value for key, value in merged.items() if value is not None}
    if "endpoints" in fields:
        fields["endpoints"] = tuple(fields["endpoints"])
    return evolve(record, **fields)
