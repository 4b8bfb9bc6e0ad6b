"""Bodies and answers about grants that peers gave us."""

from __future__ import annotations

from typing import Final

from actors import limits
from actors.door.bodies import CURSOR, LIMIT
from actors.door.resources.bodies import EXPORTED
from actors.door.shapes import Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.grant.lifecycle import STATES as GRANT_STATES
from actors.grant.tokens import BEARER_CHARS_MAX
from actors.received_grant.record import SHOWN_STATES, SOURCES

_BEARER: Final = Field(
    "bearer_token",
    Text(chars_max=BEARER_CHARS_MAX, trim=True, secret=True),
    required=True,
    required_code="grant_token_malformed",
    required_status=422,
    code="grant_token_malformed",
    status=422,
    description="`fg-`, the id of the grant, a dot and 43 characters; kept sealed, and shown to nobody again.",
)

RECEIVE_GRANT: Final = Object((_BEARER,), name="ReceiveGrantRequest")

RECEIVED_GRANT: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("grant_id", Identifier(), required=True, description="The issuer's id of the grant."),
        Field("remote_subject", Text(), nullable=True),
        Field("resource_kind", Text(), required=True),
        Field("resource_id", Identifier(), nullable=True),
        Field("permission_scopes", ListOf(Text(), 8), required=True),
        Field("issued_at", Instant(), nullable=True, description="Null with the source `subscription`: its provider does not tell it."),
        Field("expires_at", Instant(), required=True),
        Field(
            "state",
            Choice(SHOWN_STATES),
            required=True,
            description="`announced` until the bearer comes; `refused` once the issuer has said that it is good no more; `ended` once the"
            " peering is over, as long as what is under way may end.",
        ),
        Field("usable", Boolean(), required=True, description="Whether a call would present it now, for all that we know."),
        Field(
            "source",
            Choice((*SOURCES, "subscription")),
            required=True,
            description="With `subscription` the grant came with a seat: the id is the subscription's, and it is ended there.",
        ),
        Field("received_at", Instant(), required=True),
        Field("received_by", Text(), nullable=True),
        Field("refused_code", Text(), nullable=True),
        Field("refused_at", Instant(), nullable=True),
        Field("version", Integer(), required=True),
    ),
    name="ReceivedGrant",
    unknown="ignore",
)
ONE_RECEIVED_GRANT: Final = Object((Field("received_grant", RECEIVED_GRANT, required=True),), name="OneReceivedGrant", unknown="ignore")
CHECKED: Final = Object(
    (
        Field("received_grant", RECEIVED_GRANT, required=True),
        Field("served", Boolean(), required=True, description="Whether the issuer serves a call under it, made from here and now."),
        Field("remote_code", Text(), nullable=True, description="Why it does not, in the issuer's word."),
        Field("kinds", ListOf(Text(), limits.PAGE_MAX), required=True, description="The kinds of resources that it opens there."),
    ),
    name="ReceivedGrantChecked",
    unknown="ignore",
)
FORGOTTEN: Final = Object(
    (Field("id", Identifier(), required=True), Field("forgotten", Boolean(), required=True)),
    name="ReceivedGrantForgotten",
    unknown="ignore",
)

_HOLDERS_FIELDS: Final = (
    Field("id", Identifier(), required=True),
    Field("remote_subject", Text(chars_max=limits.GRANT_SUBJECT_CHARS_MAX), nullable=True),
    Field("resource_kind", Text(chars_max=limits.GRANT_KIND_CHARS_MAX), required=True),
    Field("resource_id", Identifier(), nullable=True),
    Field("permission_scopes", ListOf(Text(chars_max=limits.NAME_CHARS_MAX), limits.NAME_CHARS_MAX, 1), required=True),
    Field("issued_at", Instant(), required=True),
    Field("expires_at", Instant(), required=True),
)
HOLDERS_GRANT: Final = Object(
    (
        *_HOLDERS_FIELDS,
        Field("state", Choice(GRANT_STATES), required=True),
        Field("presented", Boolean(), nullable=True, description="Whether the bearer that came with this call is that of the grant."),
    ),
    name="GrantOfHolder",
    unknown="ignore",
)
OWN_GRANTS: Final = (Field("grant_id", Identifier(), description="Only this one."), LIMIT, CURSOR)

DELIVERY: Final = Object(
    (
        Field(
            "grant",
            Object((*_HOLDERS_FIELDS, Field("state", Text(chars_max=limits.NAME_CHARS_MAX))), name="DeliveredGrant", unknown="ignore"),
            required=True,
        ),
        _BEARER,
    ),
    name="GrantDelivery",
    unknown="ignore",
)
DELIVERED: Final = Object(
    (Field("grant_id", Identifier(), required=True), Field("acknowledged", Boolean(), required=True)),
    name="GrantDelivered",
    unknown="ignore",
)

REMOTE_RESOURCE: Final = Object(
    (
        Field("resource", EXPORTED, required=True),
        Field("received_grant_id", Identifier(), required=True),
    ),
    name="RemoteResource",
    unknown="ignore",
)
