"""What we sign for a child: its next certificate, asked for over the one that it holds.

Lives here: the parent's side of a renewal. Must not live here: the first certificate, which the accept makes (see `minting`).

The former certificate stays valid, so that the child never stands without one whether our answer reaches it or not; every serial is kept,
so that the end of the peering revokes them all.
"""

from __future__ import annotations

from actors import certificates
from actors.limits import ISSUED_CERTIFICATES_MAX, SKEW_MAX_S
from actors.peer import cascade
from actors.peer.lifecycle import inbound_refusal
from actors.peer.messages import Certify, ChildCertified
from actors.peer.moving import with_own_roots
from actors.peer.record import IssuedCertificate, PeerRecord, told_of_end
from actors.peer.steps import subject_of
from actors.ports import SignedCertificate, SignRequest
from actors.rotation.record import own_fingerprints, roots_of, rotation_of
from actors.wall_clock.standing import certain_wall
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, RemoteFault
from runtime.values import evolve


class Certifying(Actor):
    """Handlers of a child's signing requests."""

    @handles(Certify)
    def on_certify(self, message: Certify, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        reason = certificates.check_csr(message.csr_pem)
        fault = certify_fault(record)
        if fault is None and reason is not None:
            fault = RemoteFault("invalid_csr", certificates.REASONS[reason], 422, {"reason": reason})
        if fault is not None or record is None or record.remote_instance_id is None:
            ctx.reply(fault)
            return
        roots = roots_of(rotation_of(ctx), ctx.settings.identity)
        # The child names the root that it holds: one that it has not heard of yet would be of no use to it.
        asked = roots.next is not None and message.issuer == roots.next
        issuer, key = (roots.next, roots.next_key) if asked else (roots.current, roots.current_key)
        request = SignRequest(message.csr_pem, subject_of(record.id), record.remote_instance_id, ctx.settings.federation.cert_ttl_s, key)
        ctx.call(request, then=ChildCertified, tag=(issuer, ctx.defer()))

    @handles(ChildCertified)
    def on_child_certified(self, message: ChildCertified, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        issuer, address = message.tag
        fault = message.fault or certify_fault(record)
        if fault is None and issuer not in own_fingerprints(ctx, former=False):
            fault = RemoteFault("ca_unavailable", "the root changed while this was signed; ask again", 503)
        if fault is not None or record is None:
            ctx.answer(address, fault)
            return
        signed: SignedCertificate = message.outcome
        ctx.audit("peer.certificate_signed", "remote", record.remote_instance_id, federation_peer_id=record.id,
                  serial=signed.serial, not_after=iso(signed.not_after))  # fmt: skip
        # Whatever was handed out counts from this commit on.
        counted = with_own_roots(record, rotation_of(ctx), ctx.settings.identity, ctx.wall)
        ctx.save(with_issued(ctx, counted, signed))
        certificate = {"cert_pem": signed.certificate_pem, "ca_chain_pem": signed.ca_chain_pem, "serial": signed.serial,
                       "not_after": iso(signed.not_after)}  # fmt: skip
        ctx.answer(address, {"certificate": certificate})


def certify_fault(record: PeerRecord | None) -> Fault | None:
    """Why we sign nothing for this peer, or None. The door judged by the row as it was; it may have changed since."""
    refusal = None if record is None else inbound_refusal(record.status, "heartbeat")
    if record is None or refusal is not None:
        code, status = ("peer_not_admitted", 401) if refusal is None else (refusal.code, refusal.status)
        return RemoteFault(code, "this platform signs nothing for this peer now", status, told_of_end(record))
    if record.trust_mode != "hierarchical" or record.issued_serial is None or record.remote_instance_id is None:
        return RemoteFault("certificate_not_applicable", "the certificates of this peer come from its own CA", 409)
    return None


def with_issued(ctx: Context, record: PeerRecord, signed: SignedCertificate) -> PeerRecord:
    """The record with one more certificate in the child's hands. What has ended is forgotten; beyond the limit the oldest is revoked."""
    assert record.issued_serial is not None
    assert record.issued_not_after is not None
    held = (IssuedCertificate(record.issued_serial, record.issued_not_after), *record.issued_before)
    certain = certain_wall(ctx)
    living = tuple(issued for issued in held if issued.not_after + SKEW_MAX_S > certain)
    cascade.revoke_serials(ctx, record.id, living[ISSUED_CERTIFICATES_MAX - 1 :], "superseded")
    return evolve(
        record,
        issued_serial=signed.serial,
        issued_not_after=signed.not_after,
        issued_before=living[: ISSUED_CERTIFICATES_MAX - 1],
        updated_at=ctx.wall,
    )
