"""How a rotation is shown to operators; pure.

Lives here: the JSON form. It is also what a rehearsal is made from, so each peer is told with what decides whether it can follow; nothing
of it is secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from actors.limits import DAY_S
from actors.peer.projection import derived_status
from actors.peer.record import PeerEvidence, PeerRecord
from actors.rotation.record import OPEN, Progress, RotationRecord, identity_by, progress_of, roots_of, token_burnt
from actors.settings import Settings
from runtime.clock import iso, iso_or_none
from runtime.store.port import Row

REMEDIES: Final[dict[Progress, str]] = {
    "waiting": "It follows by itself with the next contact in the overlap.",
    "paused": "Resume it within the overlap, or it has to approve the new root.",
    "must_approve": "Its operators compare the fingerprint by another way and approve it: `powernode peers approve-anchor`.",
    "must_pair_again": "Mint a token with `powernode peers regenerate`; its operators accept with it.",
}
"""What brings a peer further that has not followed."""


def shown(
    record: RotationRecord | None, settings: Settings, rows: Sequence[Row], account_id: str, wall: float, *, named_max: int
) -> dict[str, Any]:
    """Roots, window and progress per peer, and for how long roots overlap if nobody says otherwise.

    `complete` only once no live peer is left behind that nobody has given up, whatever the window.

    Peers of every account are counted; of those of `account_id` alone `named_max` are named, first those who have not followed.
    """
    roots = roots_of(record, settings.identity)
    judged = [(progress_of(row.record, record, settings.identity), row) for row in rows]
    counts: Counter[str] = Counter(progress for progress, _ in judged)
    own = sorted((each for each in judged if each[1].record.account_id == account_id), key=lambda each: each[0] not in OPEN)
    open_count = sum(counts[progress] for progress in OPEN)
    return {
        "rotating": roots.next is not None,
        "current": roots.current,
        "next": roots.next,
        "ca_pem": identity_by(record, settings.identity).ca_bundle_pem,
        "next_ca_pem": None if roots.next_key is None else roots.next_key.certificate_pem,
        "begins": iso(record.begins) if record is not None and record.begins else None,
        "ends": iso(record.ends) if record is not None and record.ends else None,
        "forced": record is not None and record.forced,
        "reason": record.reason if record is not None else None,
        "completed_at": iso_or_none(record.completed_at if record is not None else None),
        "waiting": open_count,
        "overlap_days": settings.federation.anchor_overlap_s / DAY_S,
        "counts": dict(sorted(counts.items())),
        "open_tokens": sum(_open_token(row, record, settings) for row in rows),
        "tokens_burnt": record.tokens_burnt if record is not None else 0,
        "former": [root.fingerprint for root in record.former] if record is not None else [],
        "complete": roots.next is None and not open_count,
        "peers": [_peer(row, progress, record, settings, wall) for progress, row in own[:named_max]],
        "peers_omitted": max(0, len(own) - named_max),
    }


def _open_token(row: Row, record: RotationRecord | None, settings: Settings) -> bool:
    return row.record.acceptance_token_digest is not None and not token_burnt(row.record, record, settings.identity)


def _peer(row: Row, progress: Progress, record: RotationRecord | None, settings: Settings, wall: float) -> dict[str, Any]:
    peer: PeerRecord = row.record
    seen = row.evidence if isinstance(row.evidence, PeerEvidence) else PeerEvidence()
    return {
        "id": peer.id,
        "remote_instance_url": peer.remote_instance_url,
        "progress": progress,
        "remedy": REMEDIES.get(progress),
        "told": peer.told_root is not None and peer.told_root == roots_of(record, settings.identity).target[0],
        "status": derived_status(peer, row.evidence, wall, settings.federation.stale_after_s)[0],
        "trust_mode": peer.trust_mode,
        "spawn_role": peer.spawn_role,
        "server_identity": peer.server_identity,
        "last_heartbeat_at": iso_or_none(seen.last_heartbeat_at),
        "clock_skew_s": None if seen.clock_skew_s is None else round(seen.clock_skew_s, 3),
        "platform_version": peer.platform_version,
        "token_expires_at": iso_or_none(peer.acceptance_token_expires_at if peer.acceptance_token_digest is not None else None),
    }
