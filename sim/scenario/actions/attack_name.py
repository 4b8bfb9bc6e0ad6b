"""`attack_name`: the name of one platform leads to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("attack_name")
@attrs.frozen(kw_only=True)
class AttackName:
    """Whoever looks up the name of a platform is led to another one, which listens there in its place."""

    of: str = attrs.field(metadata=key(PLATFORM, "whose name"))
    to: str = attrs.field(metadata=key(PLATFORM, "to whom it leads"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.of).url.removeprefix("https://")
        stage.world.network.names.set(host, (stage.host(self.to).address,))
