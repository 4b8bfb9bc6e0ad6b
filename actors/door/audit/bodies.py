"""Shapes of the calls about shipments and excerpts."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Anything, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.limits import EXCERPT_ENTRIES_DEFAULT, EXCERPT_ENTRIES_MAX, PAGE_MAX

_TIME: Final = Text(chars_min=1, chars_max=40)
_DIGEST: Final = Text(chars_max=64, pattern="[0-9a-f]{64}")

SHIPMENT: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("federation_peer_id", Identifier(), required=True),
        Field("number", Integer(1), required=True),
        Field("first_sequence", Integer(1), required=True),
        Field("last_sequence", Integer(1), required=True),
        Field("entry_count", Integer(1), required=True),
        Field("period_start", Instant(), required=True),
        Field("period_end", Instant(), required=True),
        Field("head_hash", _DIGEST, required=True, description="Hash of the last entry."),
        Field("sha256", _DIGEST, required=True, description="Digest of the object."),
        Field("previous_sha256", _DIGEST, nullable=True, description="Digest of the former shipment of this peer."),
        Field("path", Text(), required=True, description="Where the object stands in the archive."),
        Field("status", Choice(("pending", "sealed", "verified", "failed")), required=True),
        Field("attempts", Integer(1), required=True),
        Field("error", Text(), nullable=True),
        Field("shipped_at", Instant(), nullable=True),
    ),
    name="AuditShipment",
    unknown="ignore",
)

SHIPPED: Final = Object(
    (
        Field("swept_peers", Integer(0), required=True),
        Field("shipped", Integer(0), required=True, description="Shipments that have been read back."),
        Field("entries", Integer(0), required=True),
        Field("failures", Integer(0), required=True),
    ),
    name="AuditShipmentRun",
    unknown="ignore",
)

WINDOW_QUERY: Final = (
    Field("since", _TIME, description="ISO-8601 with a zone; 90 days ago if absent."),
    Field("until", _TIME, description="ISO-8601 with a zone; now if absent."),
    Field("limit", Integer(1, EXCERPT_ENTRIES_MAX), default=EXCERPT_ENTRIES_DEFAULT),
    Field("cursor", Integer(0), default=0, description="Continue behind this entry."),
)

REQUEST_EXCERPTS: Final = Object(
    (
        Field("since", _TIME, description="ISO-8601 with a zone; 90 days ago if absent."),
        Field("until", _TIME, description="ISO-8601 with a zone; now if absent."),
        Field("limit", Integer(1, EXCERPT_ENTRIES_MAX), default=EXCERPT_ENTRIES_DEFAULT),
        Field("cursor", Integer(0), default=0),
    ),
    name="AuditExcerptRequest",
)

EXCERPTS: Final = Object(
    (
        Field("peer_id", Identifier(), required=True, description="The answering platform's row for the caller."),
        Field("window", Anything(), required=True),
        Field("events", ListOf(Anything(), EXCERPT_ENTRIES_MAX), required=True),
        Field("shipments", ListOf(Anything(), PAGE_MAX), required=True),
        Field("count", Integer(0), required=True),
        Field("next_cursor", Integer(1), nullable=True),
    ),
    name="AuditExcerpts",
    unknown="ignore",
)
