"""Shapes of the calls about shipments and excerpts."""

from __future__ import annotations

from typing import Final

from actors.audit_archive.chains import OWNERS
from actors.door.shapes import Anything, Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.limits import EXCERPT_ENTRIES_DEFAULT, EXCERPT_ENTRIES_MAX, PAGE_MAX, PRUNED_SHIPMENTS_DEFAULT, PRUNED_SHIPMENTS_MAX

_TIME: Final = Text(chars_min=1, chars_max=40)
_DIGEST: Final = Text(chars_max=64, pattern="[0-9a-f]{64}")

_LEDGER_HEAD: Final = Text(chars_max=80, pattern="[0-9]+:[0-9a-f]{64}")

CHAIN_KIND: Final = Choice((*OWNERS, "platform"))

CHAIN: Final = Object(
    (
        Field("id", Identifier(), required=True, description="Names the chain: the id of what it tells of."),
        Field("kind", CHAIN_KIND, required=True, description="`platform`: rotations of the own root, and freezing of trust."),
        Field("federation_peer_id", Identifier(), nullable=True, description="Null of what is no chain of a peer."),
        Field("entry_count", Integer(0), required=True, description="The sequence number of the last entry."),
        Field("head_hash", _DIGEST, required=True, nullable=True, description="Hash of the last entry; null without one."),
        Field("last_at", Instant(), nullable=True, description="When the last entry was written."),
        Field("pruned_up_to", Integer(0), required=True, description="The last entry that is only in the archive; 0 if all are here."),
        Field("pruned_hash", _DIGEST, required=True, nullable=True, description="Hash of that entry."),
        Field("shipped_up_to", Integer(0), required=True, description="The last entry that has been read back from the archive."),
    ),
    name="AuditChain",
    unknown="ignore",
)

ENTRY: Final = Object(
    (
        Field("chain", Identifier(), required=True),
        Field("sequence", Integer(1), required=True, description="Starts at 1 for each chain, without gaps."),
        Field("action", Text(), required=True),
        Field("at", Instant(), required=True),
        Field("at_epoch_s", Anything(), required=True, description="The same instant exactly, as the hash is taken over it."),
        Field("actor", Anything(), required=True),
        Field("payload", Anything(), required=True),
        Field("prev_hash", _DIGEST, required=True),
        Field("hash", _DIGEST, required=True, description="SHA-256 over the canonical entry and prev_hash."),
    ),
    name="AuditChainEntry",
    unknown="ignore",
)

SHIPMENT: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("chain", Identifier(), required=True, description="Names the chain: the id of what it tells of."),
        Field("chain_kind", CHAIN_KIND, required=True),
        Field("federation_peer_id", Identifier(), nullable=True, description="Absent from what is no chain of a peer."),
        Field("number", Integer(1), required=True),
        Field("first_sequence", Integer(1), required=True),
        Field("last_sequence", Integer(1), required=True),
        Field("entry_count", Integer(1), required=True),
        Field("period_start", Instant(), required=True),
        Field("period_end", Instant(), required=True),
        Field("head_hash", _DIGEST, required=True, description="Hash of the last entry."),
        Field("sha256", _DIGEST, required=True, description="Digest of the object."),
        Field("previous_sha256", _DIGEST, nullable=True, description="Digest of the former shipment of this chain."),
        Field("ledger_head", _LEDGER_HEAD, nullable=True, description="The ledger when the entries were chosen; absent from older ones."),
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
        Field("swept_chains", Integer(0), required=True, description="Those of peers among them."),
        Field("shipped", Integer(0), required=True, description="Shipments that have been read back."),
        Field("entries", Integer(0), required=True),
        Field("failures", Integer(0), required=True),
    ),
    name="AuditShipmentRun",
    unknown="ignore",
)

PRUNE: Final = Object(
    (
        Field("dry_run", Boolean(), default=False, description="Read everything back as for a run, and remove nothing."),
        Field("limit", Integer(1, PRUNED_SHIPMENTS_MAX), default=PRUNED_SHIPMENTS_DEFAULT, description="At most so many shipments."),
    ),
    name="PruneAudit",
)

PRUNED: Final = Object(
    (
        Field("chains", Integer(0), required=True, description="Chains that have lost entries."),
        Field("shipments", Integer(0), required=True),
        Field("entries", Integer(0), required=True),
        Field(
            "failures", Integer(0), required=True, description="Shipments that the archive does not give back: nothing of them was pruned."
        ),
        Field("more", Boolean(), required=True, description="The run stopped at its limit."),
    ),
    name="AuditPruned",
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
        Field("complete_from", Integer(1), description="The first entry that is not only in the archive; absent from earlier releases."),
        Field("next_cursor", Integer(1), nullable=True),
    ),
    name="AuditExcerpts",
    unknown="ignore",
)
