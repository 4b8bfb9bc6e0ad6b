"""`ModuleVersion`: one released version of a module; it lives and moves with its module."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Integer
from actors.inventory.kind import Reference, ResourceKind, attribute, reference
from actors.inventory.words import DESCRIPTION, OCI_DIGEST, POSITIVE

KIND: Final = ResourceKind(
    kind="ModuleVersion",
    alias="module_version",
    title="Version of a module",
    exports=(
        reference("node_module_id", "Module that this is a version of.", required=True),
        attribute("number", POSITIVE, "Rises with each version of the module.", required=True),
        attribute("oci_digest", OCI_DIGEST, "Digest of the payload.", nullable=True),
        attribute("size_bytes", Integer(0), "Size of the payload.", nullable=True),
        attribute("changelog", DESCRIPTION, "What changed.", nullable=True),
    ),
    natural_key=("node_module_id", "number"),
    references=(Reference("node_module_id", "NodeModule"),),
    duplicable="with_owner",
    migratable="with_owner",
    filterable=("node_module_id", "number", "oci_digest"),
    residency_sensitive=True,
)
