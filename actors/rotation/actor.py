"""The rotation of our own root: makes the next one, watches the peers, and moves our own listener when they have followed.

Lives here: begin, progress and end. Must not live here: what each peer's row does (`actors.peer.moving`). What is sent to the peers'
actors only saves time: each looks at this record by itself, once a minute and whenever its remote asks, so that a crash loses no word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from actors.idempotency.record import Mark, remember
from actors.limits import DAY_S, ROTATION_LOOK_S, ROTATION_PEERS_ANSWERED_MAX
from actors.peer.messages import LookAtRoots
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.ports import MadeRoot, MakeRoot
from actors.rotation.messages import Finish, RootMade, Rotate, Rotating
from actors.rotation.record import KIND, OPEN, Root, RotationRecord, child_of_ours, ended_with, ends_for_us, progress_of, roots_of
from actors.rotation.shown import shown
from runtime.actor import Actor, Due, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.deadlines import has_come
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query, Row
from runtime.values import evolve

UNDER_WAY: Final = OperatorFault("rotation_under_way", "a rotation is under way; `powernode trust status` shows how far it is", 409)
NO_ROTATION: Final = OperatorFault("no_rotation", "no rotation is under way, and nobody was named to be given up", 409)
ROTATED: Final = "federation.trust.rotated"
NAMED_MAX: Final = 64


class RotationActor(Actor):
    """One platform; the id is that of the instance."""

    kind = KIND

    # --- begin ---------------------------------------------------------------------------------------------------

    @handles(Rotate)
    def on_rotate(self, message: Rotate, ctx: Context) -> None:
        fault = self._fault(message, ctx)
        if fault is not None:
            ctx.reply(fault)
        else:
            ctx.call(MakeRoot(), then=RootMade, tag=(message, ctx.defer()))

    def _fault(self, message: Rotate, ctx: Context) -> Fault | None:
        """Why no rotation may begin now, or None. After a compromise nothing is waited for, a rotation under way least of all."""
        record: RotationRecord | None = self.record
        if message.force:
            return None
        if record is not None and record.next is not None:
            return UNDER_WAY
        peers = [row.record for row in self._peers(ctx)]
        behind = self._behind(ctx, record, peers)
        if behind:
            text = "peers have not followed the last rotation; they could not follow this one: approve, pair again, revoke or give them up"
            return OperatorFault("rotation_incomplete", text, 409, {"peer_ids": self._named(behind, message.account_id)})
        ends = ctx.wall + message.overlap_days * DAY_S
        cut = [p for p in peers if p.acceptance_token_digest is not None and (p.acceptance_token_expires_at or 0.0) > ends]
        if cut:
            text = "tokens that pin the present root outlive the overlap; choose a longer one or regenerate them with less time"
            return OperatorFault("tokens_outlive_overlap", text, 409, {"peer_ids": self._named(cut, message.account_id)})
        return None

    @handles(RootMade)
    def on_root_made(self, message: RootMade, ctx: Context) -> None:
        asked, address = message.tag
        fault = message.fault or self._fault(asked, ctx)
        if fault is not None:
            ctx.answer(address, fault)
            return
        made: MadeRoot = message.outcome
        root = Root(fingerprint=made.fingerprint, key=made.key, not_after=made.not_after)
        record: RotationRecord = self.record or RotationRecord(id=ctx.ref.id)
        after = self._forced(ctx, record, root, asked) if asked.force else self._begun(ctx, record, root, asked)
        ctx.save(after)
        self._tell_rows(ctx, [row.record for row in self._peers(ctx)], everybody=asked.force)
        self._answer(ctx, address, asked.mark, 202, asked.account_id)

    def _begun(self, ctx: Context, record: RotationRecord, root: Root, asked: Rotate) -> RotationRecord:
        begins = int(ctx.wall)
        ends = begins + int(asked.overlap_days * DAY_S)
        self._tell(ctx, "federation.trust.rotation_begun", "user", asked.by, fingerprint=root.fingerprint, ends=iso(ends), forced=False,
                   former=roots_of(record, ctx.settings.identity).current, reason=asked.reason)  # fmt: skip
        return evolve(
            record, next=root, begins=begins, ends=ends, forced=False, notice_id=None, given_up=(), reason=asked.reason, by=asked.by,
            completed_at=None, tokens_burnt=0, look_at=ctx.wall + ROTATION_LOOK_S,
        )  # fmt: skip

    def _forced(self, ctx: Context, record: RotationRecord, root: Root, asked: Rotate) -> RotationRecord:
        """The new root is in force at once. A next one that was announced goes too: it rests on the word of the former key."""
        former, now = roots_of(record, ctx.settings.identity).current, int(ctx.wall)
        facts = {"fingerprint": root.fingerprint, "former": former, "reason": asked.reason}
        self._tell(ctx, "federation.trust.rotation_begun", "user", asked.by, ends=iso(now), forced=True, **facts)
        # A token sends its holder to a listener under the former root, which the thief can show.
        open_tokens = sum(_open_token(row.record, ctx.wall) for row in self._peers(ctx))
        burnt = 0 if asked.keep_tokens else open_tokens
        self._tell(ctx, ROTATED, "user", asked.by, forced=True, tokens_burnt=burnt, tokens_kept=open_tokens - burnt, **facts)
        ended = ended_with(record, ctx.settings.identity, announced=True, burnt=not asked.keep_tokens)
        return evolve(
            record, former=ended, tokens_burnt=burnt, current=root, next=None, begins=now, ends=now, forced=True, notice_id=ctx.new_id(),
            given_up=(), reason=asked.reason, by=asked.by, completed_at=ctx.wall, look_at=None,
        )  # fmt: skip

    # --- progress ------------------------------------------------------------------------------------------------

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: RotationRecord | None = self.record
        if record is None or record.next is None or not has_come(record.look_at, ctx.wall, ROTATION_LOOK_S):
            return
        peers = [row.record for row in self._peers(ctx)]
        ends = ends_for_us(record)
        if ctx.wall < ends and (self._behind(ctx, record, peers) or _pinning(peers, ctx.wall)):
            self._tell_rows(ctx, peers, everybody=False)
            ctx.save(evolve(record, look_at=min(ctx.wall + ROTATION_LOOK_S, ends)))
            return
        ctx.save(self._ended(ctx, record, peers, "system", None))

    @handles(Finish)
    def on_finish(self, message: Finish, ctx: Context) -> None:
        """End the overlap now, or say for whom nobody waits."""
        record: RotationRecord | None = self.record
        peers = [row.record for row in self._peers(ctx)]
        own = {peer.id for peer in peers if peer.account_id == message.account_id}
        if record is None or (record.next is None and not message.give_up and not message.force):
            ctx.reply(NO_ROTATION)
            return
        strangers = [id for id in message.give_up if id not in own]
        if strangers:
            ctx.reply(OperatorFault("not_found", "some of the peers to be given up do not exist", 404, {"peer_ids": strangers[:NAMED_MAX]}))
            return
        given_up = (*record.given_up, *message.give_up)
        if message.force:
            given_up = (*given_up, *(peer.id for peer in self._behind(ctx, record, peers)))
        after = evolve(record, given_up=tuple(dict.fromkeys(given_up)))
        behind = self._behind(ctx, after, peers)
        if record.next is not None and not behind and (message.force or not _pinning(peers, ctx.wall)):
            after = self._ended(ctx, after, peers, "user", message.by)
        elif record.next is not None and not message.give_up:
            ctx.reply(self._not_yet(behind, _pinning(peers, ctx.wall), message.account_id))
            return
        if after.given_up != record.given_up:
            new = [id for id in after.given_up if id not in record.given_up]
            ctx.audit("trust.peers_given_up", "user", message.by, peer_ids=new[:NAMED_MAX], count=len(new))
        ctx.save(after)
        self._answer(ctx, None, message.mark, 200, message.account_id)

    def _not_yet(self, behind: Sequence[PeerRecord], pinning: Sequence[PeerRecord], account_id: str) -> Fault:
        if behind:
            text = "peers have not followed yet; wait for them, or say which of them are given up"
            return OperatorFault("peers_left_behind", text, 409, {"peer_ids": self._named(behind, account_id), "count": len(behind)})
        text = "tokens and accepts under way still pin the present root; wait for them, cancel them, or force the end"
        return OperatorFault("tokens_pin_former_root", text, 409, {"peer_ids": self._named(pinning, account_id), "count": len(pinning)})

    def _ended(self, ctx: Context, record: RotationRecord, peers: Sequence[PeerRecord], by: str, who: str | None) -> RotationRecord:
        """The next root is in force, and the only one that our listener shows."""
        assert record.next is not None
        self._tell(ctx, ROTATED, by, who, fingerprint=record.next.fingerprint, former=roots_of(record, ctx.settings.identity).current,
                   forced=False, waiting=len(self._behind(ctx, record, peers)))  # fmt: skip
        former = ended_with(record, ctx.settings.identity)
        return evolve(record, former=former, current=record.next, next=None, completed_at=ctx.wall, look_at=None)

    # --- what all of it needs ------------------------------------------------------------------------------------

    def _behind(self, ctx: Context, record: RotationRecord | None, peers: Sequence[PeerRecord]) -> list[PeerRecord]:
        return [peer for peer in peers if progress_of(peer, record, ctx.settings.identity) in OPEN]

    def _named(self, peers: Sequence[PeerRecord], account_id: str) -> list[str]:
        """The ids that an operator of this account may read."""
        return [peer.id for peer in peers if peer.account_id == account_id][:NAMED_MAX]

    def _tell(self, ctx: Context, event: str, by: Any, who: str | None, **facts: Any) -> None:
        ctx.audit(event.removeprefix("federation."), by, who, **facts)
        ctx.emit(event, "high", ctx.settings.identity.account_id or None, **facts)

    def _tell_rows(self, ctx: Context, peers: Sequence[PeerRecord], *, everybody: bool) -> None:
        """Let rows of children hold our roots, and after a compromise let every row tell its remote."""
        record: RotationRecord = ctx.record
        following = record.next.fingerprint if record.next is not None else None
        for peer in peers:
            lacks = child_of_ours(peer) and following is not None and all(a.fingerprint != following for a in peer.trusted_anchors)
            if everybody or lacks:
                ctx.send(Ref(PEER.name, peer.id), LookAtRoots())

    def _answer(self, ctx: Context, address: Any, mark: Mark | None, status: int, account_id: str) -> None:
        told = shown(ctx.record, ctx.settings, self._peers(ctx), account_id, ctx.wall, named_max=ROTATION_PEERS_ANSWERED_MAX)
        remember(ctx, mark, status, {"rotation": told})
        if address is None:
            ctx.reply(Rotating(ctx.record))
        else:
            ctx.answer(address, Rotating(ctx.record))

    def _peers(self, ctx: Context) -> list[Row]:
        return ctx.query(Query(PEER.name, ((Condition("status", "!=", "revoked"),),)))


def _pinning(peers: Sequence[PeerRecord], wall: float) -> list[PeerRecord]:
    """Rows with an open token that pins the present root, or with an accept of ours under way that names it."""
    return [peer for peer in peers if _open_token(peer, wall) or (peer.handshake is not None and peer.handshake.expires_at > wall)]


def _open_token(peer: PeerRecord, wall: float) -> bool:
    return peer.acceptance_token_digest is not None and (peer.acceptance_token_expires_at or 0.0) > wall
