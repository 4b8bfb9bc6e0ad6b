"""What depends on a peering: nothing of it shows as living once the peering has ended.

Lives here: for each kind of row that depends on a peering, when such a row is over, and the rule. Must not live here: whether what is not
over has any effect (see `grants`, `routes` and `relaying`), how a revocation goes on (see `ending`), or what the peer gave us (`bearers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.ability import awake, delay_s
from sim.checkers.registry import Change, Checker, Commit, checker

TOLD_S: Final = 120.0
"""How long after the end of a peering, on a platform that can do what it must, a row may still show as if it went on."""

LIVING: Final[Mapping[str, tuple[str, Callable[[Any], bool]]]] = {
    "grant": ("federation_peer_id", lambda record: record.revoked_at is None and record.archived_at is None),
    "subscription_lease": ("federation_peer_id", lambda record: record.state == "live"),
    "service_subscription": ("federation_peer_id", lambda record: record.state != "cancelled"),
    "federation_capability": ("federation_peer_id", lambda record: record.ended_at is None and not record.going),
    "mirror_shelf": ("id", lambda record: record.ended_at is None),
    "bridge": ("federation_peer_id", lambda record: record.state != "revoked"),
    "hub_consent": ("id", lambda record: "permitted" in (record.relaying, record.relayed)),
    "approval": ("federation_peer_id", lambda record: record.status == "pending"),
    "chain_hop": ("asker_peer_id", lambda record: record.status == "awaiting_approval"),
}
"""Kind to the field that names the peer, and whether a record shows as living."""


@checker("nothing_outlives_its_peering", source="docs/operator-guide.md#pausing-and-ending-a-peering", holds=("I4",))
class NothingOutlivesItsPeering(Checker):
    """Soon after its end no grant, seat, subscription, flow, bridge, consent to relay, request or wish of a peering shows as living."""

    def on_start(self, host: Any) -> None:
        for id, record in self.facts.peers[host.name].items():
            if record.status == "revoked":
                self._expect(host, id)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        if change.after.record.status == "revoked" and (change.before is None or change.before.record.status != "revoked"):
            self._expect(commit.host, change.id)

    def on_rest(self, host: Any) -> None:
        settled_at = host.clock.wall() - TOLD_S - 2 * delay_s(host)
        peers = self.facts.peers[host.name].items()
        self._judge(host, {id for id, record in peers if record.status == "revoked" and record.revoked_at < settled_at})

    def _expect(self, host: Any, id: str) -> None:
        incarnation = host.incarnation

        def look() -> None:
            record = self.facts.peers[host.name].get(id)
            if host.incarnation != incarnation or not host.running or record is None or record.status != "revoked":
                return
            if not awake(host) or self.facts.now - self.facts.resumed_at(host) < TOLD_S + 2 * delay_s(host):
                self._expect(host, id)
            else:
                self._judge(host, {id})

        self.later(TOLD_S + 2 * delay_s(host), look)

    def _judge(self, host: Any, ids: Set[str]) -> None:
        for kind, peer_id, record in living(host, ids):
            self.complain(host, f"{peer_id}: the peering has ended, and its {kind.replace('_', ' ')} {record.id} shows as living")


def living(host: Any, peer_ids: Set[str]) -> Iterator[tuple[str, str, Any]]:
    """What shows as living of some peerings: its kind, the peer and the record."""
    for kind, (column, lives) in LIVING.items() if peer_ids else ():
        for row in host.store.query(Query(kind)):
            peer_id = getattr(row.record, column)
            if peer_id in peer_ids and lives(row.record):
                yield kind, peer_id, row.record
