"""The continuity of one platform: hears what peers say about our starts, freezes trust, and carries out what operators decide.

Lives here: freezing, the decision, and its way to every peer as a durable intent. Must not live here: what a peer row does with it.
"""

from __future__ import annotations

from typing import Any

from actors.continuity.messages import CloseWhatCameBack, Decide, Decided, EpochClaimed, LaterStateClaimed
from actors.continuity.record import (
    CLAIMANTS_MAX,
    KIND,
    Closing,
    ContinuityRecord,
    frozen_by,
    leap_after,
    says_more,
    shown,
    undecided_restore,
)
from actors.homecoming.messages import AskHomes
from actors.homecoming.record import KIND as HOMECOMING
from actors.idempotency.record import remember
from actors.limits import DEPENDANTS_LOOK_S, DEPENDANTS_SLICE
from actors.peer.record import KIND as PEER
from actors.subscription.messages import Rewrite
from actors.subscription.steps import ROUTES_KIND
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

NOT_FROZEN = OperatorFault("trust_not_frozen", "trust is not frozen; there is nothing to decide", 409)
RESTORED = OperatorFault("claim_disproved", "this copy was restored by command; it cannot be declared not to be one", 409)


class ContinuityActor(Actor):
    """One platform; the id is that of the instance."""

    kind = KIND

    @handles(EpochClaimed)
    def on_epoch_claimed(self, message: EpochClaimed, ctx: Context) -> None:
        record: ContinuityRecord = self.record or ContinuityRecord(id=ctx.ref.id)
        known = max(record.decided_epoch, record.claimed_epoch if message.peer_id in record.claimants else 0)
        if message.peer_id in record.disbelieved or message.epoch <= max(known, ctx.settings.identity.boot_epoch):
            return
        self._freeze(ctx, evolve(record, claimed_epoch=max(record.claimed_epoch, message.epoch)), message.peer_id, "later_start")

    @handles(LaterStateClaimed)
    def on_later_state_claimed(self, message: LaterStateClaimed, ctx: Context) -> None:
        record: ContinuityRecord = self.record or ContinuityRecord(id=ctx.ref.id)
        identity = ctx.settings.identity
        more = says_more(record, identity, message.epoch, message.start_mark, message.history)
        if more is None or message.peer_id in record.disbelieved:
            return
        claimed = evolve(record, claimed_history=max(record.claimed_history, message.history))
        if more == "start":
            claimed = evolve(claimed, claimed_epoch=max(record.claimed_epoch, message.epoch))
        if record.frozen_at is None and frozen_by(record, identity) is not None:
            # It is known already that this is an earlier copy; what its peers have heard only says how far the decision must leap.
            if claimed != record:
                ctx.save(claimed)
        elif claimed != record or message.peer_id not in record.claimants:
            self._freeze(ctx, claimed, message.peer_id, "other_start" if more == "start" else "longer_history")

    def _freeze(self, ctx: Context, record: ContinuityRecord, claimant: str, noticed: str) -> None:
        """Let nothing be opened on a peer's word, which `record` holds already."""
        identity = ctx.settings.identity
        if record.frozen_at is None:
            facts = {
                "noticed": noticed,
                "claimed_epoch": record.claimed_epoch,
                "boot_epoch": identity.boot_epoch,
                "claimant": claimant,
            }
            ctx.audit("trust.frozen", "remote", None, **facts)
            ctx.emit("federation.trust.frozen", "critical", identity.account_id or None, **facts)
        claimants = tuple(dict.fromkeys((*record.claimants, claimant)))[-CLAIMANTS_MAX:]
        ctx.save(evolve(record, frozen_at=record.frozen_at if record.frozen_at is not None else ctx.wall, claimants=claimants))

    @handles(Decide)
    def on_decide(self, message: Decide, ctx: Context) -> None:
        record: ContinuityRecord = self.record or ContinuityRecord(id=ctx.ref.id)
        identity = ctx.settings.identity
        cause = frozen_by(self.record, identity)
        by_command = undecided_restore(record, identity)
        if cause is None or record.closing is not None:
            ctx.reply(NOT_FROZEN)
            return
        if message.decision == "not_restored" and by_command:
            ctx.reply(RESTORED)
            return
        facts: dict[str, Any] = {
            "decision": message.decision,
            "keep_peerings": message.keep_peerings,
            "keep_grants": message.keep_grants,
            "by": message.by,
        }
        facts |= {"claimed_epoch": record.claimed_epoch, "claimants": list(record.claimants)}
        ctx.audit("trust.decided", "user", message.by, **facts)
        ctx.emit("federation.trust.decided", "high", identity.account_id or None, **facts)
        decided = evolve(
            record, frozen_at=None, claimants=(), claimed_history=0, decided_at=ctx.wall, decided_by=message.by, decision=message.decision
        )
        if message.decision == "not_restored":
            doubted = tuple(dict.fromkeys((*record.disbelieved, *record.claimants)))
            decided = evolve(decided, disbelieved=doubted, claimed_epoch=0)
        else:
            decided = evolve(
                decided,
                decided_epoch=max(record.decided_epoch + 1, record.claimed_epoch, identity.boot_epoch, identity.restored_at_epoch),
                decided_restore=identity.restored_at_epoch,
                leap=leap_after(record, ctx.history),
                closing=Closing(keep_peerings=message.keep_peerings, keep_grants=message.keep_grants, look_at=ctx.wall),
            )
        ctx.save(decided)
        remember(ctx, message.mark, 200, shown(ctx.record, identity))
        ctx.reply(Decided(ctx.record))

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: ContinuityRecord | None = self.record
        closing = record.closing if record is not None else None
        if record is None or closing is None or not has_come(closing.look_at, ctx.wall, DEPENDANTS_LOOK_S):
            return
        query = Query(
            PEER.name, ((Condition("status", "!=", "revoked"),),), newest_first=False, after_id=closing.after_id, limit=DEPENDANTS_SLICE
        )
        rows = ctx.query(query)
        behind = [row.record.id for row in rows if row.record.restored_epoch < record.decided_epoch]
        unasked = [row.record for row in rows if row.record.peer_kind == "platform" and not self._asked(ctx, row.record.id, record)]
        for id in behind:
            told = CloseWhatCameBack(record.decided_epoch, closing.keep_peerings, closing.keep_grants, record.decided_by)
            ctx.send(Ref(PEER.name, id), told)
        for peer in unasked:
            # What moved to it since the copy was made nobody else can say. Trust stays frozen until the question is durable.
            ctx.send(Ref(HOMECOMING.name, peer.id), AskHomes(peer.account_id, record.decided_epoch))
        missed = closing.missed or bool(behind) or bool(unasked)
        if len(rows) == DEPENDANTS_SLICE:
            after = evolve(closing, after_id=rows[-1].record.id, missed=missed, look_at=ctx.wall)
        elif missed:
            after = evolve(closing, after_id=None, missed=False, look_at=ctx.wall + DEPENDANTS_LOOK_S)
        else:
            after = None
            ctx.audit("trust.unfrozen", "system", None, decided_epoch=record.decided_epoch)
            ctx.send(Ref(ROUTES_KIND, ctx.settings.identity.account_id), Rewrite())
            ctx.emit("federation.trust.unfrozen", "high", ctx.settings.identity.account_id or None, decided_epoch=record.decided_epoch)
        ctx.save(evolve(record, closing=after))

    def _asked(self, ctx: Context, peer_id: str, record: ContinuityRecord) -> bool:
        """Whether the question to this peer, for this decision, is on the disk."""
        row = ctx.row(HOMECOMING.name, peer_id)
        return row is not None and row.record.epoch >= record.decided_epoch
