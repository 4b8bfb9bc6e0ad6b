"""Changing anchors on both sides: following a remote that rotates its CA, and moving our own identities under our own next root.

Lives here: what one row does about either rotation. Must not live here: our own rotation as a whole (`actors.rotation`), certificates of
children (`certifying`), and the signed bytes (`actors.cross_signature`).

Everything is found out by looking: at our own rotation record, at the remote's bundle. So nothing has to be remembered over a crash but
what the row says.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import attrs

from actors import certificates, cross_signature
from actors.idempotency.record import remember
from actors.limits import BUNDLE_POLLED_AGAIN_S, BUNDLE_POLLED_EVERY_S
from actors.peer.messages import (
    AnchorUsed,
    ApproveAnchor,
    BundleAnswered,
    BundleSigned,
    NextIdentityIssued,
    NextTried,
    ReadBundle,
    Shown,
)  # fmt: skip
from actors.peer.outbound import exchange
from actors.peer.projection import full
from actors.peer.record import OutboundIdentity, PeerRecord, TrustedAnchor, UnprovenAnchor
from actors.peer.renewal import Renewal, self_issued
from actors.peer.steps import note, subject_of
from actors.ports import ClientIdentity, CrossSign, IssuedIdentity, IssueIdentity, RemoteReply, ServerExpectation
from actors.rotation.record import identity_by, roots_of, rotation_of
from runtime.actor import handles
from runtime.clock import iso, parse_iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault

BUNDLE = "/federation_api/trust_bundle"
NOTHING = OperatorFault("nothing_to_approve", "no change of this peer's anchor waits for approval", 409)
MISMATCH = OperatorFault("fingerprint_mismatch", "the fingerprint is not the one that the peer shows", 422)


class Anchors(Renewal):
    """Handlers of changes of anchors."""

    polled_at: float | None = None
    moving: bool = False

    def look_at_anchors(self, ctx: Context, record: PeerRecord) -> None:
        """Once a minute: follow whichever rotation is under way."""
        self._move(ctx, record)
        if self.polled_at is None:
            self.polled_at = ctx.now - ctx.random.uniform(0.0, BUNDLE_POLLED_EVERY_S - 2 * BUNDLE_POLLED_AGAIN_S)
        claimed = record.remote_anchor_fingerprint
        strange = claimed is not None and follows(record) and all(anchor.fingerprint != claimed for anchor in record.trusted_anchors)
        if ctx.now - self.polled_at >= (BUNDLE_POLLED_AGAIN_S if strange else BUNDLE_POLLED_EVERY_S):
            self._poll(ctx, record, None)

    # --- our own rotation ----------------------------------------------------------------------------------------

    def _move(self, ctx: Context, record: PeerRecord) -> None:
        """Make an identity under the root that shall be, then try it until the remote takes it."""
        roots = roots_of(rotation_of(ctx), ctx.settings.identity)
        target, key = roots.target
        first = ctx.settings.identity.ca_fingerprint
        if self.moving or not self_issued(record) or record.outbound is None or (record.outbound.issuer or first) == target:
            return
        following = record.outbound_next
        if following is None or (following.issuer or first) != target:
            self.moving = True
            subject = subject_of(str(record.remote_peer_id))
            request = IssueIdentity(subject, ctx.settings.identity.instance_id, ctx.settings.federation.cert_ttl_s, key)
            ctx.call(request, then=NextIdentityIssued, tag=target)
            return
        trial = exchange(record, self.evidence, ctx.settings, ctx.wall, "GET", BUNDLE, family="heartbeat")
        if not isinstance(trial, Fault):
            self.moving = True
            identity = ClientIdentity(following.certificate_pem, following.sealed_key)
            ctx.call(attrs.evolve(trial, identity=identity), then=NextTried, tag=following.serial)

    @handles(NextIdentityIssued)
    def on_next_identity_issued(self, message: NextIdentityIssued, ctx: Context) -> None:
        self.moving = False
        record: PeerRecord | None = self.record
        if message.fault is not None or record is None or not self_issued(record):
            return
        made: IssuedIdentity = message.outcome
        following = OutboundIdentity(made.certificate_pem, made.sealed_key, made.serial, made.not_before, made.not_after, message.tag)
        ctx.save(attrs.evolve(record, outbound_next=following, updated_at=ctx.wall))

    @handles(NextTried)
    def on_next_tried(self, message: NextTried, ctx: Context) -> None:
        self.moving = False
        record: PeerRecord | None = self.record
        following = record.outbound_next if record is not None else None
        if record is None or following is None or following.serial != message.tag or message.fault is not None:
            return
        reply: RemoteReply = message.outcome
        if reply.status != 200:
            return
        facts = {"serial": following.serial, "anchor": following.issuer}
        ctx.audit("peer.identity_moved", "system", None, federation_peer_id=record.id, **facts)
        note(ctx, record, "cert_renewed", "low", **facts)
        ctx.save(attrs.evolve(record, outbound=following, outbound_next=None, updated_at=ctx.wall))

    @handles(ReadBundle)
    def on_read_bundle(self, message: ReadBundle, ctx: Context) -> None:
        """Our bundle for this peer, with the proof of our next root while a rotation is under way."""
        record: PeerRecord | None = self.record
        rotation = rotation_of(ctx)
        roots = roots_of(rotation, ctx.settings.identity)
        identity = identity_by(rotation, ctx.settings.identity)
        answer: dict[str, Any] = {"ca_bundle_pem": identity.ca_bundle_pem, "fingerprints": [roots.current], "generated_at": iso(ctx.wall)}
        if record is None or rotation is None or rotation.next is None or record.remote_instance_id is None:
            ctx.reply(answer)
            return
        statement = cross_signature.statement(new=rotation.next.fingerprint, old=roots.current, rotating=identity.instance_id,
            told=record.remote_instance_id, begins=rotation.begins, ends=rotation.ends)  # fmt: skip
        answer["fingerprints"] = [roots.current, rotation.next.fingerprint]
        answer["rotation"] = {
            "next_ca_pem": rotation.next.key.certificate_pem,
            "signed_by": roots.current,
            "begins": iso(rotation.begins),
            "ends": iso(rotation.ends),
        }
        ctx.call(CrossSign(statement, roots.current_key), then=BundleSigned, tag=(answer, ctx.defer()))

    @handles(BundleSigned)
    def on_bundle_signed(self, message: BundleSigned, ctx: Context) -> None:
        answer, address = message.tag
        if message.fault is None:
            answer["rotation"]["signature"] = base64.b64encode(message.outcome).decode()
        ctx.answer(address, message.fault if message.fault is not None else answer)

    # --- the remote's rotation -----------------------------------------------------------------------------------

    def _poll(self, ctx: Context, record: PeerRecord, approved: tuple[str, Any, Any] | None) -> Fault | None:
        self.polled_at = ctx.now
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "GET", BUNDLE, family="heartbeat")
        if isinstance(request, Fault):
            return request
        if approved is not None and record.server_identity == "anchors":
            # The operator has named the CA; its own server must close its chain with it, and must be the same instance.
            expected = ServerExpectation(ca_fingerprint=approved[0], instance_id=record.remote_instance_id)
            request = attrs.evolve(request, expectation=expected)
        ctx.call(request, then=BundleAnswered, tag=approved)
        return None

    @handles(BundleAnswered)
    def on_bundle_answered(self, message: BundleAnswered, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or not follows(record):
            return
        if message.tag is not None:
            self._approved(ctx, record, message)
            return
        claimed = record.remote_anchor_fingerprint
        held = {anchor.fingerprint for anchor in record.trusted_anchors}
        outcome: TrustedAnchor | str | None = None
        ends = 0.0
        if message.fault is not None:
            outcome = "server_identity_unverified" if message.fault.code == "server_identity_unverified" else None
        elif message.outcome.status == 200:
            offered = message.outcome.body.get("data")
            outcome, ends = proven_next(record, offered if isinstance(offered, Mapping) else {}, ctx)
            if outcome is None and claimed is not None and claimed not in held:
                outcome = "cross_signature_missing"
        if isinstance(outcome, TrustedAnchor):
            self._take(ctx, record, outcome, ends)
        elif isinstance(outcome, str) and claimed is not None and claimed not in held:
            self._refuse(ctx, record, claimed, outcome)

    def _take(self, ctx: Context, record: PeerRecord, following: TrustedAnchor, ends: float) -> None:
        former = tuple(attrs.evolve(anchor, accept_until=ends) for anchor in record.trusted_anchors if anchor.state != "next")
        facts = {"fingerprint": following.fingerprint, "accept_until": iso(ends)}
        ctx.audit("peer.anchor_announced", "remote", record.remote_instance_id, federation_peer_id=record.id, **facts)
        note(ctx, record, "anchor_announced", "medium", **facts)
        ctx.save(attrs.evolve(record, trusted_anchors=(*former, following), unproven_anchor=None, updated_at=ctx.wall))

    def _refuse(self, ctx: Context, record: PeerRecord, fingerprint: str, reason: str) -> None:
        """Not applied: an operator compares the fingerprint with the remote's by another way."""
        seen = record.unproven_anchor
        if seen is not None and seen.fingerprint == fingerprint:
            return
        ctx.audit("peer.anchor_unproven", "remote", record.remote_instance_id, federation_peer_id=record.id,
                  fingerprint=fingerprint, reason=reason)  # fmt: skip
        note(ctx, record, "anchor_unproven", "critical", fingerprint=fingerprint, reason=reason)
        unproven = UnprovenAnchor(fingerprint=fingerprint, seen_at=ctx.wall, reason=reason)
        ctx.save(attrs.evolve(record, unproven_anchor=unproven, updated_at=ctx.wall))

    @handles(ApproveAnchor)
    def on_approve_anchor(self, message: ApproveAnchor, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        seen = record.unproven_anchor if record is not None else None
        if record is None or seen is None:
            ctx.reply(NOTHING)
        elif seen.fingerprint != message.fingerprint:
            ctx.reply(MISMATCH)
        else:
            fault = self._poll(ctx, record, (message.fingerprint, message, ctx.defer()))
            if fault is not None:
                ctx.reply(fault)

    def _approved(self, ctx: Context, record: PeerRecord, message: BundleAnswered) -> None:
        fingerprint, asked, address = message.tag
        fault = message.fault
        anchor = None if fault is not None else offered_anchor(message.outcome, fingerprint, ctx)
        if fault is not None or anchor is None or record.unproven_anchor is None or record.unproven_anchor.fingerprint != fingerprint:
            ctx.answer(address, fault if fault is not None else MISMATCH)
            return
        ctx.audit("peer.anchor_approved", "user", asked.by, federation_peer_id=record.id, fingerprint=fingerprint)
        note(ctx, record, "anchor_rotated", "high", fingerprint=fingerprint, approved_by=asked.by)
        ctx.save(attrs.evolve(record, trusted_anchors=(anchor,), unproven_anchor=None, updated_at=ctx.wall))
        remember(ctx, asked.mark, 200, {"peer": full(ctx.record, self.evidence, ctx.settings, ctx.wall)})
        ctx.answer(address, Shown(ctx.record, self.evidence))

    @handles(AnchorUsed)
    def on_anchor_used(self, message: AnchorUsed, ctx: Context) -> None:
        """The first verified call under the next anchor makes it the current one; the former stays to the end of its window."""
        record: PeerRecord | None = self.record
        if record is None or not any(a.state == "next" and a.fingerprint == message.fingerprint for a in record.trusted_anchors):
            return
        anchors = tuple(attrs.evolve(a, state="current" if a.fingerprint == message.fingerprint else "retiring")
                        for a in record.trusted_anchors)  # fmt: skip
        ctx.audit("peer.anchor_rotated", "remote", record.remote_instance_id, federation_peer_id=record.id, fingerprint=message.fingerprint)
        note(ctx, record, "anchor_rotated", "medium", fingerprint=message.fingerprint)
        ctx.save(attrs.evolve(record, trusted_anchors=anchors, updated_at=ctx.wall))


def follows(record: PeerRecord) -> bool:
    """Whether the anchors of this row are the remote's CA. Those of a child are our own."""
    return record.trust_mode == "symmetric" or (record.trust_mode == "hierarchical" and record.spawn_role == "child")


def proven_next(record: PeerRecord, data: Mapping[str, Any], ctx: Context) -> tuple[TrustedAnchor | str | None, float]:
    """The next anchor in a bundle with the end of its window; a reason if it is not proven, None if none is offered or it is held."""
    rotation = data.get("rotation")
    if not isinstance(rotation, Mapping) or record.remote_instance_id is None:
        return None, 0.0
    own = ctx.settings.identity
    pem, signature = rotation.get("next_ca_pem"), rotation.get("signature")
    begins, ends = _instant(rotation.get("begins")), _instant(rotation.get("ends"))
    if not isinstance(pem, str) or not isinstance(signature, str) or begins is None or ends is None:
        return "rotation_malformed", 0.0
    roots = roots_of(rotation_of(ctx), own)
    bundle = certificates.parse_bundle(pem, own_fingerprints=[f for f in (roots.current, roots.next) if f], now=ctx.wall)
    if isinstance(bundle, str) or len(bundle) != 1:
        return (bundle if isinstance(bundle, str) else "bundle_too_many"), 0.0
    new = bundle[0]
    if any(anchor.fingerprint == new.fingerprint for anchor in record.trusted_anchors):
        return None, 0.0
    signer = [a for a in record.trusted_anchors if a.fingerprint == rotation.get("signed_by") and a.state == "current"]
    old = certificates.load_anchors([anchor.pem for anchor in signer])
    if isinstance(old, str) or len(old) != 1:
        return "signer_not_held", 0.0
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return "rotation_malformed", 0.0
    signed = cross_signature.statement(new=new.fingerprint, old=old[0].fingerprint, rotating=record.remote_instance_id,
                                       told=own.instance_id, begins=int(begins), ends=int(ends))  # fmt: skip
    flaw = cross_signature.flaw(old[0], signed, raw, begins=int(begins), ends=int(ends), now=ctx.wall)
    if flaw is not None:
        return flaw, 0.0
    return TrustedAnchor(new.fingerprint, new.pem, new.not_after, "next", accept_from=ctx.wall), ends


def offered_anchor(reply: RemoteReply, fingerprint: str, ctx: Context) -> TrustedAnchor | None:
    """The anchor of that fingerprint in a bundle, or None."""
    data = reply.body.get("data") if reply.status == 200 else None
    pem = data.get("ca_bundle_pem") if isinstance(data, Mapping) else None
    own = roots_of(rotation_of(ctx), ctx.settings.identity).current
    found = certificates.parse_bundle(pem, own_fingerprints=(own,), now=ctx.wall) if isinstance(pem, str) else "bundle_empty"
    if isinstance(found, str):
        return None
    return next((TrustedAnchor(a.fingerprint, a.pem, a.not_after) for a in found if a.fingerprint == fingerprint), None)


def _instant(value: object) -> float | None:
    try:
        return parse_iso(value) if isinstance(value, str) else None
    except ValueError:
        return None
