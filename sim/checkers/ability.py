"""What a platform is able to do at a moment, so that rules about time ask no more of it.

Lives here: questions about one host. Must not live here: a rule. A platform that cannot keep its promises (it is down, stands still, is
very slow, or its disk takes nothing) is asked for them again from the moment at which it can: nothing is excused for good.
"""

from __future__ import annotations

import math
from typing import Any, Final

from runtime.store.port import Condition, Query

NOTICEABLE_S: Final = 1.0
"""A process that takes up everything as late as that keeps no promise about time; one that is faster keeps it so much later."""

SETTLED_S: Final = 10.0
"""How long after it can do again what it must a platform may still be telling of what reached it before."""


SLOW_COMMIT_S: Final = 10.0
"""A disk that takes as long for a commit: no request that waits for one is answered in time."""

IMPROBABLE_S: Final = 1.0
"""How late the answer of a port may be where production code takes improbable turns."""


def at_work(host: Any) -> bool:
    """Whether the process of a platform runs freely, whatever its disk does."""
    return bool(host.running and not host.paused and host.lag_s < NOTICEABLE_S and host.engine.halted is None)


def awake(host: Any) -> bool:
    """Whether a platform can do what it must."""
    return bool(at_work(host) and host.store.writable() and host.store.disk.fsync_s < SLOW_COMMIT_S)


def delay_s(host: Any) -> float:
    """How long a turn takes that should take no time: the process may be slow, and so may be its disk, and what keeps its keys."""
    improbable_s = IMPROBABLE_S if host.world.buggify is not None else 0.0
    return float(host.store.disk.fsync_s + host.lag_s + host.ports_s + improbable_s)


LOOK_AGAIN_S: Final = 30.0
"""How long what was held back may take to notice that the clock is known."""

CLOCK_SET_S: Final = 600.0
_LIVE: Final = ("accepted", "enrolled", "active", "degraded")


def past_s(host: Any, due: float) -> float:
    """For how long (seconds) a platform has known for certain that `due` has passed; minus infinity while it does not.

    It knows once its clock is settled, in this start and since it was set last. That it comes to know is another rule's matter.
    """
    wall: float = host.clock.wall()
    if not any(host.store.query_ids(Query("peer", ((Condition("status", "=", status),),), limit=1)) for status in _LIVE):
        return wall - due
    row = host.store.load("wall_clock", host.instance_id)
    settled = row.record.settled if row is not None else None
    if settled is None or settled.epoch != host.boot_epoch or abs(wall - host.clock.now() - settled.offset_s) > CLOCK_SET_S:
        return -math.inf
    ahead_s, at = float(settled.ahead_s), float(settled.at)
    return min(wall - ahead_s - due, wall - at - LOOK_AGAIN_S)
