"""`ModuleService`: a port that a module listens on; it lives and moves with its module."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Choice
from actors.inventory.kind import Reference, ResourceKind, attribute, reference
from actors.inventory.words import DESCRIPTION, PORT, SHORT_NAME

KIND: Final = ResourceKind(
    kind="ModuleService",
    alias="module_service",
    title="Service of a module",
    exports=(
        reference("node_module_id", "Module that offers it.", required=True),
        attribute("name", SHORT_NAME, "Unique within the module.", required=True),
        attribute("protocol", Choice(("tcp", "udp", "http", "https", "tls")), "What is spoken on the port.", nullable=True),
        attribute("port", PORT, "Port inside the module.", nullable=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
    ),
    natural_key=("node_module_id", "name"),
    references=(Reference("node_module_id", "NodeModule"),),
    duplicable="with_owner",
    migratable="with_owner",
    filterable=("node_module_id", "name", "protocol", "port"),
)
