"""`decide_step`: an operator decides what happens where a migration meets a record of the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration.steps import POLICIES
from sim.scenario.actions.migration import newest
from sim.scenario.actions.plan_migration import MIGRATIONS
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, WHOLE, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("decide_step", answered=True)
@attrs.frozen(kw_only=True)
class DecideStep:
    """An operator sets the policy of one step of the newest migration of a platform."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    policy: str = attrs.field(metadata=key(one_of(*POLICIES), "what is to happen"))
    order: int = attrs.field(default=0, metadata=key(WHOLE, "number of the step"))

    def perform(self, stage: Stage, name: str | None) -> None:
        path = f"/{newest(stage, self.on)}/steps/{self.order}"
        stage.call(name, self.on, "PATCH", path, {"conflict_policy": self.policy}, surface=MIGRATIONS)
