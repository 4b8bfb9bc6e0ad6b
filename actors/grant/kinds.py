"""What kinds of resources there are, as far as grants ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class Known:
    """A kind: its canonical name, its alias, the scopes that it offers, and whether grants of it are not made by hand."""

    kind: str
    alias: str
    scopes: frozenset[str]
    reserved: bool = False


_ALL: Final = (
    Known("NodeModule", "node_module", frozenset({"read", "write", "migrate"})),
    Known("NodeTemplate", "node_template", frozenset({"read", "write", "migrate"})),
    Known("NodePlatform", "node_platform", frozenset({"read", "write"})),
    Known("ServiceOffering", "service_offering", frozenset({"read"}), reserved=True),
    Known("ManagedChildOperator", "managed_child_operator", frozenset({"read", "write", "admin"}), reserved=True),
)
_BY_NAME: Final[Mapping[str, Known]] = {name: known for known in _ALL for name in (known.kind, known.alias)}


def find(name: str) -> Known | None:
    """The kind behind a canonical name or an alias, spelled exactly."""
    return _BY_NAME.get(name)
