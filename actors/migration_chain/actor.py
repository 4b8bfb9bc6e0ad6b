"""One chain at the platform that drives it: what operators decide, and the way from hop to hop.

Lives here: one handler per message. The chain asks the present holder for the present hop, again and again. That a hop has ended it
believes only by the signed receipt of the platform to which the resource has moved. Must not live here: a hop itself (`hop`), or the
judgement of a plan (`judging`).
"""

from __future__ import annotations

from typing import Any, Final

from actors.idempotency.record import Mark, remember
from actors.migration.actor import NO_GRANT, bearer_of
from actors.migration.receipts import hop_flaw
from actors.migration.transfer import refused_by, trusted
from actors.migration_chain.judging import places, plan_fault
from actors.migration_chain.lifecycle import UNDER_WAY, Trigger, transition
from actors.migration_chain.limits import HOURLY_S, LOG_KEPT, STALLED_AFTER_S, TICK_S, retry_after
from actors.migration_chain.messages import ActOnChain, HopAnswered, HopTold, MakeChain, StartHop, WithdrawHop
from actors.migration_chain.record import CHAIN, HOP, UNPROVEN, MigrationChainRecord, hop_id, shown
from actors.migration_chain.transient import passes
from actors.migration_chain.word import HopWord, parse
from actors.peer.outbound import exchange
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.periodic.works import CHAIN_ADVANCE, note_run
from actors.ports import RemoteReply
from runtime.actor import Actor, Due, Ref, Resume, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import evolve

BASE: Final = "/federation_api/migration_chains"
NOT_FOUND: Final = OperatorFault("chain_not_found", "there is no such chain here", 404)
UNREADABLE: Final = RemoteFault("remote_error", "the holder's answer cannot be used", 502)
REVOKED: Final = OperatorFault("peer_revoked", "the peering with the holder has ended", 409)

NOT_BEGUN: Final = {"rejected": "hop_rejected", "expired": "hop_expired", "withdrawn": "hop_withdrawn"}
"""Codes of hops that ended before anything had moved."""


class MigrationChainActor(Actor):
    """One chain."""

    kind = CHAIN
    asking: bool = False

    def holds_work(self) -> bool:
        return self.asking

    # --- what operators say ---------------------------------------------------------------------------------------

    @handles(MakeChain)
    def on_make_chain(self, message: MakeChain, ctx: Context) -> None:
        fault = plan_fault(ctx, message)
        if self.record is not None or fault is not None:
            ctx.reply(fault or OperatorFault("migration_id_conflict", "another chain has this id", 409))
            return
        record = MigrationChainRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            operation=message.header.operation,
            root_resource_kind=message.header.root_resource_kind,
            root_resource_id=message.header.root_resource_id,
            root_now=message.header.root_resource_id,
            hop_peer_ids=message.hop_peer_ids,
            acknowledge_residency=message.acknowledge_residency,
            created_by=message.by,
            created_at=ctx.wall,
            updated_at=ctx.wall,
            progress_at=ctx.wall,
        )
        self._keep(ctx, self._logged(ctx, record, "planned", message.by))
        self._shown(ctx, message.mark, 201)

    @handles(ActOnChain)
    def on_act_on_chain(self, message: ActOnChain, ctx: Context) -> None:
        record: MigrationChainRecord | None = self.record
        fault = act_fault(record, message)
        if record is None or fault is not None:
            ctx.reply(fault)
            return
        if message.act == "cancel":
            self._cancel(ctx, record, message.by)
        else:
            trigger: Trigger | None = {"planned": "start", "failed": "retry"}.get(record.status)  # type: ignore[assignment]
            if trigger is not None:
                record = self._stepped(ctx, record, trigger, message.by)
                again = trigger == "retry"
                record = evolve(record, error=None, refused_by_peer_id=None, tries=0, attempt=record.attempt + again, ended_at=None)
                record = evolve(record, stalled=False, progress_at=ctx.wall)
            automatic = record.automatic or message.act == "run"
            # A retry goes on with what was asked for before.
            record = evolve(record, automatic=automatic, cancelling=False, word=record.word if record.asked else None)
            self._keep(ctx, self._asking(ctx, record))
            self._ask(ctx, ctx.record)
        self._shown(ctx, message.mark, 200)

    def _cancel(self, ctx: Context, record: MigrationChainRecord, by: str | None) -> None:
        if record.status == "in_flight" and record.asked:
            # Whether it has begun only its holder knows: it is asked to leave it, and the chain ends with what it says.
            self._keep(ctx, self._logged(ctx, evolve(record, cancelling=True), "cancelling", by))
            self._ask(ctx, ctx.record)
        else:
            self._end(ctx, record, "cancel", by)

    def _shown(self, ctx: Context, mark: Mark | None, status: int) -> None:
        remember(ctx, mark, status, {"migration_chain": shown(ctx.record, places(ctx))})
        ctx.reply(ctx.record)

    # --- asking the holder ----------------------------------------------------------------------------------------

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: MigrationChainRecord | None = self.record
        if record is None or not has_come(record.next_attempt_at, ctx.wall, HOURLY_S):
            return
        if not record.asked:
            # Between two hops of a chain that runs by itself.
            record = self._asking(ctx, record)
        note_run(ctx, CHAIN_ADVANCE, record.account_id, record.error)
        self._keep(ctx, record)
        self._ask(ctx, ctx.record)

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        if self.record is not None and self.record.asked and self.record.status == "in_flight":
            self._ask(ctx, self.record)

    def _asking(self, ctx: Context, record: MigrationChainRecord) -> MigrationChainRecord:
        """The record with which the present hop is asked for, with what will judge the receipt of its destination."""
        peer = peer_of(ctx, record.next_peer_id or "")
        anchors = tuple(dict.fromkeys((*record.destination_anchors, *(trusted(peer) if peer is not None else ()))))
        return evolve(record, asked=True, destination_anchors=anchors)

    def _ask(self, ctx: Context, record: MigrationChainRecord) -> None:
        """Ask for the present hop, or to leave it; harmless however often it is asked."""
        number = record.current_hop_index
        if self.asking or record.status != "in_flight" or record.next_peer_id is None:
            return
        if number == 0:
            hop = Ref(HOP.name, hop_id(record.account_id, record.id, 0))
            ctx.send(hop, WithdrawHop(tell=(record.id, record.attempt)) if record.cancelling else self._own_hop(record))
            return
        peer = peer_of(ctx, record.holder_peer_id or "")
        request = self._request(ctx, record, peer)
        if isinstance(request, Fault):
            ctx.after(0.0, HopAnswered(request, (number, record.attempt)), "unreachable")
            return
        self.asking = True
        ctx.call(request, then=HopAnswered, tag=(number, record.attempt))

    def _own_hop(self, record: MigrationChainRecord) -> StartHop:
        return StartHop(
            account_id=record.account_id,
            chain_id=record.id,
            number=0,
            attempt=record.attempt,
            asker_peer_id=None,
            grant_id=None,
            header=record.header,
            destination_peer_id=record.next_peer_id or "",
            acknowledge_residency=record.acknowledge_residency,
            by=record.created_by,
        )

    def _request(self, ctx: Context, record: MigrationChainRecord, peer: PeerRecord | None) -> Any:
        destination = peer_of(ctx, record.next_peer_id or "")
        if peer is None or destination is None or peer.status == "revoked" or destination.remote_instance_id is None:
            return REVOKED
        path = f"{BASE}/{record.id}/hops/{record.current_hop_index}"
        body: dict[str, Any] = {
            **record.header.to_json(),
            "destination_instance_id": destination.remote_instance_id,
            "attempt": record.attempt,
            "acknowledge_residency": record.acknowledge_residency,
        }
        if record.cancelling:
            return exchange(peer, None, ctx.settings, ctx.wall, "POST", f"{path}/withdraw", {})
        request = exchange(peer, None, ctx.settings, ctx.wall, "POST", f"{path}/start", body)
        bearer = bearer_of(ctx, record.account_id, peer.id, record.root_resource_kind, record.root_now)
        if isinstance(request, Fault):
            return request
        return evolve(request, sealed_bearer=bearer) if bearer is not None else NO_GRANT

    # --- what the holder says -------------------------------------------------------------------------------------

    @handles(HopTold)
    def on_hop_told(self, message: HopTold, ctx: Context) -> None:
        record: MigrationChainRecord | None = self.record
        if record is None or record.status != "in_flight" or not record.asked or record.current_hop_index != message.number:
            return
        if message.attempt >= record.attempt or isinstance(message.outcome, HopWord):
            self._heard(ctx, record, message.outcome)

    @handles(HopAnswered)
    def on_hop_answered(self, message: HopAnswered, ctx: Context) -> None:
        self.asking = False
        record: MigrationChainRecord = self.record
        if record.status != "in_flight" or not record.asked or record.current_hop_index != message.tag[0]:
            return
        reply = message.outcome
        if isinstance(reply, RemoteReply) and reply.status in (200, 202):
            data = reply.body.get("data")
            word = parse(data.get("hop") if isinstance(data, dict) else None)
            self._heard(ctx, record, word if word is not None else UNREADABLE)
        else:
            self._heard(ctx, record, refused_by(reply), said=isinstance(reply, RemoteReply))

    def _heard(self, ctx: Context, record: MigrationChainRecord, outcome: HopWord | Fault, *, said: bool = True) -> None:
        """`said`: it comes from the holder; otherwise no answer did."""
        if isinstance(outcome, Fault):
            self._heard_fault(ctx, record, outcome, said=said)
        elif outcome.status in UNDER_WAY:
            former = record.word
            same = former is not None and (former.status, former.migration_status) == (outcome.status, outcome.migration_status)
            progress_at = record.progress_at if same else ctx.wall
            self._keep(ctx, evolve(record, word=outcome, begun=True, tries=0, error=outcome.error, progress_at=progress_at))
        elif outcome.status == "completed":
            self._hop_ended(ctx, record, outcome)
        elif outcome.attempt < record.attempt and not record.cancelling:
            # Of an attempt before this one.
            self._keep(ctx, evolve(record, word=outcome))
        elif record.cancelling:
            self._end(ctx, evolve(record, word=outcome, holder_certain=True), "cancel", None)
        else:
            code = NOT_BEGUN.get(outcome.status, outcome.error or "hop_failed")
            self._fail(ctx, evolve(record, word=outcome), code, certain=True, said=True)

    def _heard_fault(self, ctx: Context, record: MigrationChainRecord, fault: Fault, *, said: bool) -> None:
        if record.cancelling and fault.code == "chain_hop_not_found":
            self._end(ctx, record, "cancel", None)
        elif passes(fault.code, fault.status):
            # Whether the holder heard of it is not known, unless nothing left.
            begun = record.begun or (isinstance(fault, RemoteFault) and fault.status >= 500)
            self._keep(ctx, evolve(record, tries=record.tries + 1, error=fault.code, begun=begun))
        else:
            self._fail(ctx, record, fault.code, certain=not record.begun, said=said)

    def _hop_ended(self, ctx: Context, record: MigrationChainRecord, word: HopWord) -> None:
        """The holder says that the resource has moved on: only the platform to which it has moved proves that."""
        told = evolve(word, proof=None)
        wrong = self._flaw(ctx, record, word) if record.current_hop_index > 0 else None
        if wrong is None:
            self._hop_done(ctx, record, told)
            return
        ctx.emit("migration_chain.unproven", "high", record.account_id, **self._about(record), reason=wrong)
        unproven = self._logged(ctx, evolve(record, word=told), "unproven", None, reason=wrong)
        self._fail(ctx, unproven, UNPROVEN, certain=False, said=False)

    def _flaw(self, ctx: Context, record: MigrationChainRecord, word: HopWord) -> str | None:
        peer = peer_of(ctx, record.next_peer_id or "")
        anchors = dict.fromkeys((*(trusted(peer) if peer is not None else ()), *record.destination_anchors))
        instance_id = peer.remote_instance_id if peer is not None else None
        hop, moved = (record.id, record.current_hop_index), (record.operation, record.root_now, word.next_root_id or "")
        return hop_flaw(word.proof, tuple(anchors), instance_id or "", hop, moved, record.created_at)

    def _hop_done(self, ctx: Context, record: MigrationChainRecord, word: HopWord) -> None:
        root_now = word.next_root_id or record.root_now
        reached = record.current_hop_index + 1
        done = evolve(
            record,
            current_hop_index=reached,
            root_now=root_now,
            word=word,
            asked=False,
            destination_anchors=(),
            begun=False,
            holder_certain=True,
            attempt=record.attempt + 1,
            tries=0,
            error=None,
            stalled=False,
            progress_at=ctx.wall,
        )
        ctx.emit("migration_chain.advanced", "low", record.account_id, **self._about(done), hops_done=reached)
        if reached == record.total_hops:
            self._end(ctx, done, "arrived", None)
        elif record.operation == "migrate" and root_now != record.root_now:
            # A record of the destination has taken its place: what would move on is not what this chain is about.
            self._fail(ctx, self._stepped(ctx, done, "hop_done", None), "chain_root_replaced", certain=True, said=False)
        elif record.cancelling:
            self._end(ctx, done, "cancel", None)
        else:
            self._keep(ctx, self._stepped(ctx, done, "hop_done", None))

    # --- small things ---------------------------------------------------------------------------------------------

    def _keep(self, ctx: Context, record: MigrationChainRecord) -> None:
        """Save, with the time of the next look, and with what it means that nothing has moved for long."""
        at: float | None = None
        if record.status == "in_flight" and record.asked:
            at = ctx.wall + (retry_after(record.tries) if record.tries else TICK_S)
            if not record.stalled and ctx.wall - record.progress_at >= STALLED_AFTER_S:
                ctx.emit("migration_chain.stalled", "medium", record.account_id, **self._about(record))
                record = self._logged(ctx, evolve(record, stalled=True), "stalled", None)
            elif record.stalled and ctx.wall - record.progress_at < STALLED_AFTER_S:
                record = evolve(record, stalled=False)
        elif record.status == "in_flight" and record.automatic:
            at = ctx.wall
        ctx.save(evolve(record, next_attempt_at=at, updated_at=ctx.wall, audit_log=record.audit_log[-LOG_KEPT:]))

    def _fail(self, ctx: Context, record: MigrationChainRecord, code: str, *, certain: bool, said: bool) -> None:
        said_by = record.holder_peer_id if said else None
        failed = evolve(record, error=code, refused_by_peer_id=said_by, holder_certain=certain, asked=False, cancelling=False)
        self._end(ctx, failed, "refused", None)

    def _end(self, ctx: Context, record: MigrationChainRecord, trigger: Trigger, by: str | None) -> None:
        ended = evolve(self._stepped(ctx, record, trigger, by), asked=False, stalled=False, ended_at=ctx.wall, cancelling=False)
        if ended.status in ("completed", "failed"):
            severity: Any = "low" if ended.status == "completed" else "medium"
            ctx.emit(f"migration_chain.{ended.status}", severity, ended.account_id, **self._about(ended), code=ended.error)
        self._keep(ctx, ended)

    def _stepped(self, ctx: Context, record: MigrationChainRecord, trigger: Trigger, by: str | None) -> MigrationChainRecord:
        status = transition(record.status, trigger)
        assert status is not None, (record.status, trigger)
        return self._logged(ctx, evolve(record, status=status), trigger, by)

    def _logged(self, ctx: Context, record: MigrationChainRecord, why: str, by: str | None, **more: str) -> MigrationChainRecord:
        """The record with an entry of what has happened, which the audit chain of the peer concerned keeps too."""
        told = {"hop": record.current_hop_index, "status": record.status, "error": record.error, **more}
        entry = {"at": iso(ctx.wall), "by": by, "why": why, **told}
        chain = record.next_peer_id or record.hop_peer_ids[-1]
        kind = "user" if by is not None else "system"
        ctx.audit_in(chain, f"migration_chain.{why}", kind, by, chain_id=record.id, **told)
        return evolve(record, audit_log=(*record.audit_log, entry))

    def _about(self, record: MigrationChainRecord) -> dict[str, Any]:
        peer_id = record.next_peer_id or record.hop_peer_ids[-1]
        return {"chain_id": record.id, "federation_peer_id": peer_id, "hop": record.current_hop_index}


def act_fault(record: MigrationChainRecord | None, message: ActOnChain) -> Fault | None:
    """Why this cannot be done now, or None."""
    if record is None:
        return NOT_FOUND
    if message.expected_version is not None and message.expected_version != record.version:
        return OperatorFault("version_conflict", "the chain has changed since; read it again", 409, {"version": record.version})
    over = record.status in ("completed", "cancelled") or (record.status == "failed" and message.act in ("run", "advance"))
    if over:
        return OperatorFault("chain_terminal", f"a chain that is {record.status} does not go on", 409, {"status": record.status})
    if message.act == "retry" and record.status == "planned":
        return OperatorFault("invalid_transition", "a chain that is planned has nothing to try again; run it", 422, {"from": record.status})
    moving = record.word is not None and record.word.status == "moving" and record.word.migration_status not in (None, "conflict", "failed")
    if message.act == "cancel" and record.asked and moving:
        return OperatorFault("chain_hop_under_way", "a hop is under way; cancel between two hops", 409, {"hop": record.current_hop_index})
    return None
