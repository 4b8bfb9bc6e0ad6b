"""What becomes of the bearers that a platform holds: which are marked as refused, and which are left when a peering is over.

Lives here: rules about received grants. Must not live here: what a bearer opens (see `grants`).
"""

from __future__ import annotations

from typing import Any

from actors.ports import RemoteReply, RemoteRequest
from runtime.store.port import Query
from sim.checkers.admission import verdict
from sim.checkers.registry import Checker, Commit, Visit, checker

CHANGED = "grant.changed"
ASKED = "/federation_api/grants"


@checker("held_bearers", source="docs/grants.md#grants-that-others-gave-us", holds=("I4",))
class HeldBearers(Checker):
    """When a revocation is complete, no bearer that its peer gave us is left."""

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("received_grant")):
            peer = self.facts.peers[host.name].get(row.record.federation_peer_id)
            over = peer is None or (peer.revocation is not None and peer.revocation.phase == "complete" and not peer.revocation.untold)
            if over:
                self.complain(host, f"{row.record.id}: its peering is over, and the bearer is still held")


@checker("refused_bearers", source="docs/grants.md#grants-that-others-gave-us")
class RefusedBearers(Checker):
    """A bearer is marked as refused only if its issuer refused this very one, or has told of a change of the grant."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._refused: set[tuple[str, bytes]] = set()
        self._told: set[tuple[str, str, str]] = set()

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if request.sealed_bearer is None or not isinstance(outcome, RemoteReply):
            return
        if outcome.status == 401 or (request.path.startswith(ASKED) and not _good(outcome)):
            self._refused.add((host.name, request.sealed_bearer))

    def on_call(self, visit: Visit) -> None:
        payload = visit.body.get("payload") if visit.route == "peer_events" else None
        if isinstance(payload, dict) and visit.body.get("kind") == CHANGED and payload.get("change") in ("revoked", "expired"):
            _, peer = verdict(self.facts, visit)
            if peer is not None:
                self._told.add((visit.host.name, peer.id, str(payload.get("grant_id"))))

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind != "received_grant" or change.after is None:
                continue
            record, before = change.after.record, change.before.record if change.before is not None else None
            marked = record.refused_code is not None and (before is None or before.refused_code is None)
            told = (commit.host.name, record.federation_peer_id, record.grant_id) in self._told
            if marked and not told and record.sealed_bearer is not None and (commit.host.name, record.sealed_bearer) not in self._refused:
                self.complain(commit.host, f"{record.id}: the bearer is marked {record.refused_code}, and its issuer refused another one")


def _good(outcome: RemoteReply) -> bool:
    """Whether an issuer has said that a bearer is that of a grant in force."""
    data = outcome.body.get("data")
    told = data[0] if outcome.status == 200 and isinstance(data, list) and data else None
    return isinstance(told, dict) and told.get("state") == "active" and bool(told.get("presented"))
