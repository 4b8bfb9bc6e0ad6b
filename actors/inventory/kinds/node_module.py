"""`NodeModule`: a piece of software that nodes are built from."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import Dependency, Reference, ResourceKind, attribute, reference
from actors.inventory.words import DESCRIPTION, NAME, OCI_DIGEST, OCI_REFERENCE, POSITIVE, TAGS, WORD

KIND: Final = ResourceKind(
    kind="NodeModule",
    alias="node_module",
    title="Module of a node",
    exports=(
        attribute("name", NAME, "Unique in the account, without regard to case.", required=True),
        attribute("description", DESCRIPTION, "What it is for.", nullable=True),
        attribute("variety", WORD, "Family of modules, such as `subscription`.", nullable=True),
        attribute("current_version", POSITIVE, "Number of the version that new nodes get.", nullable=True),
        attribute("oci_reference", OCI_REFERENCE, "Where the payload is kept.", nullable=True),
        attribute("oci_digest", OCI_DIGEST, "Digest of the current payload.", nullable=True),
        reference("node_platform_id", "Platform that the module is built for."),
        attribute("tags", TAGS, "Words to find it by."),
    ),
    natural_key=("name",),
    key_ignores_case=True,
    dependencies=(
        Dependency("ModuleVersion", "owned", "node_module_id"),
        Dependency("ModuleService", "owned", "node_module_id"),
        Dependency("NodePlatform", "link", "node_platform_id"),
    ),
    references=(Reference("node_platform_id", "NodePlatform"),),
    migratable="alone",
    filterable=("name", "variety", "current_version", "oci_digest", "node_platform_id"),
    residency_sensitive=True,
)
