"""`wait`: later steps wait for a status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, STATUS, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("wait", fault=False)
@attrs.frozen(kw_only=True)
class Wait:
    """Later steps wait until a row has this status; those whose time has passed then follow at once."""

    on: str = attrs.field(metadata=key(PLATFORM, "on whose side"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    is_: str = attrs.field(metadata=key(STATUS, "the status that is waited for", "is"))
    within_s: float = attrs.field(metadata=key(DURATION, "after which the scenario has failed", "within"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if not stage.run_until(lambda: stage.status(self.on, self.peer) == self.is_, self.within_s):
            found = stage.status(self.on, self.peer)
            raise StageError(f"{self.peer} on {self.on} was not {self.is_} within {self.within_s:g} s, but {found}")
