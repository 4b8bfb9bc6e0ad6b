"""The weekly review of grants: what somebody should look at again, by category. Pure.

Lives here: the categories as a literal table, and the condition of each. Must not live here: when a review is made, or who is told
(`actors.governance.reviewing`). A review changes nothing; noting that a grant was looked at is an operator's act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from actors.grant import lifecycle
from actors.grant.record import BROAD_SCOPES, GrantRecord, GrantUsage
from actors.limits import DAY_S
from actors.peer.lifecycle import Severity
from actors.peer.record import PeerRecord
from runtime.clock import iso

CERTIFICATE_SPENT: Final = 0.75
"""Share of a certificate's lifetime after which it should be renewed."""

EXPIRES_SOON_S: Final = 7 * DAY_S
OVERDUE_S: Final = 90 * DAY_S
UNUSED_S: Final = 30 * DAY_S
LISTED_MAX: Final = 1_000
"""Entries of one category that a result holds; `count` counts all of them."""
SAMPLES: Final = 3
"""Entries that an event of a category names."""

CATEGORIES: Final[Mapping[str, Severity]] = {
    "cert_rotation_candidates": "medium",
    "grants_approaching_expiry": "medium",
    "grants_overdue_for_review": "low",
    "broad_scope_grants": "medium",
    "broad_and_unrestricted": "high",
    "capability_drift": "medium",
    "grants_never_used": "low",
    "axis_dangling": "medium",
    "bare_tokens_in_use": "medium",
}
"""Category to the severity of its event."""

Found = tuple[str, dict[str, Any]]
"""A category, and what is to be looked at: the peer, the grant if it is one, and why."""


@attrs.define(eq=False)
class Review:
    """A review under way: entries by category, and how many there were."""

    entries: dict[str, list[dict[str, Any]]] = attrs.field(factory=lambda: {name: [] for name in CATEGORIES})
    counts: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(CATEGORIES, 0))

    def add(self, found: Iterator[Found]) -> None:
        """Take what a row has shown."""
        for category, entry in found:
            self.counts[category] += 1
            if len(self.entries[category]) < LISTED_MAX:
                self.entries[category].append(entry)

    def to_json(self, wall: float) -> dict[str, Any]:
        """The form of the operator surface."""
        categories = [
            {"category": name, "severity": CATEGORIES[name], "count": self.counts[name], "entries": self.entries[name]}
            for name in CATEGORIES
            if self.counts[name]
        ]
        return {"reviewed_at": iso(wall), "categories": categories}


def of_peer(peer: PeerRecord, *, flows: bool, cert_ttl_s: float, wall: float) -> Iterator[Found]:
    """What a peer that is not revoked shows.

    Args:
        flows: whether it has a capability.
        cert_ttl_s: lifetime of the certificates that we issue.
        wall: seconds since the epoch.
    """
    for name, not_before, not_after in _certificates(peer, cert_ttl_s):
        if wall >= not_before + CERTIFICATE_SPENT * (not_after - not_before):
            yield "cert_rotation_candidates", {"federation_peer_id": peer.id, "certificate": name, "not_after": iso(not_after)}
    if peer.extension_slugs and not flows:
        yield "capability_drift", {"federation_peer_id": peer.id, "extension_slugs": list(peer.extension_slugs)}


def _certificates(peer: PeerRecord, cert_ttl_s: float) -> Iterator[tuple[str, float, float]]:
    """Name, beginning and end of the certificate that we show the peer, and of the one that we issued to it."""
    if peer.outbound is not None:
        yield "outbound", peer.outbound.not_before, peer.outbound.not_after
    if peer.issued_not_after is not None:
        # When it was issued is not kept; it lasts as long as any of ours.
        yield "issued", peer.issued_not_after - cert_ttl_s, peer.issued_not_after


def of_grant(grant: GrantRecord, usage: GrantUsage | None, wall: float, reachable: Callable[[str], bool]) -> Iterator[Found]:
    """What a grant in force shows. `reachable`: whether the peer can still call through an overlay network of that id."""
    if lifecycle.state(grant, wall) != "active":
        return
    entry = {
        "federation_peer_id": grant.federation_peer_id,
        "grant_id": grant.id,
        "remote_subject": grant.remote_subject,
        "resource_kind": grant.resource_kind,
        "permission_scopes": list(grant.permission_scopes),
    }
    if grant.expires_at - wall <= EXPIRES_SOON_S:
        yield "grants_approaching_expiry", {**entry, "expires_at": iso(grant.expires_at)}
    looked_at = max(grant.issued_at, grant.last_reviewed_at or 0.0)
    if wall - looked_at > OVERDUE_S:
        yield "grants_overdue_for_review", {**entry, "looked_at": iso(looked_at)}
    if not BROAD_SCOPES.isdisjoint(grant.permission_scopes):
        yield "broad_scope_grants", entry
        if grant.unrestricted:
            yield "broad_and_unrestricted", entry
    if wall - grant.issued_at >= UNUSED_S and (usage is None or usage.use_count == 0):
        yield "grants_never_used", {**entry, "issued_at": iso(grant.issued_at)}
    networks = [each for each in grant.sdwan_network_ids if each != "*"]
    if networks and not any(reachable(each) for each in networks):
        yield "axis_dangling", entry
    if grant.bare_token:
        yield "bare_tokens_in_use", entry
