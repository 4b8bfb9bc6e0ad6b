"""What a capability may be: directions, policies, and which fit together; literal tables.

Lives here: tables and questions about them. Must not live here: a record or a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from actors.capability.limits import RETRY_FIRST_S, RETRY_MAX_S

Direction = Literal["push_local_to_remote", "pull_remote_to_local", "bidirectional", "migration_only"]
Policy = Literal["manual", "auto_on_change", "auto_periodic", "on_match_filter"]
Leg = Literal["pull", "push"]
Block = Literal[
    "trust_frozen", "peer_not_active", "blocked_no_grant", "schema_incompatible", "residency_refused", "resource_in_question",
]  # fmt: skip
State = Literal["idle", "syncing", "retrying", "failing", "ended"] | Block

DIRECTIONS: Final[tuple[Direction, ...]] = ("push_local_to_remote", "pull_remote_to_local", "bidirectional", "migration_only")
POLICIES: Final[tuple[Policy, ...]] = ("manual", "auto_on_change", "auto_periodic", "on_match_filter")
BLOCKS: Final[tuple[Block, ...]] = (
    "trust_frozen", "peer_not_active", "blocked_no_grant", "schema_incompatible", "residency_refused", "resource_in_question",
)  # fmt: skip
STATES: Final[tuple[State, ...]] = ("idle", "syncing", "retrying", "failing", *BLOCKS, "ended")

LEGS: Final[Mapping[Direction, tuple[Leg, ...]]] = {
    "push_local_to_remote": ("push",),
    "pull_remote_to_local": ("pull",),
    "bidirectional": ("pull", "push"),
    "migration_only": (),
}
"""What a direction moves; `migration_only` says that records of the kind may move by migrations, and nothing flows by itself."""

SCOPES: Final[Mapping[Leg, str]] = {"pull": "read", "push": "write"}
"""The scope that a received grant must have for a leg."""

FITTING: Final[Mapping[Direction, frozenset[Policy]]] = {
    "push_local_to_remote": frozenset(POLICIES),
    # A change over there is seen by asking; nobody tells of it.
    "pull_remote_to_local": frozenset({"manual", "auto_periodic", "on_match_filter"}),
    "bidirectional": frozenset(POLICIES),
    "migration_only": frozenset({"manual"}),
}


def follows_changes(direction: Direction, policy: Policy) -> bool:
    """Whether a change of the own catalogue starts a pass."""
    return policy == "auto_on_change" and "push" in LEGS[direction]


def retry_after(failures: int) -> float:
    """Seconds until the next try after so many failures in a row: 1, 2, 4 and so on up to 30 minutes."""
    return min(RETRY_FIRST_S * 2.0 ** min(failures - 1, 16), RETRY_MAX_S)
