"""`slow_ports`: keys and signatures take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from api.durations import parse_duration
from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, Kind, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

SLOWEST_S: Final = 10.0
"""Longer than that no key store takes that works at all; `ca_down` is for those that do not."""

SLOWNESSES_S: Final = (0.0, 0.005, 0.05, 0.5, 1.0, 5.0, SLOWEST_S)


def _slow(value: object) -> float:
    seconds = parse_duration(value)
    if seconds > SLOWEST_S:
        raise ValueError(f"must be at most {SLOWEST_S:.0f}s: no port takes longer")
    return seconds


SLOWNESS: Final = Kind("duration, at most 10s", _slow, schema=DURATION.schema)


@action("slow_ports")
@attrs.frozen(kw_only=True)
class SlowPorts:
    """From now on the vault, the authority and the credentials of a platform take this long for each call; other turns come between."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    by_s: float = attrs.field(metadata=key(SLOWNESS, "how long, at most 10s; 0 is at once", "by", drawn=SLOWNESSES_S))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).ports_s = self.by_s
