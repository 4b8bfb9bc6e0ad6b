"""Which kinds of resources a peer says it has. Pure.

Must not live here: whether it is true.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.inventory.registry import find


def declared_kinds(capabilities: Mapping[str, Any]) -> frozenset[str]:
    """The canonical kinds of resources that a peer says it has."""
    listed = capabilities.get("resource_kinds")
    names = [*capabilities, *(listed if isinstance(listed, list | tuple) else ())]
    kinds = (find(name) for name in names if isinstance(name, str))
    return frozenset(kind.kind for kind in kinds if kind is not None)
