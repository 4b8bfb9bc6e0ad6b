"""`resolver_trouble`: a platform resolves nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.names import Trouble
    from sim.scenario.stage import Stage


@action("resolver_trouble")
@attrs.frozen(kw_only=True)
class ResolverTrouble:
    """No name resolves for one platform; what it remembers still helps it."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose resolver"))
    answer: str = attrs.field(metadata=key(one_of("nxdomain", "servfail", "timeout", "well"), "what it answers; `well` ends it"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.world.network.names.blind(self.on, cast("Trouble | None", None if self.answer == "well" else self.answer))
