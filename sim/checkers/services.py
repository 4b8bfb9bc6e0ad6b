"""Services between peers: seats are not given twice, and traffic follows what is subscribed.

Lives here: rules about leases and routes. What the proxy would do, the checker reads from its files and not from who wrote them.
"""

from __future__ import annotations

import json
from typing import Any, Final

from actors.ports import RemoteRequest
from runtime.store.port import Condition, Query
from sim.checkers.ability import awake
from sim.checkers.registry import Checker, Commit, checker

REACHABLE = frozenset({"enrolled", "active", "degraded"})


@checker("seats", source="docs/services.md#seats", holds=("S1",))
class Seats(Checker):
    """No offering has more living leases than seats, each has a grant of its own, which ends with it, and none lives again.

    None is given of an offering that takes no subscribers, or to a peer to which it is not shown. A provider that refuses to cross
    boundaries gives no seat of what is bound to a jurisdiction to a platform in another one.
    """

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind != "subscription_lease" or change.after is None:
                continue
            lease = change.after.record
            if change.before is not None and change.before.record.state != "live" and lease.state == "live":
                self.complain(commit.host, f"{lease.id}: the lease was {change.before.record.state} and lives again")
            if lease.state == "live":
                self._count(commit.host, lease)
            else:
                self._ended(commit, lease)
            if change.before is None:
                self._cross(commit.host, lease)
                self._taken(commit.host, lease)

    def _ended(self, commit: Commit, lease: Any) -> None:
        found = commit.host.store.load("grant", lease.grant_id)
        if found is not None and found.record.revoked_at is None and commit.wall < found.record.expires_at:
            self.complain(commit.host, f"{lease.id}: the lease is {lease.state}, and its grant is in force")

    def _taken(self, host: Any, lease: Any) -> None:
        offering = host.store.load("service_offering", lease.offering_id)
        if offering is None or offering.record.status != "active":
            self.complain(host, f"{lease.id}: a seat is given of an offering that is {offering and offering.record.status}")
        elif offering.record.visible_to is not None and lease.federation_peer_id not in offering.record.visible_to:
            self.complain(host, f"{lease.id}: a seat is given to a peer that the offering is not shown to")

    def _cross(self, host: Any, lease: Any) -> None:
        offering, peer = host.store.load("service_offering", lease.offering_id), host.store.load("peer", lease.federation_peer_id)
        if host.federation.residency_mode != "refuse" or offering is None or not offering.record.residency_sensitive or peer is None:
            return
        there = next((other for other in self.facts.world.hosts.values() if other.instance_id == peer.record.remote_instance_id), None)
        tags = {each.federation.data_residency.casefold() for each in (host, there) if each is not None and each.federation.data_residency}
        if len(tags) > 1:
            self.complain(host, f"{lease.id}: a seat that must not leave {host.federation.data_residency} was given across a boundary")

    def _count(self, host: Any, lease: Any) -> None:
        offering = host.store.load("service_offering", lease.offering_id)
        living = host.store.query(Query("subscription_lease", ((Condition("live_offering_id", "=", lease.offering_id),),)))
        seats = offering.record.max_subscribers if offering is not None else 0
        if seats is not None and len(living) > seats:
            self.complain(host, f"{lease.offering_id}: {len(living)} leases live, and there are {seats} seats")
        grants = [row.record.grant_id for row in living]
        if len(set(grants)) < len(grants):
            self.complain(host, f"{lease.offering_id}: two leases share a grant")


@checker("routes", source="docs/services.md#routes", holds=("S2",))
class Routes(Checker):
    """At rest the proxy routes exactly the active subscriptions of peerings in force, each with a bearer of the grant that it has now."""

    def on_rest(self, host: Any) -> None:
        expected, wall = {}, host.clock.wall()
        decided = host.store.load("continuity", host.instance_id)
        if int(host.store.meta_get("restored_at_epoch") or 0) > ((decided.record.decided_restore or 0) if decided is not None else 0):
            # A copy whose operators have not decided yet what of it still holds.
            return
        for row in host.store.query(Query("service_subscription", ((Condition("state", "=", "active"),),))):
            record = row.record
            peer = host.store.load("peer", record.federation_peer_id)
            in_force = peer is not None and peer.record.status in REACHABLE and peer.record.peering_epoch == record.peering_epoch
            if in_force and record.expires_at > wall and not record.site_local:
                expected[f"sub-{record.id}"] = record.grant_id
        found = {}
        content = json.loads(host.proxy.files.get(f"powernode-{host.account_id}.yml", b"{}"))
        for key, middleware in content.get("http", {}).get("middlewares", {}).items():
            bearer = middleware["headers"]["customRequestHeaders"]["Authorization"]
            found[key] = bearer.removeprefix("Bearer fg-").partition(".")[0]
        if found != expected:
            self.complain(host, f"the proxy routes {sorted(found.items())}, and {sorted(expected.items())} are active")


RENEWED_BEFORE_S: Final = 7 * 86_400.0
ONCE_IN_S: Final = 86_400.0
"""A term is not asked for again sooner than a day after it was obtained, unless it ends within the day."""
LOOKED_WITHIN_S: Final = 2 * 3_600.0
"""Every subscription is looked at once an hour, and a call may be lost."""


@checker("renewals", source="docs/services.md#subscribing")
class Renewals(Checker):
    """In the last seven days of its term a subscription that renews by itself asks for another one, once its provider can be asked."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._asked: set[tuple[str, str]] = set()

    def on_request(self, host: Any, request: RemoteRequest) -> None:
        parts = request.path.split("/")
        if parts[-1] == "renew" and parts[-3] == "subscriptions":
            self._asked.add((host.name, parts[-2]))

    def on_start(self, host: Any) -> None:
        for row in host.store.query(Query("service_subscription", ((Condition("state", "=", "active"),),))):
            self._expect(host, row.record)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "service_subscription" and change.after is not None:
                before, after = None if change.before is None else change.before.record, change.after.record
                if after.grant_id is not None and (
                    before is None or (before.grant_id, before.expires_at) != (after.grant_id, after.expires_at)
                ):
                    self._expect(commit.host, after)

    def _expect(self, host: Any, record: Any) -> None:
        if record.auto_renew and record.expires_at is not None:
            due_s = max(_asks_from(record) - host.clock.wall(), 0.0) + LOOKED_WITHIN_S + 1.0
            self.later(due_s, lambda: self._look(host, host.incarnation, record))

    def _look(self, host: Any, incarnation: int, asked_of: Any) -> None:
        row = host.store.load("service_subscription", asked_of.id)
        same = row is not None and (row.record.grant_id, row.record.state, row.record.auto_renew) == (asked_of.grant_id, "active", True)
        if not same or host.incarnation != incarnation or not host.running or (host.name, asked_of.grant_id) in self._asked:
            return
        peer, wall = self.facts.peers[host.name].get(asked_of.federation_peer_id), host.clock.wall()
        able_s = min(self.facts.now - self.facts.awake_since(host), wall - (peer.status_since if peer is not None else wall))
        if not awake(host) or peer is None or peer.status != "active" or able_s < LOOKED_WITHIN_S:
            self.later(LOOKED_WITHIN_S / 2, lambda: self._look(host, incarnation, asked_of))
        elif _asks_from(row.record) < wall - LOOKED_WITHIN_S < row.record.expires_at - LOOKED_WITHIN_S:
            self.complain(
                host, f"{asked_of.id}: the term ends in {(asked_of.expires_at - wall) / 3600.0:.0f} h, and nobody asks for another"
            )


def _asks_from(record: Any) -> float:
    """From when on another term is asked for."""
    began: float = record.seated_at if record.seated_at is not None else 0.0
    return float(max(record.expires_at - RENEWED_BEFORE_S, min(began + ONCE_IN_S, record.expires_at - ONCE_IN_S)))
