"""`slow_ports`: keys and signatures take their time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

SLOWEST_S: Final = 10.0
"""Longer than that no key store takes that works at all; `ca_down` is for those that do not."""


@action("slow_ports")
@attrs.frozen(kw_only=True)
class SlowPorts:
    """From now on the vault, the authority and the credentials of a platform take this long for each call; other turns come between."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    by_s: float = attrs.field(metadata=key(DURATION, "how long, at most 10s; 0 is at once", "by"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if self.by_s > SLOWEST_S:
            raise StageError(f"no port takes longer than {SLOWEST_S:.0f} s")
        stage.host(self.on).ports_s = self.by_s
