"""`SdwanNetwork`: an overlay network, as far as others may know it."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import ResourceKind, attribute
from actors.inventory.words import NAME, PREFIX, SLUG, WORD

KIND: Final = ResourceKind(
    kind="SdwanNetwork",
    alias="sdwan_network",
    title="Overlay network",
    exports=(
        attribute("name", NAME, "For people.", required=True),
        attribute("slug", SLUG, "Unique in the account.", required=True),
        attribute("prefix", PREFIX, "Unique local IPv6 prefix (RFC 4193).", nullable=True),
        attribute("protocol", WORD, "How its members exchange routes.", nullable=True),
        attribute("status", WORD, "Where it stands in its life.", nullable=True),
    ),
    natural_key=("slug",),
    duplicable="no",
    mirrorable=False,
    filterable=("slug", "name", "status", "protocol"),
)
