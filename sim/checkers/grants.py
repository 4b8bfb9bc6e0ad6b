"""What is lent to a peer: who is served a resource, and under which grant.

Lives here: rules about calls that need a grant. Must not live here: whether the caller is the peer at all (see `admission`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.registry import Checker, Visit, checker

EXCHANGE: Final = frozenset({"enrolled", "active", "degraded"})
"""Statuses in which a peer has proven itself, so that more than heartbeats is served."""

_BEARER: Final = re.compile(r"[Bb]earer fg-([0-9a-f-]{36})(?:\.(\S+))?")


@checker("lent", source="docs/trust-model.md#inbound-calls", holds=("I3",))
class Lent(Checker):
    """A resource is served to a peer that has proven itself, under a grant of its own that is in force and whose secret it presents."""

    def on_call(self, visit: Visit) -> None:
        if visit.route == "resources":
            visit.notes["lent"] = self._flaw(visit)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route != "resources" or answer.status >= 300 or visit.notes["lent"] is None:
            return
        flaw = self._flaw(visit)
        # A row may change while the call is being served; one of the two moments must allow it.
        if flaw is not None:
            self.complain(visit.host, f"resources are served to {visit.source}, but {flaw}")

    def _flaw(self, visit: Visit) -> str | None:
        peer = self.facts.peers[visit.host.name].get(visit.notes.get("peer") or "")
        if peer is None:
            return "it has not proven to be a peer"
        if peer.status not in EXCHANGE:
            return f"the peer is {peer.status}"
        found = _BEARER.fullmatch(visit.call.headers.get("authorization", ""))
        row = None if found is None else visit.host.store.load("grant", found[1])
        if found is None or row is None:
            return "it presents the bearer of no grant"
        return _flaw_of(row.record, peer, found[2], visit.host.clock.wall())


def _flaw_of(grant: Any, peer: Any, secret: str | None, wall: float) -> str | None:
    """What is wrong with a grant that a peer presents, or None."""
    digest = None if secret is None else hashlib.sha256(secret.encode()).hexdigest()
    former = digest is not None and digest == grant.previous_token_digest and wall < (grant.previous_token_until or 0.0)
    if grant.federation_peer_id != peer.id:
        return "the grant is another peer's"
    if digest != grant.token_digest and not former:
        return "the secret is not, or no longer, that of the grant"
    if grant.revoked_at is not None or grant.archived_at is not None or grant.expires_at <= wall:
        return "the grant is over"
    if grant.peering_epoch != peer.peering_epoch:
        return "the grant is of an earlier peering"
    return None if "read" in grant.permission_scopes else "the grant does not let it read"
