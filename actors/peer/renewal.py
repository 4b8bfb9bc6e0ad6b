"""Keeping our own client certificate for a peer valid: a new leaf under the same anchor, long before the old one ends.

Lives here: renewal of what our own CA issues for ourselves, and of what a parent platform signs for us, asked for over the present mutual
TLS. Both keep subject, instance name and anchor, so they change no trust. Must not live here: what we sign for our own children (see
`certifying`), and rotation of the CA itself.

Nothing has to survive a crash: until the new certificate is committed the present one stays in use, and a lost answer is asked for again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from actors import certificates
from actors.idempotency.record import Mark, remember
from actors.limits import DAY_S, SKEW_MAX_S
from actors.peer import remote_answers
from actors.peer.messages import IdentityRenewed, RenewalAnswered, RenewalRequestMade, RenewNow, Shown
from actors.peer.outbound import exchange
from actors.peer.projection import full_now
from actors.peer.record import OutboundIdentity, PeerRecord
from actors.peer.steps import note, subject_of
from actors.ports import IssuedIdentity, IssueIdentity, MadeRequest, MakeRequest, RemoteReply
from actors.rotation.record import roots_of, rotation_of
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import evolve

RENEWAL_AGAIN_MAX_S = DAY_S
RENEWAL_AGAIN_MIN_S = 60.0
RENEWAL_AGAIN_SHARE = 0.1
"""After an attempt that failed the next one waits for this share of the time that is left, within these bounds: daily at first, more often
towards the end, and each minute once the certificate has ended."""

CERTIFICATE_PATH = "/federation_api/certificate"
OVERTAKEN = OperatorFault("renewal_not_applicable", "the certificate was replaced meanwhile", 409)


@attrs.define(eq=False)
class Renewing:
    """A renewal under way. `waiting` is the operator who asked for it, with the mark of the request, or None.

    Attributes:
        by: the operator who asked, for the audit chain.
        issuer: the root of our parent that shall sign; None: whichever it uses.
    """

    by: str | None = None
    waiting: Any = None
    mark: Mark | None = None
    issuer: str | None = None


class Renewal(Actor):
    """Handlers of the renewal of our client certificate."""

    renewal_tried_at: float | None = None
    renewing: Renewing | None = None

    def renew_if_due(self, ctx: Context, record: PeerRecord) -> None:
        """Ask for a new certificate if the present one nears its end."""
        federation = ctx.settings.federation
        if not federation.cert_auto_renew or renewal_fault(record) is not None or record.outbound is None or self.renewing is not None:
            return
        left_s = left(record.outbound, ctx.wall)
        if left_s > federation.cert_renew_at_s:
            return
        again_s = min(max(left_s * RENEWAL_AGAIN_SHARE, RENEWAL_AGAIN_MIN_S), RENEWAL_AGAIN_MAX_S)
        if self.renewal_tried_at is not None and ctx.now - self.renewal_tried_at < again_s:
            return
        self._renew(ctx, record, Renewing())

    def renewal_near(self, ctx: Context, record: PeerRecord) -> bool:
        """Whether our certificate is so near to its end that it is renewed without being asked for."""
        federation = ctx.settings.federation
        outbound = record.outbound
        return federation.cert_auto_renew and outbound is not None and left(outbound, ctx.wall) <= federation.cert_renew_at_s

    @handles(RenewNow)
    def on_renew_now(self, message: RenewNow, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(OperatorFault("not_found", "there is no such peer", 404))
            return
        fault = renewal_fault(record)
        if fault is None and self.renewing is not None:
            fault = OperatorFault("renewal_not_applicable", "a renewal is under way already", 409)
        if fault is not None:
            ctx.reply(fault)
        else:
            self._renew(ctx, record, Renewing(message.by, ctx.defer(), message.mark))

    def _renew(self, ctx: Context, record: PeerRecord, renewing: Renewing) -> None:
        assert record.outbound is not None
        assert record.remote_peer_id is not None
        self.renewal_tried_at, self.renewing = ctx.now, renewing
        instance_id, subject = ctx.settings.identity.instance_id, subject_of(record.remote_peer_id)
        if self_issued(record):
            roots = roots_of(rotation_of(ctx), ctx.settings.identity)
            moved = roots.next is not None and record.outbound.issuer == roots.next
            key, issuer = (roots.next_key, roots.next) if moved else (roots.current_key, roots.current)
            request = IssueIdentity(subject, instance_id, ctx.settings.federation.cert_ttl_s, key)
            ctx.call(request, then=IdentityRenewed, tag=(record.outbound.serial, issuer))
        else:
            ctx.call(MakeRequest(subject, instance_id), then=RenewalRequestMade, tag=record.outbound.serial)

    @handles(IdentityRenewed)
    def on_identity_renewed(self, message: IdentityRenewed, ctx: Context) -> None:
        if message.fault is not None:
            self._renewal_ended(ctx, message.fault)
            return
        issued: IssuedIdentity = message.outcome
        serial, issuer = message.tag
        self._renewed(ctx, serial, outbound_of(issued, issuer))

    @handles(RenewalRequestMade)
    def on_renewal_request_made(self, message: RenewalRequestMade, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if message.fault is not None or record is None:
            self._renewal_ended(ctx, message.fault or OVERTAKEN)
            return
        made: MadeRequest = message.outcome
        wanted = self.renewing.issuer if self.renewing is not None else None
        body = {"csr_pem": made.csr_pem} | ({"issuer": wanted} if wanted is not None else {})
        request = exchange(record, self.evidence, ctx.settings, ctx.wall, "POST", CERTIFICATE_PATH, body, family="heartbeat")
        if isinstance(request, Fault):
            self._renewal_ended(ctx, request)
        else:
            ctx.call(request, then=RenewalAnswered, tag=(message.tag, made))

    @handles(RenewalAnswered)
    def on_renewal_answered(self, message: RenewalAnswered, ctx: Context) -> None:
        serial, made = message.tag
        record: PeerRecord | None = self.record
        if message.fault is not None or record is None:
            self._renewal_ended(ctx, message.fault or OVERTAKEN)
            return
        outbound = certified(message.outcome, made, record, ctx.settings.identity.instance_id, ctx.wall)
        if isinstance(outbound, Fault):
            self._renewal_ended(ctx, outbound)
        else:
            self._renewed(ctx, serial, outbound)

    def _renewed(self, ctx: Context, former_serial: str, outbound: OutboundIdentity) -> None:
        """Use the new certificate from now on, unless the one that it replaces is in use no more."""
        record: PeerRecord | None = self.record
        former = record.outbound if record is not None else None
        renewing = self.renewing or Renewing()
        if record is None or former is None or former.serial != former_serial:
            self._renewal_ended(ctx, OVERTAKEN)
            return
        if left(outbound, ctx.wall) <= left(former, ctx.wall) and renewing.waiting is None and renewing.issuer is None:
            # An authority that nears its own end makes nothing that lasts longer; only an operator may want another key all the same,
            # or a parent's next root another signature.
            self._renewal_ended(ctx, OVERTAKEN)
            return
        by = renewing.by
        facts: dict[str, Any] = {"former_serial": former.serial, "serial": outbound.serial, "not_after": iso(outbound.not_after)}
        ctx.audit("peer.certificate_renewed", "system" if by is None else "user", by, federation_peer_id=record.id, **facts)
        note(ctx, record, "cert_renewed", "low", **facts)
        self.renewal_tried_at = None
        ctx.save(evolve(record, outbound=outbound, updated_at=ctx.wall))
        self._renewal_ended(ctx, None)

    def _renewal_ended(self, ctx: Context, fault: Fault | None) -> None:
        """Tell whoever asked. A failure leaves the finding about the certificate standing, and the next attempt to its time."""
        renewing, self.renewing = self.renewing, None
        if renewing is None or renewing.waiting is None:
            return
        if fault is None:
            remember(ctx, renewing.mark, 200, {"peer": full_now(ctx)})
        ctx.answer(renewing.waiting, fault if fault is not None else Shown(ctx.record, self.evidence))


def left(outbound: OutboundIdentity, wall: float) -> float:
    """Seconds for which our certificate is good still; 0 for one that a clock which was ahead has made, as long as nobody takes it."""
    return outbound.not_after - wall if outbound.not_before <= wall + SKEW_MAX_S else 0.0


def outbound_of(issued: IssuedIdentity, issuer: str | None) -> OutboundIdentity:
    """What the record keeps of a certificate that the root `issuer` of ours made."""
    return OutboundIdentity(issued.certificate_pem, issued.sealed_key, issued.serial, issued.not_before, issued.not_after, issuer)


def self_issued(record: PeerRecord) -> bool:
    """Whether our certificate for this peer comes from our own CA: always, but where we are the child of the remote."""
    hierarchical_child = record.trust_mode == "hierarchical" and record.spawn_role == "child"
    return record.remote_peer_id is not None and record.trust_mode != "none" and not hierarchical_child


def renewal_fault(record: PeerRecord) -> Fault | None:
    """Why there is nothing to renew, or None."""
    if record.outbound is None or record.remote_peer_id is None or record.trust_mode == "none" or record.status == "revoked":
        return OperatorFault("renewal_not_applicable", "there is no certificate for this peer that could be renewed", 409)
    return None


def certified(reply: RemoteReply, made: MadeRequest, record: PeerRecord, instance_id: str, wall: float) -> OutboundIdentity | Fault:
    """The certificate that our parent has made for our next key, if it is one that its platform will take: the same subject, our
    instance, our key, and issued by an anchor of this row. Anything else is refused, so that a parent cannot talk us out of a good one."""
    if reply.status != 200:
        code = remote_answers.remote_code(reply)
        text = f"the remote refused the signing request ({code or reply.status})"
        return RemoteFault("remote_rejected", text, 502, {"remote_status": reply.status, "remote_code": code})
    data = reply.body.get("data")
    found = data.get("certificate") if isinstance(data, dict) else None
    pem = found.get("cert_pem") if isinstance(found, dict) else None
    der = certificates.pem_to_der(pem) if isinstance(pem, str) else "pem_malformed"
    leaf = certificates.parse_leaf(der) if isinstance(der, bytes) else der
    anchors = certificates.load_anchors([anchor.pem for anchor in record.trusted_anchors])
    flaw = leaf if isinstance(leaf, str) else anchors if isinstance(anchors, str) else None
    if not isinstance(leaf, str) and not isinstance(anchors, str):
        flaw = (
            certificates.check_profile(leaf, now=wall)
            or certificates.check_issued_by(leaf, anchors, now=wall)
            or certificates.check_instance_san(leaf, (instance_id,))
        )
        if flaw is None and leaf.common_name != subject_of(str(record.remote_peer_id)):
            flaw = "common_name_missing"
        if flaw is None and not certificates.same_key(str(pem), made.csr_pem):
            flaw = "signature_invalid"
    if flaw is not None or isinstance(leaf, str) or isinstance(anchors, str):
        return RemoteFault("remote_error", "the certificate that the remote made is not ours to use", 502, {"reason": flaw})
    return OutboundIdentity(str(pem), made.sealed_key, leaf.serial, leaf.not_before, leaf.not_after, issuer_among(leaf, anchors, wall))


def issuer_among(leaf: certificates.Leaf, anchors: Sequence[certificates.Anchor], now: float) -> str | None:
    """The fingerprint of the anchor that issued a certificate, or None."""
    return next((anchor.fingerprint for anchor in anchors if certificates.check_issued_by(leaf, (anchor,), now=now) is None), None)
