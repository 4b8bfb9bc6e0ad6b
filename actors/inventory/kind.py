"""The declaration of one kind of resource, as a value.

Lives here: `ResourceKind`, its parts, and what follows from them alone (scopes, the canonical natural key, checked attributes). Must
not live here: a kind itself (see `kinds/`, one file each) or how kinds refer to each other (see `registry`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from actors.door.shapes import ABSENT, INTEGER_MAX, INVALID, Field, Identifier, ListOf, Object, Shape, Spot
from actors.problems import Problem
from runtime.values import Value

Edge = Literal["owned", "link", "skip"]
"""What happens to the other record when a record moves: it travels along, it must exist at the destination, or it is left out."""

Movable = Literal["no", "alone", "with_owner"]
"""Whether records of a kind can be the root of a migration, only travel with the record that owns them, or stay."""

Scope = Literal["read", "write", "admin", "migrate"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write", "admin", "migrate")

INVALID_ATTRIBUTE: Final = "invalid_attribute"
"""Code of an attribute whose value its declaration does not take."""

KEY_SEPARATOR: Final = "\x1f"
"""Between the values of a canonical natural key; no attribute can hold it, as shapes refuse control characters."""

_DIGITS: Final = 19
assert len(str(INTEGER_MAX)) == _DIGITS


class Dependency(Value, frozen=True):
    """A record of this kind needs records of another.

    Attributes:
        kind: canonical name of the other kind.
        edge: what a migration does with the other record.
        via: the attribute that holds the id: of this kind for a link, of the other kind for an owned record.
    """

    kind: str
    edge: Edge
    via: str


class Reference(Value, frozen=True):
    """An attribute that holds ids of records of another kind.

    Attributes:
        path: dotted path to an id or a list of ids; `*` stands for every element of a list of objects.
        kind: canonical name of the kind it points to.
    """

    path: str
    kind: str


Serializer = Callable[[Mapping[str, Any]], dict[str, Any]]
Builder = Callable[[object, list[Problem], str], Mapping[str, Any] | None]


@attrs.frozen(kw_only=True)
class ResourceKind:
    """One kind of resource.

    Attributes:
        kind: canonical name in PascalCase.
        alias: the same in snake_case; both are understood wherever a kind is named.
        title: a few words for a reader.
        exports: every attribute of a record with its type. The list is an allowlist both ways: nothing else is stored, and nothing
            else leaves the platform.
        natural_key: attributes that together name one record within an account; empty where only the id does.
        key_ignores_case: whether `nginx` and `NGINX` are one name.
        dependencies: records of other kinds that a record needs or owns.
        references: attributes that hold ids of other records, so that a copy can be made to point at copies.
        duplicable, migratable: see `Movable`.
        filterable: attributes usable in filters; the natural key if none is given.
        residency_sensitive: whether data of this kind may be bound to a jurisdiction.
        reserved: grants of this kind are not made by hand.
        listable: whether records can be asked for through the resources endpoints.
        catalogued: whether the local catalogue holds records of this kind; other kinds have a home of their own.
        serializer: what of a record's attributes leaves the platform; by default the exports, in their order.
        builder: stored attributes out of hostile input; appends what is wrong and then returns None.
    """

    kind: str
    alias: str
    title: str
    exports: tuple[Field, ...]
    natural_key: tuple[str, ...] = ()
    key_ignores_case: bool = False
    dependencies: tuple[Dependency, ...] = ()
    references: tuple[Reference, ...] = ()
    duplicable: Movable = "alone"
    migratable: Movable = "no"
    mirrorable: bool = True
    filterable: tuple[str, ...] = ()
    residency_sensitive: bool = False
    reserved: bool = False
    listable: bool = True
    catalogued: bool = True
    serializer: Serializer = attrs.field(eq=False, repr=False)
    builder: Builder = attrs.field(eq=False, repr=False)
    shape: Object = attrs.field(init=False, eq=False, repr=False)
    fields: Mapping[str, Field] = attrs.field(init=False, eq=False, repr=False)

    @serializer.default
    def _export(self) -> Serializer:
        names = tuple(field.name for field in self.exports)
        return lambda attributes: {name: attributes.get(name) for name in names}

    @builder.default
    def _build(self) -> Builder:
        return self._read

    @shape.default
    def _shape(self) -> Object:
        return Object(self.exports, name=f"{self.kind}Attributes")

    @fields.default
    def _fields(self) -> Mapping[str, Field]:
        return {field.name: field for field in self.exports}

    @property
    def scopes(self) -> frozenset[Scope]:
        """What a grant of this kind can allow: reading always, the rest as the flags say."""
        offered: set[Scope] = {"read"}
        if self.migratable != "no":
            offered.add("migrate")
        if self.mirrorable and not self.reserved:
            offered.add("write")
        if self.reserved:
            offered |= {"write", "admin"}
        return frozenset(offered)

    @property
    def filters(self) -> tuple[str, ...]:
        """Attributes usable in filters."""
        return self.filterable or self.natural_key

    def natural_key_of(self, attributes: Mapping[str, Any]) -> str | None:
        """The canonical text by which a record is unique in its account, or None if the kind has no natural key.

        Text is compared in Unicode normal form C, without regard to case where the declaration says so.
        """
        if not self.natural_key:
            return None
        return canonical_key([attributes.get(name) for name in self.natural_key], self.key_ignores_case)

    def _read(self, value: object, problems: list[Problem], path: str) -> Mapping[str, Any] | None:
        before = len(problems)
        found = self.shape.read(value, Spot(path, INVALID_ATTRIBUTE, 422, INVALID_ATTRIBUTE, 422, problems))
        if found is INVALID or len(problems) > before:
            return None
        return {name: found[name] for name in self.fields if found.get(name, ABSENT) is not ABSENT}


def canonical_key(values: Sequence[Any], ignores_case: bool) -> str:
    """One text for the values of a natural key: equal exactly when the keys are, and ordered as they are, numbers included."""
    return KEY_SEPARATOR.join(_canonical(value, ignores_case) for value in values)


def _canonical(value: Any, ignores_case: bool) -> str:
    if isinstance(value, int):
        return f"{value:0{_DIGITS}d}"
    return unicodedata.normalize("NFC", str(value).casefold() if ignores_case else str(value))


# --- references -----------------------------------------------------------------------------------------------------


def ids_at(attributes: Mapping[str, Any], path: str) -> Iterator[str]:
    """Every id that stands at `path`; none where the path leads nowhere."""
    yield from _ids(attributes, path.split("."))


def _ids(value: Any, steps: list[str]) -> Iterator[str]:
    if isinstance(value, list | tuple) and (not steps or steps[0] == "*"):
        for element in value:
            yield from _ids(element, steps[1:])
    elif not steps:
        if isinstance(value, str):
            yield value
    elif isinstance(value, Mapping) and steps[0] in value:
        yield from _ids(value[steps[0]], steps[1:])


def with_ids(attributes: Mapping[str, Any], path: str, change: Callable[[str], str]) -> dict[str, Any]:
    """The attributes with every id at `path` replaced; everything else is untouched."""
    changed = _replaced(attributes, path.split("."), change)
    assert isinstance(changed, dict)
    return changed


def _replaced(value: Any, steps: list[str], change: Callable[[str], str]) -> Any:
    if isinstance(value, list | tuple) and (not steps or steps[0] == "*"):
        return [_replaced(element, steps[1:], change) for element in value]
    if not steps:
        return change(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {name: _replaced(part, steps[1:], change) if name == steps[0] else part for name, part in value.items()}
    return value


# --- words for declarations ------------------------------------------------------------------------------------------


def attribute(name: str, shape: Shape, description: str, *, required: bool = False, nullable: bool = False) -> Field:
    """An exported attribute. A required one must be there and not blank; a nullable one may be null."""
    return Field(
        name,
        shape,
        required=required,
        nullable=nullable,
        code=INVALID_ATTRIBUTE,
        status=422,
        type_code=INVALID_ATTRIBUTE,
        required_code="attribute_required",
        required_status=422,
        description=description,
    )


def reference(name: str, description: str, *, required: bool = False) -> Field:
    """An attribute that holds the id of another record, null if it points nowhere."""
    return attribute(name, Identifier(), description, required=required, nullable=not required)


def references(name: str, description: str, *, length_max: int) -> Field:
    """An attribute that holds ids of other records, each once."""
    return attribute(name, ListOf(Identifier(), length_max, distinct=True), description)
