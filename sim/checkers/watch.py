"""The watcher of a world: hands everything that happens to the checkers that it touches.

Lives here: dispatch, deadlines, complaints. Must not live here: a rule. What touches nobody costs a lookup and no more.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

import attrs

from actors.door.call import Answer, Call
from actors.ports import RemoteReply, RemoteRequest
from runtime.store.port import Committed, Delete, Put, PutEvidence, Row, Unit
from sim.checkers.facts import Facts
from sim.checkers.registry import CHECKERS, TOUCHES, Change, Commit, Visit
from sim.onlooker import Former

if TYPE_CHECKING:
    from sim.world import Host, World

FEDERATION_API: Final = "/api/v1/system/federation_api/"
HEARTBEAT: Final = "/federation_api/heartbeat"


@attrs.frozen
class Complaint:
    """A rule that was broken.

    Attributes:
        checker: its name.
        host: the platform that broke it.
        at: virtual seconds since the beginning of the world.
    """

    checker: str
    host: str
    at: float
    text: str


class Watch:
    """The onlooker of one world with one instance of every checker.

    Args:
        without: names of checkers to leave out.

    Attributes:
        complaints: what was found broken, the first first.
        followers: are told of every commit; `change_followers` of those that change more than evidence.
        next_look_at: when something next has to be true, or infinity.
    """

    def __init__(self, world: World, without: Collection[str] = ()) -> None:
        self.world = world
        self.facts = Facts(world)
        self.complaints: list[Complaint] = []
        self.followers: list[Callable[[Commit], None]] = []
        self.change_followers: list[Callable[[Commit], None]] = []
        self._excused: dict[tuple[str, str], float] = {}
        self._deadlines: list[tuple[float, int, Callable[[], None]]] = []
        self.next_look_at = math.inf
        self._set = 0
        self._visits: dict[int, Visit] = {}
        self.checkers = {name: cls(self.facts, self._complain, self._later) for name, cls in CHECKERS.items() if name not in without}
        self._on: dict[str, list[Any]] = {method: [] for method in TOUCHES}
        for each in self.checkers.values():
            for method in each.methods:
                self._on[method].append(getattr(each, method))
                if method == "on_commit":
                    # Together with the others, so that whoever complains first does not hang on what a checker looks at.
                    self._on["on_change"].append(each.on_commit)
        world.onlooker = self

    # --- complaints and deadlines --------------------------------------------------------------------------------

    def excuse(self, checker: str, host: str, for_s: float = math.inf) -> None:
        """For so long a checker's complaints about a platform count for nothing: a scenario breaks that rule on purpose.

        Whatever ends should be known to the rule itself (see `ability`), since a checker that has complained may not look again.
        """
        key = (checker, host)
        self._excused[key] = max(self._excused.get(key, 0.0), self.world.timeline.now + for_s)

    def hindered(self, host: Host, for_s: float) -> None:
        """A platform is kept from what it must do, for so long at most: what is late is asked for from then on."""
        self.facts.woke(host, for_s)

    def _complain(self, checker: str, host: str, text: str) -> None:
        if self._excused.get((checker, host), -math.inf) < self.world.timeline.now:
            self.complaints.append(Complaint(checker, host, self.world.timeline.now, text))

    def _later(self, delay_s: float, look: Callable[[], None]) -> None:
        self._set += 1
        heapq.heappush(self._deadlines, (self.world.timeline.now + delay_s, self._set, look))
        self.next_look_at = self._deadlines[0][0]

    def pass_time(self) -> None:
        """Look at what had to be true by now."""
        deadlines, now = self._deadlines, self.world.timeline.now
        while deadlines and deadlines[0][0] <= now:
            heapq.heappop(deadlines)[2]()
        self.next_look_at = deadlines[0][0] if deadlines else math.inf

    # --- what the world tells ------------------------------------------------------------------------------------

    def started(self, host: Host) -> None:
        self._visits = {key: visit for key, visit in self._visits.items() if visit.host is not host}
        self.facts.woke(host)
        self.facts.reload(host)
        for look in self._on["on_start"]:
            look(host)

    def paced(self, host: Host, in_s: float = 0.0) -> None:
        if not host.paused:
            self.facts.resumed(host, in_s)

    def replaced(self, host: Host) -> None:
        """The disk of a platform was replaced."""
        for look in self._on["on_replaced"]:
            look(host)

    def committed(self, host: Host, unit: Unit, former: Former, result: Committed) -> None:
        only = unit.writes[0] if len(unit.writes) == 1 else None
        if type(only) is PutEvidence:
            self._evidence_committed(host, only, unit, former)
            return
        commit = Commit(host, host.clock.wall(), tuple(self._changes(unit, former)), result.entries, result.events, unit.writes)
        for change in commit.changes:
            if change.kind == "peer":
                self._peer_committed(change, commit)
            elif change.kind == "revoked_certificate":
                self._certificate_revoked(change, host)
            elif change.kind == "rotation" and change.after is not None:
                self.facts.rotations[host.name] = change.after.record
        for look in self._on["on_change"]:
            look(commit)
        for follow in self.change_followers:
            follow(commit)
        for follow in self.followers:
            follow(commit)

    def _evidence_committed(self, host: Host, only: PutEvidence, unit: Unit, former: Former) -> None:
        """Nearly every commit is one of these: fresh evidence beside a record that stays as it was."""
        changes = tuple([Change(kind, id, row, None if row is None else Row(row.record, only.evidence)) for kind, id, row in former])
        commit = Commit(host, host.clock.wall(), changes, (), (), unit.writes)
        if only.kind == "peer":
            for change in changes:
                self._peer_committed(change, commit)
        for look in self._on["on_commit"]:
            look(commit)
        for follow in self.followers:
            follow(commit)

    def _changes(self, unit: Unit, former: Former) -> list[Change]:
        """Every row that a unit touches, once, before its first and after its last write."""
        before: dict[tuple[str, str], Row | None] = {}
        for kind, id, row in former:
            before.setdefault((kind, id), row)
        records: dict[tuple[str, str], Any] = {(each.kind, each.record.id): each.record for each in unit.writes if isinstance(each, Put)}
        evidence = {(each.kind, each.id): each.evidence for each in unit.writes if isinstance(each, PutEvidence)}
        gone = {(each.kind, each.id) for each in unit.writes if isinstance(each, Delete)}
        changes = []
        for key, row in before.items():
            record = records.get(key, None if row is None or key in gone else row.record)
            seen = evidence.get(key, None if row is None else row.evidence)
            changes.append(Change(*key, row, None if record is None else Row(record, seen)))
        return changes

    def _peer_committed(self, change: Change, commit: Commit) -> None:
        before, after = change.before, change.after
        if after is None:
            return
        written = before is None or before.record is not after.record
        if written:
            for look in self._on["on_peer"]:
                look(change, commit)
        if after.evidence is not None and (before is None or before.evidence is not after.evidence):
            for look in self._on["on_evidence"]:
                look(change, commit)
        if written:
            self.facts.note(commit.host, change.id, after.record, after.evidence)
        else:
            self.facts.evidence[commit.host.name][change.id] = after.evidence

    def _certificate_revoked(self, change: Change, host: Host) -> None:
        if change.after is None:
            self.facts.revoked.pop((host.name, change.id), None)
        else:
            self.facts.revoked[(host.name, change.id)] = change.after.record

    def sent(self, host: Host, request: RemoteRequest) -> None:
        if request.path == HEARTBEAT:
            self.facts.beaten(host, request)
        for look in self._on["on_request"]:
            look(host, request)

    def returned(self, host: Host, request: RemoteRequest, outcome: Any) -> None:
        acknowledged = request.path == HEARTBEAT and isinstance(outcome, RemoteReply) and outcome.status < 300
        if acknowledged and self.facts.is_newest_beat(host, request):
            self.facts.met(host, request.peer_id)
        for look in self._on["on_return"]:
            look(host, request, outcome)

    def arrived(self, host: Host, call: Call, source: str) -> None:
        federation = call.path.startswith(FEDERATION_API)
        route = call.path[len(FEDERATION_API) :].partition("/")[0] if federation else ""
        visit = Visit(host, call, source, route, self.facts.now, host.clock.wall(), host.incarnation)
        self._visits[id(call)] = visit
        for look in self._on["on_call" if federation else "on_operator_call"]:
            look(visit)
        if route == "heartbeat" and visit.notes.get("verdict") == "served":
            peer = visit.notes["peer"]
            if not call.source.channel or self.facts.hears_us(host, peer, visit.body.get("last_ack")):
                self.facts.met(host, peer)

    def answered(self, host: Host, call: Call, source: str, answer: Answer) -> None:
        visit = self._visits.pop(id(call), None)
        if visit is None:
            return
        for look in self._on["on_answer" if visit.route else "on_operator_answer"]:
            look(visit, answer)

    def relays(self, hub: Host, peer_id: str, address: str) -> None:
        for look in self._on["on_relayed"]:
            look(hub, peer_id, address)

    # --- what the run tells --------------------------------------------------------------------------------------

    def stepped(self) -> None:
        """A step was taken, or the scenario has ended."""
        for host in self.world.hosts.values():
            for look in self._on["on_step"]:
                look(host)

    def logged(self, line: str) -> None:
        """A platform has logged something."""
        for look in self._on["on_log"]:
            look(line)

    def recorded(self, host: Host, text: str) -> None:
        """The flight recorder of a platform was written out."""
        for look in self._on["on_record"]:
            look(host, text)

    def rested(self, host: Host) -> None:
        """Nothing is under way on this platform any more, after every fault has stopped."""
        for look in self._on["on_rest"]:
            look(host)
