"""Bodies and answers of the routes of chains of migrations."""

from __future__ import annotations

from typing import Any, Final

from actors.door.migrations.bodies import ACKNOWLEDGE, ROOT
from actors.door.shapes import Anything, Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.migration.lifecycle import STATUSES as MIGRATION_STATUSES
from actors.migration.steps import OPERATIONS
from actors.migration_chain.lifecycle import HOP_STATUSES, STATUSES
from actors.migration_chain.limits import ATTEMPT_MAX, HOPS_LISTED_MAX, LOG_KEPT

_NEEDED: Final[dict[str, Any]] = {"required": True, "required_code": "field_required", "required_status": 422}

MAKE: Final = Object(
    (
        *ROOT,
        Field(
            "hop_peer_ids",
            ListOf(Identifier(), HOPS_LISTED_MAX),
            description="The destinations in order; this platform is where the chain begins.",
            **_NEEDED,
        ),
        ACKNOWLEDGE,
    ),
    name="PlanMigrationChainRequest",
)
ACT: Final = Object((), name="MigrationChainActRequest")

HOP: Final = Object(
    (
        Field("status", Choice(HOP_STATUSES), required=True),
        Field("attempt", Integer(1), required=True),
        Field("migration_id", Identifier(), nullable=True, description="The holder's own migration."),
        Field("migration_status", Choice(MIGRATION_STATUSES), nullable=True),
        Field("approval_expires_at", Text(), nullable=True, description="Until when the holder's operators may decide."),
        Field("error", Text(), nullable=True, description="Code of the last refusal or failure."),
        Field("next_root_id", Identifier(), nullable=True, description="What the resource is called at the destination."),
        Field("proof", Anything(), nullable=True, description="The signed receipt of the destination, with `completed`."),
    ),
    name="MigrationChainHop",
    unknown="ignore",
)
HOLDER: Final = Object(
    (
        Field("position", Integer(0), required=True, description="0 is this platform."),
        Field("peer_id", Identifier(), nullable=True, description="Null for this platform."),
        Field("instance_id", Identifier(), nullable=True),
        Field("url", Text(), nullable=True),
        Field("certain", Boolean(), required=True, description="Whether its word is known; otherwise the next one may have it."),
        Field("or_peer_id", Identifier(), nullable=True),
    ),
    name="MigrationChainHolder",
    unknown="ignore",
)
CHAIN: Final = Object(
    (
        Field("id", Identifier(), required=True),
        Field("operation", Choice(OPERATIONS), required=True),
        Field("root_resource_kind", Text(), required=True),
        Field("root_resource_id", Identifier(), required=True),
        Field("root_now", Identifier(), required=True, description="What its present holder calls it."),
        Field("hop_peer_ids", ListOf(Identifier(), HOPS_LISTED_MAX), required=True),
        Field("hop_urls", ListOf(Text(), HOPS_LISTED_MAX), description="Of the destinations, in the same order."),
        Field("status", Choice(STATUSES), required=True),
        Field("current_hop_index", Integer(0), required=True, description="How many hops are done, and which comes next."),
        Field("total_hops", Integer(1), required=True),
        Field("automatic", Boolean(), required=True, description="Whether the next hop follows by itself."),
        Field("cancelling", Boolean(), required=True),
        Field("stalled", Boolean(), required=True, description="Nothing has moved for an hour."),
        Field("holder", HOLDER, required=True),
        Field("waits_for", Text(), required=True, description="What comes next, in words."),
        Field("hop", HOP, nullable=True, description="The holder's last word about the present hop."),
        Field("error", Text(), nullable=True),
        Field("refused_by_peer_id", Identifier(), nullable=True, description="The holder that said so; null if this platform did."),
        Field("audit_log", ListOf(Anything(), LOG_KEPT)),
        Field("created_by", Identifier(), nullable=True),
        Field("created_at", Instant(), required=True),
        Field("updated_at", Instant(), required=True),
        Field("next_attempt_at", Instant(), nullable=True),
        Field("ended_at", Instant(), nullable=True),
        Field("version", Integer(), required=True),
    ),
    name="MigrationChain",
    unknown="ignore",
)
ONE: Final = Object((Field("migration_chain", CHAIN, required=True),), name="OneMigrationChain", unknown="ignore")

# --- between platforms ---------------------------------------------------------------------------------------------------

START: Final = Object(
    (
        *ROOT,
        Field("destination_instance_id", Identifier(), description="Where it is to go; one of the holder's own peers.", **_NEEDED),
        Field("attempt", Integer(1, ATTEMPT_MAX), description="A higher one asks again for what ended without moving.", **_NEEDED),
        ACKNOWLEDGE,
    ),
    name="StartMigrationChainHop",
    unknown="ignore",
)
WITHDRAW: Final = Object((), name="WithdrawMigrationChainHop", unknown="ignore")
STANDS: Final = Object((Field("hop", HOP, required=True),), name="MigrationChainHopAnswer", unknown="ignore")
