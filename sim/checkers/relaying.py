"""Relaying: nothing passes a hub without the consent of operators on both sides, and beyond the terms of that.

Lives here: the rules as both platforms' disks show them. Who called through whom, the checker takes from the call itself.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from actors.door.call import Answer
from runtime.store.port import Query
from sim.checkers.ability import delay_s
from sim.checkers.rates import Bucket
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

ENDED: Final = frozenset({"suspended", "revoked"})
SETTLED_S: Final = 3.0
"""What is under way when a consent ends is cut with it, or a moment after the end of a peering; a call that is read meanwhile is let be."""

PERMITTED: Final = re.compile(r"/peers/([0-9a-f-]{36})/hub/permit$")


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


@checker("relay_terms", source="docs/operator-guide.md#the-hub", holds=("H1",))
class RelayTerms(Checker):
    """A hub takes no connection beyond what its settings allow and its operators have agreed to for that peer: from whom, how many at a
    time, and how many a minute."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._paces: dict[tuple[str, str, str, int], Bucket] = {}

    def on_start(self, host: Any) -> None:
        self._paces = {key: pace for key, pace in self._paces.items() if key[0] != host.name}

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        found = PERMITTED.search(visit.call.path)
        row = visit.host.store.load("hub_consent", found[1]) if found is not None and answer.status == 200 else None
        if row is None:
            return
        for name in ("connections_max", "new_connections_max", "rate_bytes", "sources", "denied"):
            kept, asked = getattr(row.record.terms, name), visit.body.get(name)
            if isinstance(kept, tuple):
                kept, asked = set(kept), {str(ipaddress.ip_network(each)) for each in asked or ()}
            if kept != asked:
                self.complain(visit.host, f"{row.record.id}: operators have agreed to {name} {asked}, and {kept} is kept")

    def on_relayed(self, hub: Any, peer_id: str, address: str) -> None:
        row, settings = hub.store.load("hub_consent", peer_id), hub.federation
        if row is None:
            self.complain(hub, f"a connection for {peer_id} is taken, and nobody has permitted that")
            return
        terms = row.record.terms
        denied = (*settings.hub_denied_sources, *terms.denied)
        if _inside(address, denied) or (terms.sources and not _inside(address, terms.sources)):
            self.complain(hub, f"a connection from {address} for {peer_id} is taken, which is kept away")
        most = min(terms.connections_max or settings.hub_connections_per_peer, settings.hub_connections_per_peer)
        if hub.hub is not None and hub.hub.open_to(peer_id) >= most:
            self.complain(hub, f"another connection for {peer_id} is taken beside {hub.hub.open_to(peer_id)}, and {most} are allowed")
        fresh = min(terms.new_connections_max or settings.hub_new_connections_per_peer, settings.hub_new_connections_per_peer)
        self._pace(hub, "peer", peer_id, fresh)
        self._pace(hub, "source", address, settings.hub_new_connections_per_source)

    def _pace(self, hub: Any, whose: str, key: str, most: int) -> None:
        # Other terms begin with what the former ones had left, which is no more than the new ones give at once.
        pace = self._paces.setdefault((hub.name, whose, key, most), Bucket(float(most), most / 60.0))
        if not pace.take(self.facts.now):
            self.complain(hub, f"more than {most} connections of the {whose} {key} are taken within a minute")


@checker("relay_books", source="docs/operator-guide.md#the-hub")
class RelayBooks(Checker):
    """The books of a hub count each connection for as long as it is open, and no longer: what has ended keeps nobody out."""

    def on_rest(self, host: Any) -> None:
        hub = host.hub
        if hub is not None and hub.ledger.open_now != hub.open_now:
            self.complain(host, f"{hub.ledger.open_now} connections are counted as open, and {hub.open_now} are")


def _inside(address: str, networks: tuple[str, ...]) -> bool:
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(network) for network in networks)
