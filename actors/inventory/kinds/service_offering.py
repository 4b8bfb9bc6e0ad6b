"""`ServiceOffering`: a service that peers may subscribe to; grants of it come with a subscription only."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Choice
from actors.inventory.kind import ResourceKind, attribute
from actors.inventory.words import MARKDOWN, NAME, SLUG, WORD

KIND: Final = ResourceKind(
    kind="ServiceOffering",
    alias="service_offering",
    title="Offered service",
    exports=(
        attribute("slug", SLUG, "Unique in the account, never changed.", required=True),
        attribute("name", NAME, "For people.", required=True),
        attribute("description_markdown", MARKDOWN, "What it is.", nullable=True),
        attribute("protocol", Choice(("https", "http", "tcp", "tls")), "What is spoken.", nullable=True),
        attribute("status", WORD, "Where it stands in its life.", nullable=True),
    ),
    natural_key=("slug",),
    duplicable="no",
    mirrorable=False,
    filterable=("slug", "status", "protocol"),
    reserved=True,
    catalogued=False,
)
