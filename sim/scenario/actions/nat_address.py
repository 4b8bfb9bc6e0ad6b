"""`nat_address`: a NAT gets another address."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import NAT, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("nat_address")
@attrs.frozen(kw_only=True)
class NatAddress:
    """The provider gives a NAT another address: connections through it die, and names follow only if told so."""

    nat: str = attrs.field(metadata=key(NAT, "which NAT"))
    names: bool = attrs.field(default=True, metadata=key(TRUTH, "names of platforms behind it point to the new address"))

    def perform(self, stage: Stage, name: str | None) -> None:
        network = stage.world.network
        hidden = [host for host in stage.world.hosts if network.places[host].realm]
        before = {host: network.public_address(host) for host in hidden}
        network.renumber_nat(self.nat)
        for host in hidden:
            if self.names and network.public_address(host) != before[host]:
                network.names.set(f"{host}.example.com", (network.public_address(host),))
