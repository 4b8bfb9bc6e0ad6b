"""The actor of one held grant: takes the bearer in, presents it, and destroys it.

Lives here: one handler per message. The bearer is sealed before anything else happens to it and is never opened here. Must not live here:
which of several grants to use (see `record.fitting`), or the meaning of a resource.
"""

from __future__ import annotations

from typing import Final

from actors.grant import tokens
from actors.idempotency.record import remember
from actors.limits import GRANTS_ANNOUNCED_PER_PEER_MAX, RECEIVED_GRANTS_PER_PEER_MAX, RESOURCES_REPLY_BYTES_MAX
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.outbound import exchange
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.remote_answers import remote_code
from actors.peer.standing import PEER_NOT_FOUND, in_force
from actors.ports import GRANT_BEARER_PURPOSE, RemoteReply, Seal
from actors.received_grant.messages import (
    Announced,
    BearerSealed,
    Call,
    Checked,
    Deliver,
    Forget,
    IssuerTold,
    LookedAgain,
    NoteRefusal,
    Receive,
    Replied,
)
from actors.received_grant.record import (
    ASKED_AGAIN_MAX_S,
    EXPIRED_CODE,
    KIND,
    REVOKED_CODE,
    GrantFacts,
    ReceivedGrantRecord,
    Source,
    asked_again_at,
    gone_at,
    held_key,
    of_peer,
    to_json,
)
from actors.received_grant.remote_answers import BEARER_OVER, confirmed
from actors.received_grant.taking import taken_in, tell
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, handles
from runtime.cell import Ask
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Row
from runtime.values import evolve

NOT_FOUND = OperatorFault("not_found", "there is no such received grant", 404)
MALFORMED = OperatorFault("grant_token_malformed", "this is not the bearer of a grant: fg-, the id of the grant, a dot, 43 characters", 422)
FULL = OperatorFault("received_grants_full", f"{RECEIVED_GRANTS_PER_PEER_MAX} grants of this peer are held already; forget some", 409)

ENDS: Final = {"revoked": REVOKED_CODE, "expired": EXPIRED_CODE}
"""Words of an issuer by which a grant is over, and the refusal that each stands for."""

# A migration under way may still present its bearer; so they go when the revocation completes.
DEPENDANTS.append(Dependant(kind=KIND.name, phase="complete", open=()))


class ReceivedGrantActor(Actor):
    """One held grant."""

    kind = KIND

    # --- taking in -----------------------------------------------------------------------------------------------

    @handles(Receive)
    def on_receive(self, message: Receive, ctx: Context) -> None:
        bearer = tokens.parse(message.bearer.reveal())
        if bearer is None:
            ctx.reply(MALFORMED)
            return
        fault = self._already_held(ctx, message.peer_id, bearer.grant_id) or self._unwelcome(ctx, message)
        if fault is not None:
            ctx.reply(fault)
            return
        ctx.call(Seal(message.bearer, GRANT_BEARER_PURPOSE), then=BearerSealed, tag=(message, bearer.grant_id, ctx.defer()))

    @handles(Deliver)
    def on_deliver(self, message: Deliver, ctx: Context) -> None:
        bearer = tokens.parse(message.bearer.reveal())
        if bearer is None or bearer.grant_id != message.facts.grant_id:
            ctx.reply(MALFORMED)
            return
        fault = self._unwelcome(ctx, message)
        if fault is not None:
            ctx.reply(fault)
            return
        ctx.call(Seal(message.bearer, GRANT_BEARER_PURPOSE), then=BearerSealed, tag=(message, bearer.grant_id, ctx.defer()))

    @handles(BearerSealed)
    def on_bearer_sealed(self, message: BearerSealed, ctx: Context) -> None:
        asked, grant_id, address = message.tag
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        sealed: bytes = message.outcome
        if isinstance(asked, Deliver):
            self._hold(ctx, asked, asked.facts, sealed, address)
            return
        row = self._peer(ctx, asked.peer_id)
        if row is None:
            ctx.answer(address, PEER_NOT_FOUND)
            return
        path = f"/federation_api/grants?grant_id={grant_id}"
        request = exchange(row.record, row.evidence, ctx.settings, ctx.wall, "GET", path)
        if isinstance(request, Fault):
            ctx.answer(address, request)
            return
        ctx.call(evolve(request, sealed_bearer=sealed), then=Checked, tag=(asked, grant_id, sealed, address))

    @handles(Checked)
    def on_checked(self, message: Checked, ctx: Context) -> None:
        asked, grant_id, sealed, address = message.tag
        reply = message.outcome
        facts = confirmed(reply, grant_id) if isinstance(reply, RemoteReply) else message.fault
        if isinstance(facts, GrantFacts):
            self._hold(ctx, asked, facts, sealed, address)
        else:
            ctx.answer(address, facts)

    def _hold(self, ctx: Context, asked: Receive | Deliver, facts: GrantFacts, sealed: bytes, address: Ask | None) -> None:
        """Keep the bearer. Every guard is asked again: much may have happened since the first time."""
        by_issuer = isinstance(asked, Deliver)
        fault = self._unwelcome(ctx, asked)
        if fault is None and not by_issuer:
            fault = self._already_held(ctx, asked.peer_id, facts.grant_id)
        row = self._peer(ctx, asked.peer_id)
        if fault is not None or row is None:
            ctx.answer(address, fault or PEER_NOT_FOUND)
            return
        source: Source = "delivery" if by_issuer else "operator"
        by = None if isinstance(asked, Deliver) else asked.by
        record = taken_in(ctx, ctx.ref.id, row.record, facts, sealed, source, by)
        who = row.record.remote_instance_id if by_issuer else by
        tell(ctx, record, "received", "remote" if by_issuer else "user", who, source=source)
        ctx.save(record)
        if isinstance(asked, Receive):
            remember(ctx, asked.mark, 201, {"received_grant": to_json(ctx.record, row.record, ctx.wall)})
        ctx.answer(address, ctx.record)

    @handles(Announced)
    def on_announced(self, message: Announced, ctx: Context) -> None:
        row = self._peer(ctx, message.peer_id)
        known = self.record is not None or ctx.find(KIND.name, "held", held_key(message.peer_id, message.facts.grant_id)) is not None
        if known or row is None or self._unwelcome(ctx, message) is not None:
            return
        announced = sum(1 for held in ctx.query(of_peer(message.peer_id)) if held.record.sealed_bearer is None)
        if announced < GRANTS_ANNOUNCED_PER_PEER_MAX:
            record = taken_in(ctx, ctx.ref.id, row.record, message.facts, None, "notice", None)
            tell(ctx, record, "announced", "remote", row.record.remote_instance_id, expires_at=iso(record.expires_at))
            ctx.save(record)

    def _already_held(self, ctx: Context, peer_id: str, grant_id: str) -> Fault | None:
        found = ctx.find(KIND.name, "held", held_key(peer_id, grant_id))
        row = ctx.row(KIND.name, found) if found is not None else None
        if row is None or row.record.sealed_bearer is None:
            return None
        text = "this grant is held already; forget it first to put another bearer in its place"
        return OperatorFault("grant_already_held", text, 409, {"received_grant_id": found})

    def _unwelcome(self, ctx: Context, asked: Receive | Deliver | Announced) -> Fault | None:
        """Why nothing of this peer can be taken in now, or None."""
        row = self._peer(ctx, asked.peer_id)
        if row is None or row.record.account_id != asked.account_id or row.record.peer_kind != "platform":
            return PEER_NOT_FOUND
        peer: PeerRecord = row.record
        if peer.status == "revoked":
            return OperatorFault("peer_revoked", "this peering has ended; its grants ended with it", 409)
        if not in_force(peer, peer.peering_epoch, ctx.wall):
            return OperatorFault("peer_not_ready", f"the peer is {peer.status}; its grants are of no use now", 409, {"status": peer.status})
        record: ReceivedGrantRecord | None = self.record
        if record is None or record.sealed_bearer is None:
            held = sum(1 for row in ctx.query(of_peer(peer.id)) if row.record.sealed_bearer is not None)
            return FULL if held >= RECEIVED_GRANTS_PER_PEER_MAX else None
        return None

    # --- use -----------------------------------------------------------------------------------------------------

    @handles(Call)
    def on_call(self, message: Call, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        row = self._peer(ctx, record.federation_peer_id) if record is not None else None
        if record is None or row is None:
            ctx.reply(NOT_FOUND)
            return
        request = exchange(row.record, row.evidence, ctx.settings, ctx.wall, "GET", message.path)
        if isinstance(request, Fault):
            ctx.reply(request)
            return
        presenting = evolve(request, sealed_bearer=record.sealed_bearer, reply_bytes_max=RESOURCES_REPLY_BYTES_MAX)
        ctx.call(presenting, then=Replied, tag=(record.sealed_bearer, ctx.defer()))

    @handles(Replied)
    def on_replied(self, message: Replied, ctx: Context) -> None:
        presented, address = message.tag
        reply = message.outcome
        code = remote_code(reply) if isinstance(reply, RemoteReply) and reply.status == 401 else None
        self._note_refusal(ctx, presented, code)
        ctx.answer(address, message.fault if message.fault is not None else reply)

    @handles(NoteRefusal)
    def on_note_refusal(self, message: NoteRefusal, ctx: Context) -> None:
        self._note_refusal(ctx, message.sealed_bearer, message.code)

    def _note_refusal(self, ctx: Context, presented: bytes | None, code: str | None) -> None:
        """The word of the issuer is about the bearer that was presented, which a delivery may have replaced since."""
        record: ReceivedGrantRecord | None = self.record
        if record is None or record.sealed_bearer != presented or code not in BEARER_OVER or record.refused_code is not None:
            return
        if record.sealed_bearer is None:
            # It was never of any use here: there is nothing to show.
            self._destroy(ctx, record, "remote", None, str(code))
        else:
            tell(ctx, record, "refused", "remote", None, code=code)
            refused = evolve(record, refused_code=code, refused_at=ctx.wall, updated_at=ctx.wall)
            ctx.save(evolve(refused, ask_at=asked_again_at(refused, ctx.wall)))

    # --- what the issuer tells ------------------------------------------------------------------------------------

    @handles(IssuerTold)
    def on_issuer_told(self, message: IssuerTold, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        over = ENDS.get(message.change)
        if record is not None and over is not None and message.for_good:
            self._note_refusal(ctx, record.sealed_bearer, over)
            if self.record is not None:
                ctx.save(evolve(ctx.record, sealed_bearer=None, ask_at=None, updated_at=ctx.wall))
            return
        if record is None or record.refused_code is not None:
            return
        if over is not None:
            self._note_refusal(ctx, record.sealed_bearer, over)
            return
        self._ask_issuer(ctx, record)

    def _ask_issuer(self, ctx: Context, record: ReceivedGrantRecord) -> None:
        """Have the issuer say how the grant stands."""
        row = self._peer(ctx, record.federation_peer_id)
        if row is None:
            return
        path = f"/federation_api/grants?grant_id={record.grant_id}"
        request = exchange(row.record, row.evidence, ctx.settings, ctx.wall, "GET", path)
        if not isinstance(request, Fault):
            ctx.call(evolve(request, sealed_bearer=record.sealed_bearer), then=LookedAgain, tag=record.sealed_bearer)

    @handles(LookedAgain)
    def on_looked_again(self, message: LookedAgain, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        reply = message.outcome
        if record is None or record.sealed_bearer != message.tag or not isinstance(reply, RemoteReply):
            return
        facts = confirmed(reply, record.grant_id)
        if isinstance(facts, Fault):
            reason = facts.details.get("reason")
            over = {"grant_ended": "grant_revoked", "wrong_secret": "grant_token_invalid", "unknown_grant": "grant_token_invalid"}
            told = remote_code(reply) if reply.status == 401 else over.get(str(reason))
            self._note_refusal(ctx, message.tag, told)
            return
        again = record.refused_code == EXPIRED_CODE
        if record.refused_code is not None and not again:
            return
        changed = evolve(
            record,
            remote_subject=facts.remote_subject,
            permission_scopes=facts.permission_scopes,
            expires_at=facts.expires_at,
            refused_code=None,
            refused_at=None,
            ask_at=None,
        )
        if changed != record:
            tell(ctx, changed, "changed", "remote", None, expires_at=iso(changed.expires_at), in_force_again=again)
            ctx.save(evolve(changed, updated_at=ctx.wall))

    # --- the end -------------------------------------------------------------------------------------------------

    @handles(Forget)
    def on_forget(self, message: Forget, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
            return
        if message.expected_version is not None and message.expected_version != record.version:
            text = "the received grant has changed since; read it again"
            ctx.reply(OperatorFault("version_conflict", text, 409, {"version": record.version}))
            return
        self._destroy(ctx, record, "user", message.by, "forgotten")
        remember(ctx, message.mark, 200, {"id": record.id, "forgotten": True})
        ctx.reply(record)

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        if record is not None and record.peering_epoch <= message.peering_epoch:
            self._destroy(ctx, record, "system", None, "peer_revoked")

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: ReceivedGrantRecord | None = self.record
        if record is None:
            return
        if has_passed(ctx, gone_at(record)):
            self._destroy(ctx, record, "system", None, "expired")
        elif has_come(record.ask_at, ctx.wall, ASKED_AGAIN_MAX_S):
            again_at = asked_again_at(record, ctx.wall)
            ctx.save(evolve(record, ask_at=again_at, updated_at=ctx.wall))
            if again_at is not None:
                self._ask_issuer(ctx, record)

    def _destroy(self, ctx: Context, record: ReceivedGrantRecord, by_kind: str, by: str | None, why: str) -> None:
        tell(ctx, record, "destroyed", by_kind, by, reason=why)
        ctx.remove()

    def _peer(self, ctx: Context, peer_id: str) -> Row | None:
        return ctx.row(PEER.name, peer_id)
