"""Contact and silence: what brings a peer up, what keeps it up, how soon its loss shows, and what is read meanwhile.

Lives here: rules about heartbeats, evidence and the statuses that follow from them. What contact there really was, the world knows: the
admitted heartbeats that arrived, and the acknowledged ones that came back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from actors.door.call import Answer
from actors.ports import RemoteReply, RemoteRequest
from sim.checkers.ability import SETTLED_S, awake, delay_s
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

HEARTBEAT: Final = "/federation_api/heartbeat"
PEERS: Final = re.compile(r"/api/v1/system/platform/peers(?:/([0-9a-f-]{36}))?")
LIVE: Final = frozenset({"accepted", "enrolled", "active", "degraded"})
TICK_S: Final = 60.0
"""How often a platform looks at the age of its evidence."""

FLUSH_S: Final = 2.0
"""How long evidence may wait beside its row for a commit, generously."""

SLACK_S: Final = 5.0
"""What a moment may last: resumption after a start, the turn of a busy actor."""


def may_enrol(host: Any, record: Any) -> bool:
    """Whether contact alone carries an accepted row on."""
    told = record.release_tag and record.operator_contact and record.jurisdiction
    return record.trust_mode != "none" and bool(told or not host.federation.require_identity_disclosure)


@checker("activation", source="docs/protocol.md#heartbeats", holds=("I2", "P7"))
class Activation(Checker):
    """A row becomes active only by a heartbeat between the two platforms, newer than the row's former status and than the limit."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._since: dict[tuple[str, str], float] = {}

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        key = (commit.host.name, change.id)
        before = None if change.before is None else change.before.record.status
        after = change.after.record.status
        if before == after:
            return
        if after == "active":
            met = self.facts.contacts.get(key)
            # The turns of a row wait for its commits, each of which may stand behind another; what arrives meanwhile is contact.
            late_s = 4 * delay_s(commit.host)
            if met is None or met[0] < self._since.get(key, 0.0) - late_s:
                self.complain(commit.host, f"{change.id}: becomes active without a heartbeat since it was {before}")
            else:
                self._judge_age(commit.host, change.id, met[0], late_s)
        self._since[key] = self.facts.now

    def _judge_age(self, host: Any, id: str, met_at: float, late_s: float) -> None:
        # To a process that stood still what came meanwhile is news when it goes on.
        age_s = self.facts.now - max(met_at, self.facts.resumed_at(host))
        if age_s > host.federation.stale_after_s + late_s:
            self.complain(host, f"{id}: becomes active by a heartbeat of {age_s:.0f} s ago")


@checker("evidence_forward", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("I2",))
class EvidenceForward(Checker):
    """Evidence only moves forward, and never beyond the heartbeats that there were.

    An answer counts that no later heartbeat and no pause has overtaken; and on a channel a heartbeat whose sender has heard ours of late.
    """

    def on_evidence(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        new = change.after.evidence
        old = change.before.evidence if change.before is not None else None
        host = commit.host
        if new.last_heartbeat_at is not None:
            met = self.facts.contacts.get((host.name, change.id))
            # As with `activation`: the turn that takes a heartbeat up waits for the commits of its row, each behind another.
            if met is None or (new.last_heartbeat_at > met[1] + 1.0 + 4 * delay_s(host) and self._settled(host)):
                self.complain(host, f"{change.id}: the evidence tells of a heartbeat that there was not")
        if old is None:
            return
        if (new.remote_boot_epoch, new.remote_sequence) < (old.remote_boot_epoch, old.remote_sequence):
            self.complain(host, f"{change.id}: the remote's start and sequence go back")
        went_back_s = (old.last_heartbeat_at or 0.0) - (new.last_heartbeat_at or 0.0)
        if went_back_s > 0 and self._settled(host) and not self._read_from_clock(host, change.id, new.last_heartbeat_at or 0.0):
            self.complain(host, f"{change.id}: the evidence goes back by {went_back_s:.0f} s")

    def _read_from_clock(self, host: Any, id: str, told: float) -> bool:
        """Whether a platform's clock showed this when the newest heartbeat reached it, or between then and now.

        Where a clock was put back, the newest heartbeat may bear an earlier time than the one before, even if it arrived before that: the
        time that counts is that of the turn which takes it up.
        """
        met_at = self.facts.contacts.get((host.name, id), (self.facts.now, 0.0))[0]
        late_s = FLUSH_S + 2 * delay_s(host)
        if abs(told - self.facts.told_by_clock.get((host.name, id), 0.0)) <= late_s:
            return True
        wall = host.clock.wall()
        return bool(wall - (self.facts.now - met_at) - late_s <= told <= wall)

    def _settled(self, host: Any) -> bool:
        """Whether a platform takes note of what reaches it when it reaches it."""
        return awake(host) and self.facts.now - self.facts.resumed_at(host) > SETTLED_S


@checker("contact_shows", source="docs/protocol.md#heartbeats", holds=("P7",))
class ContactShows(Checker):
    """Only a live row acknowledges, and that makes both rows active: the receiver's before the answer leaves, the sender's soon after.

    A heartbeat over a channel shows its receiver one way only. It beats back at once then, and that is judged as its own heartbeat.
    """

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.route != "heartbeat" or answer.status >= 300:
            return
        row = self.facts.peers[visit.host.name].get(visit.notes.get("peer") or "")
        if row is None:
            return
        told = ((answer.body or {}).get("data") or {}).get("status")
        if told != row.status:
            self.complain(visit.host, f"a heartbeat of {visit.source} is answered with {told}, but the row is {row.status}")
        if row.status not in LIVE:
            self.complain(visit.host, f"a heartbeat of {visit.source} is acknowledged by a row that is {row.status}")
        if not visit.call.source.channel:
            self._judge(visit.host, row)

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if request.path != HEARTBEAT or _pause(request) or not isinstance(outcome, RemoteReply) or outcome.status >= 300:
            return
        if self.facts.is_newest_beat(host, request):
            self._judge_soon(host, request.peer_id)

    def _judge_soon(self, host: Any, id: str) -> None:
        incarnation = host.incarnation

        def look() -> None:
            row = self.facts.peers[host.name].get(id)
            settled = awake(host) and self.facts.now - self.facts.resumed_at(host) > SETTLED_S
            if row is not None and host.incarnation == incarnation and settled:
                self._judge(host, row)

        self.later(1.0 + 4 * delay_s(host), look)

    def _judge(self, host: Any, row: Any) -> None:
        behind = row.status in ("enrolled", "degraded") or (row.status == "accepted" and may_enrol(host, row))
        if behind and row.remote_state != "suspended_us":
            self.complain(host, f"{row.id}: is {row.status} after an acknowledged heartbeat")


@checker("silence_shows", source="docs/protocol.md#heartbeats", holds=("P7",))
class SilenceShows(Checker):
    """Without contact an active row is degraded soon after the limit: within two looks of a minute and the time limit of the probe."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._looking: set[tuple[str, str]] = set()

    def on_start(self, host: Any) -> None:
        for id, record in self.facts.peers[host.name].items():
            self._watch(host, id, record)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        self._watch(commit.host, change.id, change.after.record)

    def _watch(self, host: Any, id: str, record: Any) -> None:
        key = (host.name, id)
        if record.status != "active" or key in self._looking:
            return
        self._looking.add(key)
        self.later(host.federation.stale_after_s, lambda: self._look(host, id))

    def _look(self, host: Any, id: str) -> None:
        key, federation = (host.name, id), host.federation
        self._looking.discard(key)
        record = self.facts.peers[host.name].get(id)
        if record is None or record.status != "active":
            return
        met, wall = self.facts.contacts.get(key), host.clock.wall()
        grace_s = 2 * TICK_S + federation.request_timeout_s + SLACK_S + 2 * delay_s(host)
        silent_s = min(wall - met[1], self.facts.now - met[0]) if met is not None else self.facts.now
        up_s = self.facts.now - self.facts.awake_since(host)
        wait_s = max(federation.stale_after_s + grace_s - silent_s, federation.stale_after_s * (met is None) + grace_s - up_s)
        if wait_s > 0 or not awake(host):
            self._looking.add(key)
            self.later(max(wait_s, 1.0), lambda: self._look(host, id))
        else:
            self.complain(host, f"{id}: is active {silent_s:.0f} s after the last contact")


@checker("heartbeats_flow", source="docs/protocol.md#heartbeats", holds=("P7",))
class HeartbeatsFlow(Checker):
    """Each live peer with an identity gets a heartbeat every interval, give or take a tenth, and never two at the same time."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._sent: dict[tuple[str, str], float] = {}
        self._flying: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._looking: set[tuple[str, str]] = set()

    def on_start(self, host: Any) -> None:
        for key in [key for key in self._flying if key[0] == host.name]:
            del self._flying[key]
        for id, record in self.facts.peers[host.name].items():
            self._watch(host, id, record)

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        key = (commit.host.name, change.id)
        if change.after.record.status not in LIVE:
            self._flying.pop(key, None)
        elif change.before is not None and change.before.record.status not in LIVE:
            # A row that lives again begins a new interval.
            self._sent[key] = self.facts.now
        self._watch(commit.host, change.id, change.after.record)

    def on_request(self, host: Any, request: RemoteRequest) -> None:
        if request.path == HEARTBEAT and not _pause(request):
            key = (host.name, request.peer_id)
            # What was under way when a platform had to read its disk again is forgotten there, as in a restart, and when its actor crashed.
            crashes = sum((crash.ref.kind, crash.ref.id) == ("peer", request.peer_id) for crash in host.engine.crashes)
            life = (host.incarnation, host.engine.resets, crashes)
            if self._flying.get(key) == life:
                self.complain(host, f"{request.peer_id}: a second heartbeat leaves while one is under way")
            self._flying[key] = life
            self._sent[key] = self.facts.now

    def on_return(self, host: Any, request: RemoteRequest, outcome: Any) -> None:
        if request.path == HEARTBEAT and not _pause(request):
            self._flying.pop((host.name, request.peer_id), None)

    def _watch(self, host: Any, id: str, record: Any) -> None:
        key = (host.name, id)
        if key not in self._looking and _wants(host, record):
            self._looking.add(key)
            begun = self.facts.now
            self.later(_period_s(host), lambda: self._look(host, id, begun))

    def _look(self, host: Any, id: str, begun: float) -> None:
        key = (host.name, id)
        record = self.facts.peers[host.name].get(id)
        self._looking.discard(key)
        if record is None or not _wants(host, record):
            return
        last = max(self._sent.get(key, begun), self.facts.awake_since(host), begun)
        wait_s = last + _period_s(host) - self.facts.now
        if awake(host) and wait_s <= 0:
            self.complain(host, f"{id}: gets no heartbeat for {self.facts.now - last:.0f} s")
            return
        self._looking.add(key)
        self.later(max(wait_s, 1.0), lambda: self._look(host, id, begun))


def _pause(request: RemoteRequest) -> bool:
    """Whether this is the last heartbeat before a pause, which waits for nothing."""
    return (request.body or {}).get("peer_state") == "suspended"


def _period_s(host: Any) -> float:
    federation = host.federation
    return float(federation.heartbeat_interval_s * 1.1 + federation.request_timeout_s + SLACK_S + 2 * delay_s(host))


def _wants(host: Any, record: Any) -> bool:
    wall = host.clock.wall()
    ended = record.expires_at is not None and record.expires_at <= wall
    usable = record.outbound is not None and record.outbound.not_after > wall and record.remote_instance_id is not None
    return record.peer_kind == "platform" and record.status in LIVE and record.trust_mode != "none" and usable and not ended


@checker("shown_status", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("P7",))
class ShownStatus(Checker):
    """Operators read the committed status of a peer, and `degraded` where an active one has been silent for longer than the limit."""

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        if visit.call.method != "GET" or answer.status != 200 or PEERS.fullmatch(visit.call.path) is None:
            return
        for shown in _peers((answer.body or {}).get("data")):
            record = self.facts.peers[visit.host.name].get(shown["id"])
            if record is None:
                self.complain(visit.host, f"{shown['id']} is shown and not committed")
            elif shown["status"] not in self._readings(visit.host, record):
                self.complain(visit.host, f"{record.id}: is shown as {shown['status']}, but committed as {record.status}")

    def _readings(self, host: Any, record: Any) -> set[str]:
        if record.status != "active":
            return {record.status}
        met = self.facts.contacts.get((host.name, record.id))
        silent_s = host.clock.wall() - met[1] if met is not None else 0.0
        limit_s = host.federation.stale_after_s
        return {status for status, fits in (("active", silent_s < limit_s + SLACK_S), ("degraded", silent_s > limit_s - SLACK_S)) if fits}


def _peers(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        yield from (each for each in data if isinstance(each, dict) and "status" in each)
    elif isinstance(data, dict) and isinstance(data.get("peer"), dict):
        yield data["peer"]
