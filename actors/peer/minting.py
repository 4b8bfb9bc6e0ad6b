"""The side that minted the token: a remote redeems it.

Lives here: the acceptance chain. Hard steps end in one save or in none, so that a refused caller can try again with the same token.
The chain gathers first (our certificate for the caller, the sealed receipt) in turns that save nothing, then checks every guard again
and saves everything at once. Rivals wait for the slot and then find the token spent.
"""

from __future__ import annotations

import hmac
from typing import Any

import attrs
import msgspec

from actors import certificates
from actors.contract import record as contract
from actors.findings import Finding
from actors.governance import received, scanner
from actors.limits import RECEIPT_KEPT_S, RIVALS_WAITING_MAX
from actors.peer import cascade, roles, stewardship
from actors.peer.endpoints import replace
from actors.peer.heartbeats import Heartbeats
from actors.peer.messages import (
    AnswerSealed,
    CertificateSigned,
    MinterIdentityIssued,
    OperatorGrantSealed,
    ReceiptOpened,
    Redeem,
    RivalRedeem,
)
from actors.peer.record import PeerRecord, Receipt, TrustedAnchor
from actors.peer.renewal import outbound_of
from actors.peer.steps import INBOUND_SUBJECT_PREFIX, Party, material_hash, may_enrol, rehandshake_allowed, step, subject_of
from actors.ports import GRANT_BEARER_PURPOSE, IssuedIdentity, IssueIdentity, Open, RootKey, Seal, SignedCertificate, SignRequest
from actors.rotation.record import identity_of, own_fingerprints, rotation_of, signing_root, token_burnt
from actors.settings import Identity
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, InternalFault, OperatorFault
from runtime.ids import is_uuid
from runtime.secret import Secret
from runtime.values import evolve

RECEIPT_PURPOSE = "accept-receipt"
FIRST_HEARTBEAT_GRACE_S = 0.1
"""The caller still has to commit when our answer leaves; a first heartbeat sent a moment later finds it ready."""

TOKEN_INVALID = OperatorFault("acceptance_token_invalid", "this acceptance token is not valid; ask its issuer for a new one", 401)


@attrs.define(eq=False)
class Slot:
    """One redeem under way: what was asked, who waits, and what has been gathered."""

    message: Redeem
    address: Any
    anchors: tuple[certificates.Anchor, ...] = ()
    identity: IssuedIdentity | None = None
    signed: SignedCertificate | None = None
    who: Identity | None = None
    root: RootKey | None = None
    sealed_grant: bytes | None = None
    answer: dict[str, Any] = attrs.field(factory=dict)
    record: PeerRecord | None = None

    @property
    def own(self) -> Identity:
        """Who we were when the accept began."""
        assert self.who is not None
        return self.who


class MintingSide(Heartbeats):
    """Handlers of the acceptance chain."""

    minting: Slot | None = None
    waiting: tuple[tuple[Redeem, Any], ...] = ()

    @handles(Redeem)
    def on_redeem(self, message: Redeem, ctx: Context) -> None:
        self._redeem(message, ctx.defer(), ctx)

    @handles(RivalRedeem)
    def on_rival_redeem(self, message: RivalRedeem, ctx: Context) -> None:
        if message.address is None or not message.address.open:
            return
        ctx.defer()
        ctx.cell.hold(message.address)
        self._redeem(message.message, message.address, ctx)

    def _redeem(self, message: Redeem, address: Any, ctx: Context) -> None:
        if self.minting is not None:
            self._wait(message, address, ctx)
            return
        record: PeerRecord | None = self.record
        if record is not None and self._replay(message, address, ctx):
            return
        fault = redeem_fault(record, message, ctx)
        if fault is not None:
            ctx.answer(address, fault)
            return
        assert record is not None
        # One root for the whole accept, even if another comes into force meanwhile.
        slot = Slot(message, address, who=identity_of(ctx), root=signing_root(ctx))
        anchors = trust_material(message, ctx)
        if isinstance(anchors, Fault):
            ctx.answer(address, anchors)
            return
        slot.anchors = anchors
        self.minting = slot
        if message.operator_grant is not None and stewardship.is_parent(record):
            ctx.call(Seal(message.operator_grant.bearer, GRANT_BEARER_PURPOSE), then=OperatorGrantSealed)
        else:
            self._gather_trust(ctx)

    @handles(OperatorGrantSealed)
    def on_operator_grant_sealed(self, message: OperatorGrantSealed, ctx: Context) -> None:
        if self.minting is None:
            return
        if message.fault is not None:
            self._end(ctx, message.fault)
            return
        self.minting.sealed_grant = message.outcome
        self._gather_trust(ctx)

    def _gather_trust(self, ctx: Context) -> None:
        slot = self.minting
        assert slot is not None
        message = slot.message
        if message.caller_inbound_subject is None or not (message.csr_pem or slot.anchors):
            self._seal_answer(ctx)
            return
        lifetime_s, key = ctx.settings.federation.cert_ttl_s, slot.root
        request = IssueIdentity(message.caller_inbound_subject, ctx.settings.identity.instance_id, lifetime_s, key)
        ctx.call(request, then=MinterIdentityIssued)

    def _wait(self, message: Redeem, address: Any, ctx: Context) -> None:
        assert self.minting is not None
        if len(self.waiting) >= RIVALS_WAITING_MAX:
            text = "too many accepts are waiting for this peer; try again"
            ctx.answer(address, InternalFault("unavailable", text, 503, retry_after_s=1.0))
            return
        self.waiting = (*self.waiting, (message, address))

    def _replay(self, message: Redeem, address: Any, ctx: Context) -> bool:
        """Answer a repeated accept from its receipt; True if the message was dealt with."""
        receipt: Receipt | None = self.record.receipt
        if receipt is None or not hmac.compare_digest(receipt.token_digest, message.token_digest):
            return False
        material = material_hash(message.csr_pem, message.peer_ca_bundle_pem, message.caller_inbound_subject)
        same = receipt.handshake_id == message.handshake_id and receipt.material_hash == material
        if not same or ctx.wall - receipt.at >= RECEIPT_KEPT_S or self.record.status == "revoked":
            ctx.answer(address, TOKEN_INVALID)
        else:
            ctx.call(Open(receipt.sealed_answer, RECEIPT_PURPOSE), then=ReceiptOpened, tag=address)
        return True

    @handles(ReceiptOpened)
    def on_receipt_opened(self, message: ReceiptOpened, ctx: Context) -> None:
        if message.fault is not None:
            ctx.answer(message.tag, message.fault)
        else:
            ctx.answer(message.tag, {**msgspec.json.decode(message.outcome.reveal_bytes()), "replayed": True})

    @handles(MinterIdentityIssued)
    def on_minter_identity_issued(self, message: MinterIdentityIssued, ctx: Context) -> None:
        if self.minting is None:
            return
        if message.fault is not None:
            self._end(ctx, message.fault)
            return
        self.minting.identity = message.outcome
        redeem = self.minting.message
        if redeem.csr_pem is None:
            self._seal_answer(ctx)
            return
        assert redeem.instance.id is not None
        lifetime_s, key = ctx.settings.federation.cert_ttl_s, self.minting.root
        ctx.call(SignRequest(redeem.csr_pem, subject_of(ctx.ref.id), redeem.instance.id, lifetime_s, key), then=CertificateSigned)

    @handles(CertificateSigned)
    def on_certificate_signed(self, message: CertificateSigned, ctx: Context) -> None:
        if self.minting is None:
            return
        if message.fault is not None:
            self._end(ctx, message.fault)
            return
        self.minting.signed = message.outcome
        self._seal_answer(ctx)

    def _seal_answer(self, ctx: Context) -> None:
        slot = self.minting
        assert slot is not None
        slot.record = accepted_record(self.record, slot, ctx)
        slot.answer = accept_answer(slot, ctx)
        ctx.call(Seal(Secret(msgspec.json.encode(slot.answer)), RECEIPT_PURPOSE), then=AnswerSealed)

    @handles(AnswerSealed)
    def on_answer_sealed(self, message: AnswerSealed, ctx: Context) -> None:
        slot = self.minting
        if slot is None:
            return
        # Everything was checked before; meanwhile an operator, a deadline or our own accept call may have changed the record.
        fault = message.fault or redeem_fault(self.record, slot.message, ctx)
        if fault is None and slot.own.ca_fingerprint != identity_of(ctx).ca_fingerprint:
            fault = InternalFault("unavailable", "the root of this platform has just been replaced; nothing was accepted", 503)
        if fault is not None:
            self._end(ctx, fault)
            return
        redeem = slot.message
        record = accepted_record(self.record, slot, ctx)
        if record.status == "proposed":
            record = step(ctx, record, "token_redeemed", Party("remote", redeem.instance.id))
        else:
            cascade.superseded(ctx, self.record)
            ctx.audit("peer.rehandshake", "remote", redeem.instance.id, federation_peer_id=record.id, trust_mode=record.trust_mode)
        if record.status == "accepted" and record.trust_status == "established" and may_enrol(record, ctx.settings):
            record = step(ctx, record, "trust_established", Party("remote", redeem.instance.id))
            record = evolve(record, last_handshake_at=ctx.wall)
        material = material_hash(redeem.csr_pem, redeem.peer_ca_bundle_pem, redeem.caller_inbound_subject)
        record = evolve(
            record,
            acceptance_token_digest=None,
            acceptance_token_expires_at=None,
            token_expired_at=None,
            receipt=Receipt(redeem.token_digest, redeem.handshake_id, material, message.outcome, ctx.wall),
        )
        ctx.save(record)
        if redeem.operator_grant is not None and slot.sealed_grant is not None:
            stewardship.take(ctx, record, redeem.operator_grant, slot.sealed_grant)
        if record.trust_mode != "none":
            self.first_heartbeat(ctx, FIRST_HEARTBEAT_GRACE_S)
        self._end(ctx, slot.answer)

    def _end(self, ctx: Context, outcome: Any) -> None:
        slot, self.minting = self.minting, None
        if slot is not None:
            ctx.answer(slot.address, outcome)
        waiting, self.waiting = self.waiting, ()
        for message, address in waiting:
            ctx.send(ctx.ref, RivalRedeem(message, address))


# --- guards ---------------------------------------------------------------------------------------------------------


def redeem_fault(record: PeerRecord | None, message: Redeem, ctx: Context) -> Fault | None:
    """Why this token does not open this row now, or None. Asked before gathering and again before saving."""
    if record is None or record.acceptance_token_digest is None or record.acceptance_token_expires_at is None:
        return TOKEN_INVALID
    if record.peer_kind != "platform":
        # It has no control plane: its token is a word between operators, and never comes over the network.
        return TOKEN_INVALID
    if not hmac.compare_digest(record.acceptance_token_digest, message.token_digest):
        return TOKEN_INVALID
    if ctx.wall >= record.acceptance_token_expires_at or token_burnt(record, rotation_of(ctx), ctx.settings.identity):
        return TOKEN_INVALID
    if record.status != "proposed" and not rehandshake_allowed(record, ctx.wall):
        return TOKEN_INVALID
    return contract_fault(message) or identity_fault(record, message, ctx)


def contract_fault(message: Redeem) -> Fault | None:
    """Whether the contract that the caller names is supported, and is the text that we know."""
    supported = [version.version for version in contract.supported()]
    if message.contract_version not in supported:
        return OperatorFault(
            "unsupported_contract_version",
            f"contract version {message.contract_version} is not supported here",
            422,
            {"supported": supported},
        )
    agreed = contract.find(message.contract_version)
    if agreed is not None and message.contract_digest is not None and message.contract_digest != agreed.digest:
        return OperatorFault(
            "contract_digest_mismatch", "the contract text of that version differs from ours", 422, {"contract_digest": agreed.digest}
        )
    return None


def identity_fault(record: PeerRecord, message: Redeem, ctx: Context) -> Fault | None:
    """Whether the caller may be the remote of this row. That no other row is bound to it is enforced by the store."""
    instance = message.instance.id
    if instance == ctx.settings.identity.instance_id:
        return OperatorFault("self_peering", "a platform cannot peer with itself", 409)
    if instance is not None and record.remote_instance_id not in (None, instance):
        return OperatorFault("peer_identity_conflict", "this peering is bound to another instance", 409)
    if message.spawn_role is not None and record.spawn_role is not None and message.spawn_role != roles.mirror(record.spawn_role):
        return OperatorFault(
            "spawn_mismatch",
            f"the inviting side expects the role {roles.mirror(record.spawn_role)}",
            422,
            {"expected_spawn_role": roles.mirror(record.spawn_role)},
        )
    return None


def trust_material(message: Redeem, ctx: Context) -> tuple[certificates.Anchor, ...] | Fault:
    """The anchors in the caller's bundle (none for a signing request, or for no material at all), or a refusal."""
    if message.csr_pem and message.peer_ca_bundle_pem:
        return OperatorFault("ambiguous_trust_material", "send either a signing request or a CA bundle, not both", 422)
    if not message.csr_pem and not message.peer_ca_bundle_pem:
        if ctx.settings.federation.accept_without_trust == "refuse":
            return OperatorFault("trust_material_required", "this platform does not accept a peer without trust material", 422)
        return ()
    subject = message.caller_inbound_subject
    if subject is None or not subject.startswith(INBOUND_SUBJECT_PREFIX) or not is_uuid(subject[len(INBOUND_SUBJECT_PREFIX) :]):
        return OperatorFault("inbound_subject_required", "caller_inbound_subject must be fed: and the id of your row for us", 422)
    if message.instance.id is None:
        return OperatorFault("instance_san_mismatch", "instance.id is required with trust material: certificates are bound to it", 422)
    if message.csr_pem:
        reason = certificates.check_csr(message.csr_pem)
        return () if reason is None else OperatorFault("invalid_csr", certificates.REASONS[reason], 422, {"reason": reason})
    assert message.peer_ca_bundle_pem is not None
    own = own_fingerprints(ctx)
    anchors = certificates.parse_bundle(message.peer_ca_bundle_pem, own_fingerprints=own, now=ctx.wall)
    if isinstance(anchors, str):
        code = "anchor_is_ours" if anchors == certificates.ANCHOR_IS_OURS else "invalid_ca_bundle"
        return OperatorFault(code, certificates.REASONS[anchors], 422, {"reason": anchors})
    return anchors


# --- results --------------------------------------------------------------------------------------------------------


def accepted_record(record: PeerRecord, slot: Slot, ctx: Context) -> PeerRecord:
    """The record with everything that the caller told and what was gathered for it; the status is not touched here."""
    message = slot.message
    instance = message.instance
    agreed = contract.find(message.contract_version)
    record = evolve(
        record,
        remote_instance_id=instance.id or record.remote_instance_id,
        remote_account_id=instance.account_id,
        remote_peer_id=(message.caller_inbound_subject or "")[len(INBOUND_SUBJECT_PREFIX) :] or None,
        contract_version_agreed=message.contract_version,
        contract_digest_agreed=agreed.digest if agreed is not None else None,
        capabilities=dict(message.capabilities),
        extension_slugs=message.extension_slugs,
        endpoints=replace(record.endpoints, message.endpoints) if message.endpoints else record.endpoints,
        platform_version=instance.platform_version,
        release_tag=instance.release_tag,
        operator_contact=instance.operator_contact,
        jurisdiction=instance.jurisdiction,
        declared_residency=instance.data_residency,
        signed_at=ctx.wall,
        updated_at=ctx.wall,
        metadata={key: value for key, value in record.metadata.items() if key != "handshake_abandoned"} | {"acceptance_token_used": True},
    )
    if slot.identity is None:
        return record
    return _with_trust(record, slot)


def _with_trust(record: PeerRecord, slot: Slot) -> PeerRecord:
    assert slot.identity is not None
    hierarchical = slot.signed is not None
    if hierarchical:
        own = certificates.load_anchors((slot.own.ca_bundle_pem,))
        anchors = own if not isinstance(own, str) else ()
    else:
        anchors = slot.anchors
    return evolve(
        record,
        inbound_subject=subject_of(record.id),
        outbound=outbound_of(slot.identity, slot.own.ca_fingerprint),
        inbound_root=slot.own.ca_fingerprint if hierarchical else None,
        told_root=None,
        pins_our_listener=False,
        outbound_next=None,
        unproven_anchor=None,
        trusted_anchors=tuple(TrustedAnchor(anchor.fingerprint, anchor.pem, anchor.not_after) for anchor in anchors),
        server_identity="public" if slot.message.instance.server_identity == "public" else "anchors",
        server_anchor_next=None,
        server_anchor_until=None,
        server_anchor_pem=slot.message.instance.server_ca_pem if hierarchical else None,
        issued_serial=slot.signed.serial if slot.signed is not None else None,
        issued_not_after=slot.signed.not_after if slot.signed is not None else None,
        issued_before=(),
        trust_mode="hierarchical" if hierarchical else "symmetric",
        trust_status="established" if hierarchical else "pending_proof",
        inbound_proven_at=None,
    )


def _nothing_given(slot: Slot, record: PeerRecord) -> tuple[Finding, ...]:
    """That a managed child has brought no grant, which a re-handshake need not: what it gave before is held."""
    first = slot.sealed_grant is None and record.status == "proposed" and stewardship.is_parent(record)
    return (received.grant_missing(record),) if first else ()


def accept_answer(slot: Slot, ctx: Context) -> dict[str, Any]:
    """The data of the accept response."""
    record = slot.record
    assert record is not None
    enrolled = record.trust_status == "established" and may_enrol(record, ctx.settings)
    warnings = [] if record.trust_mode != "none" else ["trust_material_missing"]
    findings = (*scanner.scan_peer(record, None, ctx.settings, ctx.wall), *_nothing_given(slot, record))
    warnings += [f"{finding.kind}: {finding.message}" for finding in findings if finding.severity in ("critical", "high")]
    identity = slot.own
    answer: dict[str, Any] = {
        "peer_id": record.id,
        "status": "enrolled" if enrolled else ("accepted" if record.status == "proposed" else record.status),
        "peer_kind": record.peer_kind,
        "contract_version_agreed": record.contract_version_agreed,
        "contract_digest_agreed": record.contract_digest_agreed,
        "accepted_at": iso(ctx.wall),
        "handshake_at": iso(ctx.wall) if enrolled else None,
        "enrollment": "complete" if enrolled else "pending_first_heartbeat" if record.trust_mode != "none" else "blocked_no_trust",
        "governance": {
            "status": "scanned",
            "peer_finding_count": len(findings),
            "peer_findings": [{"kind": finding.kind, "severity": finding.severity} for finding in findings],
        },
        "our_instance": {
            "id": identity.instance_id,
            "url": identity.url,
            "account_id": record.account_id,
            "platform_version": ctx.settings.platform_version,
            "data_residency": ctx.settings.federation.data_residency,
            "server_identity": "anchors" if identity.ca_pin is not None else "public",
        },
        "warnings": warnings,
    }
    if slot.sealed_grant is not None and slot.message.operator_grant is not None:
        answer["operator_grant"] = {"grant_id": slot.message.operator_grant.grant_id, "held": True}
    if slot.signed is not None:
        answer["federation_certificate"] = {
            "cert_pem": slot.signed.certificate_pem,
            "ca_chain_pem": slot.signed.ca_chain_pem,
            "serial": slot.signed.serial,
            "not_after": iso(slot.signed.not_after),
        }
    elif slot.identity is not None:
        answer["trust_exchange"] = {"ca_bundle_pem": identity.ca_bundle_pem, "assigned_inbound_subject": subject_of(record.id)}
    return answer
