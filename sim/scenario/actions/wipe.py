"""`wipe`: a platform loses everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.mishaps import wipe
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key
from sim.world import NoAnswerError

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("wipe")
@attrs.frozen(kw_only=True)
class Wipe:
    """A platform loses its data, its keys and its identity, and starts as a new one under the same name."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        wipe(stage.host(self.on))
        stage.look_again(self.on)
        host = stage.host(self.on)
        try:
            host.sign_in()
        except NoAnswerError as error:
            raise StageError(f"{self.on} is a new platform now, and does not answer its first operator") from error
