"""Frozen trust: what may bring it about, and what must.

Lives here: rules about platforms that find that they are an earlier copy of themselves, and a ledger of what their peers have heard of
them. Must not live here: what is refused meanwhile (see `acceptance` and `services`).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from actors.door.call import Answer
from actors.ports import RemoteReply, RemoteRequest
from sim.checkers.ability import awake, delay_s
from sim.checkers.contact import FLUSH_S, HEARTBEAT
from sim.checkers.registry import Checker, Commit, Visit, checker

ROUTE: Final = "heartbeat"
LIVE: Final = frozenset({"accepted", "enrolled", "active", "degraded"})
FROZEN: Final = "federation.trust.frozen"
NOTICED_S: Final = 2.0
"""So soon after the answer that shows it a platform is frozen: a turn of the row, a message, a turn of the platform's own."""

Row = tuple[str, str]
"""Platform, and the id of its row about the sender."""


class Heard(NamedTuple):
    """What one row has heard of its remote: the newest start and its mark, and the highest number of events of any start."""

    instance_id: str
    epoch: int
    mark: int
    history: int


@checker("frozen_for_cause", source="docs/operator-guide.md#backup-and-restore")
class FrozenForCause(Checker):
    """Trust is frozen on the word of peers only where an earlier copy has taken the place of a platform's data: not by crashes or disks."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._replaced: set[str] = set()

    def on_replaced(self, host: Any) -> None:
        self._replaced.add(host.instance_id)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            froze = change.kind == "continuity" and change.after is not None and change.after.record.frozen_at is not None
            if froze and commit.host.instance_id not in self._replaced:
                self.complain(commit.host, "trust is frozen, and these are the newest data of this platform")


@checker("earlier_copy_noticed", source="docs/protocol.md#heartbeats")
class EarlierCopyNoticed(Checker):
    """On an earlier copy of its data a platform freezes trust, and tells so, once a peer answers that has heard more of it than it knows:
    of a start to come, of another start under the number of this one, or of more events."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._heard: dict[Row, Heard] = {}
        self._owed: dict[str, dict[Row, Heard]] = {}
        self._told: set[str] = set()

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        id = visit.notes.get("peer")
        if visit.route != ROUTE or answer.status >= 300 or not id or visit.host.incarnation != visit.incarnation:
            return
        sender = self.facts.world.hosts.get(visit.source)
        body = visit.body
        epoch, mark, history = body.get("boot_epoch"), body.get("start_mark"), body.get("history")
        if sender is None or mark != sender.start_mark or not isinstance(epoch, int) or not isinstance(history, int):
            return  # A forgery, an answer to an earlier start, or a release that says nothing of its starts.
        heard, key = Heard(sender.instance_id, epoch, mark, history), (visit.host.name, id)

        def kept() -> None:
            # Evidence waits a moment for the disk, and a crash takes it along.
            if visit.host.incarnation == visit.incarnation:
                self._keep(key, heard)

        self.later(FLUSH_S + 2 * delay_s(visit.host), kept)

    def _keep(self, key: Row, heard: Heard) -> None:
        known = self._heard.get(key)
        if known is None or heard.epoch > known.epoch or (heard.epoch, heard.mark) == (known.epoch, known.mark):
            history = heard.history if known is None else max(heard.history, known.history)
            self._heard[key] = heard._replace(history=history)

    def on_replaced(self, host: Any) -> None:
        for key in [key for key in self._heard if key[0] == host.name]:
            del self._heard[key]
        for owed in self._owed.values():
            for key in [key for key in owed if key[0] == host.name]:
                del owed[key]
        known = {key: heard for key, heard in self._heard.items() if heard.instance_id == host.instance_id}
        self._owed[host.name] = {} if _restored(host) else known
        self._told.discard(host.name)

    def on_change(self, commit: Commit) -> None:
        if any(event.kind == FROZEN for event in commit.events):
            self._told.add(commit.host.name)
        for change in commit.changes:
            froze = change.kind == "continuity" and change.after is not None and change.after.record.frozen_at is not None
            if froze and self._owed.pop(commit.host.name, {}) and commit.host.name not in self._told:
                self.complain(commit.host, "trust is frozen, and no event tells of it")

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        owed = self._owed.get(host.name)
        if not owed or request.path != HEARTBEAT or not isinstance(outcome, RemoteReply) or outcome.status >= 300:
            return
        row: Any = self.facts.peers[host.name].get(request.peer_id)
        there = next((each for each in owed if row is not None and each[1] == row.remote_peer_id), None)
        if there is None or row.status not in LIVE or not self.facts.is_newest_beat(host, request):
            return
        if not _knows_more(host, row, owed[there]):
            return
        incarnation = host.incarnation

        def look() -> None:
            if there in self._owed.get(host.name, {}) and host.incarnation == incarnation and awake(host):
                self.complain(host, f"{row.id}: the peer has heard more of this platform than these data know, and trust is not frozen")

        self.later(NOTICED_S + 4 * delay_s(host), look)


def _knows_more(host: Any, row: Any, heard: Heard) -> bool:
    """Whether a peer that has heard this knows more than a platform can: by its present start, and what operators have decided."""
    decided = host.store.load("continuity", host.instance_id)
    record = None if decided is None else decided.record
    if record is not None and row.id in record.disbelieved:
        return False
    leap = 0 if record is None else record.leap
    return bool(heard.epoch >= host.boot_epoch or heard.history > host.history + leap)


def _restored(host: Any) -> bool:
    """Whether a platform was put back by command, and so knows already that it is an earlier one."""
    decided = host.store.load("continuity", host.instance_id)
    record = None if decided is None else decided.record
    known = 0 if record is None else record.decided_epoch if record.decided_restore is None else record.decided_restore
    return int(host.store.meta_get("restored_at_epoch") or 0) > known
