"""`ca_down`: a certificate authority cannot sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("ca_down")
@attrs.frozen(kw_only=True)
class CaDown:
    """The certificate authority of a platform cannot be read, so that nothing new is signed."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    down: bool = attrs.field(default=True, metadata=key(TRUTH, "false: it signs again"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).authority.down = self.down
