"""Bodies and answers of the resources' routes."""

from __future__ import annotations

from typing import Any, Final

from actors.door.shapes import Anything, Boolean, Choice, Field, FreeObject, Identifier, Instant, Integer, ListOf, Object, Parsed, Text
from actors.inventory.registry import KIND_CHARS_MAX
from actors.limits import PAGE_DEFAULT, PAGE_MAX
from actors.problems import Problem
from actors.resource.limits import BATCH_RECORDS_MAX

KIND_NAME: Final = Text(chars_min=1, chars_max=KIND_CHARS_MAX, pattern="[A-Za-z][A-Za-z0-9_]*")
RECORD_NAME: Final = Text(chars_min=1, chars_max=64, pattern="[!-~]+")


def _attributes(value: object, problems: list[Problem], field: str) -> Any:
    """Any object; the declaration of the kind reads it as soon as the kind is known."""
    if not isinstance(value, dict):
        problems.append(Problem(field, "invalid_attribute", "must be an object"))
        return None
    return value


_ATTRIBUTES: Final = Field(
    "attributes",
    Parsed(_attributes, FreeObject()),
    default={},
    code="invalid_attribute",
    status=422,
    description="The attributes of the kind. A reference is an id, or an object with the natural key of its target.",
)
_ID: Final = Field("id", Identifier(), code="id_invalid", description="UUIDv7 that the record must have; one is made when absent.")

CREATE_RESOURCE: Final = Object((_ID, _ATTRIBUTES), name="CreateResourceRequest")
UPDATE_RESOURCE: Final = Object((_ATTRIBUTES,), name="UpdateResourceRequest")
WRITE_RESOURCES: Final = Object(
    (
        Field(
            "resources",
            ListOf(Object((Field("kind", KIND_NAME, required=True), _ID, _ATTRIBUTES), name="ResourceDraft"), BATCH_RECORDS_MAX, 1),
            required=True,
            description="Records as they shall be; a record with the same natural key or id is replaced.",
        ),
        Field("dry_run", Boolean(), default=False, description="Write nothing; the answer tells every problem."),
    ),
    name="WriteResourcesRequest",
)

_RESOURCE_FIELDS: Final = (
    Field("id", Identifier(), required=True),
    Field("kind", Text(), required=True),
    Field("attributes", Anything(), required=True),
    Field("etag", Text(), required=True),
    Field("version", Integer(), required=True),
    Field("created_at", Instant(), required=True),
    Field("updated_at", Instant(), required=True),
    Field("deleted", Boolean(), required=True),
    Field("deleted_at", Instant(), nullable=True),
    Field("moved_to", Anything(), nullable=True, description="The platform that is its home now."),
    Field("frozen_by", Identifier(), nullable=True, description="The migration that holds it."),
    Field("incoming", Boolean(), description="Whether a migration is still bringing it."),
    Field("origin", Anything(), nullable=True, description="Where it came from."),
)
RESOURCE: Final = Object(_RESOURCE_FIELDS, name="Resource", unknown="ignore")
ONE_RESOURCE: Final = Object((Field("resource", RESOURCE, required=True),), name="OneResource", unknown="ignore")
_CHANGE: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("change", Choice(("created", "updated", "unchanged")), required=True),
    )
)
RESOURCES_WRITTEN: Final = Object(
    (
        Field("created", Integer(), required=True),
        Field("updated", Integer(), required=True),
        Field("unchanged", Integer(), required=True),
        Field("resources", ListOf(_CHANGE, BATCH_RECORDS_MAX), required=True, description="What became of each record, in order."),
        Field("problems", Anything(), required=True, description="With `dry_run`, everything that would refuse the write."),
    ),
    name="ResourcesWritten",
    unknown="ignore",
)
RESOURCE_DELETED: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("deleted", Boolean(), required=True),
        Field("owned_deleted", Integer(), required=True, description="Records that it owned and that went with it."),
    ),
    name="ResourceDeleted",
    unknown="ignore",
)
KIND: Final = Object(
    (
        Field("kind", Text(), required=True),
        Field("alias", Text(), required=True),
        Field("title", Text(), required=True),
        Field("exports", ListOf(Text(), 256), required=True, description="Attributes that a peer may see."),
        Field("filterable", ListOf(Text(), 256), required=True),
        Field("sortable", ListOf(Text(), 16), required=True),
        Field("natural_key", ListOf(Text(), 16), required=True),
        Field("scopes", ListOf(Text(), 8), required=True),
        Field("count", Integer(), description="Living records here; for operators only."),
    ),
    name="ResourceKind",
    unknown="ignore",
)
EXPORTED: Final = Object(
    (
        Field("kind", Text(), required=True),
        Field("id", Identifier(), required=True),
        Field("etag", Text(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("deleted", Boolean(), required=True),
        Field("attributes", Anything(), required=True),
    ),
    name="ExportedResource",
    unknown="ignore",
)

LIST_PARAMETERS: Final = (
    Field("limit", Integer(1, PAGE_MAX), default=PAGE_DEFAULT),
    Field("cursor", Text(chars_max=1_024), description="`meta.next_cursor` of the former page; good for 15 minutes."),
    Field("sort", Text(chars_max=64), description="`updated_at` (default), or the last attribute of the natural key."),
    Field("fields", Text(chars_max=2_048), description="Attributes to show, separated by commas; all when absent."),
    Field("updated_since", Instant(), description="Only records written at or after this time."),
    Field("include_deleted", Boolean(), default=False, description="Deleted records too, as tombstones; every filter lets them pass."),
    Field(
        "filter",
        Anything(),
        description="`filter[name]=v`, or `filter[name][gte]=v`, `[lte]`, `[in]=v,w`; all must hold. See the kind's `filterable`.",
    ),
)
"""What a list takes, for the description of the API; `parameters.read` reads it, as its words depend on the kind."""
