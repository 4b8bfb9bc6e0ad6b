"""Who operates whom: the grant of a managed child to its parent.

Lives here: when a child may give one, that a parent which accepts holds what was brought, and that nothing is left once the child stands on
its own. Must not live here: what any bearer opens (see `grants`), or that bearers are written down nowhere (see `secrecy`).
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from actors.ports import GRANT_BEARER_PURPOSE
from runtime.store.port import Condition, Query
from sim.checkers.registry import Checker, Commit, Visit, checker

OPERATOR: Final = "ManagedChildOperator"
SCOPES: Final = frozenset({"read", "write", "admin"})


def _part(peer: Any, role: str) -> bool:
    return peer is not None and peer.spawn_role == role and peer.spawn_mode == "managed_child" and "emancipated_at" not in peer.metadata


def _given(host: Any, peer_id: str) -> list[Any]:
    rows = host.store.query(Query("grant", ((Condition("peer_id", "=", peer_id),),)))
    return [row.record for row in rows if row.record.resource_kind == OPERATOR]


def _held(host: Any, peer_id: str) -> list[Any]:
    rows = host.store.query(Query("received_grant", ((Condition("federation_peer_id", "=", peer_id),),)))
    return [row.record for row in rows if row.record.resource_kind == OPERATOR]


def _in_force(grant: Any, wall: float) -> bool:
    return grant.revoked_at is None and grant.archived_at is None and wall < grant.expires_at


def _taken_back(grant: Any) -> bool:
    return grant.revoked_at is not None and grant.replaced_by is None


@checker("stewardship", source="docs/grants.md#the-grant-of-a-managed-child", holds=("I3", "I4"))
class Stewardship(Checker):
    """A managed child gives its parent one grant at a time, the parent that accepts it holds its very bearer, and nobody else gives one.

    Once a child has taken it back it stands on its own: none is in force or given again, and its parent holds none.
    """

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        data = (answer.body or {}).get("data") if visit.route == "accept" and answer.status == 200 else None
        if not isinstance(data, dict) or data.get("replayed"):
            return
        brought = visit.body.get("operator_grant")
        row = visit.host.store.load("peer", str(data.get("peer_id")))
        held = [] if row is None else [grant for grant in _held(visit.host, row.record.id) if grant.sealed_bearer is not None]
        if row is None or not _part(row.record, "parent"):
            if any(grant.source == "accept" for grant in held):
                self.complain(visit.host, f"{visit.source} is no managed child of ours, and we hold a grant to operate it")
        elif brought is not None:
            bearers = {visit.host.vault.open(grant.sealed_bearer, GRANT_BEARER_PURPOSE).reveal() for grant in held}
            if bearers != {brought["bearer_token"]}:
                self.complain(visit.host, f"{visit.source} was accepted, and the bearer that it brought is not the one that is held")

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "grant" and change.before is None and change.after is not None:
                self._begun(change.after.record, commit)

    def _begun(self, grant: Any, commit: Commit) -> None:
        if grant.resource_kind != OPERATOR:
            return
        row = commit.host.store.load("peer", grant.federation_peer_id)
        others = [other for other in _given(commit.host, grant.federation_peer_id) if other.id != grant.id]
        if row is None or not _part(row.record, "child") or grant.origin != "managed_child" or grant.resource_id is not None:
            self.complain(commit.host, f"{grant.id}: it lets somebody operate us who is not our parent")
        if not set(grant.permission_scopes) <= SCOPES:
            self.complain(commit.host, f"{grant.id}: it allows a parent more than to operate us")
        if any(_in_force(other, commit.wall) for other in others):
            self.complain(commit.host, f"{grant.id}: another one is in force")
        if any(_taken_back(other) and other.peering_epoch == grant.peering_epoch for other in others):
            self.complain(commit.host, f"{grant.id}: what our operators took back is given again")

    def on_rest(self, host: Any) -> None:
        wall = host.clock.wall()
        for id, peer in self.facts.peers[host.name].items():
            if peer.spawn_mode != "managed_child" or peer.status in ("proposed", "revoked"):
                continue
            given = _given(host, id)
            if _part(peer, "child"):
                if any(_taken_back(grant) for grant in given):
                    self.complain(host, f"{id}: our parent's grant was revoked, and we do not stand on our own")
            elif any(_in_force(grant, wall) for grant in given):
                self.complain(host, f"{id}: we stand on our own, and the grant of our parent is in force")
            if "emancipated_at" in peer.metadata and any(grant.sealed_bearer is not None for grant in _held(host, id)):
                self.complain(host, f"{id}: our child stands on its own, and we hold the bearer to operate it")
