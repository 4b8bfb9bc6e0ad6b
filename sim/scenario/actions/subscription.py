"""`subscription`: an operator renews, tries again or ends a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.subscription.record import KIND
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

SUBSCRIPTIONS = "/api/v1/system/federation/service_subscriptions"


@action("subscription", answered=True)
@attrs.frozen(kw_only=True)
class Subscription:
    """An operator takes a step of the subscription that has a host name."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    host: str = attrs.field(default="wiki.example", metadata=key(TEXT, "under which name"))
    step: str = attrs.field(metadata=key(one_of("renew", "retry", "cancel"), "what is done"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        found = host.store.lookup(KIND.name, "host", f"{host.account_id} {self.host}")
        if found is None:
            raise StageError(f"{self.on} has no subscription under {self.host}")
        stage.call(name, self.on, "POST", f"/{found}/{self.step}", {}, surface=SUBSCRIPTIONS)
