"""A peer that shares overlay networks and nothing else: how its operators accept it.

Lives here: that one step. Must not live here: anything that a platform peer does; this kind has no identity, no trust, no heartbeats, and
nobody is called for it.
"""

from __future__ import annotations

from actors.idempotency.record import remember
from actors.peer import tokens
from actors.peer.lifecycle import transition
from actors.peer.messages import AcceptOverlay, Shown
from actors.peer.projection import full_now
from actors.peer.record import PeerRecord
from actors.peer.steps import invalid_transition, operator, step
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.secret import Secret
from runtime.values import evolve

NOT_FOUND = OperatorFault("not_found", "there is no such peer", 404)
TOKEN_EXPIRED = OperatorFault("acceptance_token_expired", "the token of this peer has ended; end the peer, and propose it again", 422)
TOKEN_MISMATCH = OperatorFault("acceptance_token_mismatch", "this is not the token of this peer", 422)


class OverlaySide(Actor):
    """The handler of that step."""

    @handles(AcceptOverlay)
    def on_accept_overlay(self, message: AcceptOverlay, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        fault = accept_fault(record, message.token, ctx.wall)
        if fault is not None:
            ctx.reply(fault)
            return
        assert record is not None
        accepted = step(ctx, record, "token_redeemed", operator(message.by))
        # No contract is noted: the remote has not been asked for its word.
        ctx.save(
            evolve(
                accepted,
                signed_at=ctx.wall,
                acceptance_token_digest=None,
                acceptance_token_expires_at=None,
                metadata={**record.metadata, "accepted_by_user_id": message.by},
            )
        )
        remember(ctx, message.mark, 200, {"peer": full_now(ctx)})
        ctx.reply(Shown(ctx.record, self.evidence))


def accept_fault(record: PeerRecord | None, token: Secret, wall: float) -> Fault | None:
    """Why this token does not accept this row now, or None."""
    if record is None or record.peer_kind != "sdwan_only":
        return NOT_FOUND
    if transition(record.status, "token_redeemed", record.peer_kind) is None:
        return invalid_transition(record, "accepted")
    fits = tokens.matches(token, record.acceptance_token_digest)
    ends = record.acceptance_token_expires_at
    if record.acceptance_token_digest is None or ends is None or wall >= ends:
        return TOKEN_EXPIRED
    return None if fits else TOKEN_MISMATCH
