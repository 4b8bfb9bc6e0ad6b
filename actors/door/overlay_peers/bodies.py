"""Bodies and answers of the routes of peers on the overlay's surface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from actors.door import bodies as shared
from actors.door.shapes import Anything, Boolean, Choice, Field, FreeObject, Identifier, Instant, Integer, ListOf, Object, Text
from actors.limits import NAME_CHARS_MAX, URL_CHARS_MAX
from actors.problems import Problem

WITH_STATUS: Final = frozenset({"reason", "acceptance_token"})
"""What may stand beside a status, and beside nothing else."""

_ACCOUNT: Final = Field("remote_account_id", Identifier(), description="Whose networks they are, at the other platform.")
_TOKEN: Final = Field(
    "acceptance_token",
    shared.SECRET_TOKEN,
    code="invalid_acceptance_token",
    status=422,
    description="With the status `accepted`: for a platform the token that it minted, else the token of this row.",
)
_NEW: Final = Object(
    (
        Field(
            "remote_instance_url",
            shared.BASE_URL,
            required=True,
            code="invalid_remote_url",
            status=422,
            required_code="remote_instance_url_required",
            description="Base URL of the other platform; https. It is not called.",
        ),
        _ACCOUNT,
        shared.REMOTE_PREFIX,
        Field("sdwan_network_id", Identifier(), description="Propose a bridge to this overlay network of ours, too."),
        shared.TOKEN_TTL,
        shared.METADATA,
    ),
    name="OverlayPeerInput",
)
PROPOSE: Final = Object((Field("federation_peer", _NEW, required=True),), name="ProposeOverlayPeerRequest")


_CHANGES: Final = Object(
    (
        Field("status", Choice(shared.PEER_STATUSES), description="`accepted` accepts or resumes, `suspended` pauses, `revoked` ends."),
        Field(
            "reason",
            Text(chars_min=1, chars_max=shared.REASON_CHARS_MAX, trim=True),
            description="With a status: kept with the peer and its audit trail.",
        ),
        _TOKEN,
        shared.REMOTE_PREFIX,
        Field("expires_at", Instant(), nullable=True, description="Hard end of the peering; null for none."),
        Field("data_residency", Text(chars_max=NAME_CHARS_MAX, trim=True), nullable=True, code="invalid_residency", status=422),
        Field("remote_instance_url", shared.BASE_URL, code="invalid_remote_url", status=422, description="Only while it is proposed."),
        shared.METADATA,
    ),
    name="OverlayPeerChanges",
)


UPDATE: Final = Object((Field("federation_peer", _CHANGES, required=True), _TOKEN), name="UpdateOverlayPeerRequest")


def misplaced(body: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not go together in a body of `UPDATE`."""
    changes = body["federation_peer"]
    if "acceptance_token" in body and "acceptance_token" in changes:
        yield Problem("acceptance_token", "invalid_parameter", "is given twice", 400)
    if "status" not in changes:
        for name in sorted((changes.keys() | body.keys()) & WITH_STATUS):
            yield Problem(name, "status_not_alone", "goes with a status", 422)
    elif "data_residency" in changes:
        text = "changes at once, and data_residency waits for approval: send each by itself"
        yield Problem("federation_peer.status", "residency_with_status_change", text, 422)
    else:
        for name in sorted(changes.keys() - WITH_STATUS - {"status"}):
            yield Problem(f"federation_peer.{name}", "status_not_alone", "is changed by a request of its own", 422)


_STATUS: Final = Choice(shared.PEER_STATUSES)
_SHORT: Final = (
    Field("id", Identifier(), required=True),
    Field("peer_kind", Choice(("platform", "sdwan_only")), required=True),
    Field("remote_instance_url", Text(chars_max=URL_CHARS_MAX, format="uri"), required=True, nullable=True),
    Field("remote_instance_id", Identifier(), nullable=True),
    Field("remote_account_id", Identifier(), nullable=True),
    Field("remote_prefix_advertisement", Text(), nullable=True),
    Field("status", _STATUS, required=True, description="As of now: an active peer without recent evidence reads as degraded."),
    Field("status_since", Instant(), nullable=True),
    Field("revocation_reason", Text(), nullable=True),
    Field("signed_at", Instant(), nullable=True),
    Field("expires_at", Instant(), nullable=True),
    Field("created_at", Instant(), required=True),
    Field("version", Integer(), required=True),
)
SUMMARY: Final = Object(_SHORT, name="OverlayPeerSummary", unknown="ignore")
PEER: Final = Object(
    (
        *_SHORT,
        Field("acceptance_pending", Boolean()),
        Field("acceptance_expires_at", Instant(), nullable=True),
        Field("data_residency", Text(), nullable=True),
        Field("metadata", FreeObject()),
        Field("allowed_transitions", ListOf(_STATUS, len(shared.PEER_STATUSES)), required=True),
    ),
    name="OverlayPeer",
    unknown="ignore",
)
_WARNINGS: Final = Field("warnings", ListOf(Anything(), 64), description="What went through but deserves a look.")
ONE: Final = Object((Field("federation_peer", PEER, required=True), _WARNINGS), name="OneOverlayPeer", unknown="ignore")
PROPOSED: Final = Object(
    (
        Field("federation_peer", PEER, required=True),
        Field("acceptance_token", Text(), required=True, nullable=True, description="Shown once; null when the same request is repeated."),
        Field("acceptance_expires_at", Instant(), required=True),
        Field("token_already_revealed", Boolean(), description="True on a repeat under the same Idempotency-Key."),
        Field("bridge", Anything(), description="The proposed bridge, if a network was named and it could be made."),
        _WARNINGS,
    ),
    name="ProposedOverlayPeer",
    unknown="ignore",
)
FILTERS: Final = (
    Field("status", ListOf(_STATUS, len(shared.PEER_STATUSES)), description="One or more, separated by commas."),
    Field("peer_kind", Choice(("platform", "sdwan_only"))),
    shared.LIMIT,
    shared.CURSOR,
)
