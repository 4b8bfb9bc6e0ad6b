"""Telling a remote that we do not take the step that it has taken for us.

Lives here: the notice after an accept that the remote has committed and we do not: its contract is not ours, or our operator withdrew
while the answer was on its way. The answer has given us an identity there; it is used for this one notice and goes with it. The notice is
an intent on our row, so that a crash does not swallow it. A remote that misses every try reports the peer as stuck. Must not live here: why
a handshake is given up (see `calling`).
"""

from __future__ import annotations

from actors.limits import LAST_WORD_RETRY_S, LAST_WORD_TRIES
from actors.peer import remote_answers
from actors.peer.heartbeats import Heartbeats
from actors.peer.messages import AbandonIdentityIssued, AbandonTold
from actors.peer.peer_events import HANDSHAKE_ABANDONED, PEER_REVOKED
from actors.peer.record import Farewell, Handshake, PeerRecord
from actors.ports import ClientIdentity, IssueIdentity, RemoteReply, RemoteRequest, ServerExpectation
from actors.rotation.record import ourselves, signing_root
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault
from runtime.values import evolve


class Abandoning(Heartbeats):
    """Handlers of that notice."""

    def abandoned(self, ctx: Context, reply: RemoteReply, handshake: Handshake, reason: str) -> Farewell | None:
        """What to tell the remote as soon as it is on the disk; None if its answer does not hold what is needed to prove who we are."""
        trust = remote_answers.parse_trust(reply, self.record, handshake, ourselves(ctx), ctx.wall)
        if isinstance(trust, Fault) or trust.instance_id is None:
            return None
        certified = trust.certificate is not None and handshake.sealed_key is not None
        if not certified and trust.assigned_subject is None:
            return None
        return Farewell(
            event_id=ctx.new_id(),
            kind=PEER_REVOKED if self.record.status == "revoked" else HANDSHAKE_ABANDONED,
            reason=reason,
            effective_at=ctx.wall,
            instance_id=trust.instance_id,
            subject=trust.assigned_subject,
            certificate_pem=trust.certificate.pem if certified and trust.certificate is not None else None,
            sealed_key=handshake.sealed_key if certified else None,
            anchors_pem=() if trust.server_identity == "public" else tuple(anchor.pem for anchor in trust.anchors),
            next_at=ctx.wall,
        )

    def told_of_abandoning(self, ctx: Context, record: PeerRecord) -> PeerRecord:
        """Say it if it is time, or give up; either is noted before it happens."""
        farewell = record.farewell
        if farewell is None or not has_come(farewell.next_at, ctx.wall, LAST_WORD_RETRY_S):
            return record
        if farewell.tries >= LAST_WORD_TRIES:
            return evolve(record, farewell=None)
        if farewell.certificate_pem is not None and farewell.sealed_key is not None:
            self._say_farewell(ctx, farewell, ClientIdentity(farewell.certificate_pem, farewell.sealed_key))
        elif farewell.subject is not None:
            # The remote has the bundle that our accept named, and that was the root in force.
            lifetime_s, root = ctx.settings.federation.cert_ttl_s, signing_root(ctx)
            request = IssueIdentity(farewell.subject, ctx.settings.identity.instance_id, lifetime_s, root)
            ctx.call(request, then=AbandonIdentityIssued, tag=farewell.event_id)
        return evolve(record, farewell=evolve(farewell, tries=farewell.tries + 1, next_at=ctx.wall + LAST_WORD_RETRY_S))

    @handles(AbandonIdentityIssued)
    def on_abandon_identity_issued(self, message: AbandonIdentityIssued, ctx: Context) -> None:
        farewell = self._farewell(message.tag)
        if farewell is not None and message.fault is None:
            self._say_farewell(ctx, farewell, ClientIdentity(message.outcome.certificate_pem, message.outcome.sealed_key))

    def _farewell(self, event_id: str) -> Farewell | None:
        """The notice that is owed, if it is this one."""
        farewell = self.record.farewell if self.record is not None else None
        return farewell if farewell is not None and farewell.event_id == event_id else None

    def _say_farewell(self, ctx: Context, farewell: Farewell, identity: ClientIdentity) -> None:
        body = {
            "event_id": farewell.event_id,
            "kind": farewell.kind,
            "reason": farewell.reason,
            "effective_at": iso(farewell.effective_at),
        }
        public = ServerExpectation()
        named = ServerExpectation(anchors_pem=farewell.anchors_pem, instance_id=farewell.instance_id)
        request = RemoteRequest(
            peer_id=ctx.ref.id,
            method="POST",
            path="/federation_api/peer_events",
            body=body,
            urls=self.urls(ctx),
            identity=identity,
            expectation=named if farewell.anchors_pem else public,
            timeout_s=min(ctx.settings.federation.request_timeout_s, LAST_WORD_RETRY_S),
        )
        ctx.call(request, then=AbandonTold, tag=farewell.event_id)

    @handles(AbandonTold)
    def on_abandon_told(self, message: AbandonTold, ctx: Context) -> None:
        told = isinstance(message.outcome, RemoteReply) and message.outcome.status < 500
        if told and self._farewell(message.tag) is not None:
            ctx.save(evolve(self.record, farewell=None, updated_at=ctx.wall))
