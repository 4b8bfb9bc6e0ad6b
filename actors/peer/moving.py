"""Our own rotation as one row sees it: its identity moves under the next root, its remote is told, and a child's certificates follow.

Lives here: what this row does while our root is replaced, and how a child renews under its parent's next root. Must not live here: our
rotation as a whole (`actors.rotation`), a remote's rotation (`anchors`), and the signed bytes (`actors.cross_signature`).

Everything is found out by looking at our own rotation record. So nothing has to be remembered over a crash but what the row says.
"""

from __future__ import annotations

import base64
from typing import Any

import attrs

from actors import certificates, cross_signature
from actors.idempotency.record import Mark, remember
from actors.limits import FOLLOW_PARENT_AGAIN_S
from actors.peer import remote_answers
from actors.peer.messages import BundleSigned, LookAtRoots, NextIdentityIssued, NextTried, NoticeTold, ReadBundle, Shown
from actors.peer.outbound import exchange
from actors.peer.peer_events import COMPROMISE_DISCLOSED
from actors.peer.projection import full_now
from actors.peer.record import PeerRecord, TrustedAnchor
from actors.peer.renewal import Renewal, Renewing, issuer_among, outbound_of, self_issued
from actors.peer.steps import note, subject_of
from actors.ports import ClientIdentity, CrossSign, IssueIdentity, RemoteReply
from actors.rotation.record import RotationRecord, child_of_ours, identity_by, parent_of_ours, roots_of, rotation_of, target_of, token_burnt
from actors.settings import Identity
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import evolve

BUNDLE = "/federation_api/trust_bundle"
EVENTS = "/federation_api/peer_events"
COMPROMISED = "the former root of this platform is no longer to be trusted"


@attrs.define(eq=False)
class Pushed:
    """An operator who waits for the next step of a rotation."""

    address: Any
    mark: Mark | None


class Moving(Renewal):
    """Handlers of our own rotation, and of our parent's as far as it concerns our certificate."""

    moving: bool = False
    noticing: bool = False
    followed_at: float | None = None
    issued_by: tuple[str, str | None] = ("", None)
    pushed: tuple[Pushed, ...] = ()

    def look_at_roots(self, ctx: Context, record: PeerRecord) -> None:
        """Once a minute, and whenever our root has changed: do what is still to be done."""
        rotation = rotation_of(ctx)
        if self._left_by_roots(ctx, record, rotation):
            ctx.send(ctx.ref, LookAtRoots())
        self._notice(ctx, record, rotation)
        self._follow_parent(ctx, record)
        self.move(ctx, record)

    def roots_at_rest(self, ctx: Context, record: PeerRecord) -> bool:
        """Whether a look at the roots would find nothing to do. Says no where only the look itself can tell."""
        if parent_of_ours(record) and len(record.trusted_anchors) > 1:
            return False
        rotation = rotation_of(ctx)
        if rotation is not None and (rotation.notice_id is not None or self._left_by_roots(ctx, record, rotation)):
            return False
        return not self.to_move(ctx, record)

    def catch_up_with_roots(self, ctx: Context) -> None:
        """On entering memory: what was decided while nobody was there counts before the next look."""
        record: PeerRecord | None = self.record
        if record is not None and self._left_by_roots(ctx, record, rotation_of(ctx)):
            ctx.send(ctx.ref, LookAtRoots())

    def _left_by_roots(self, ctx: Context, record: PeerRecord, rotation: RotationRecord | None) -> bool:
        """Whether the row has not followed yet what was decided about our roots."""
        identity = ctx.settings.identity
        return with_own_roots(record, rotation, identity, ctx.wall) is not record or token_burnt(record, rotation, identity)

    @handles(LookAtRoots)
    def on_look_at_roots(self, message: LookAtRoots, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None or record.status == "revoked":
            return
        rotation = rotation_of(ctx)
        after = with_own_roots(record, rotation, ctx.settings.identity, ctx.wall)
        if after is not record:
            held = [anchor.fingerprint for anchor in after.trusted_anchors]
            ctx.audit("peer.own_roots_followed", "system", None, federation_peer_id=record.id, fingerprints=held)
        if token_burnt(record, rotation, ctx.settings.identity):
            # What its holder sends it to is a listener under the former root, which whoever has stolen the key can show.
            ctx.audit("peer.token_burnt", "system", None, federation_peer_id=record.id)
            after = evolve(after, acceptance_token_digest=None, acceptance_token_expires_at=None, token_expired_at=ctx.wall)
        if after is not record:
            ctx.save(evolve(after, updated_at=ctx.wall))
        self._notice(ctx, record, rotation)

    # --- our identity --------------------------------------------------------------------------------------------

    def to_move(self, ctx: Context, record: PeerRecord) -> bool:
        """Whether our identity for this peer stands under another root than it shall."""
        if record.outbound is None or not self_issued(record):
            return False
        return (record.outbound.issuer or ctx.settings.identity.ca_fingerprint) != target_of(ctx)[0]

    def move(self, ctx: Context, record: PeerRecord) -> Fault | None:
        """Make an identity under the root that shall be, then try it until the remote takes it."""
        target, key = target_of(ctx)
        if self.moving or not self.to_move(ctx, record):
            return None
        following = record.outbound_next
        if following is None or (following.issuer or ctx.settings.identity.ca_fingerprint) != target:
            self.moving = True
            subject = subject_of(str(record.remote_peer_id))
            request = IssueIdentity(subject, ctx.settings.identity.instance_id, ctx.settings.federation.cert_ttl_s, key)
            ctx.call(request, then=NextIdentityIssued, tag=target)
            return None
        trial = exchange(record, self.evidence, ctx.settings, ctx.wall, "GET", BUNDLE, family="heartbeat")
        if isinstance(trial, Fault):
            return trial
        self.moving = True
        identity = ClientIdentity(following.certificate_pem, following.sealed_key)
        ctx.call(evolve(trial, identity=identity), then=NextTried, tag=following.serial)
        return None

    @handles(NextIdentityIssued)
    def on_next_identity_issued(self, message: NextIdentityIssued, ctx: Context) -> None:
        self.moving = False
        record: PeerRecord | None = self.record
        if message.fault is not None or record is None or not self_issued(record):
            self.tell_pushed(ctx, message.fault or OVERTAKEN)
            return
        after = evolve(record, outbound_next=outbound_of(message.outcome, message.tag), updated_at=ctx.wall)
        ctx.save(after)
        if self.pushed:
            fault = self.move(ctx, after)
            if fault is not None:
                self.tell_pushed(ctx, fault)

    @handles(NextTried)
    def on_next_tried(self, message: NextTried, ctx: Context) -> None:
        self.moving = False
        record: PeerRecord | None = self.record
        following = record.outbound_next if record is not None else None
        fault = message.fault
        if fault is None and message.outcome.status != 200:
            text = "the remote does not take our next certificate yet: it looks for our next root within a minute or two of contact"
            fault = refused_step(message.outcome, text)
        if record is None or following is None or following.serial != message.tag or fault is not None:
            self.tell_pushed(ctx, fault or OVERTAKEN)
            return
        facts = {"serial": following.serial, "anchor": following.issuer}
        ctx.audit("peer.identity_moved", "system", None, federation_peer_id=record.id, **facts)
        note(ctx, record, "cert_renewed", "low", **facts)
        ctx.save(evolve(record, outbound=following, outbound_next=None, updated_at=ctx.wall))
        self.tell_pushed(ctx, None)

    def tell_pushed(self, ctx: Context, fault: Fault | None) -> None:
        """Tell the operators who asked for this step how it went."""
        pushed, self.pushed = self.pushed, ()
        for each in pushed:
            if fault is None:
                remember(ctx, each.mark, 200, {"peer": full_now(ctx)})
            ctx.answer(each.address, fault if fault is not None else Shown(ctx.record, self.evidence))

    # --- telling the remote --------------------------------------------------------------------------------------

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
        ctx.call(CrossSign(statement, roots.current_key), then=BundleSigned, tag=(answer, rotation.next.fingerprint, ctx.defer()))

    @handles(BundleSigned)
    def on_bundle_signed(self, message: BundleSigned, ctx: Context) -> None:
        answer, told, address = message.tag
        record: PeerRecord | None = self.record
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        answer["rotation"]["signature"] = base64.b64encode(message.outcome).decode()
        if record is not None and record.told_root != told:
            ctx.audit("peer.root_told", "system", None, federation_peer_id=record.id, fingerprint=told)
            ctx.save(evolve(record, told_root=told, updated_at=ctx.wall))
        ctx.answer(address, answer)

    def _notice(self, ctx: Context, record: PeerRecord, rotation: RotationRecord | None) -> None:
        """After a compromise: tell the remote which root there is now, until it has taken note. It proves nothing, and says so."""
        if rotation is None or rotation.notice_id is None or rotation.current is None or self.noticing:
            return
        current = rotation.current.fingerprint
        if record.told_root == current or record.outbound is None or record.outbound.issuer == current:
            return
        body = {"event_id": rotation.notice_id, "kind": COMPROMISE_DISCLOSED, "reason": COMPROMISED, "effective_at": iso(rotation.begins),
                "payload": {"ca_fingerprint": current}}  # fmt: skip
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "POST", EVENTS, body, family="heartbeat")
        if not isinstance(request, Fault):
            self.noticing = True
            ctx.call(request, then=NoticeTold, tag=current)

    @handles(NoticeTold)
    def on_notice_told(self, message: NoticeTold, ctx: Context) -> None:
        self.noticing = False
        record: PeerRecord | None = self.record
        if record is None or message.fault is not None or message.outcome.status >= 300:
            return
        ctx.audit("peer.root_told", "system", None, federation_peer_id=record.id, fingerprint=message.tag)
        ctx.save(evolve(record, told_root=message.tag, updated_at=ctx.wall))

    # --- a child under its parent's next root --------------------------------------------------------------------

    def _follow_parent(self, ctx: Context, record: PeerRecord) -> None:
        """Ask our parent for a certificate under its newest root, as long as the former one still lets us ask."""
        wanted = self.wanted_issuer(record)
        if wanted is None or self.renewing is not None:
            return
        if self.followed_at is None or ctx.now - self.followed_at >= FOLLOW_PARENT_AGAIN_S:
            self.followed_at = ctx.now
            self._renew(ctx, record, Renewing(issuer=wanted))

    def wanted_issuer(self, record: PeerRecord) -> str | None:
        """The root of our parent under which our certificate should stand and does not yet, or None."""
        if not parent_of_ours(record) or record.outbound is None or len(record.trusted_anchors) < 2:
            return None
        newest = next((a for a in record.trusted_anchors if a.state == "next"), None)
        newest = newest or next((a for a in record.trusted_anchors if a.state == "current"), None)
        if self.issued_by[0] != record.outbound.serial:
            self.issued_by = (record.outbound.serial, issuer_of(record))
        return newest.fingerprint if newest is not None and newest.fingerprint != self.issued_by[1] else None


OVERTAKEN = OperatorFault("nothing_to_rotate", "the peer has changed meanwhile", 409)


def refused_step(reply: RemoteReply, what: str) -> Fault:
    """The remote answered a step of a rotation with a refusal."""
    code = remote_answers.remote_code(reply)
    return RemoteFault("remote_rejected", f"{what} ({code or reply.status})", 502, {"remote_status": reply.status, "remote_code": code})


def issuer_of(record: PeerRecord) -> str | None:
    """The anchor of a row that signed our certificate for it, or None."""
    assert record.outbound is not None
    der = certificates.pem_to_der(record.outbound.certificate_pem)
    leaf = certificates.parse_leaf(der) if isinstance(der, bytes) else der
    anchors = certificates.load_anchors([anchor.pem for anchor in record.trusted_anchors])
    if isinstance(leaf, str) or isinstance(anchors, str):
        return None
    return issuer_among(leaf, anchors, record.outbound.not_before)


def with_own_roots(record: PeerRecord, rotation: RotationRecord | None, identity: Identity, wall: float) -> PeerRecord:
    """The row of a child with the roots of ours under which its calls count now; the same object if nothing changes."""
    if rotation is None or not child_of_ours(record) or record.status == "revoked":
        return record
    roots, held = roots_of(rotation, identity), {anchor.fingerprint: anchor for anchor in record.trusted_anchors}
    anchors = record.trusted_anchors
    if rotation.next is not None and rotation.next.fingerprint not in held:
        made = rotation.next
        ending = tuple(_until(anchor, float(rotation.ends)) for anchor in anchors)
        anchors = (*ending, TrustedAnchor(made.fingerprint, made.key.certificate_pem, made.not_after, "next", accept_from=wall))
    elif rotation.next is None and rotation.current is not None and (roots.current not in held or (rotation.forced and len(held) > 1)):
        # The child missed the whole window, or there was none: what a former root of ours has signed proves nothing any more.
        made = rotation.current
        anchors = (TrustedAnchor(made.fingerprint, made.key.certificate_pem, made.not_after),)
    return record if anchors is record.trusted_anchors else evolve(record, trusted_anchors=anchors)


def _until(anchor: TrustedAnchor, ends: float) -> TrustedAnchor:
    """An anchor that ends with a window; one that ends before keeps its own end."""
    return evolve(anchor, accept_until=ends if anchor.accept_until is None else min(anchor.accept_until, ends))
