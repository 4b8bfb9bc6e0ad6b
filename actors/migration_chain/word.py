"""What the holder of a resource says about a hop: its form on the wire, and the reading of it.

Lives here: the value, to and from JSON; pure. What comes from a remote is hostile until it has passed through `parse`. Must not live here:
what follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.migration.lifecycle import STATUSES as MIGRATION_STATUSES
from actors.migration_chain.lifecycle import HOP_STATUSES, HopStatus
from runtime.clock import iso_or_none
from runtime.ids import is_uuid
from runtime.values import Value, as_dict

CODE_CHARS_MAX: Final = 64
INSTANT_CHARS_MAX: Final = 40


class HopWord(Value, frozen=True, kw_only=True):
    """How a hop stands at its holder.

    Attributes:
        migration_id, migration_status: of the holder's migration, once there is one.
        approval_expires_at: until when the holder's operators may decide, ISO-8601.
        error: code of the last refusal or failure.
        next_root_id: what the resource is called at the destination; with `completed` only.
        proof: the destination's signed receipt, with `completed` only; not verified here.
    """

    status: HopStatus
    attempt: int
    migration_id: str | None = None
    migration_status: str | None = None
    approval_expires_at: str | None = None
    error: str | None = None
    next_root_id: str | None = None
    proof: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The form on the wire."""
        return as_dict(self)

    @property
    def waits_for(self) -> str:
        """What comes next, in words for an operator."""
        if self.status == "awaiting_approval":
            return f"the approval of the holder's operators, until {self.approval_expires_at or 'it is decided'}"
        if self.status == "moving" and self.migration_status == "conflict":
            return "the holder's operators, who decide about names that are taken at the destination"
        if self.status == "moving" and self.migration_status == "failed":
            return f"another try of the holder's migration ({self.error or 'it failed in passing'})"
        if self.status == "moving":
            return f"the holder's migration, which is {self.migration_status or 'about to be planned'}"
        return "nothing"


def parse(value: object) -> HopWord | None:
    """What a holder says, or None if it is not said in the right form."""
    if not isinstance(value, Mapping):
        return None
    status, attempt = value.get("status"), value.get("attempt")
    if status not in HOP_STATUSES or not isinstance(attempt, int) or isinstance(attempt, bool) or attempt < 1:
        return None
    next_root_id = value.get("next_root_id")
    if status == "completed" and not is_uuid(next_root_id):
        return None
    proof = value.get("proof")
    migration_id, migration_status = value.get("migration_id"), value.get("migration_status")
    return HopWord(
        status=status,
        attempt=attempt,
        migration_id=migration_id if isinstance(migration_id, str) and is_uuid(migration_id) else None,
        migration_status=migration_status if migration_status in MIGRATION_STATUSES else None,
        approval_expires_at=_plain(value.get("approval_expires_at"), INSTANT_CHARS_MAX, ":-+.TZ"),
        error=_plain(value.get("error"), CODE_CHARS_MAX, "_"),
        next_root_id=next_root_id if status == "completed" and isinstance(next_root_id, str) else None,
        proof=proof if status == "completed" and isinstance(proof, dict) else None,
    )


def _plain(value: object, chars_max: int, beside: str) -> str | None:
    """A short text of letters, digits and a few signs, or None."""
    if not isinstance(value, str) or not 0 < len(value) <= chars_max or not value.isascii():
        return None
    return value if all(sign.isalnum() or sign in beside for sign in value) else None


def until(expires_at: float | None) -> str | None:
    """An instant as it is told."""
    return iso_or_none(expires_at)
