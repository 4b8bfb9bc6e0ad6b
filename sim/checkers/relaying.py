"""Relaying: nothing passes a hub without the consent of operators on both sides.

Lives here: the rule as both platforms' disks show it. Who called through whom, the checker takes from the call itself.
"""

from __future__ import annotations

from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.ability import delay_s
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

ENDED: Final = frozenset({"suspended", "revoked"})
SETTLED_S = 3.0
"""What is under way when a consent ends is cut with it, or a moment after the end of a peering; a call that is read meanwhile is let be."""


@checker("consented_relays", source="docs/operator-guide.md#the-hub", holds=("H1",))
class ConsentedRelays(Checker):
    """A call that came through a hub finds a hub that we use and that relays to us, in a peering that both have not paused or ended, and
    asks for nothing but the federation API."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._ended_at: dict[tuple[str, str], float] = {}

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        key = (commit.host.name, change.id)
        if change.after.record.status in ENDED:
            self._ended_at.setdefault(key, self.facts.now)
        else:
            self._ended_at.pop(key, None)

    def on_call(self, visit: Visit) -> None:
        hub_id = visit.call.source.relayed_by
        if not hub_id:
            return
        here = self._consent(visit.host, hub_id)
        if here is None or here[0].relayed != "permitted":
            self._complain_unless_recent(visit, here, f"a call came through the hub {hub_id}, which is not used")
        peer: Any = self.facts.peers[visit.host.name].get(hub_id)
        instance_id = peer.remote_instance_id if peer is not None else None
        hub = next((host for host in self.facts.world.hosts.values() if host.instance_id == instance_id), None)
        if hub is None:
            self.complain(visit.host, f"a call came through the hub {hub_id}, which is nobody")
            return
        permitted = [row.record for row in self._consents(hub) if row.record.relaying == "permitted"]
        if visit.host.url not in {f"https://{record.server_name}" for record in permitted}:
            self._complain_unless_recent(visit, self._newest(hub, visit.host), f"{hub.name} relays a call, and permits nothing of the kind")
        for host, id in ((visit.host, hub_id), (hub, peer.remote_peer_id)):
            ended_at = self._ended_at.get((host.name, id))
            if ended_at is not None and self.facts.now - max(ended_at, self.facts.resumed_at(host)) > SETTLED_S + delay_s(host):
                self.complain(visit.host, f"{hub.name} relays a call, and the peering of the two is paused or over at {host.name}")

    def _complain_unless_recent(self, visit: Visit, consent: Any, text: str) -> None:
        changed_at = consent[0].updated_at if consent is not None else 0.0
        if consent is None or consent[1].clock.wall() - changed_at > SETTLED_S:
            self.complain(visit.host, text)

    def _consent(self, host: Any, peer_id: str) -> Any:
        row = host.store.load("hub_consent", peer_id)
        return None if row is None else (row.record, host)

    def _newest(self, hub: Any, behind: Any) -> Any:
        named = [row.record for row in self._consents(hub) if behind.url == f"https://{row.record.server_name}"]
        return (max(named, key=lambda record: record.updated_at), hub) if named else None

    def _consents(self, host: Any) -> Any:
        return host.store.query(Query("hub_consent"))
