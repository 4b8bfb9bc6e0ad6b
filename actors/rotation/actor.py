"""The rotation of our own root: makes the next one, watches the peers, and moves our own listener when they have followed.

Lives here: begin, progress and end. Must not live here: what each peer's row does (`actors.peer.anchors`). Nothing is sent to the peers'
actors: each looks at this record by itself, once a minute and whenever its remote asks, so there is no word that a crash could lose.
"""

from __future__ import annotations

import attrs

from actors.idempotency.record import remember
from actors.limits import DAY_S, ROTATION_LOOK_S
from actors.peer.lifecycle import LIVE
from actors.peer.record import KIND as PEER
from actors.ports import MadeRoot, MakeRoot
from actors.rotation.messages import RootMade, Rotate, Rotating
from actors.rotation.record import KIND, Root, RotationRecord, progress_of, roots_of
from actors.rotation.shown import shown
from runtime.actor import Actor, Due, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query

UNDER_WAY = OperatorFault("rotation_under_way", "a rotation is under way; `powernode trust status` shows how far it is", 409)
ROTATED = "federation.trust.rotated"


class RotationActor(Actor):
    """One platform; the id is that of the instance."""

    kind = KIND

    @handles(Rotate)
    def on_rotate(self, message: Rotate, ctx: Context) -> None:
        fault = self._fault(message, ctx)
        if fault is not None:
            ctx.reply(fault)
        else:
            ctx.call(MakeRoot(), then=RootMade, tag=(message, ctx.defer()))

    def _fault(self, message: Rotate, ctx: Context) -> Fault | None:
        record: RotationRecord | None = self.record
        if record is not None and record.next is not None:
            return UNDER_WAY
        signed = [row.record for row in self._peers(ctx) if row.record.trust_mode == "hierarchical" and row.record.spawn_role == "parent"]
        if any(peer.status in LIVE for peer in signed):
            text = "this platform signs for children, who would be left under the former root; end or re-pair these peerings first"
            return OperatorFault("children_stay_behind", text, 409, {"peer_ids": [peer.id for peer in signed][:64]})
        ends = ctx.wall + message.overlap_days * DAY_S
        open_tokens = [row.record for row in self._peers(ctx) if row.record.acceptance_token_digest is not None]
        cut = [peer.id for peer in open_tokens if (peer.acceptance_token_expires_at or 0.0) > ends]
        if cut and not message.force:
            text = "tokens that pin the present root outlive the overlap; choose a longer one or regenerate them afterwards"
            return OperatorFault("tokens_outlive_overlap", text, 409, {"peer_ids": cut[:64]})
        return None

    @handles(RootMade)
    def on_root_made(self, message: RootMade, ctx: Context) -> None:
        asked, address = message.tag
        fault = message.fault or self._fault(asked, ctx)
        if fault is not None:
            ctx.answer(address, fault)
            return
        made: MadeRoot = message.outcome
        record: RotationRecord = self.record or RotationRecord(id=ctx.ref.id)
        begins = int(ctx.wall)
        after = attrs.evolve(
            record,
            next=Root(fingerprint=made.fingerprint, key=made.key, not_after=made.not_after),
            begins=begins,
            ends=begins + int(asked.overlap_days * DAY_S),
            forced=asked.force,
            reason=asked.reason,
            by=asked.by,
            completed_at=None,
            look_at=ctx.wall + ROTATION_LOOK_S,
        )
        facts = {"fingerprint": made.fingerprint, "former": roots_of(record, ctx.settings.identity).current, "ends": iso(after.ends),
                 "forced": asked.force, "reason": asked.reason}  # fmt: skip
        ctx.audit("trust.rotation_begun", "user", asked.by, **facts)
        ctx.emit("federation.trust.rotation_begun", "high", ctx.settings.identity.account_id or None, **facts)
        ctx.save(after)
        remember(
            ctx, asked.mark, 202, {"rotation": shown(ctx.record, ctx.settings.identity, self._peers(ctx), ctx.settings.identity.account_id)}
        )
        ctx.answer(address, Rotating(ctx.record))

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: RotationRecord | None = self.record
        if record is None or record.next is None or record.look_at is None or record.look_at > ctx.wall:
            return
        first, peers = ctx.settings.identity.ca_fingerprint, [row.record for row in self._peers(ctx)]
        waiting = sum(progress_of(peer, record.next.fingerprint, first) == "waiting" for peer in peers)
        tokens = any(peer.acceptance_token_digest is not None and peer.acceptance_token_expires_at > ctx.wall for peer in peers)
        if ctx.wall < record.ends and (waiting or tokens):
            ctx.save(attrs.evolve(record, look_at=min(ctx.wall + ROTATION_LOOK_S, float(record.ends))))
            return
        facts = {"fingerprint": record.next.fingerprint, "former": roots_of(record, ctx.settings.identity).current, "waiting": waiting}
        ctx.audit("trust.rotated", "system", None, **facts)
        ctx.emit(ROTATED, "high", ctx.settings.identity.account_id or None, **facts)
        ctx.save(attrs.evolve(record, current=record.next, next=None, completed_at=ctx.wall, look_at=None))

    def _peers(self, ctx: Context) -> list:  # type: ignore[type-arg]
        return ctx.query(Query(PEER.name, ((Condition("status", "!=", "revoked"),),)))
