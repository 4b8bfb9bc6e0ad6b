"""The actor of the wall clock: hears what peers say of the time, and decides whether ours may be gone by.

Lives here: the vote, the wait that ends without one, and the word of an operator. Must not live here: what waits for it.

Each peer has one voice, its newest. Our clock is right if at least as many agree with it as do not. What peers say is no proof, and no
one of them can hasten anything by it: at worst a peer that lies has what has ended kept for longer.
"""

from __future__ import annotations

from typing import Final

import attrs

from actors.idempotency.record import remember
from actors.limits import SKEW_MAX_S
from actors.peer.lifecycle import LIVE
from actors.wall_clock.messages import ClockHeard, Confirm, Confirmed, Gathered, HeldBack, Waited
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
    shown,
)
from runtime.actor import Actor, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

SETTLED = "federation.clock.settled"
DIFFERS: Final = OperatorFault(
    "clock_differs", "this platform's clock shows another time than the one that was given; mend it, and nothing need be confirmed", 409
)
NOT_IN_QUESTION: Final = OperatorFault("clock_not_in_question", "the clock is settled; nothing waits for it", 409)


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

    @handles(Confirm)
    def on_confirm(self, message: Confirm, ctx: Context) -> None:
        record: WallClockRecord = self.record or WallClockRecord(id=ctx.ref.id)
        identity = ctx.settings.identity
        known = record.settled if holds(record.settled, identity.boot_epoch, ctx.wall - ctx.now) else None
        if abs(message.time - ctx.wall) > SKEW_MAX_S:
            ctx.reply(evolve(DIFFERS, details={"time": iso(ctx.wall), "skew_s_max": int(SKEW_MAX_S)}))
            return
        if known is not None and known.ahead_s == 0:
            ctx.reply(NOT_IN_QUESTION)
            return
        overruled_s = max(self._words(ctx).ahead_s, known.ahead_s if known is not None else 0.0)
        facts = {"reason": message.reason, "overruled_s": int(overruled_s), "time": iso(ctx.wall)}
        ctx.audit_in(identity.instance_id, "clock.confirmed", "user", message.by, **facts)
        self._settle(ctx, "operator", 0.0, overruled_s)
        remember(ctx, message.mark, 200, shown(ctx.record, identity.boot_epoch, ctx.wall, ctx.now))
        ctx.reply(Confirmed(ctx.record))

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
        if known and settled is not None and settled.by == "operator" and words.ahead_s <= settled.overruled_s + AHEAD_CHANGED_S:
            # What had been said before an operator decided against it is no news.
            return
        if settled is None or not known or settled.by != "peers" or abs(settled.ahead_s - words.ahead_s) > AHEAD_CHANGED_S:
            self._settle(ctx, "peers", words.ahead_s)

    def _settle(self, ctx: Context, by: SettledBy, ahead_s: float, overruled_s: float = 0.0) -> None:
        identity = ctx.settings.identity
        record: WallClockRecord = self.record or WallClockRecord(id=ctx.ref.id)
        offset_s = ctx.wall - ctx.now
        settled = Settled(epoch=identity.boot_epoch, offset_s=offset_s, by=by, ahead_s=ahead_s, at=ctx.wall, overruled_s=overruled_s)
        if ahead_s > 0 or by != "peers":
            severe = ahead_s > 0 or overruled_s > 0
            ctx.emit(SETTLED, "high" if severe else "medium", identity.account_id or None, by=by, ahead_s=int(ahead_s))
        ctx.save(evolve(record, settled=settled, waiting=None))
        ctx.cancel("waited")
