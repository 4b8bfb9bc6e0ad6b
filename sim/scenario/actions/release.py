"""`release`: another release of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.releases import RELEASES
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("release", fault=False)
@attrs.frozen(kw_only=True)
class Release:
    """A platform is stopped and started with another release of the program."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    to: str = attrs.field(metadata=key(one_of(*RELEASES), "which release"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.host(self.on).release = RELEASES[self.to]
        stage.restart(self.on)
