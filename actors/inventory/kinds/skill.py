"""`Skill`: something that agents of a platform can do; only its description is kept here."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import FreeObject
from actors.inventory.kind import ResourceKind, attribute
from actors.inventory.words import DESCRIPTION, SHORT_NAME, TAGS, WORD

KIND: Final = ResourceKind(
    kind="Skill",
    alias="skill",
    title="Description of a skill",
    exports=(
        attribute("name", SHORT_NAME, "Unique in the account.", required=True),
        attribute("description", DESCRIPTION, "What it does.", nullable=True),
        attribute("version", WORD, "Version of the description.", nullable=True),
        attribute("input_schema", FreeObject(), "JSON Schema of its input.", nullable=True),
        attribute("tags", TAGS, "Words to find it by."),
    ),
    natural_key=("name",),
    duplicable="no",
    filterable=("name", "version"),
)
