"""How the two sides of a peering fit together.

Lives here: rules about identities on both sides. Must not live here: where anchors come from (see `anchors`). Who a platform really is, the
world knows.
"""

from __future__ import annotations

from typing import Any, Final

from actors.ports import RemoteReply, RemoteRequest
from sim.checkers.ability import SETTLED_S
from sim.checkers.facts import ders
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

PROVEN: Final = frozenset({"enrolled", "active", "degraded"})
"""Statuses of a row whose remote has proven that it holds its key."""


@checker("matching", source="docs/protocol.md#handshake", holds=("P8",))
class Matching(Checker):
    """When a row becomes active the remote has a row to match: its id, its subject, its instance, and an anchor of our certificate."""

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        record = change.after.record
        if record.status != "active" or (change.before is not None and change.before.record.status == "active"):
            return
        if self.facts.was_lied_to(commit.host, record.remote_instance_url):
            return
        remotes = list(self.facts.instance(record.remote_instance_id))
        rows = [row for host in remotes if (row := self.facts.peers[host.name].get(record.remote_peer_id)) is not None]
        if not remotes and self.facts.now - self.facts.resumed_at(commit.host) <= SETTLED_S:
            return  # It tells of what waited while it stood still; whoever sent it is gone meanwhile.
        if not rows:
            self.complain(commit.host, f"{change.id}: is active with {record.remote_instance_id}, which has no row {record.remote_peer_id}")
            return
        flaws = min((list(self._flaws(commit.host, record, row)) for row in rows), key=len)
        recovered = change.before is not None and change.before.record.status == "degraded"
        rotated = [each for each in (commit.host, *remotes) if each.name in self.facts.rotations]
        if rotated and (recovered or self._under_a_replaced_root(record, rotated)):
            # Whoever replaced its root may take our calls no more while its own still reach us: that is no flaw of a handshake.
            flaws = [flaw for flaw in flaws if flaw != "the anchors"]
        if flaws:
            self.complain(commit.host, f"{change.id}: is active, but the remote's row differs in {', '.join(flaws)}")

    def _under_a_replaced_root(self, record: Any, hosts: list[Any]) -> bool:
        """Whether a root that one of these platforms has replaced signed our certificate for the remote."""
        leaf = self.facts.paper(ders(record.outbound.certificate_pem)[0]) if record.outbound is not None else None
        papers = (
            paper
            for host in hosts
            for pem in self.facts.root_pems(host)
            for der in ders(pem)
            if (paper := self.facts.paper(der)) is not None and paper.fingerprint not in self.facts.root_of(host)
        )
        return leaf is not None and any(self.facts.signed(leaf, paper) for paper in papers)

    def _flaws(self, host: Any, record: Any, row: Any) -> Any:
        if row.remote_instance_id != host.instance_id:
            yield "the instance"
        if row.remote_peer_id != record.id:
            yield "the row's id"
        leaf = self.facts.paper(ders(record.outbound.certificate_pem)[0]) if record.outbound is not None else None
        if leaf is None or leaf.names != (row.inbound_subject,):
            yield "the subject"
        anchors = [self.facts.paper(der) for anchor in row.trusted_anchors for der in ders(anchor.pem)]
        if leaf is not None and not any(anchor is not None and self.facts.signed(leaf, anchor) for anchor in anchors):
            yield "the anchors"


@checker("proven", source="docs/protocol.md#handshake", holds=("I2", "P10"))
class Proven(Checker):
    """Between equals a row goes beyond accepted only after an exchange that proved the remote's key, newer than the anchors of the row."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._proofs: dict[tuple[str, str], float] = {}
        self._anchored: dict[tuple[str, str], float] = {}

    def on_call(self, visit: Visit) -> None:
        if visit.notes.get("verdict") == "served" and visit.notes.get("peer") is not None:
            self._proofs[(visit.host.name, visit.notes["peer"])] = self.facts.now

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if request.identity is not None and isinstance(outcome, RemoteReply) and outcome.status < 300:
            self._proofs[(host.name, request.peer_id)] = self.facts.now

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        key, after = (commit.host.name, change.id), change.after.record
        before = change.before.record if change.before is not None else None
        if before is None or before.trusted_anchors is not after.trusted_anchors:
            self._anchored[key] = self.facts.now
        if before is None or after.trust_mode != "symmetric" or before.trust_status == "established":
            return
        beyond = (after.status in PROVEN and before.status not in PROVEN) or after.trust_status == "established"
        if beyond and self._proofs.get(key, -1.0) < self._anchored.get(key, 0.0):
            self.complain(
                commit.host, f"{change.id}: is {after.status} with trust {after.trust_status}, and nothing has proven the remote's key"
            )
