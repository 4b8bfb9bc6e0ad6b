"""What must not be forgotten: audit chains and the sequence of events.

Lives here: rules about logs. The hash of an entry is computed here a second time, from its definition.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from runtime.store.port import Event, Prune
from sim.checkers.registry import Checker, Commit, checker

FIRST: Final = "0" * 64
UNKNOWN: Final = "?"
"""The hash of an entry that was pruned before an image was put back: only the last one of those is known."""
ALL: Final = 1_000_000


def entry_hash(entry: Any) -> str:
    """SHA-256 over the canonical JSON (sorted keys, no white space, UTF-8) of everything else in the entry."""
    body = {
        "actor": {"id": entry.actor_id, "kind": entry.actor_kind},
        "action": entry.action,
        "at": entry.at,
        "chain": entry.chain,
        "payload": entry.payload,
        "previous_hash": entry.previous_hash,
        "sequence": entry.sequence,
    }
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


@checker("audit_chain", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("P1", "I9"))
class AuditChain(Checker):
    """Every audit chain is numbered without gap, each entry carries the hash of the one before, and none ever vanishes or changes."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._heads: dict[tuple[str, str], list[str]] = {}
        self._pruned: dict[tuple[str, str], int] = {}

    def on_change(self, commit: Commit) -> None:
        for entry in commit.entries:
            chain = self._heads.setdefault((commit.host.name, entry.chain), [])
            if entry.sequence != len(chain) + 1:
                self.complain(commit.host, f"{entry.chain}: entry {entry.sequence} follows entry {len(chain)}")
            if entry.previous_hash != (chain[-1] if chain else FIRST):
                self.complain(commit.host, f"{entry.chain}: the audit chain breaks at entry {entry.sequence}")
            if entry.hash != entry_hash(entry):
                self.complain(commit.host, f"{entry.chain}: the hash of entry {entry.sequence} is not that of its contents")
            chain.append(entry.hash)
        for write in commit.writes:
            if isinstance(write, Prune):
                self._pruned[commit.host.name, write.chain] = write.sequence

    def on_replaced(self, host: Any) -> None:
        for key in [key for key in self._heads if key[0] == host.name]:
            pruned = host.store.audit_pruned(key[1])
            gone = [] if pruned is None else [*[UNKNOWN] * (pruned.sequence - 1), pruned.hash]
            self._heads[key], self._pruned[key] = [*gone, *(entry.hash for entry in host.store.audit(key[1], 0, ALL))], len(gone)

    def on_rest(self, host: Any) -> None:
        for (name, chain), hashes in self._heads.items():
            gone = self._pruned.get((name, chain), 0)
            if name == host.name and [entry.hash for entry in host.store.audit(chain, 0, ALL)] != hashes[gone:]:
                self.complain(host, f"{chain}: the stored entries are not those that were committed")


@checker("events_in_order", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("P1", "I10"))
class EventsInOrder(Checker):
    """Events are numbered without gap, and whoever follows them in one life of a process sees each exactly once, in order."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._last: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def on_start(self, host: Any) -> None:
        self._last[host.name] = self._seen[host.name] = host.store.last_cursor()
        host.engine.on_events.append(lambda events: self._followed(host, events))

    def on_change(self, commit: Commit) -> None:
        for event in commit.events:
            if event.cursor != self._last[commit.host.name] + 1:
                self.complain(commit.host, f"event {event.cursor} was committed after event {self._last[commit.host.name]}")
            self._last[commit.host.name] = event.cursor

    def on_rest(self, host: Any) -> None:
        if self._seen[host.name] != self._last[host.name]:
            self.complain(host, f"{self._last[host.name]} events are committed, but a follower saw only {self._seen[host.name]}")

    def _followed(self, host: Any, events: Sequence[Event]) -> None:
        for event in events:
            if event.cursor != self._seen[host.name] + 1:
                self.complain(host, f"a follower sees event {event.cursor} after event {self._seen[host.name]}")
            self._seen[host.name] = event.cursor
