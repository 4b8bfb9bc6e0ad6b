"""When each finding was first and last seen: one record per account.

Lives here: the record and the merging of a fresh scan into it; pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from actors.findings import KINDS, Finding
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind

RESOLVED_KEPT_S = 7 * 86_400.0
FINDINGS_KEPT_MAX = 20_000


@attrs.frozen
class SeenFinding:
    """A finding and its times (seconds since the epoch); `resolved_at` is None while it stands."""

    kind: str
    severity: str
    federation_peer_id: str
    message: str
    payload: Mapping[str, Any]
    fingerprint: str
    first_seen_at: float
    last_seen_at: float
    resolved_at: float | None = None
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form of the operator surface."""
        shown = attrs.asdict(self, recurse=False)
        times = {"first_seen_at": iso(self.first_seen_at), "last_seen_at": iso(self.last_seen_at), "resolved_at": iso_or_none(self.resolved_at)}
        return shown | {"payload": dict(self.payload), "title": KINDS[self.kind].title} | times


@attrs.frozen(kw_only=True)
class GovernanceRecord:
    """What the scans of one account have found; `id` is the account's."""

    id: str
    version: int = 0
    findings: tuple[SeenFinding, ...] = ()
    scanned_at: float = 0.0


KIND = Kind(name="governance", record=GovernanceRecord, resume=lambda record: True)


def merge(stored: Sequence[SeenFinding], fresh: Sequence[Finding], wall: float) -> tuple[SeenFinding, ...]:
    """The findings that stand now, with their times, and those resolved lately; the open ones first."""
    known = {finding.fingerprint: finding for finding in stored}
    merged: dict[str, SeenFinding] = {}
    for finding in fresh:
        before = known.get(finding.fingerprint)
        first = wall if before is None or before.resolved_at is not None else before.first_seen_at
        merged[finding.fingerprint] = SeenFinding(
            finding.kind, finding.severity, finding.federation_peer_id, finding.message, finding.payload, finding.fingerprint, first, wall,
            remedy=finding.remedy,
        )  # fmt: skip
    for former in stored:
        if former.fingerprint not in merged:
            resolved_at = wall if former.resolved_at is None else former.resolved_at
            if wall - resolved_at < RESOLVED_KEPT_S:
                merged[former.fingerprint] = attrs.evolve(former, resolved_at=resolved_at)
    return tuple(list(merged.values())[:FINDINGS_KEPT_MAX])
