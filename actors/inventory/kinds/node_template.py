"""`NodeTemplate`: a named selection of modules on one platform, from which nodes are made."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import Dependency, Reference, ResourceKind, attribute, reference, references
from actors.inventory.words import DESCRIPTION, NAME, TAGS

MODULES_MAX: Final = 64

KIND: Final = ResourceKind(
    kind="NodeTemplate",
    alias="node_template",
    title="Template of a node",
    exports=(
        attribute("name", NAME, "Unique in the account.", required=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
        reference("node_platform_id", "Platform of the nodes made from it."),
        references("node_module_ids", "Modules of the nodes made from it.", length_max=MODULES_MAX),
        attribute("tags", TAGS, "Words to find it by."),
    ),
    natural_key=("name",),
    dependencies=(
        Dependency("NodeModule", "link", "node_module_ids"),
        Dependency("NodePlatform", "link", "node_platform_id"),
    ),
    references=(Reference("node_module_ids", "NodeModule"), Reference("node_platform_id", "NodePlatform")),
    migratable="alone",
    filterable=("name", "node_platform_id"),
    residency_sensitive=True,
)
