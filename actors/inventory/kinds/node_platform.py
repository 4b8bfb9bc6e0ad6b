"""`NodePlatform`: an operating system and architecture that modules are built for."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import ResourceKind, attribute
from actors.inventory.words import DESCRIPTION, NAME, WORD

KIND: Final = ResourceKind(
    kind="NodePlatform",
    alias="node_platform",
    title="Platform of a node",
    exports=(
        attribute("name", NAME, "Unique in the account.", required=True),
        attribute("architecture", WORD, "Instruction set, such as `amd64`.", nullable=True),
        attribute("os_family", WORD, "Such as `debian`.", nullable=True),
        attribute("os_version", WORD, "Such as `13`.", nullable=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
    ),
    natural_key=("name",),
    duplicable="no",
    filterable=("name", "architecture", "os_family", "os_version"),
)
