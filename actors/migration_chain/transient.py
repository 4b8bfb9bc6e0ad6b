"""Which refusals may be gone at the next try. Pure.

Must not live here: what follows from it.
"""

from __future__ import annotations

from typing import Final

TRANSIENT_STATUSES: Final = frozenset({408, 423, 425, 429})

TRANSIENT: Final = frozenset(
    {
        "remote_unreachable", "remote_timeout", "remote_error", "remote_rate_limited", "rate_limited", "too_many_pending",
        "server_identity_unverified", "unavailable", "deadline_exceeded", "mailbox_full", "internal_error", "ca_unavailable",
        "vault_unavailable", "no_outbound_identity", "peer_not_ready", "peer_degraded", "peer_suspended", "trust_frozen",
        "resource_frozen", "resource_incoming", "migration_fenced", "plan_incomplete",
    }
)  # fmt: skip
"""Codes of what passes: the way, the other side's moment, a record that something else holds just now, a commit that got lost."""


def passes(code: str, status: int = 0) -> bool:
    """Whether another try may have another outcome."""
    return code in TRANSIENT or status >= 500 or status in TRANSIENT_STATUSES
