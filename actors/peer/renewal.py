"""Keeping our own client certificate for a peer valid: a new leaf under the same CA, long before the old one ends.

Lives here: renewal of what our own CA issues for ourselves. It keeps subject, instance name and anchor, so it changes no trust and needs no
word from the remote. Must not live here: certificates that a parent platform signs for us, and rotation of the CA itself.
"""

from __future__ import annotations

from typing import Any

import attrs

from actors.limits import DAY_S
from actors.peer.messages import IdentityRenewed
from actors.peer.record import OutboundIdentity, PeerRecord
from actors.peer.steps import note, subject_of
from actors.ports import IssuedIdentity, IssueIdentity
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context

RENEWAL_AGAIN_MAX_S = DAY_S
RENEWAL_AGAIN_MIN_S = 60.0
RENEWAL_AGAIN_SHARE = 0.1
"""After an attempt that failed the next one waits for this share of the time that is left, within these bounds: daily at first, more often
towards the end, and each minute once the certificate has ended."""


class Renewal(Actor):
    """Handlers of the renewal of our client certificate."""

    renewal_tried_at: float | None = None

    def renew_if_due(self, ctx: Context, record: PeerRecord) -> None:
        """Ask for a new certificate if the present one nears its end and is ours to issue."""
        federation = ctx.settings.federation
        if not federation.cert_auto_renew or not self_issued(record) or record.outbound is None:
            return
        left_s = record.outbound.not_after - ctx.wall
        if left_s > federation.cert_renew_at_s:
            return
        again_s = min(max(left_s * RENEWAL_AGAIN_SHARE, RENEWAL_AGAIN_MIN_S), RENEWAL_AGAIN_MAX_S)
        if self.renewal_tried_at is not None and ctx.now - self.renewal_tried_at < again_s:
            return
        self.renewal_tried_at = ctx.now
        assert record.remote_peer_id is not None
        request = IssueIdentity(subject_of(record.remote_peer_id), ctx.settings.identity.instance_id, federation.cert_ttl_s)
        ctx.call(request, then=IdentityRenewed, tag=record.outbound.serial)

    @handles(IdentityRenewed)
    def on_identity_renewed(self, message: IdentityRenewed, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if message.fault is not None or record is None or record.outbound is None or record.outbound.serial != message.tag:
            # A failure leaves the finding about the certificate standing; another identity in its place needs no renewal.
            return
        issued: IssuedIdentity = message.outcome
        if issued.not_after <= record.outbound.not_after:
            return
        facts: dict[str, Any] = {"former_serial": record.outbound.serial, "serial": issued.serial, "not_after": iso(issued.not_after)}
        ctx.audit("peer.certificate_renewed", "system", None, federation_peer_id=record.id, **facts)
        note(ctx, record, "cert_renewed", "low", **facts)
        self.renewal_tried_at = None
        outbound = OutboundIdentity(issued.certificate_pem, issued.sealed_key, issued.serial, issued.not_before, issued.not_after)
        ctx.save(attrs.evolve(record, outbound=outbound, updated_at=ctx.wall))


def self_issued(record: PeerRecord) -> bool:
    """Whether our certificate for this peer comes from our own CA: always, but where we are the child of the remote."""
    hierarchical_child = record.trust_mode == "hierarchical" and record.spawn_role == "child"
    return record.remote_peer_id is not None and record.trust_mode != "none" and not hierarchical_child
