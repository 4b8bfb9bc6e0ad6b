"""Telling a remote that we do not take the step that it has taken for us.

Lives here: the notice after an accept that the remote has committed and we do not: its contract is not ours, or our operator withdrew
while the answer was on its way. The answer has given us an identity there; it is used for this one notice and not kept. Nothing here is
durable: a remote that misses the notice reports the peer as stuck. Must not live here: why a handshake is given up (see `calling`).
"""

from __future__ import annotations

from actors.limits import LAST_WORD_RETRY_S, LAST_WORD_TRIES
from actors.peer import remote_answers
from actors.peer.heartbeats import Heartbeats
from actors.peer.messages import AbandonAgain, AbandonIdentityIssued, AbandonTold
from actors.peer.peer_events import HANDSHAKE_ABANDONED, PEER_REVOKED
from actors.peer.record import Handshake
from actors.ports import ClientIdentity, IssueIdentity, RemoteReply, RemoteRequest, ServerExpectation
from actors.rotation.record import ourselves, signing_root
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault
from runtime.values import Value, evolve


class Farewell(Value, frozen=True, kw_only=True):
    """The notice under way.

    Attributes:
        identity: what we present; None until our own CA has issued it.
        tries: how often it has left.
    """

    event_id: str
    kind: str
    reason: str
    effective_at: float
    expectation: ServerExpectation
    identity: ClientIdentity | None
    tries: int = 0


class Abandoning(Heartbeats):
    """Handlers of that notice."""

    farewell: Farewell | None = None

    def abandon(self, ctx: Context, reply: RemoteReply, handshake: Handshake, reason: str) -> None:
        """Tell the remote, if its answer holds what is needed to prove who we are."""
        trust = remote_answers.parse_trust(reply, self.record, handshake, ourselves(ctx), ctx.wall)
        if isinstance(trust, Fault) or trust.instance_id is None:
            return
        pems = tuple(anchor.pem for anchor in trust.anchors)
        public = trust.server_identity == "public"
        identity = None
        if trust.certificate is not None and handshake.sealed_key is not None:
            identity = ClientIdentity(trust.certificate.pem, handshake.sealed_key)
        self.farewell = Farewell(
            event_id=ctx.new_id(),
            kind=PEER_REVOKED if self.record.status == "revoked" else HANDSHAKE_ABANDONED,
            reason=reason,
            effective_at=ctx.wall,
            expectation=ServerExpectation() if public else ServerExpectation(anchors_pem=pems, instance_id=trust.instance_id),
            identity=identity,
        )
        if identity is not None:
            self._say_farewell(ctx)
        elif trust.assigned_subject is not None:
            # The remote has the bundle that our accept named, and that was the root in force.
            lifetime_s, root = ctx.settings.federation.cert_ttl_s, signing_root(ctx)
            ctx.call(IssueIdentity(trust.assigned_subject, ctx.settings.identity.instance_id, lifetime_s, root), then=AbandonIdentityIssued)

    @handles(AbandonIdentityIssued)
    def on_abandon_identity_issued(self, message: AbandonIdentityIssued, ctx: Context) -> None:
        if self.farewell is not None and message.fault is None:
            identity = ClientIdentity(message.outcome.certificate_pem, message.outcome.sealed_key)
            self.farewell = evolve(self.farewell, identity=identity)
            self._say_farewell(ctx)

    @handles(AbandonAgain)
    def on_abandon_again(self, message: AbandonAgain, ctx: Context) -> None:
        if self.farewell is not None:
            self._say_farewell(ctx)

    def _say_farewell(self, ctx: Context) -> None:
        assert self.farewell is not None
        self.farewell = farewell = evolve(self.farewell, tries=self.farewell.tries + 1)
        body = {
            "event_id": farewell.event_id,
            "kind": farewell.kind,
            "reason": farewell.reason,
            "effective_at": iso(farewell.effective_at),
        }
        request = RemoteRequest(
            peer_id=ctx.ref.id,
            method="POST",
            path="/federation_api/peer_events",
            body=body,
            urls=self.urls(ctx),
            identity=farewell.identity,
            expectation=farewell.expectation,
            timeout_s=min(ctx.settings.federation.request_timeout_s, LAST_WORD_RETRY_S),
        )
        ctx.call(request, then=AbandonTold, tag=farewell.event_id)

    @handles(AbandonTold)
    def on_abandon_told(self, message: AbandonTold, ctx: Context) -> None:
        farewell = self.farewell
        if farewell is None or farewell.event_id != message.tag:
            return
        told = isinstance(message.outcome, RemoteReply) and message.outcome.status < 500
        if told or farewell.tries >= LAST_WORD_TRIES:
            self.farewell = None
        else:
            ctx.after(LAST_WORD_RETRY_S, AbandonAgain(), "abandon")
