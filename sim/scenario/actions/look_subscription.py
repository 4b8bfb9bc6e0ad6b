"""`look_subscription`: how the newest subscription of a platform stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.subscription.lifecycle import STATES
from actors.subscription.record import KIND
from runtime.store.port import Query
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_subscription", answered=True, answers=(*STATES, "none"))
@attrs.frozen(kw_only=True)
class LookSubscription:
    """The committed state of the newest subscription of a platform, with the reason that it has, as the answer of the step."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose subscription"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(KIND.name, limit=1))
        if name is None:
            return
        record = found[0].record if found else None
        reasons = {"pending": "pending_reason", "suspended": "suspension_reason", "cancelled": "cancellation_reason"}
        reason = getattr(record, reasons[record.state]) if record is not None and record.state in reasons else None
        stage.history.answers[name] = "none" if record is None else " ".join(word for word in (record.state, reason) if word)
