"""The registry of resource kinds: built once from the declarations, immutable afterwards.

Lives here: gathering and the checks across declarations. Must not live here: a declaration (see `kinds/`, one file each; a new file
there is all that a new kind takes). A wrong declaration is a defect of the program, so it stops the start.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from actors.inventory import kinds as declarations
from actors.inventory.kind import ResourceKind

KIND_CHARS_MAX: Final = 64
_PASCAL = re.compile(r"[A-Z][a-zA-Z0-9]*", re.ASCII)
_SNAKE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


class RegistryError(ValueError):
    """The declarations do not fit together; the text names every reason."""


@attrs.frozen
class Registry:
    """Kinds by their canonical name, in alphabetical order."""

    kinds: Mapping[str, ResourceKind]
    _names: Mapping[str, ResourceKind] = attrs.field(repr=False)

    def find(self, name: str) -> ResourceKind | None:
        """The kind that a canonical name or an alias stands for, spelled exactly."""
        return self._names.get(name)

    def __iter__(self) -> Iterator[ResourceKind]:
        return iter(self.kinds.values())


def build(declared: Iterable[ResourceKind]) -> Registry:
    """A registry of these kinds.

    Raises:
        RegistryError: a name is malformed or used twice, a dependency or a reference leads nowhere, or a key, filter or reference
            names an attribute that does not exist.
    """
    found = sorted(declared, key=lambda kind: kind.kind)
    complaints: list[str] = []
    names: dict[str, ResourceKind] = {}
    for kind in found:
        if not _PASCAL.fullmatch(kind.kind) or not _SNAKE.fullmatch(kind.alias) or max(len(kind.kind), len(kind.alias)) > KIND_CHARS_MAX:
            complaints.append(f"{kind.kind}: a kind is named in PascalCase, its alias in snake_case, both within {KIND_CHARS_MAX}")
        for name in (kind.kind, kind.alias):
            if name in names:
                complaints.append(f"{name} is declared twice")
            names[name] = kind
    by_kind = {kind.kind: kind for kind in found}
    for kind in found:
        complaints += [f"{kind.kind}: {complaint}" for complaint in (*_own_complaints(kind), *_edge_complaints(kind, by_kind))]
    if complaints:
        raise RegistryError("; ".join(complaints))
    return Registry(MappingProxyType(by_kind), MappingProxyType(names))


def _own_complaints(kind: ResourceKind) -> Iterator[str]:
    for name in (*kind.natural_key, *kind.filterable):
        if name not in kind.fields:
            yield f"{name} is not among its exports"
    for name in kind.natural_key:
        if name in kind.fields and not kind.fields[name].required:
            yield f"{name} belongs to its natural key and must be required"
    if kind.reserved and kind.catalogued:
        yield "a reserved kind is not kept in the catalogue"
    if kind.migratable != "no" and not kind.natural_key:
        yield "a kind that moves needs a natural key, or conflicts could not be found"


def _edge_complaints(kind: ResourceKind, by_kind: Mapping[str, ResourceKind]) -> Iterator[str]:
    for reference in kind.references:
        if reference.kind not in by_kind:
            yield f"{reference.path} refers to {reference.kind}, which is not declared"
        if reference.path.partition(".")[0] not in kind.fields:
            yield f"{reference.path} is not among its exports"
    for dependency in kind.dependencies:
        other = by_kind.get(dependency.kind)
        if other is None:
            yield f"depends on {dependency.kind}, which is not declared"
            continue
        holder, target = (other, kind) if dependency.edge == "owned" else (kind, other)
        if not any(known.path == dependency.via and known.kind == target.kind for known in holder.references):
            yield f"{holder.kind} has no reference {dependency.via} to {target.kind}"
        if dependency.edge == "owned" and kind.migratable == "alone" and other.migratable == "no":
            yield f"it moves, but {other.kind}, which it owns, does not"


def _declared() -> Iterator[ResourceKind]:
    """The kind of every file in `kinds/`."""
    for module in sorted(found.name for found in pkgutil.iter_modules(declarations.__path__)):
        kind = getattr(importlib.import_module(f"{declarations.__name__}.{module}"), "KIND", None)
        if not isinstance(kind, ResourceKind):
            raise RegistryError(f"{module} declares no KIND")
        yield kind


REGISTRY: Final = build(_declared())


def find(name: str) -> ResourceKind | None:
    """The kind that a canonical name or an alias stands for, or None."""
    return REGISTRY.find(name)
