"""When each finding was first and last seen: one record per account.

Lives here: the record and the merging of a fresh scan into it; pure. Must not live here: what a scan looks for (see `scanner`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from actors.findings import KINDS, Finding
from actors.limits import FINDINGS_OPEN_MAX, FINDINGS_RESOLVED_KEPT_S, FINDINGS_RESOLVED_MAX
from actors.peer.lifecycle import Severity
from runtime.clock import iso, iso_or_none
from runtime.store.port import Kind
from runtime.values import evolve

_SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")


@attrs.frozen
class SeenFinding:
    """A finding and its times (seconds since the epoch); `resolved_at` is None while it stands."""

    kind: str
    severity: Severity
    federation_peer_id: str | None
    message: str
    payload: Mapping[str, Any]
    fingerprint: str
    first_seen_at: float
    last_seen_at: float
    resolved_at: float | None = None
    remedy: str = ""

    def to_json(self) -> dict[str, Any]:
        """The form of the operator surface."""
        known = KINDS.get(self.kind)  # a kind of an earlier release may have gone since
        return attrs.asdict(self, recurse=False) | {
            "payload": dict(self.payload),
            "title": known.title if known is not None else self.kind,
            "first_seen_at": iso(self.first_seen_at),
            "last_seen_at": iso(self.last_seen_at),
            "resolved_at": iso_or_none(self.resolved_at),
        }


@attrs.frozen(kw_only=True)
class GovernanceRecord:
    """What the scans of one account have found; `id` is the account's. Times are seconds since the epoch."""

    id: str
    version: int = 0
    findings: tuple[SeenFinding, ...] = ()
    scanned_at: float | None = None
    reviewed_at: float | None = None


KIND = Kind(name="governance", record=GovernanceRecord, resume=lambda record: True)


def merge(stored: Sequence[SeenFinding], fresh: Sequence[Finding], wall: float) -> tuple[SeenFinding, ...]:
    """What stands at `wall`, with its times, and behind it what was resolved lately.

    A finding is known by its fingerprint. One that comes back after it was resolved begins anew: what lies between was sound. The gravest
    open ones stand first, and are the ones that stay where there are more than are kept; of resolved ones the latest stay.
    """
    known = {finding.fingerprint: finding for finding in stored}
    standing = {finding.fingerprint: _seen(finding, known.get(finding.fingerprint), wall) for finding in fresh}
    resolved = [
        former if former.resolved_at is not None else evolve(former, resolved_at=wall)
        for fingerprint, former in known.items()
        if fingerprint not in standing
    ]
    kept = [former for former in resolved if former.resolved_at is not None and wall - former.resolved_at <= FINDINGS_RESOLVED_KEPT_S]
    gravest = sorted(standing.values(), key=lambda found: (_SEVERITIES.index(found.severity), found.first_seen_at, found.fingerprint))
    latest = sorted(kept, key=lambda finding: (-(finding.resolved_at or 0.0), finding.fingerprint))
    return (*gravest[:FINDINGS_OPEN_MAX], *latest[:FINDINGS_RESOLVED_MAX])


def _seen(finding: Finding, former: SeenFinding | None, wall: float) -> SeenFinding:
    lasting = former is not None and former.resolved_at is None
    seen = SeenFinding(
        kind=finding.kind,
        severity=finding.severity,
        federation_peer_id=finding.federation_peer_id,
        message=finding.message,
        payload=finding.payload,
        fingerprint=finding.fingerprint,
        first_seen_at=former.first_seen_at if lasting and former is not None else wall,
        last_seen_at=wall,
        remedy=finding.remedy,
    )
    # Of what says the same again nothing but the time is new: the flight recorder keeps former records, which then share their texts.
    again = None if former is None else evolve(former, last_seen_at=wall)
    return again if again is not None and again == seen else seen


def appeared(stored: Sequence[SeenFinding], now: Sequence[SeenFinding]) -> tuple[SeenFinding, ...]:
    """The findings of `now` that stand but did not stand in `stored`."""
    stood = {finding.fingerprint for finding in stored if finding.resolved_at is None}
    return tuple(finding for finding in now if finding.resolved_at is None and finding.fingerprint not in stood)
