"""The end of a peering and its pauses, as the door and the rows show them.

Lives here: who may still be served, and what an end leaves behind. Must not live here: whether a transition exists (see `lifecycle`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

SHUT: Final = ("suspended", "revoked")
LAST_WORD: Final = "platform.peer.revoked"
IN_GRACE: Final = "migrations"
"""First part of the only routes that a revoked peer may still be served on, for what was under way."""

COMPLETE_GRACE_S: Final = 120.0
"""How long after the end of its grace, or of its tombstone, a running platform may take to act on it."""

TOMBSTONE_S: Final = 7 * 86_400.0


@checker("ended_is_shut", source="docs/protocol.md#pauses-and-the-end", holds=("P5", "I4"))
class EndedIsShut(Checker):
    """A call that arrives after a revocation or a suspension has committed is not served; only the last word is heard in a pause."""

    def on_call(self, visit: Visit) -> None:
        record = self._caller(visit)
        if record is not None and record.status in SHUT:
            visit.notes[self.name] = (record.id, record.status)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        noted = visit.notes.get(self.name)
        if noted is None or answer.status >= 300:
            return
        id, status = noted
        if status == "suspended" and visit.route == "peer_events" and _kind(visit) == LAST_WORD:
            return
        if status == "revoked" and visit.route.split("/")[0] == IN_GRACE:
            return
        self.complain(visit.host, f"{id}: is {status}, and its call of {visit.route} was answered {answer.status}")

    def _caller(self, visit: Visit) -> Any:
        certificates = visit.call.source.certificates
        paper = self.facts.paper(certificates[0]) if certificates else None
        return self.facts.by_subject(visit.host, paper.names[0]) if paper is not None and len(paper.names) == 1 else None


def _kind(visit: Visit) -> object:
    try:
        body = json.loads(visit.call.body)
    except ValueError:
        return None
    return body.get("kind") if isinstance(body, dict) else None


@checker("paused_is_silent", source="docs/protocol.md#pauses-and-the-end", holds=("P5",))
class PausedIsSilent(Checker):
    """Nothing leaves for a suspended peer but the heartbeat that tells of the pause, and nothing for a revoked one but the last word."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._told: set[tuple[str, str, float | None]] = set()

    def on_request(self, host: Any, request: Any) -> None:
        record = self.facts.peers[host.name].get(request.peer_id)
        if record is None or record.status not in SHUT:
            return
        if record.status == "revoked":
            if request.path != "/federation_api/peer_events":
                self.complain(host, f"{record.id}: is revoked, and {request.path} leaves for it")
            return
        pause = (host.name, record.id, record.suspended_at)
        says_so = request.path == "/federation_api/heartbeat" and (request.body or {}).get("peer_state") == "suspended"
        if not says_so or pause in self._told:
            self.complain(host, f"{record.id}: is suspended, and {request.path} leaves for it")
        self._told.add(pause)


@checker("end_completes", source="docs/operator-guide.md#pausing-and-ending-a-peering", holds=("I4",))
class EndCompletes(Checker):
    """A revocation raises the epoch of the peering by one, only ever moves on, and ends with our key destroyed and the remote forgotten."""

    def on_start(self, host: Any) -> None:
        for id, record in self.facts.peers[host.name].items():
            self._expect(host, id, record)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        before, after = change.before.record if change.before is not None else None, change.after.record
        ends = after.status == "revoked" and (before is None or before.status != "revoked")
        if after.peering_epoch != (before.peering_epoch if before is not None else 0) + ends:
            self.complain(commit.host, f"{change.id}: the epoch of the peering is {after.peering_epoch}")
        if (after.status == "revoked") != (after.revocation is not None):
            self.complain(commit.host, f"{change.id}: is {after.status}, and its revocation says otherwise")
        if after.revocation is None:
            return
        was_complete = before is not None and before.revocation is not None and before.revocation.phase == "complete"
        if was_complete and after.revocation.phase != "complete":
            self.complain(commit.host, f"{change.id}: the revocation was complete and goes back to {after.revocation.phase}")
        if after.revocation.phase == "complete" and after.outbound is not None:
            self.complain(commit.host, f"{change.id}: the revocation is complete, and our key for the peer is still there")
        if ends:
            self._expect(commit.host, change.id, after)

    def _expect(self, host: Any, id: str, record: Any) -> None:
        if record.revocation is None:
            return
        grace_ends = record.revoked_at + host.federation.revocation_grace_s
        self._look_later(host, id, max(grace_ends, record.revoked_at + 30.0), lambda now: now.revocation.phase == "complete")
        self._look_later(host, id, record.revoked_at + TOMBSTONE_S, lambda now: now.inbound_subject is None and not now.trusted_anchors)

    def _look_later(self, host: Any, id: str, due: float, reached: Callable[[Any], bool]) -> None:
        incarnation = host.incarnation

        def look() -> None:
            record = self.facts.peers[host.name].get(id)
            if record is None or host.incarnation != incarnation or not host.running or reached(record):
                return
            if not host.store.writable() or host.clock.wall() < due + COMPLETE_GRACE_S:
                self._look_later(host, id, due, reached)
            else:
                self.complain(host, f"{id}: what was due {host.clock.wall() - due:.0f} s ago after its revocation has not happened")

        self.later(max(due - host.clock.wall(), 0.0) + COMPLETE_GRACE_S + 2 * host.store.disk.fsync_s, look)
