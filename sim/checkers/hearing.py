"""What peers tell beside their heartbeats: it takes effect once, and what was acknowledged has taken effect.

Lives here: a ledger of the notices that arrived, by the ids that their senders gave them, and of the traces that they left. Must not live
here: what the platform itself remembers of them, which is what is judged.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.admission import verdict
from sim.checkers.registry import Checker, Commit, Visit, checker

ROUTE: Final = "peer_events"
REMEMBERED: Final = 64
"""So many ids of a peer a platform has to remember; one that comes again after so many others may count as new."""

NOTED: Final = {
    "peer.compromise_disclosed": "peer.compromise_disclosed",
    "peer.handshake_abandoned": "handshake_abandoned",
    "peer.emancipated": "platform.peer.emancipated",
}
"""Actions of audit entries that a remote is named for, to the kind of notice that brings them about."""

EMITTED: Final = {"federation.peer.offering_retiring": "service.offering_retiring"}
"""The same of events."""

ALWAYS: Final = frozenset({"peer.compromise_disclosed"})
"""Kinds that leave a trace whatever the row is like."""

Key = tuple[str, str, str]
"""Platform, row, kind of notice."""


@checker("told_once", source="docs/protocol.md#post-peer_events", holds=("P11",))
class ToldOnce(Checker):
    """What a peer tells takes effect once, however often it arrives, and what a platform has acknowledged has taken effect."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._newest: dict[tuple[str, str], dict[str, None]] = {}
        self._told: Counter[Key] = Counter()
        self._taken: Counter[Key] = Counter()
        self._acknowledged: dict[Key, set[str]] = {}

    def on_call(self, visit: Visit) -> None:
        if visit.route != ROUTE:
            return
        _, row = verdict(self.facts, visit)
        id, kind = visit.body.get("event_id"), visit.body.get("kind")
        if row is None or not isinstance(id, str) or not isinstance(kind, str):
            return
        visit.notes["told"] = (visit.host.name, row.id, kind)
        newest = self._newest.setdefault((visit.host.name, row.id), {})
        if id not in newest:
            self._told[visit.notes["told"]] += 1
            newest[id] = None
            if len(newest) > REMEMBERED:
                del newest[next(iter(newest))]

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        key: Key | None = visit.notes.get("told")
        if key is None or key[2] not in ALWAYS or answer.status >= 400 or visit.host.incarnation != visit.incarnation:
            return
        known = self._acknowledged.setdefault(key, set())
        known.add(visit.body["event_id"])
        if len(known) > self._taken[key]:
            self.complain(visit.host, f"{key[1]}: {key[2]} is acknowledged {len(known)} times, and noted {self._taken[key]} times")

    def on_change(self, commit: Commit) -> None:
        for entry in commit.entries:
            if entry.action in NOTED and entry.actor_kind == "remote":
                self._took(commit.host, entry.chain, NOTED[entry.action])
        for event in commit.events:
            if event.kind in EMITTED:
                self._took(commit.host, event.payload["federation_peer_id"], EMITTED[event.kind])

    def on_replaced(self, host: Any) -> None:
        # An earlier disk has forgotten what it had heard since, and may hear it once more.
        for known in (self._taken, self._acknowledged):
            for key in [key for key in known if key[0] == host.name]:
                del known[key]

    def _took(self, host: Any, peer_id: str, kind: str) -> None:
        key = (host.name, peer_id, kind)
        self._taken[key] += 1
        if self._taken[key] > self._told[key]:
            self.complain(host, f"{peer_id}: {kind} has taken effect {self._taken[key]} times, and was told {self._told[key]} times")
