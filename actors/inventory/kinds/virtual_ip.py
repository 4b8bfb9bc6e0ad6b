"""`VirtualIp`: an address inside an overlay network that moves between hosts."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import Dependency, Reference, ResourceKind, attribute, reference
from actors.inventory.words import DESCRIPTION, NAME, NETWORK, WORD

KIND: Final = ResourceKind(
    kind="VirtualIp",
    alias="virtual_ip",
    title="Virtual address",
    exports=(
        attribute("cidr", NETWORK, "The address with its mask; unique in the account.", required=True),
        reference("sdwan_network_id", "Overlay network that it belongs to.", required=True),
        attribute("name", NAME, "For people.", nullable=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
        attribute("status", WORD, "Where it stands in its life.", nullable=True),
    ),
    natural_key=("cidr",),
    dependencies=(Dependency("SdwanNetwork", "link", "sdwan_network_id"),),
    references=(Reference("sdwan_network_id", "SdwanNetwork"),),
    duplicable="no",
    mirrorable=False,
    filterable=("cidr", "sdwan_network_id", "status"),
)
