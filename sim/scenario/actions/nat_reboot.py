"""`nat_reboot`: a NAT forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import NAT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("nat_reboot")
@attrs.frozen(kw_only=True)
class NatReboot:
    """A NAT restarts and forgets every connection; what is configured stays."""

    nat: str = attrs.field(metadata=key(NAT, "which NAT"))

    def perform(self, stage: Stage, name: str | None) -> None:
        stage.world.network.nats[self.nat].reboot()
