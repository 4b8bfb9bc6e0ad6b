"""The life of a grant: its states, what each of them allows, and every change there is.

Rules of this module:

* A state is never stored. It is computed from the record and the wall clock, so that a grant ends at its instant whether or not any timer
  has fired. Where several hold, the later one in a life wins: archived, revoked, expired, active.
* `TRANSITIONS` and `OPERATIONS` are the truth; the operator surface, the simulator's checkers and the property tests read them.
* Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, Protocol

from actors.limits import DAY_S, GRANT_ARCHIVED_AFTER_S, GRANT_REVOCATION_GRACE_S

State = Literal["active", "expired", "revoked", "archived"]
Operation = Literal["narrow", "revoke", "rotate", "review"]
Trigger = Literal["issued", "time_passed", "operator_revoked", "kept_long_enough"]

STATES: Final[tuple[State, ...]] = ("active", "expired", "revoked", "archived")

TRANSITIONS: Final[tuple[tuple[State | None, State, Trigger], ...]] = (
    (None, "active", "issued"),
    ("active", "expired", "time_passed"),
    ("active", "revoked", "operator_revoked"),
    ("expired", "revoked", "operator_revoked"),
    ("expired", "archived", "kept_long_enough"),
    ("revoked", "archived", "kept_long_enough"),
)
"""(from, to, why). There is no way back: a grant that has ended is replaced by a new one."""

OPERATIONS: Final[Mapping[Operation, frozenset[State]]] = {
    "narrow": frozenset({"active", "expired"}),
    "revoke": frozenset({"active", "expired"}),
    "rotate": frozenset({"active"}),
    "review": frozenset({"active", "expired"}),
}


class Life(Protocol):
    """The times of a grant, in seconds since the epoch."""

    @property
    def expires_at(self) -> float: ...
    @property
    def revoked_at(self) -> float | None: ...
    @property
    def archived_at(self) -> float | None: ...
    @property
    def revocation_immediate(self) -> bool: ...


def state(grant: Life, wall: float) -> State:
    """The state at `wall`. A grant is valid while `wall` lies before `expires_at`."""
    if grant.archived_at is not None:
        return "archived"
    if grant.revoked_at is not None:
        return "revoked"
    return "active" if wall < grant.expires_at else "expired"


def ended_at(grant: Life) -> float:
    """When the grant ends or ended: by revocation or by expiry, whichever comes first."""
    return grant.expires_at if grant.revoked_at is None else min(grant.revoked_at, grant.expires_at)


def may_go_on(grant: Life, begun_at: float, wall: float, *, ends_only: bool) -> bool:
    """Whether work that was begun under the grant, while it was in force, may go on at `wall` although the grant has ended.

    Args:
        begun_at: seconds since the epoch.
        ends_only: what is asked for can only end the work, which must be possible at any time: somebody holds records until it has ended.
    """
    if grant.archived_at is not None or begun_at > ended_at(grant):
        return False
    return ends_only or in_grace(grant, wall)


def in_grace(grant: Life, wall: float) -> bool:
    """Whether the grant was revoked so short a time ago that what is under way may finish."""
    if grant.archived_at is not None or grant.revoked_at is None or grant.revocation_immediate:
        return False
    return wall < min(grant.revoked_at + GRANT_REVOCATION_GRACE_S, grant.expires_at)


def archive_at(grant: Life) -> float:
    """When the daily sweep takes the grant: at the first midnight (UTC) at which it has been over for more than ninety days."""
    return ((ended_at(grant) + GRANT_ARCHIVED_AFTER_S) // DAY_S + 1) * DAY_S
