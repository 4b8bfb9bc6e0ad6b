"""The shapes of grants at the door: what operators send, and what is shown.

Lives here: shapes, and the checks that need no row. Whether a resource or a network exists is the handlers' question.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from actors import limits
from actors.door.bodies import CURSOR, LIMIT
from actors.door.shapes import (
    Anything,
    Boolean,
    Choice,
    Field,
    FreeObject,
    Identifier,
    Instant,
    Integer,
    ListOf,
    Object,
    Parsed,
    Shape,
    Spot,
    Text,
)
from actors.governance.review import CATEGORIES, LISTED_MAX
from actors.grant.axes import AXES, AxisName, parse_axis
from actors.grant.lifecycle import STATES
from actors.grant.record import ORIGINS, SCOPES
from actors.inventory import registry
from actors.problems import Problem
from actors.sanitize import check_object, compact_bytes

REQUIRED: Final = "field_required"
SECRET_WORDS: Final = ("password", "passwd", "secret", "token", "private_key", "credential", "api_key")

_SUBJECT: Final = Text(chars_min=1, chars_max=limits.GRANT_SUBJECT_CHARS_MAX, trim=True)
_LABEL: Final = Text(chars_max=limits.GRANT_LABEL_CHARS_MAX, trim=True)
_REASON: Final = Text(chars_min=1, chars_max=limits.GRANT_REASON_CHARS_MAX, trim=True)
_KIND_TEXT: Final = Text(chars_min=1, chars_max=limits.GRANT_KIND_CHARS_MAX)
_FORCE: Final = Field("force", Boolean(), default=False, description="Write although a grant test breaks.")


def _no_kind(field: str, *, reserved: bool) -> Problem:
    known = ", ".join(kind.kind for kind in registry.REGISTRY if reserved or not kind.reserved)
    return Problem(field, "unknown_resource_kind", f"is no kind of resource here, which are {known}")


def parse_kind(value: object, problems: list[Problem], field: str) -> str | None:
    """The canonical name of a kind that grants may be made for."""
    found = registry.find(value) if isinstance(value, str) else None
    if found is None:
        problems.append(_no_kind(field, reserved=False))
        return None
    if found.reserved:
        problems.append(Problem(field, "reserved_resource_kind", f"grants of {found.kind} are not made by hand"))
    return found.kind


def parse_any_kind(value: object, problems: list[Problem], field: str) -> str | None:
    """The canonical name of any kind."""
    found = registry.find(value) if isinstance(value, str) else None
    if found is None:
        problems.append(_no_kind(field, reserved=True))
        return None
    return found.kind


def parse_source_address(value: object, problems: list[Problem], field: str) -> str | None:
    """An address from which a call that is only thought of comes: what is no address would be judged as a call without one."""
    if not isinstance(value, str):
        problems.append(Problem(field, "invalid_parameter", "must be a string", 400))
        return None
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        problems.append(Problem(field, "invalid_parameter", "must be an IP address such as 192.0.2.9", 400))
        return None


def parse_scopes(value: object, problems: list[Problem], field: str) -> tuple[str, ...]:
    """Scopes in their order, each once."""
    if not isinstance(value, list):
        problems.append(Problem(field, "scope_unknown", "must be an array of scopes"))
        return ()
    if not value:
        problems.append(Problem(field, "scopes_empty", "must name at least one scope"))
    for index, scope in enumerate(value[: limits.ARRAY_ELEMENTS_MAX]):
        if scope not in SCOPES:
            problems.append(Problem(f"{field}[{index}]", "scope_unknown", "must be one of " + ", ".join(SCOPES)))
    if len(value) > limits.ARRAY_ELEMENTS_MAX:
        problems.append(Problem(field, "scope_unknown", "names too many scopes"))
    return tuple(scope for scope in SCOPES if scope in value)


def _secret_keys(value: object, path: str) -> Iterator[str]:
    """Where a key at any depth has the name of a secret."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, held in inside:
        place = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key[:64]}"
        if isinstance(key, str) and any(word in key.lower() for word in SECRET_WORDS):
            yield place
        yield from _secret_keys(held, place)


def parse_metadata(value: object, problems: list[Problem], field: str) -> Mapping[str, Any]:
    """A small object of the operator's own. What looks like a secret has no place in it."""
    found = list(check_object(value, field, "invalid_metadata"))
    if not found and isinstance(value, dict):
        if compact_bytes(value) > limits.GRANT_METADATA_BYTES_MAX:
            found.append(Problem(field, "invalid_metadata", f"takes at most {limits.GRANT_METADATA_BYTES_MAX} bytes"))
        for path in _secret_keys(value, field):
            found.append(Problem(path, "invalid_metadata", "looks like a secret, which is never kept here"))
    problems.extend(found)
    return value if isinstance(value, dict) else {}


def _axis(name: AxisName, *, on_update: bool = False) -> Field:
    def parse(value: object, problems: list[Problem], field: str) -> Any:
        if on_update and (value is None or value == []):
            problems.append(Problem(field, "axis_empty_on_update", 'must name values, or ["*"] for any'))
            return None
        return parse_axis(name, value, problems, field)

    element = Text(format="cidr") if name == "source_cidrs" else Text(format="uuid")
    text = {
        "node_instance_ids": "Instances of the holder from which calls may come.",
        "sdwan_network_ids": "Overlay networks through which calls may come.",
        "source_cidrs": "Addresses from which calls may come.",
    }[name]
    shape = Parsed(parse, _OrNull(ListOf(element, limits.GRANT_AXIS_ENTRIES_MAX)))
    return Field(
        name,
        shape,
        code="axis_value_invalid",
        status=422,
        description=text + ("" if on_update else ' Left out, null, empty or ["*"]: any.'),
    )


class _OrNull(Shape):
    """A value that may be null."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def read(self, value: object, spot: Spot) -> Any:
        return None if value is None else self._shape.read(value, spot)

    def schema(self, schemas: Any) -> dict[str, Any]:
        return {"anyOf": [self._shape.schema(schemas), {"type": "null"}]}


def _issue_rule(body: Mapping[str, Any]) -> Sequence[Problem]:
    problems: list[Problem] = []
    if body.get("ttl_days") is not None and body.get("ttl_seconds") is not None:
        problems.append(Problem("ttl_seconds", "ttl_ambiguous", "give either ttl_days or ttl_seconds"))
    found = registry.find(body["resource_kind"])
    missing = [scope for scope in body["permission_scopes"] if found is not None and scope not in found.scopes]
    for scope in missing:
        problems.append(Problem("permission_scopes", "scope_not_supported", f"{body['resource_kind']} offers no scope {scope}"))
    return problems


def _ttl(name: str, least: int, most: int, unit: str) -> Field:
    return Field(
        name,
        Integer(least, most),
        nullable=True,
        code="ttl_out_of_range",
        status=422,
        description=f"Lifetime in {unit}; 30 days when neither is given. Out of range is refused, never cut.",
    )


ISSUE_GRANT: Final = Object(
    (
        Field("remote_subject", _SUBJECT, required=True, required_code=REQUIRED, required_status=422, code="invalid_text", status=422),
        Field(
            "resource_kind",
            Parsed(parse_kind, _KIND_TEXT),
            required=True,
            required_code=REQUIRED,
            required_status=422,
            code="unknown_resource_kind",
            status=422,
            description="A kind of resource, by its name or its alias.",
        ),
        Field(
            "resource_id",
            Identifier(),
            nullable=True,
            code="resource_id_invalid",
            status=422,
            type_code="resource_id_invalid",
            description="One resource; null for every resource of the kind.",
        ),
        Field("permission_scopes", Parsed(parse_scopes, ListOf(Choice(SCOPES), 4)), code="scope_unknown", status=422, default=("read",)),
        *(_axis(name) for name in AXES),
        _ttl("ttl_days", limits.GRANT_TTL_DAYS_MIN, limits.GRANT_TTL_DAYS_MAX, "days"),
        _ttl("ttl_seconds", limits.GRANT_TTL_SECONDS_MIN, limits.GRANT_TTL_SECONDS_MAX, "seconds"),
        Field("bare_token", Boolean(), default=False, description="Mint a bearer without a secret, good over the peer's mTLS only."),
        Field("deliver", Boolean(), default=False, description="Hand the bearer to the peer over its connection instead of to you."),
        Field("replace", Boolean(), default=False, description="Revoke the grant in force that covers the same, in the same write."),
        Field("label", _LABEL, nullable=True, code="invalid_text", status=422),
        Field("metadata", Parsed(parse_metadata, FreeObject()), code="invalid_metadata", status=422),
        _FORCE,
    ),
    name="IssueGrantRequest",
    rule=_issue_rule,
)

_NOT_EDITABLE: Final = (
    "id", "federation_peer_id", "remote_subject", "resource_kind", "resource_id", "state", "issued_at", "origin", "bare_token", "version",
)  # fmt: skip

NARROW_GRANT: Final = Object(
    (
        Field(
            "permission_scopes",
            Parsed(parse_scopes, ListOf(Choice(SCOPES), 4)),
            code="scope_unknown",
            status=422,
            description="Fewer than before.",
        ),
        *(_axis(name, on_update=True) for name in AXES),
        Field("expires_at", Instant(), description="Earlier than before."),
        Field("label", _LABEL, nullable=True, code="invalid_text", status=422),
        _FORCE,
        *(Field(name, Anything(), code="field_not_editable", status=422, read_only=True) for name in _NOT_EDITABLE),
    ),
    name="NarrowGrantRequest",
)
REVOKE_GRANT: Final = Object(
    (
        Field("reason", _REASON, nullable=True, code="invalid_text", status=422),
        Field("immediate", Boolean(), default=False, description="No grace for a migration under way, and no grant test is in the way."),
        _FORCE,
    ),
    name="RevokeGrantRequest",
)
ROTATE_GRANT: Final = Object(
    (
        Field(
            "overlap_seconds",
            Integer(0, limits.GRANT_OVERLAP_MAX_S),
            default=0,
            description="How long the former bearer stays good beside the new one.",
        ),
    ),
    name="RotateGrantTokenRequest",
)
REVIEW_GRANT: Final = Object((), name="ReviewGrantRequest")

_ID: Final = Field("id", Identifier(), required=True)


def _time(name: str) -> Field:
    return Field(name, Instant(), nullable=True)


def _list_of_text(name: str) -> Field:
    return Field(name, ListOf(Text(), limits.GRANT_AXIS_ENTRIES_MAX), required=True)


GRANT: Final = Object(
    (
        _ID,
        Field("federation_peer_id", Identifier(), required=True),
        Field("remote_subject", Text(), required=True),
        Field("label", Text(), nullable=True),
        Field("resource_kind", Text(), required=True),
        Field("resource_id", Identifier(), nullable=True),
        _list_of_text("permission_scopes"),
        Field("state", Choice(STATES), required=True, description="As of now."),
        Field("effective", Boolean(), required=True, description="Whether a call could be served now, for all that peer and grant say."),
        Field("issued_at", Instant(), required=True),
        Field("expires_at", Instant(), required=True),
        _time("revoked_at"),
        Field("revoked_by", Text(), nullable=True),
        Field("revocation_reason", Text(), nullable=True),
        _time("archived_at"),
        Field("unrestricted", Boolean(), required=True, description="Whether no axis restricts anything."),
        *(_list_of_text(name) for name in AXES),
        Field("origin", Choice(ORIGINS)),
        Field("grantor", Anything()),
        Field("bare_token", Boolean()),
        Field("token_version", Integer()),
        _time("previous_token_until"),
        _time("last_used_at"),
        Field("use_count", Integer()),
        Field("denied_count", Integer()),
        _time("last_reviewed_at"),
        Field("last_reviewed_by", Text(), nullable=True),
        Field("replaces_grant_id", Identifier(), nullable=True),
        Field("replaced_by", Identifier(), nullable=True),
        Field("metadata", FreeObject()),
        Field("version", Integer(), required=True),
    ),
    name="Grant",
    unknown="ignore",
)
ONE_GRANT: Final = Object((Field("grant", GRANT, required=True),), name="OneGrant", unknown="ignore")
ISSUED_GRANT: Final = Object(
    (
        Field("grant", GRANT, required=True),
        Field("bearer_token", Text(), nullable=True, description="Shown once, here. Null where it was delivered, or told before."),
        Field("delivered", Boolean(), required=True),
        Field("warnings", ListOf(Text(), 64), required=True),
        Field("token_already_revealed", Boolean()),
    ),
    name="IssuedGrant",
    unknown="ignore",
)

GRANT_FILTERS: Final = (
    Field(
        "state",
        ListOf(Choice((*STATES, "all")), len(STATES) + 1),
        description="One or more, separated by commas. Without it: everything but archived grants.",
    ),
    Field("resource_kind", Parsed(parse_any_kind, _KIND_TEXT), code="unknown_resource_kind", status=422),
    Field("scope", Choice(SCOPES)),
    Field("origin", Choice(ORIGINS)),
    LIMIT,
    CURSOR,
)


_SOURCE_ADDRESS: Final = Parsed(parse_source_address, Text(chars_max=64))


def _explain_rule(body: Mapping[str, Any]) -> Sequence[Problem]:
    if body.get("request_id"):
        return ()
    if body.get("resource_kind") is None:
        return (Problem("resource_kind", "field_required", "is required, unless request_id names a past call"),)
    found, scope = registry.find(body["resource_kind"]), body["scope"]
    if found is None or scope in found.scopes:
        return ()
    return (Problem("scope", "scope_not_supported", f"{found.kind} offers no scope {scope}, so that no grant can allow it"),)


EXPLAIN: Final = Object(
    (
        Field("request_id", Text(chars_min=1, chars_max=64), description="Correlation id of a past call; then nothing else is read."),
        Field("resource_kind", Parsed(parse_kind, _KIND_TEXT), code="unknown_resource_kind", status=422),
        Field("resource_id", Identifier(), nullable=True, code="resource_id_invalid", status=422, type_code="resource_id_invalid"),
        Field("scope", Choice(SCOPES), default="read"),
        Field("subject", _SUBJECT, nullable=True, code="invalid_text", status=422),
        Field("instance_id", Identifier(), nullable=True, description="The peer's own instance when absent."),
        Field("network_id", Identifier(), nullable=True, description="Overlay network of the call; null for a public call."),
        Field("source_address", _SOURCE_ADDRESS, nullable=True, description="Address from which it comes; null if it is not proven."),
    ),
    name="ExplainRequest",
    rule=_explain_rule,
)
_TEST_FIELDS: Final = (
    Field("name", Text(chars_min=1, chars_max=limits.NAME_CHARS_MAX, trim=True), required=True),
    Field("allowed", Boolean(), required=True, description="What must stay so: true, the call is served; false, it is refused."),
    Field("resource_kind", Parsed(parse_any_kind, _KIND_TEXT), required=True, code="unknown_resource_kind", status=422),
    Field("resource_id", Identifier(), nullable=True, code="resource_id_invalid", status=422, type_code="resource_id_invalid"),
    Field("scope", Choice(SCOPES), default="read"),
    Field("subject", _SUBJECT, nullable=True, code="invalid_text", status=422),
    Field("instance_id", Identifier(), nullable=True, description="Instance of the peer from which the call comes."),
    Field("network_id", Identifier(), nullable=True, description="Overlay network through which it comes."),
    Field("source_address", _SOURCE_ADDRESS, nullable=True, description="Address from which it comes; null if it is not proven."),
)


GRANT_TEST: Final = Object(_TEST_FIELDS, name="GrantTest")
TEST_PLANNED: Final = Object(
    (
        Field("grants", ListOf(ISSUE_GRANT, limits.GRANT_TESTS_MAX), default=[], description="Grants as they are to be issued."),
        Field("tests", ListOf(GRANT_TEST, limits.GRANT_TESTS_MAX), required=True, description="What is to be allowed or refused then."),
    ),
    name="TestPlannedGrantsRequest",
)
SET_GRANT_TESTS: Final = Object(
    (Field("tests", ListOf(GRANT_TEST, limits.GRANT_TESTS_MAX), required=True, description="All tests; they replace the former ones."),),
    name="SetGrantTestsRequest",
)
GRANT_TESTS: Final = Object(
    (Field("tests", ListOf(Anything(), limits.GRANT_TESTS_MAX), required=True), Field("version", Integer(0), required=True)),
    name="GrantTests",
    unknown="ignore",
)
GRANT_TEST_RUN: Final = Object(
    (
        Field("passed", Boolean(), required=True, description="Whether every test holds now."),
        Field("outcomes", ListOf(Anything(), limits.GRANT_TESTS_MAX), required=True),
    ),
    name="GrantTestRun",
    unknown="ignore",
)
EXPLAIN_WITHOUT_PEER: Final = Object(
    tuple(field for field in EXPLAIN.fields if field.name != "request_id"), name="ExplainWithoutPeerRequest", rule=_explain_rule
)
EXPLANATION: Final = Object(
    (
        Field("allowed", Boolean(), required=True),
        Field("code", Text(), nullable=True, description="What the caller hears; null if the call is served."),
        Field("grant_id", Identifier(), nullable=True, description="The grant that was judged."),
        Field("steps", ListOf(Anything(), 16), required=True, description="Each step with its number and verdict."),
        Field("change", ListOf(Anything(), 16), required=True, description="The smallest set of edits that would let the call pass."),
    ),
    name="Explanation",
    unknown="ignore",
)

_CATEGORY: Final = Object(
    (
        Field("category", Choice(tuple(CATEGORIES)), required=True),
        Field("severity", Text(), required=True),
        Field("count", Integer(), required=True),
        Field("entries", ListOf(Anything(), LISTED_MAX), required=True, description="At most 1,000, each with its peer and grant."),
    )
)
REVIEW: Final = Object(
    (
        Field("reviewed_at", Instant(), required=True),
        Field("categories", ListOf(_CATEGORY, len(CATEGORIES)), required=True, description="Those that are not empty."),
    ),
    name="GrantReview",
    unknown="ignore",
)
