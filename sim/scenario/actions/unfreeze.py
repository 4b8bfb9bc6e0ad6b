"""`unfreeze`: an operator decides what of an earlier copy still holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("unfreeze", answered=True)
@attrs.frozen(kw_only=True)
class Unfreeze:
    """An operator decides that the platform runs on an earlier copy of its data, and what of it still holds; or that it does not."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    decision: str = attrs.field(default="restored", metadata=key(one_of("restored", "not_restored"), "whether it is an earlier copy"))
    keep_peerings: bool = attrs.field(default=False, metadata=key(TRUTH, "peerings go on instead of being paused for review"))
    keep_grants: bool = attrs.field(default=False, metadata=key(TRUTH, "what was granted stays in force"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body: dict[str, object] = {"decision": self.decision}
        if self.decision == "restored":
            body |= {"keep_peerings": self.keep_peerings, "keep_grants": self.keep_grants}
        stage.call(name, self.on, "POST", "/unfreeze", body, surface=TRUST)


TRUST = "/api/v1/system/platform/trust"
