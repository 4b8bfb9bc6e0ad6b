"""`dns_trouble`: a name does not resolve."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from sim.links import Flap
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.names import Trouble
    from sim.scenario.stage import Stage


@action("dns_trouble")
@attrs.frozen(kw_only=True)
class DnsTrouble:
    """The name of a platform resolves for nobody, all the time or off and on; for one platform that asks see `resolver_trouble`."""

    of: str = attrs.field(metadata=key(PLATFORM, "whose name"))
    answer: str = attrs.field(metadata=key(one_of("nxdomain", "servfail", "timeout", "well"), "what the servers answer; `well` ends it"))
    up_s: float | None = attrs.field(default=None, metadata=key(DURATION, "it comes and goes: how long it resolves each time", "up"))
    down_s: float | None = attrs.field(default=None, metadata=key(DURATION, "and how long it does not", "down"))

    def perform(self, stage: Stage, name: str | None) -> None:
        flap = None
        if self.up_s is not None or self.down_s is not None:
            if not self.up_s or not self.down_s:
                raise StageError("a name that comes and goes needs both `up` and `down`")
            flap = Flap(self.up_s, self.down_s, stage.world.timeline.now)
        trouble = cast("Trouble | None", None if self.answer == "well" else self.answer)
        stage.world.network.names.trouble(f"{self.of}.example.com", trouble, flap)
