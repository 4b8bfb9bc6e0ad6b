"""The life of a peer's row: which steps there are, what tells of them, and what is final.

Lives here: the table of transitions, written down a second time, so that a slip in the product's own table is noticed.
"""

from __future__ import annotations

from typing import Any, Final

from sim.checkers.registry import Change, Checker, Commit, checker

PLATFORM: Final = ("platform",)
ANY: Final = ("platform", "sdwan_only")

STEPS: Final[dict[tuple[str | None, str], dict[str, tuple[str, ...]]]] = {
    (None, "proposed"): {"registered": ANY},
    ("proposed", "accepted"): {"token_redeemed": ANY},
    ("proposed", "revoked"): {"operator_revoked": ANY},
    ("accepted", "enrolled"): {"trust_established": PLATFORM},
    ("accepted", "suspended"): {"operator_suspended": ANY},
    ("accepted", "revoked"): {"operator_revoked": ANY, "remote_revoked_us": PLATFORM},
    ("enrolled", "active"): {"heartbeat_succeeded": PLATFORM},
    ("enrolled", "suspended"): {"operator_suspended": PLATFORM},
    ("enrolled", "revoked"): {"operator_revoked": PLATFORM, "remote_revoked_us": PLATFORM},
    ("active", "degraded"): {"contact_lost": PLATFORM, "remote_suspended_us": PLATFORM},
    ("active", "suspended"): {"operator_suspended": PLATFORM},
    ("active", "revoked"): {"operator_revoked": PLATFORM, "remote_revoked_us": PLATFORM},
    ("degraded", "active"): {"heartbeat_succeeded": PLATFORM},
    ("degraded", "suspended"): {"operator_suspended": PLATFORM},
    ("degraded", "revoked"): {"operator_revoked": PLATFORM, "remote_revoked_us": PLATFORM},
    ("suspended", "accepted"): {"operator_resumed": ANY},
    ("suspended", "revoked"): {"operator_revoked": ANY, "remote_revoked_us": PLATFORM},
}
"""(from, to) to the triggers that may cause it and the kinds of peer that may take it."""

SEVERITIES: Final = {"degraded": "medium", "suspended": "medium", "revoked": "high"}
"""Severity of the event that tells of a status; `low` for the others."""


@checker("transitions", source="docs/protocol.md#states-of-a-peer", holds=("P1",))
class Transitions(Checker):
    """Every status change is in the table of transitions and has exactly one audit entry and one event."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        record = change.after.record
        status: str | None = None if change.before is None else change.before.record.status
        told: list[str] = []
        for entry in commit.entries:
            if entry.chain != change.id or "to" not in entry.payload:
                continue
            source, target, trigger = (entry.payload.get(name) for name in ("from", "to", "trigger"))
            if source != status:
                self.complain(commit.host, f"{change.id}: an audit entry goes from {source}, but the row was {status}")
            if record.peer_kind not in STEPS.get((source, target), {}).get(str(trigger), ()):
                self.complain(commit.host, f"{change.id}: {source} to {target} by {trigger} is not in the table")
            told.append(str(target))
            status = target
        if status != record.status:
            self.complain(commit.host, f"{change.id}: the row is {record.status}, but its audit entries end with {status}")
        self._events(change.id, told, commit)

    def _events(self, id: str, told: list[str], commit: Commit) -> None:
        expected = [(f"federation.peer.{status}", SEVERITIES.get(status, "low")) for status in told]
        names = {f"federation.peer.{target}" for _, target in STEPS}
        found = [
            (event.kind, event.severity) for event in commit.events if event.kind in names and event.payload.get("federation_peer_id") == id
        ]  # fmt: skip
        if found != expected:
            self.complain(commit.host, f"{id}: the events {found} tell of the transitions {told}")


@checker("revoked_is_final", source="docs/protocol.md#states-of-a-peer", holds=("I4",))
class RevokedIsFinal(Checker):
    """A revoked row never has another status again, and holds no token, no handshake and no receipt to come back with."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        record = change.after.record
        if change.before is not None and change.before.record.status == "revoked" and record.status != "revoked":
            self.complain(commit.host, f"{change.id}: was revoked and is {record.status} again")
        if record.status == "revoked" and (record.acceptance_token_digest or record.handshake):
            self.complain(commit.host, f"{change.id}: is revoked and keeps an open token or handshake")


@checker("one_row_per_url", source="docs/protocol.md#retries-and-replay", holds=("P8",))
class OneRowPerUrl(Checker):
    """At most one row of a platform per remote URL, and one per remote instance, is not revoked."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._open: dict[tuple[str, str], set[str]] = {}

    def on_start(self, host: Any) -> None:
        # The disk decides anew: it may hold an earlier copy.
        self._open = {key: ids for key, ids in self._open.items() if key[0] != host.name}
        for id, record in self.facts.peers[host.name].items():
            self._note(host.name, id, record)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        if change.before is not None:
            for key in self._keys(commit.host.name, change.before.record):
                self._open.get(key, set()).discard(change.id)
        for key in self._note(commit.host.name, change.id, change.after.record):
            if len(self._open[key]) > 1:
                self.complain(commit.host, f"{len(self._open[key])} rows for {key[1]} are not revoked")

    def _note(self, host: str, id: str, record: Any) -> list[tuple[str, str]]:
        keys = self._keys(host, record)
        for key in keys:
            self._open.setdefault(key, set()).add(id)
        return keys

    @staticmethod
    def _keys(host: str, record: Any) -> list[tuple[str, str]]:
        if record.status == "revoked":
            return []
        # What only shares overlay networks may stand beside the platform of the same place.
        url = record.remote_instance_url if record.peer_kind == "platform" else None
        return [(host, f"{record.account_id} {value}") for value in (url, record.remote_instance_id) if value]


@checker("versions", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act")
class Versions(Checker):
    """Each commit of a row raises its version by exactly one, so that no decision rests on a row that has moved."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        version = change.after.record.version
        if change.before is not None and version != change.before.record.version + 1:
            self.complain(commit.host, f"{change.id}: version {change.before.record.version} was followed by {version}")
