"""Making the review: a slice of rows at a time, every week and whenever an operator asks.

Lives here: the rhythm, the reading, the events. Must not live here: a category (see `review`). What has been read so far is volatile; a
review that a crash cuts off is made again, since only a finished one is noted.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from actors.bridge.record import KIND as BRIDGE
from actors.capability.record import KIND as CAPABILITY
from actors.governance import review
from actors.governance.messages import ReviewNow, ReviewSlice, ReviewTick
from actors.governance.record import GovernanceRecord
from actors.governance.review import CATEGORIES, SAMPLES, Review
from actors.grant.record import KIND as GRANT
from actors.limits import DAY_S, GOVERNANCE_SETTLE_S, GOVERNANCE_SLICE
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.periodic.works import GRANT_REVIEW, note_run
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.store.port import Condition, Query
from runtime.values import evolve

REVIEW_EVERY_S: Final = 7 * DAY_S


@attrs.define(eq=False)
class RunningReview:
    """A review under way; `asked` waits for it. The peers come first, then the grants, each from `after_id` on."""

    result: Review = attrs.field(factory=Review)
    of_grants: bool = False
    after_id: str | None = None
    peers: dict[str, PeerRecord] = attrs.field(factory=dict)
    asked: list[Any] = attrs.field(factory=list)


class Reviewing(Actor):
    """Handlers of the review."""

    review: RunningReview | None = None

    def schedule_review(self, ctx: Context, reviewed_at: float | None) -> None:
        """Set the time of the next review; one that was missed is made soon."""
        due_at = ctx.wall if reviewed_at is None else reviewed_at + REVIEW_EVERY_S
        # A review of a clock that was ahead would put the next one off until that time has come.
        ctx.after(max(min(due_at - ctx.wall, REVIEW_EVERY_S), 2 * GOVERNANCE_SETTLE_S), ReviewTick(), "review")

    @handles(ReviewTick)
    def on_review_tick(self, message: ReviewTick, ctx: Context) -> None:
        if self.review is None:
            self.review = RunningReview()
            self._review_slice(ctx, self.review)

    @handles(ReviewNow)
    def on_review_now(self, message: ReviewNow, ctx: Context) -> None:
        begun = self.review is not None
        running = self.review = self.review or RunningReview()
        running.asked.append(ctx.defer())
        if not begun:
            self._review_slice(ctx, running)

    @handles(ReviewSlice)
    def on_review_slice(self, message: ReviewSlice, ctx: Context) -> None:
        if self.review is not None:
            self._review_slice(ctx, self.review)

    def _review_slice(self, ctx: Context, running: RunningReview) -> None:
        read = self._grants(ctx, running) if running.of_grants else self._peers(ctx, running)
        if read < GOVERNANCE_SLICE and running.of_grants:
            self._reviewed(ctx, running)
            return
        if read < GOVERNANCE_SLICE:
            running.of_grants, running.after_id = True, None
        ctx.after(0.0, ReviewSlice(), "review-slice")

    def _peers(self, ctx: Context, running: RunningReview) -> int:
        mine = (Condition("account_id", "=", ctx.ref.id), Condition("peer_kind", "=", "platform"), Condition("status", "!=", "revoked"))
        rows = ctx.query(Query(PEER.name, (mine,), newest_first=False, after_id=running.after_id, limit=GOVERNANCE_SLICE))
        for row in rows:
            open_here = Query(CAPABILITY.name, ((Condition("open_peer_id", "=", row.record.id),),), limit=1)
            flows, cert_ttl_s = bool(ctx.query(open_here)), ctx.settings.federation.cert_ttl_s
            running.result.add(review.of_peer(row.record, flows=flows, cert_ttl_s=cert_ttl_s, wall=ctx.wall))
            # As in the scan: no second copy of every peer.
            running.peers[row.record.id] = ctx.engine.directory.freshest(PEER.name, row).record
            running.after_id = row.record.id
        return len(rows)

    def _grants(self, ctx: Context, running: RunningReview) -> int:
        mine = (Condition("account_id", "=", ctx.ref.id), Condition("open_peer_id", "not null"))
        rows = ctx.query(Query(GRANT.name, (mine,), newest_first=False, after_id=running.after_id, limit=GOVERNANCE_SLICE))
        for row in rows:
            running.after_id = row.record.id
            peer = running.peers.get(row.record.federation_peer_id)
            if peer is not None and peer.peering_epoch == row.record.peering_epoch:
                seen = ctx.engine.directory.freshest(GRANT.name, row)
                running.result.add(review.of_grant(seen.record, seen.evidence, ctx.wall, lambda id, peer=peer: reachable(ctx, peer, id)))  # type: ignore[misc]
        return len(rows)

    def _reviewed(self, ctx: Context, running: RunningReview) -> None:
        record: GovernanceRecord = self.record or GovernanceRecord(id=ctx.ref.id)
        self.review = None
        if running.peers:
            for category, count in running.result.counts.items():
                if count:
                    samples = running.result.entries[category][:SAMPLES]
                    ctx.emit(f"federation.review.{category}", CATEGORIES[category], ctx.ref.id, count=count, samples=samples)
            told = {category: count for category, count in running.result.counts.items() if count}
            ctx.emit("federation.manager.review_completed", "low", ctx.ref.id, categories=told, peers=len(running.peers))
        ctx.save(evolve(record, reviewed_at=ctx.wall))
        note_run(ctx, GRANT_REVIEW, ctx.ref.id)
        self.schedule_review(ctx, ctx.wall)
        shown = running.result.to_json(ctx.wall)
        for address in running.asked:
            ctx.answer(address, shown)


def reachable(ctx: Context, peer: PeerRecord, network_id: str) -> bool:
    """Whether a call of the peer may ever come through this network: it is there, and a bridge to it is not revoked."""
    network = ctx.row(RESOURCE.name, network_id)
    if network is None or not network.record.lives:
        return False
    here = (Condition("open_peer_id", "=", peer.id), Condition("sdwan_network_id", "=", network_id))
    return any(row.record.peering_epoch == peer.peering_epoch for row in ctx.query(Query(BRIDGE.name, (here,))))
