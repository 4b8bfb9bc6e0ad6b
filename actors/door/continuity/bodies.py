"""Bodies of frozen trust."""

from __future__ import annotations

from typing import Final

from actors.continuity.record import CLAIMANTS_MAX
from actors.door.shapes import Boolean, Choice, Field, Identifier, Instant, Integer, ListOf, Object

UNFREEZE: Final = Object(
    (
        Field(
            "decision",
            Choice(("restored", "not_restored")),
            required=True,
            description="`restored`: this platform runs on an earlier copy. `not_restored`: the peers that say so are wrong.",
        ),
        Field("keep_peerings", Boolean(), description="With `restored`: peerings in force go on instead of being paused for review."),
        Field("keep_grants", Boolean(), description="With `restored`: what this copy holds as granted stays in force."),
    ),
    name="UnfreezeTrustRequest",
)
CONTINUITY: Final = Object(
    (
        Field("frozen", Boolean(), required=True),
        Field("cause", Choice(("restored", "echo")), nullable=True, description="`echo`: a peer has heard of more than these data hold."),
        Field("frozen_at", Instant(), nullable=True),
        Field("closing", Boolean(), required=True, description="Whether a decision is still on its way to the peers."),
        Field("boot_epoch", Integer(), required=True),
        Field("claimed_epoch", Integer(), required=True),
        Field("claimants", ListOf(Identifier(), CLAIMANTS_MAX), required=True),
        Field("decided_at", Instant(), nullable=True),
        Field("decision", Choice(("restored", "not_restored")), nullable=True),
        Field(
            "unanswered_peer_ids",
            ListOf(Identifier(), 10_000),
            description="Peers that have not said yet which resources have moved to them; until then none that was in the copy is changed.",
        ),
        Field("restart_needed", Boolean(), required=True, description="A start with a higher epoch makes peers take our word again."),
    ),
    name="Continuity",
    unknown="ignore",
)
