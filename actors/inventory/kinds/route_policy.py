"""`RoutePolicy`: which prefixes a platform takes from others or tells them."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Choice, Integer
from actors.inventory.kind import ResourceKind, attribute
from actors.inventory.words import DESCRIPTION, NAME, NETWORKS

KIND: Final = ResourceKind(
    kind="RoutePolicy",
    alias="route_policy",
    title="Route policy",
    exports=(
        attribute("name", NAME, "Unique in the account.", required=True),
        attribute("direction", Choice(("import", "export")), "Routes taken, or routes told.", nullable=True),
        attribute("action", Choice(("permit", "deny")), "What happens to a route that matches.", nullable=True),
        attribute("prefixes", NETWORKS, "Networks that it speaks about."),
        attribute("priority", Integer(0, 65_535), "Lower goes first.", nullable=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
    ),
    natural_key=("name",),
    filterable=("name", "direction", "action", "priority"),
)
