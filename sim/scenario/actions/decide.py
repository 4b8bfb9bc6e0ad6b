"""`decide`: an operator decides about the newest request that waits for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.approval.record import KIND
from runtime.store.port import Condition, Query
from sim.scenario.actions.registry import action
from sim.scenario.codes import ROUTE_CODES
from sim.scenario.kinds import PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

APPROVALS: Final = "/api/v1/ai/autonomy/approvals"


@action("decide", answered=True, answers=(*ROUTE_CODES, "none"))
@attrs.frozen(kw_only=True)
class Decide:
    """An operator approves, rejects or withdraws the newest request that waits on a platform; `none` if there is none."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    by: str | None = attrs.field(default=None, metadata=key(TEXT, "which operator of `add_operator`; the first one if not given"))
    decision: str = attrs.field(default="approve", metadata=key(one_of("approve", "reject", "cancel"), "what is decided"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(KIND.name, ((Condition("status", "=", "pending"),),), limit=1))
        if not found:
            if name is not None:
                stage.history.answers[name] = "none"
            return
        body = {"reason": "in a scenario"} if self.decision == "reject" else {}
        stage.call(name, self.on, "POST", f"/{found[0].record.id}/{self.decision}", body, surface=APPROVALS, by=self.by)
