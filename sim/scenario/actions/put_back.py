"""`put_back`: an earlier copy of a platform's data takes the place of the present one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("put_back")
@attrs.frozen(kw_only=True)
class PutBack:
    """By hand, an earlier copy takes the place of a platform's data, and the platform starts on it without knowing."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        if host.copy is None:
            raise StageError(f"nobody has kept a copy of {self.on}")
        if host.running:
            host.crash()
        host.put_back()
        host.restart()
        stage.look_again(self.on)
