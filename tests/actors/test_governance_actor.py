"""What governance remembers of its scans, and the actor's rhythm on a real engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.findings import Finding, make
from actors.governance import scanner
from actors.governance.messages import Start
from actors.governance.record import KIND as GOVERNANCE
from actors.governance.record import GovernanceRecord, SeenFinding, appeared, merge
from actors.limits import (
    FINDINGS_OPEN_MAX,
    FINDINGS_RESOLVED_KEPT_S,
    FINDINGS_RESOLVED_MAX,
    GOVERNANCE_INTERVAL_S,
    GOVERNANCE_SETTLE_S,
    GOVERNANCE_SLICE,
)
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord, Revocation, TrustedAnchor
from actors.registry import ACTORS, KINDS
from actors.settings import Identity, Settings
from runtime.actor import Ref
from runtime.engine import Engine
from runtime.random import SeededRandomness
from runtime.recorder import Checkpoint
from runtime.store.port import Event, Put, Unit
from runtime.values import evolve
from sim.store import MemoryStore
from tests.support.engines import AtOnce, ManualClock

T = 1_800_000_000.0
ACCOUNT = "0190c0de-0000-7000-8000-00000000acc0"


def finding(peer: str = "p", kind: str = "peer_residency_missing", **facts: Any) -> Finding:
    return make(kind, peer, {"status": "active"}, **facts)


# --- merging ---------------------------------------------------------------------------------------------------------


def test_a_lasting_finding_keeps_its_first_sight() -> None:
    first = merge((), [finding()], T)
    (later,) = merge(first, [finding()], T + 300.0)
    assert (later.first_seen_at, later.last_seen_at, later.resolved_at) == (T, T + 300.0, None)


def test_what_is_gone_is_resolved_once_and_forgotten_after_a_week() -> None:
    gone = merge(merge((), [finding()], T), [], T + 300.0)
    assert [(one.last_seen_at, one.resolved_at) for one in gone] == [(T, T + 300.0)]
    assert merge(gone, [], T + 600.0) == gone
    assert merge(gone, [], T + 300.0 + FINDINGS_RESOLVED_KEPT_S) == gone
    assert merge(gone, [], T + 300.001 + FINDINGS_RESOLVED_KEPT_S) == ()


def test_what_comes_back_begins_anew() -> None:
    gone = merge(merge((), [finding()], T), [], T + 300.0)
    back = merge(gone, [finding()], T + 600.0)
    assert [(one.first_seen_at, one.resolved_at) for one in back] == [(T + 600.0, None)]
    assert appeared(gone, back) == back
    assert appeared(back, merge(back, [finding()], T + 900.0)) == ()


def test_what_a_lasting_finding_says_again_is_held_once() -> None:
    (first,) = merge((), [finding(kind="peer_heartbeat_stale", silent_s=301)], T)
    (same,) = merge((first,), [finding(kind="peer_heartbeat_stale", silent_s=301)], T + 300.0)
    for name in ("message", "remedy", "payload", "fingerprint", "federation_peer_id"):
        assert getattr(same, name) is getattr(first, name), name
    assert same.last_seen_at == T + 300.0


def test_words_follow_the_newest_scan() -> None:
    first = merge((), [finding(kind="peer_heartbeat_stale", silent_s=301)], T)
    (later,) = merge(first, [finding(kind="peer_heartbeat_stale", silent_s=601)], T + 300.0)
    assert "601 seconds" in later.message
    assert later.first_seen_at == T


def test_the_gravest_stand_first_and_stay_when_there_are_too_many() -> None:
    many = [finding(f"p{number:05}") for number in range(FINDINGS_OPEN_MAX)]
    grave = finding("last", "peer_trust_missing", status="active", cause="none")
    kept = merge((), [*many, grave], T)
    assert len(kept) == FINDINGS_OPEN_MAX
    assert kept[0].fingerprint == grave.fingerprint
    resolved = merge(kept, [], T + 1.0)
    assert len(resolved) == FINDINGS_RESOLVED_MAX


def test_json_has_iso_times_a_title_and_the_way_out() -> None:
    (seen,) = merge((), [finding("p7")], T)
    shown = seen.to_json()
    assert shown["first_seen_at"] == "2027-01-15T08:00:00.000Z"
    assert shown["resolved_at"] is None
    assert shown["title"] == "Data residency unknown"
    assert "powernode peers update p7" in shown["remedy"]
    assert shown["payload"] == {"status": "active"}
    assert evolve(seen, kind="of_an_earlier_release").to_json()["title"] == "of_an_earlier_release"


@given(st.lists(st.sets(st.integers(0, 5)), max_size=12))
def test_times_tell_the_history_of_the_scans(scans: list[set[int]]) -> None:
    stored: tuple[SeenFinding, ...] = ()
    for number, present in enumerate(scans):
        stored = merge(stored, [finding(str(one)) for one in present], T + number)
    standing = {one.federation_peer_id: one for one in stored if one.resolved_at is None}
    assert set(standing) == {str(one) for one in (scans[-1] if scans else ())}
    for peer_id, seen in standing.items():
        run = next((back for back, present in enumerate(reversed(scans)) if int(peer_id) not in present), len(scans))
        assert seen.first_seen_at == T + len(scans) - run
    for seen in stored:
        if seen.resolved_at is not None:
            assert seen.first_seen_at <= seen.last_seen_at < seen.resolved_at


# --- the actor -------------------------------------------------------------------------------------------------------


class Platform:
    """An engine with peers put straight into its store."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(KINDS, strict=True)
        self.events: list[Event] = []
        self._start()

    def _start(self) -> None:
        settings = Settings(Identity("us", "https://us.example", "", "sha256:" + "0" * 64, None))
        self.engine = Engine(
            store=self.store,
            clock=self.clock,
            randomness=SeededRandomness(1),
            actors={GOVERNANCE.name: ACTORS[GOVERNANCE.name]},
            settings=settings,
            ports={},
            crash_policy=AtOnce(),
        )
        self.engine.on_events.append(self.events.extend)
        self.engine.start()

    def restart(self) -> None:
        self.store = self.store.crash()
        self._start()

    def put(self, record: PeerRecord) -> None:
        former = self.store.load(PEER.name, record.id)
        version = None if former is None else former.record.version
        record = evolve(record, version=(version or 0) + 1)
        self.store.commit([Unit((Put(PEER.name, record, version),))], lambda result: None)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for _ in range(1_000):
            if not self.engine.run() and self.engine.next_timer_at() > self.clock.now():
                return
        raise AssertionError("the engine never comes to rest")

    def watch(self) -> None:
        self.engine.tell(Ref(GOVERNANCE.name, ACCOUNT), Start(ACCOUNT))
        self.advance(0.0)

    @property
    def record(self) -> GovernanceRecord:
        row = self.store.load(GOVERNANCE.name, ACCOUNT)
        assert row is not None
        assert isinstance(row.record, GovernanceRecord)
        return row.record


def broken_peer(number: int = 1, **fields: Any) -> PeerRecord:
    """A suspended peer without trust: one finding of high severity, whatever the time."""
    bare: dict[str, Any] = {
        "id": f"0190c0de-0000-7000-8000-{number:012}",
        "account_id": ACCOUNT,
        "remote_instance_url": f"https://peer-{number}.example",
        "status": "suspended",
        "status_since": T,
        "created_at": T + number,
        "updated_at": T,
    }
    return PeerRecord(**{**bare, **fields})


def test_nothing_is_written_while_nothing_is_found() -> None:
    platform = Platform()
    platform.watch()
    platform.advance(GOVERNANCE_SETTLE_S)
    platform.advance(GOVERNANCE_INTERVAL_S)
    assert platform.record == GovernanceRecord(id=ACCOUNT, version=1)


def test_a_grave_finding_is_told_once_and_kept_until_it_is_resolved() -> None:
    platform = Platform()
    platform.watch()
    platform.put(broken_peer())
    platform.put(broken_peer(2, account_id="another account"))
    platform.put(broken_peer(3, status="revoked"))
    platform.put(broken_peer(4, status="proposed", token_expired_at=T))
    platform.advance(GOVERNANCE_SETTLE_S)
    for _ in range(2):
        platform.advance(GOVERNANCE_INTERVAL_S)
    assert [one.kind for one in platform.record.findings] == ["peer_trust_missing", "acceptance_token_expired"]
    (event,) = platform.events
    assert (event.kind, event.severity, event.account_id) == ("federation.governance.finding", "high", ACCOUNT)
    assert event.payload["finding"] == "peer_trust_missing"
    assert event.payload["federation_peer_id"] == broken_peer().id
    first = platform.record.findings[0]
    assert first.last_seen_at - first.first_seen_at == 2 * GOVERNANCE_INTERVAL_S

    platform.put(broken_peer(status="revoked"))
    platform.advance(GOVERNANCE_INTERVAL_S)
    assert [one.kind for one in platform.record.findings if one.resolved_at is not None] == ["peer_trust_missing"]
    assert len(platform.events) == 1


def test_a_revoked_peer_is_scanned_until_its_grace_is_over() -> None:
    platform = Platform()
    platform.watch()
    ended = {"status": "revoked", "trusted_anchors": (TrustedAnchor(fingerprint="sha256:00", pem="anchor", not_after=T - 1.0),)}
    draining = Revocation(phase="draining", drain_until=T + GOVERNANCE_INTERVAL_S, tombstone_until=None)
    platform.put(broken_peer(**ended, revocation=draining))
    platform.advance(GOVERNANCE_SETTLE_S)
    assert [(one.kind, one.resolved_at) for one in platform.record.findings] == [("peer_cert_expired", None)]
    platform.put(broken_peer(**ended, revocation=evolve(draining, phase="complete")))
    platform.advance(GOVERNANCE_INTERVAL_S)
    assert [one.resolved_at is None for one in platform.record.findings] == [False]


def test_many_peers_are_read_in_slices_and_compared_across_them() -> None:
    platform = Platform()
    platform.watch()
    count = 2 * GOVERNANCE_SLICE
    for number in range(count):
        prefix = "fd00:7::/48" if number in (0, count - 1) else None
        platform.put(broken_peer(number, status="accepted", remote_prefix_advertisement=prefix))
    before = len(platform.engine.history(Ref(GOVERNANCE.name, ACCOUNT)))
    platform.advance(GOVERNANCE_SETTLE_S)
    assert len(platform.engine.history(Ref(GOVERNANCE.name, ACCOUNT))) - before == 3
    kinds = [one.kind for one in platform.record.findings]
    assert kinds.count("peer_trust_missing") == count
    (overlap,) = (one for one in platform.record.findings if one.kind == "prefix_overlap_with_other_peer")
    assert overlap.federation_peer_id == broken_peer(count - 1).id


def test_a_finished_scan_holds_no_peer_and_no_finding_even_where_the_recorder_has_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform()
    platform.watch()
    for number in range(GOVERNANCE_SLICE + 1):
        platform.put(broken_peer(number))
    ref, scan_peer = Ref(GOVERNANCE.name, ACCOUNT), scanner.scan_peer

    def looked_at(*arguments: Any) -> Any:
        residents = platform.engine._residents
        residents.note_start(residents.cells[ref])
        return scan_peer(*arguments)

    monkeypatch.setattr(scanner, "scan_peer", looked_at)
    platform.advance(GOVERNANCE_SETTLE_S)
    assert len(platform.record.findings) == GOVERNANCE_SLICE + 1
    scans = [entry.message.volatile["running"] for entry in platform.engine.history(ref) if type(entry.message) is Checkpoint]
    assert any(scan is not None for scan in scans)
    for scan in scans:
        assert scan is None or (scan.after_id, scan.found, scan.records) == (None, [], [])


def test_the_scan_goes_on_after_a_restart_without_being_asked() -> None:
    platform = Platform()
    platform.watch()
    platform.put(broken_peer())
    platform.restart()
    platform.advance(0.0)
    platform.advance(GOVERNANCE_SETTLE_S)
    (seen,) = platform.record.findings
    platform.restart()
    platform.watch()
    platform.advance(GOVERNANCE_SETTLE_S)
    (again,) = platform.record.findings
    assert again.first_seen_at == seen.first_seen_at < again.last_seen_at
    assert len(platform.events) == 1
