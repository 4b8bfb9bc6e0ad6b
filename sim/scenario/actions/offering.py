"""`offering`: an operator takes a step of an offering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.offering.lifecycle import TRIGGERS
from actors.offering.record import KIND, slug_key
from sim.scenario.actions.offer import OFFERINGS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("offering", answered=True)
@attrs.frozen(kw_only=True)
class Offering:
    """An operator opens an offering to peers, takes no new subscribers, or withdraws it."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    slug: str = attrs.field(default="wiki", metadata=key(TEXT, "which offering"))
    step: str = attrs.field(metadata=key(one_of(*TRIGGERS), "what is done"))
    immediate: bool = attrs.field(default=False, metadata=key(TRUTH, "with `retire`: every seat ends, once that is approved"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        found = host.store.lookup(KIND.name, "slug", slug_key(host.account_id, self.slug))
        if found is None:
            raise StageError(f"{self.on} offers no {self.slug}")
        stage.call(name, self.on, "POST", f"/{found}/{self.step}", {"immediate": True} if self.immediate else {}, surface=OFFERINGS)
