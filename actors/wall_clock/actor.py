"""The actor of the wall clock: hears what peers say of the time, and decides whether ours may be gone by.

Lives here: the vote, and the wait that ends without one. Must not live here: what waits for it.

Each peer has one voice, its newest. Our clock is right if at least as many agree with it as do not. What peers say is no proof, and no
one of them can hasten anything by it: at worst a peer that lies has what has ended kept for longer.
"""

from __future__ import annotations

import attrs

from actors.limits import SKEW_MAX_S
from actors.peer.lifecycle import LIVE
from actors.wall_clock.messages import ClockHeard, Gathered, HeldBack, Waited
from actors.wall_clock.record import (
    AHEAD_CHANGED_S,
    KIND,
    WAITED_EVERY_S,
    WAITED_MAX_S,
    WORDS_ENOUGH,
    WORDS_GATHERED_S,
    WORDS_MAX,
    Settled,
    SettledBy,
    Waiting,
    WallClockRecord,
    holds,
)
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.store.port import Condition, Query
from runtime.values import evolve

SETTLED = "federation.clock.settled"


@attrs.define
class Words:
    """What peers have said of our clock since it was set last: by peer, by how many seconds it is behind theirs."""

    offset_s: float
    skew_s: dict[str, float] = attrs.field(factory=dict)

    @property
    def agreeing(self) -> int:
        """How many have our time."""
        return sum(abs(skew_s) <= SKEW_MAX_S for skew_s in self.skew_s.values())

    @property
    def ahead_s(self) -> float:
        """By how much our clock is ahead of theirs, if most of them say so; else 0."""
        if 2 * self.agreeing >= len(self.skew_s):
            return 0.0
        return max(0.0, *(-skew_s for skew_s in self.skew_s.values() if abs(skew_s) > SKEW_MAX_S))


class WallClockActor(Actor):
    """One platform; the id is that of the instance."""

    kind = KIND
    overflow = "coalesce"
    passivate_after_s = None
    words: Words | None = None

    @staticmethod
    def coalesce_key(message: object) -> object:
        return (type(message), message.peer_id) if isinstance(message, ClockHeard) else type(message)

    @handles(HeldBack)
    def on_held_back(self, message: HeldBack, ctx: Context) -> None:
        record: WallClockRecord = self.record or WallClockRecord(id=ctx.ref.id)
        epoch, offset_s = ctx.settings.identity.boot_epoch, ctx.wall - ctx.now
        if holds(record.settled, epoch, offset_s) or holds(record.waiting, epoch, offset_s):
            return
        former = record.waiting
        # A start ends no wait, but what was waited under another clock proves nothing for this one.
        waited_s = former.waited_s if former is not None and former.epoch != epoch else 0.0
        ctx.save(evolve(record, waiting=Waiting(epoch=epoch, offset_s=offset_s, since=ctx.wall, waited_s=waited_s)))
        ctx.after(WAITED_EVERY_S, Waited(), "waited")

    @handles(ClockHeard)
    def on_clock_heard(self, message: ClockHeard, ctx: Context) -> None:
        words = self._words(ctx)
        if message.peer_id not in words.skew_s and len(words.skew_s) >= WORDS_MAX:
            return
        words.skew_s[message.peer_id] = message.skew_s
        if self._enough(ctx, len(words.skew_s)):
            self._decide(ctx, words)
        elif len(words.skew_s) == 1:
            ctx.after(WORDS_GATHERED_S, Gathered(), "gathered")

    @handles(Gathered)
    def on_gathered(self, message: Gathered, ctx: Context) -> None:
        words = self._words(ctx)
        if words.skew_s:
            self._decide(ctx, words)

    @handles(Waited)
    def on_waited(self, message: Waited, ctx: Context) -> None:
        record: WallClockRecord | None = self.record
        if record is None or record.waiting is None:
            return
        epoch, offset_s = ctx.settings.identity.boot_epoch, ctx.wall - ctx.now
        if holds(record.settled, epoch, offset_s):
            # The clock is again what it was when it was settled.
            ctx.save(evolve(record, waiting=None))
            return
        ctx.after(WAITED_EVERY_S, Waited(), "waited")
        if not holds(record.waiting, epoch, offset_s):
            return
        waited_s = record.waiting.waited_s + WAITED_EVERY_S
        if waited_s >= WAITED_MAX_S and not self._words(ctx).skew_s:
            self._settle(ctx, "time", 0.0)
        else:
            ctx.save(evolve(record, waiting=evolve(record.waiting, waited_s=waited_s)))

    def _enough(self, ctx: Context, count: int) -> bool:
        """Whether so many have spoken that the others need not be waited for."""
        if count >= WORDS_ENOUGH:
            return True
        live = tuple((Condition("status", "=", status),) for status in sorted(LIVE))
        return len(ctx.query_ids(Query("peer", live, limit=2 * count))) < 2 * count

    def _words(self, ctx: Context) -> Words:
        """The words about the clock as it is set now."""
        if self.words is None or abs(ctx.wall - ctx.now - self.words.offset_s) > SKEW_MAX_S:
            self.words = Words(ctx.wall - ctx.now)
        return self.words

    def _decide(self, ctx: Context, words: Words) -> None:
        settled = self.record.settled if self.record is not None else None
        known = holds(settled, ctx.settings.identity.boot_epoch, ctx.wall - ctx.now)
        if settled is None or not known or settled.by != "peers" or abs(settled.ahead_s - words.ahead_s) > AHEAD_CHANGED_S:
            self._settle(ctx, "peers", words.ahead_s)

    def _settle(self, ctx: Context, by: SettledBy, ahead_s: float) -> None:
        identity = ctx.settings.identity
        record: WallClockRecord = self.record or WallClockRecord(id=ctx.ref.id)
        settled = Settled(epoch=identity.boot_epoch, offset_s=ctx.wall - ctx.now, by=by, ahead_s=ahead_s, at=ctx.wall)
        if ahead_s > 0 or by == "time":
            ctx.emit(SETTLED, "high" if ahead_s > 0 else "medium", identity.account_id or None, by=by, ahead_s=int(ahead_s))
        ctx.save(evolve(record, settled=settled, waiting=None))
        ctx.cancel("waited")
