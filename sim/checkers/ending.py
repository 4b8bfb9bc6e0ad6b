"""The end of a peering, as the rows show it.

Lives here: how an end goes on and what it leaves behind. Must not live here: whether a transition exists (see `lifecycle`), or who is
still served (see `admission`) and called (see `outbound`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sim.checkers.ability import awake, delay_s, past_s
from sim.checkers.registry import Change, Checker, Commit, checker

COMPLETE_GRACE_S: Final = 120.0
"""How long after the end of its grace, or of its tombstone, a running platform may take to act on it."""

TOMBSTONE_S: Final = 7 * 86_400.0


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
        voided = before is not None and before.restored_epoch != after.restored_epoch and not ends
        if after.peering_epoch - (before.peering_epoch if before is not None else 0) not in ({0, 1} if voided else {int(ends)}):
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
            rested_s = self.facts.now - self.facts.resumed_at(host)
            grace_s = COMPLETE_GRACE_S + 2 * delay_s(host)
            if not awake(host) or rested_s < grace_s or past_s(host, due) < grace_s:
                # A process that stands still does it when it goes on, with the whole grace for that; a disk may have become slow since.
                self._look_later(host, id, due, reached)
            else:
                self.complain(host, f"{id}: what was due {host.clock.wall() - due:.0f} s ago after its revocation has not happened")

        self.later(max(due - host.clock.wall(), 0.0) + COMPLETE_GRACE_S + 2 * delay_s(host), look)
