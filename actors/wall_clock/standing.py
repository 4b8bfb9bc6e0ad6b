"""How the other actors ask whether a time has passed for certain, and tell what they hear of other clocks.

Lives here: what a handler of any kind calls. Must not live here: a decision (see `actor`).
"""

from __future__ import annotations

import math
from typing import Final

from actors.limits import SKEW_MAX_S
from actors.peer.lifecycle import LIVE
from actors.wall_clock.messages import ClockHeard, HeldBack
from actors.wall_clock.record import KIND, LOOK_AGAIN_S, WallClockRecord, holds, passed_until
from runtime.actor import Ref
from runtime.context import Context
from runtime.errors import OperatorFault
from runtime.store.port import Condition, Query

CLOCK_IN_QUESTION: Final = OperatorFault(
    "clock_in_question",
    "no peer has confirmed this platform's clock since it started or the clock was set; nothing is destroyed until one or an operator does",
    409,
)

_PEER: Final = "peer"


def has_passed(ctx: Context, at: float) -> bool:
    """Whether `at` (seconds since the epoch) has passed, so that what ends then may be destroyed for good.

    If it has by our clock only, and that is not known to be right, the deadline of the actor that asks is told again before long.
    """
    if ctx.wall < at:
        return False
    if at <= certain_wall(ctx):
        return True
    ctx.look_again(LOOK_AGAIN_S)
    return False


def certain_wall(ctx: Context) -> float:
    """The moment up to which time has passed for certain, `ctx.wall` if nothing speaks against it; minus infinity until that is known.

    A platform without a peering in force goes by its own clock: there is nobody who could contradict it.
    """
    record = _row(ctx)
    certain = passed_until(record, ctx.settings.identity.boot_epoch, ctx.wall, ctx.now)
    if certain > -math.inf:
        return certain
    if not ctx.query_ids(Query(_PEER, tuple((Condition("status", "=", status),) for status in sorted(LIVE)), limit=1)):
        return ctx.wall
    if record is None or not holds(record.waiting, ctx.settings.identity.boot_epoch, ctx.wall - ctx.now):
        ctx.send(Ref(KIND.name, ctx.settings.identity.instance_id), HeldBack())
    return certain


def hear(ctx: Context, peer_id: str, skew_s: float) -> None:
    """Take what a peer's message says of its clock, minus ours. Nobody is told what is known already."""
    record = _row(ctx)
    settled = record.settled if record is not None else None
    known = settled is not None and holds(settled, ctx.settings.identity.boot_epoch, ctx.wall - ctx.now)
    if known and settled is not None and (abs(skew_s) <= SKEW_MAX_S) != (settled.ahead_s > 0):
        return
    ctx.send(Ref(KIND.name, ctx.settings.identity.instance_id), ClockHeard(peer_id, skew_s))


def _row(ctx: Context) -> WallClockRecord | None:
    row = ctx.row(KIND.name, ctx.settings.identity.instance_id)
    return row.record if row is not None else None
