"""Following a remote that replaces its CA: what its bundle offers is taken with proof, or with the approval of an operator.

Lives here: what one row does about a remote's rotation. Must not live here: our own rotation (`moving`, `actors.rotation`), and the signed
bytes (`actors.cross_signature`).

The CA of a remote stands in a row as its anchors; of a child, whose certificates we sign, as that of its listener alone. Everything is
found out by looking at the remote's bundle, so nothing has to be remembered over a crash but what the row says.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from actors import certificates, cross_signature
from actors.idempotency.record import remember
from actors.limits import BUNDLE_POLLED_AGAIN_S, BUNDLE_POLLED_EVERY_S
from actors.peer.messages import AnchorUsed, ApproveAnchor, BundleAnswered, RotateNow, Shown
from actors.peer.moving import BUNDLE, Moving, Pushed, refused_step
from actors.peer.outbound import exchange
from actors.peer.peer_events import DISCLOSED
from actors.peer.projection import full_now
from actors.peer.record import PeerRecord, TrustedAnchor, UnprovenAnchor
from actors.peer.steps import note
from actors.ports import RemoteReply, ServerExpectation
from actors.rotation.record import child_of_ours, own_fingerprints
from runtime.actor import handles
from runtime.clock import iso, parse_iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

NOTHING = OperatorFault("nothing_to_approve", "no change of this peer's anchor waits for approval", 409)
MISMATCH = OperatorFault("fingerprint_mismatch", "the fingerprint is not the one that the peer shows", 422)
REFUSED_SERVER = "server_identity_unverified"
NOTHING_TO_ROTATE = OperatorFault("nothing_to_rotate", "neither side of this peering changes its CA now", 409)
UNDER_WAY = OperatorFault("nothing_to_rotate", "this very step is under way already", 409)


class Anchors(Moving):
    """Handlers of changes of a remote's CA."""

    polled_at: float | None = None

    def look_at_anchors(self, ctx: Context, record: PeerRecord) -> None:
        """Once a minute: follow whichever rotation is under way."""
        self.look_at_roots(ctx, record)
        if self.polled_at is None:
            self.polled_at = ctx.now - ctx.random.uniform(0.0, BUNDLE_POLLED_EVERY_S - 2 * BUNDLE_POLLED_AGAIN_S)
        if ctx.now - self.polled_at >= (BUNDLE_POLLED_AGAIN_S if shows_a_stranger(record) else BUNDLE_POLLED_EVERY_S):
            self._poll(ctx, record, None)

    def anchors_at_rest(self, ctx: Context, record: PeerRecord) -> bool:
        """Whether it is not yet time to ask for the remote's bundle (again)."""
        if self.polled_at is None:
            return False
        passed_s = ctx.now - self.polled_at
        return passed_s < BUNDLE_POLLED_AGAIN_S or (passed_s < BUNDLE_POLLED_EVERY_S and not shows_a_stranger(record))

    @handles(RotateNow)
    def on_rotate_now(self, message: RotateNow, ctx: Context) -> None:
        """Take the next step of whichever rotation concerns this peer, without waiting for the minute."""
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(OperatorFault("not_found", "there is no such peer", 404))
        elif self.to_move(ctx, record):
            fault = UNDER_WAY if self.moving else self.move(ctx, record)
            self._wait_for_step(ctx, message, fault)
        elif remote_anchors(record):
            # Whether the remote changes its CA is asked now, whatever it has said so far.
            self._wait_for_step(ctx, message, self._poll(ctx, record, None))
        else:
            ctx.reply(NOTHING_TO_ROTATE)

    def _wait_for_step(self, ctx: Context, message: RotateNow, fault: Fault | None) -> None:
        if fault is not None:
            ctx.reply(fault)
        else:
            self.pushed = (*self.pushed, Pushed(ctx.defer(), message.mark))

    def _poll(self, ctx: Context, record: PeerRecord, approved: tuple[str, Any, Any] | None) -> Fault | None:
        self.polled_at = ctx.now
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "GET", BUNDLE, family="heartbeat")
        if isinstance(request, Fault):
            return request
        if approved is not None and record.server_identity == "anchors":
            # The operator has named the CA; its own server must close its chain with it, and must be the same instance.
            expected = ServerExpectation(ca_fingerprint=approved[0], instance_id=record.remote_instance_id)
            request = evolve(request, expectation=expected, server_must_prove=True)
        ctx.call(request, then=BundleAnswered, tag=approved)
        return None

    @handles(BundleAnswered)
    def on_bundle_answered(self, message: BundleAnswered, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status == "revoked" or not remote_anchors(record):
            self.tell_pushed(ctx, NOTHING_TO_ROTATE)
            if message.tag is not None:
                ctx.answer(message.tag[2], NOTHING)
            return
        if message.tag is not None:
            self._approved(ctx, record, message)
            return
        claimed = record.remote_anchor_fingerprint
        held = {anchor.fingerprint for anchor in remote_anchors(record)}
        outcome: TrustedAnchor | str | None = None
        ends = 0.0
        if message.fault is not None:
            outcome = REFUSED_SERVER if message.fault.code == REFUSED_SERVER else None
        elif message.outcome.status == 200:
            offered = message.outcome.body.get("data")
            outcome, ends = proven_next(record, offered if isinstance(offered, Mapping) else {}, ctx)
            if outcome is None and claimed is not None and claimed not in held:
                outcome = "cross_signature_missing"
        if isinstance(outcome, TrustedAnchor):
            self._take(ctx, record, outcome, ends)
        elif isinstance(outcome, str) and claimed is not None and claimed not in held:
            self._refuse(ctx, record, claimed, outcome)
        elif record.unproven_anchor is not None and (claimed is None or claimed in held) and outcome is None:
            self._withdrawn_claim(ctx, record, record.unproven_anchor, message)
        self.tell_pushed(ctx, message.fault or _missing_step(outcome, record, self.record))

    def _withdrawn_claim(self, ctx: Context, record: PeerRecord, unproven: UnprovenAnchor, message: BundleAnswered) -> None:
        """The server that has proven to be the remote shows a CA that we hold: whoever claimed another one claims it no more.

        After a disclosed compromise that proof is worth nothing, and the claim stays until an operator decides.
        """
        if message.fault is not None or message.outcome.status != 200 or unproven.reason == DISCLOSED:
            return
        ctx.audit("peer.anchor_claim_withdrawn", "remote", record.remote_instance_id, federation_peer_id=record.id,
                  fingerprint=unproven.fingerprint)  # fmt: skip
        ctx.save(evolve(record, unproven_anchor=None, updated_at=ctx.wall))

    def _take(self, ctx: Context, record: PeerRecord, following: TrustedAnchor, ends: float) -> None:
        facts = {"fingerprint": following.fingerprint, "accept_until": iso(ends)}
        ctx.audit("peer.anchor_announced", "remote", record.remote_instance_id, federation_peer_id=record.id, **facts)
        note(ctx, record, "anchor_announced", "medium", **facts)
        ctx.save(evolve(with_next(record, following, ends), unproven_anchor=None, updated_at=ctx.wall))

    def _refuse(self, ctx: Context, record: PeerRecord, fingerprint: str, reason: str) -> None:
        """Not applied: an operator compares the fingerprint with the remote's by another way."""
        seen = record.unproven_anchor
        if seen is not None and seen.fingerprint == fingerprint:
            return
        ctx.audit("peer.anchor_unproven", "remote", record.remote_instance_id, federation_peer_id=record.id,
                  fingerprint=fingerprint, reason=reason)  # fmt: skip
        note(ctx, record, "anchor_unproven", "critical", fingerprint=fingerprint, reason=reason)
        unproven = UnprovenAnchor(fingerprint=fingerprint, seen_at=ctx.wall, reason=reason)
        ctx.save(evolve(record, unproven_anchor=unproven, updated_at=ctx.wall))

    @handles(ApproveAnchor)
    def on_approve_anchor(self, message: ApproveAnchor, ctx: Context) -> None:
        """The operator has compared the fingerprint by another way. What the remote claims must be that very one, if it could claim it at
        all: a remote whose server we refuse may have had no way to tell us."""
        record: PeerRecord | None = self.record
        seen = record.unproven_anchor if record is not None else None
        refused = self.evidence is not None and self.evidence.last_error == REFUSED_SERVER
        if record is None or (seen is None and not refused):
            ctx.reply(NOTHING)
        elif seen is not None and seen.fingerprint != message.fingerprint:
            ctx.reply(MISMATCH)
        else:
            fault = self._poll(ctx, record, (message.fingerprint, message, ctx.defer()))
            if fault is not None:
                ctx.reply(fault)

    def _approved(self, ctx: Context, record: PeerRecord, message: BundleAnswered) -> None:
        fingerprint, asked, address = message.tag
        fault = message.fault
        if fault is None and message.outcome.status != 200:
            # It is the remote, under the CA that was named; but it does not serve us, as a parent whose former root signed our certificate.
            fault = refused_step(message.outcome, "the remote proves that CA, but refuses us")
        anchor = None if fault is not None else offered_anchor(message.outcome, fingerprint, ctx)
        seen = record.unproven_anchor
        if fault is not None or anchor is None or (seen is not None and seen.fingerprint != fingerprint):
            ctx.answer(address, fault if fault is not None else MISMATCH)
            return
        ctx.audit("peer.anchor_approved", "user", asked.by, federation_peer_id=record.id, fingerprint=fingerprint)
        note(ctx, record, "anchor_rotated", "high", fingerprint=fingerprint, approved_by=asked.by)
        disclosed = None if seen is not None and seen.reason == DISCLOSED else record.compromise_disclosed_at
        ctx.save(evolve(with_only(record, anchor), unproven_anchor=None, compromise_disclosed_at=disclosed, updated_at=ctx.wall))
        remember(ctx, asked.mark, 200, {"peer": full_now(ctx)})
        ctx.answer(address, Shown(ctx.record, self.evidence))

    @handles(AnchorUsed)
    def on_anchor_used(self, message: AnchorUsed, ctx: Context) -> None:
        """The first verified call under the next anchor makes it the current one; the former stays to the end of its window."""
        record: PeerRecord | None = self.record
        used = message.fingerprint
        if record is None or all(anchor.fingerprint != used for anchor in record.trusted_anchors):
            return
        after = evolve(record, inbound_root=used) if child_of_ours(record) else record
        if any(anchor.state == "next" and anchor.fingerprint == used for anchor in record.trusted_anchors):
            anchors = tuple(evolve(a, state="current" if a.fingerprint == used else "retiring") for a in record.trusted_anchors)
            after = evolve(_repinned(after, used), trusted_anchors=anchors)
            ctx.audit("peer.anchor_rotated", "remote", record.remote_instance_id, federation_peer_id=record.id, fingerprint=used)
            note(ctx, record, "anchor_rotated", "medium", fingerprint=used)
        if after != record:
            ctx.save(evolve(after, updated_at=ctx.wall))


def _missing_step(outcome: TrustedAnchor | str | None, before: PeerRecord, after: PeerRecord) -> Fault | None:
    """Why a look at the remote's bundle brought nothing further, or None if it did."""
    if isinstance(outcome, str):
        text = "the remote shows another CA, which the one that we trust has not signed for; compare the fingerprint, then approve it"
        return OperatorFault("anchor_unproven", text, 409, {"reason": outcome, "fingerprint": before.remote_anchor_fingerprint})
    return NOTHING_TO_ROTATE if outcome is None and after == before else None


def follows(record: PeerRecord) -> bool:
    """Whether the anchors of this row are the remote's CA. Those of a child are our own."""
    return record.trust_mode == "symmetric" or (record.trust_mode == "hierarchical" and record.spawn_role == "child")


def remote_anchors(record: PeerRecord) -> tuple[TrustedAnchor, ...]:
    """The remote's CA as this row knows it; nothing if it needs none of its own."""
    if follows(record):
        return record.trusted_anchors
    found = certificates.load_anchors((record.server_anchor_pem,)) if record.server_anchor_pem is not None else ()
    listener = () if isinstance(found, str) else tuple(TrustedAnchor(a.fingerprint, a.pem, a.not_after) for a in found)
    return listener if record.server_anchor_next is None else (*listener, record.server_anchor_next)


def shows_a_stranger(record: PeerRecord) -> bool:
    """Whether the remote says that its CA is another one than those that we hold."""
    claimed, held = record.remote_anchor_fingerprint, remote_anchors(record)
    if record.unproven_anchor is not None:
        return bool(held)
    return claimed is not None and bool(held) and all(anchor.fingerprint != claimed for anchor in held)


def with_next(record: PeerRecord, following: TrustedAnchor, ends: float) -> PeerRecord:
    """The row with a proven next CA beside the present one, whose use ends with the window. What ends earlier keeps its end."""
    if not follows(record):
        return evolve(record, server_anchor_next=following, server_anchor_until=ends)
    # The one that vouched is in force, whether a call came under it yet or not.
    newest = next((a for a in record.trusted_anchors if a.state == "next"), None)
    former = tuple(
        evolve(
            anchor,
            state="retiring" if newest is not None and anchor is not newest else "current" if anchor is newest else anchor.state,
            accept_until=ends if anchor.accept_until is None else min(anchor.accept_until, ends),
        )
        for anchor in record.trusted_anchors
    )
    return evolve(record, trusted_anchors=(*former, following))


def with_only(record: PeerRecord, anchor: TrustedAnchor) -> PeerRecord:
    """The row with this CA alone."""
    if not follows(record):
        return evolve(record, server_anchor_pem=anchor.pem, server_anchor_next=None, server_anchor_until=None)
    return evolve(_repinned(record, anchor.fingerprint), trusted_anchors=(anchor,))


def _repinned(record: PeerRecord, fingerprint: str) -> PeerRecord:
    """The row whose pin, if it has one, follows the CA."""
    pinned = record.remote_ca_fingerprint is not None and follows(record)
    return evolve(record, remote_ca_fingerprint=fingerprint) if pinned else record


def proven_next(record: PeerRecord, data: Mapping[str, Any], ctx: Context) -> tuple[TrustedAnchor | str | None, float]:
    """The next anchor in a bundle with the end of its window; a reason if it is not proven, None if none is offered or it is held."""
    rotation = data.get("rotation")
    if not isinstance(rotation, Mapping) or record.remote_instance_id is None:
        return None, 0.0
    pem, signature = rotation.get("next_ca_pem"), rotation.get("signature")
    begins, ends = _instant(rotation.get("begins")), _instant(rotation.get("ends"))
    if not isinstance(pem, str) or not isinstance(signature, str) or begins is None or ends is None:
        return "rotation_malformed", 0.0
    bundle = certificates.parse_bundle(pem, own_fingerprints=own_fingerprints(ctx), now=ctx.wall)
    if isinstance(bundle, str) or len(bundle) != 1:
        return (bundle if isinstance(bundle, str) else "bundle_too_many"), 0.0
    new = bundle[0]
    held = remote_anchors(record)
    if any(anchor.fingerprint == new.fingerprint for anchor in held):
        return None, 0.0
    # One that retires has said its word already; one that has ended has none.
    signer = [a for a in held if a.fingerprint == rotation.get("signed_by") and a.state != "retiring" and _in_force(a, ctx.wall)]
    old = certificates.load_anchors([anchor.pem for anchor in signer])
    if isinstance(old, str) or len(old) != 1:
        return "signer_not_held", 0.0
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return "rotation_malformed", 0.0
    signed = cross_signature.statement(new=new.fingerprint, old=old[0].fingerprint, rotating=record.remote_instance_id,
                                       told=ctx.settings.identity.instance_id, begins=int(begins), ends=int(ends))  # fmt: skip
    flaw = cross_signature.flaw(old[0], signed, raw, begins=int(begins), ends=int(ends), now=ctx.wall)
    if flaw is not None:
        return flaw, 0.0
    return TrustedAnchor(new.fingerprint, new.pem, new.not_after, "next", accept_from=ctx.wall), ends


def _in_force(anchor: TrustedAnchor, wall: float) -> bool:
    return anchor.accept_until is None or wall < anchor.accept_until


def offered_anchor(reply: RemoteReply, fingerprint: str, ctx: Context) -> TrustedAnchor | None:
    """The anchor of that fingerprint in a bundle, or None."""
    data = reply.body.get("data") if reply.status == 200 else None
    pem = data.get("ca_bundle_pem") if isinstance(data, Mapping) else None
    found = certificates.parse_bundle(pem, own_fingerprints=own_fingerprints(ctx), now=ctx.wall) if isinstance(pem, str) else "bundle_empty"
    if isinstance(found, str):
        return None
    return next((TrustedAnchor(a.fingerprint, a.pem, a.not_after) for a in found if a.fingerprint == fingerprint), None)


def _instant(value: object) -> float | None:
    try:
        return parse_iso(value) if isinstance(value, str) else None
    except ValueError:
        return None
