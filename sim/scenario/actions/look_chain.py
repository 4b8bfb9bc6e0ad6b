"""`look_chain`: how the newest chain of a platform stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.migration_chain.lifecycle import STATUSES
from actors.migration_chain.record import CHAIN, MigrationChainRecord
from runtime.store.port import Query
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("look_chain", answered=True, answers=(*STATUSES, "none"))
@attrs.frozen(kw_only=True)
class LookChain:
    """The committed status of the newest chain from a platform, how many of its hops are done, and its error, as the answer of the step."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose chain"))

    def perform(self, stage: Stage, name: str | None) -> None:
        found = stage.host(self.on).store.query(Query(CHAIN.name, limit=1))
        if name is not None:
            stage.history.answers[name] = said(found[0].record) if found else "none"


def said(record: MigrationChainRecord) -> str:
    """Such as `in_flight 1/2 stalled`, or `failed 1/2 hop_rejected`."""
    words = (record.status, f"{record.current_hop_index}/{record.total_hops}", "stalled" if record.stalled else "", record.error or "")
    return " ".join(word for word in words if word)
