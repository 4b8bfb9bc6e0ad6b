"""How a rotation is shown to operators; pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.rotation.record import RotationRecord, progress_of, roots_of
from actors.settings import Identity
from runtime.clock import iso, iso_or_none
from runtime.store.port import Row


def shown(record: RotationRecord | None, identity: Identity, rows: Sequence[Row], account_id: str) -> dict[str, Any]:
    """Roots, window and progress per peer. `complete` only once no live peer is left behind, whatever the window says.

    Peers of every account are counted; those of `account_id` alone are named.
    """
    roots = roots_of(record, identity)
    target = roots.target[0]
    peers = [
        {
            "id": row.record.id,
            "remote_instance_url": row.record.remote_instance_url,
            "progress": progress_of(row.record, target, identity.ca_fingerprint),
        }
        for row in rows
        if row.record.account_id == account_id
    ]
    waiting = sum(progress_of(row.record, target, identity.ca_fingerprint) == "waiting" for row in rows)
    rotating = roots.next is not None
    return {
        "rotating": rotating,
        "current": roots.current,
        "next": roots.next,
        "begins": iso(record.begins) if record is not None and record.begins else None,
        "ends": iso(record.ends) if record is not None and record.ends else None,
        "forced": record is not None and record.forced,
        "reason": record.reason if record is not None else None,
        "completed_at": iso_or_none(record.completed_at if record is not None else None),
        "waiting": waiting,
        "complete": not rotating and not waiting,
        "peers": peers,
    }
