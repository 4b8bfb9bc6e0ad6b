"""Heartbeats and liveness between two platforms: proof, silence, recovery, and what a remote says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from actors.limits import EPOCH_FLIPS_FORGOTTEN_S
from actors.peer import projection
from actors.peer.certifying import certify_fault
from actors.peer.endpoints import Endpoint
from actors.peer.messages import Beat, HeartbeatNow, ProvenInbound, Revoke
from actors.ports import RemoteReply
from actors.schema_versions import MatrixRow
from runtime.errors import Fault, OperatorFault
from tests.support.federation import OPERATOR, Exchange, Pair, pair

HEARTBEAT = "/federation_api/heartbeat"
UNREACHABLE = Fault("remote_unreachable", "no endpoint answers", 502)


@pytest.fixture
def two() -> Pair:
    """An active pair."""
    pairing = pair()
    pairing.connect()
    return pairing


def refusing(code: str, status: int, *paths: str) -> Any:
    """Answers every call of these paths (all, if none) with a refusal of a proven remote."""

    def answer(exchange: Exchange) -> Any:
        if paths and exchange.request.path not in paths:
            return None
        return RemoteReply(status, {"success": False, "code": code}, {}, exchange.request.urls[0], 0.01)

    return answer


def reading(two: Pair) -> str:
    """The status of B's row for A as anybody reads it now."""
    record, evidence = two.b.record(two.at_b.peer_id), two.b.evidence(two.at_b.peer_id)
    return projection.derived_status(record, evidence, two.network.clock.wall(), two.b.federation.stale_after_s)[0]


# --- the first heartbeat --------------------------------------------------------------------------------------------


def test_a_first_heartbeat_that_comes_too_early_is_repeated_after_one_two_and_four_seconds() -> None:
    two = pair()
    times: list[float] = []

    def answer(exchange: Exchange) -> Any:
        if exchange.request.path == HEARTBEAT and exchange.sender is two.b:
            times.append(two.network.clock.now())
            return refusing("unknown_peer_subject", 401)(exchange)
        return UNREACHABLE if exchange.sender is two.a else None

    two.network.answers = answer
    two.accept()
    two.network.advance(20.0)
    assert [round(at - times[0]) for at in times] == [0, 1, 3, 7]
    assert two.statuses == ("accepted", "accepted")


def test_an_early_refusal_delays_the_pair_by_a_second_only() -> None:
    two = pair()
    refused: list[float] = []

    def answer(exchange: Exchange) -> Any:
        if exchange.sender is two.a:
            return UNREACHABLE
        if exchange.request.path == HEARTBEAT and not refused:
            refused.append(two.network.clock.now())
            return refusing("peer_not_admitted", 401)(exchange)
        return None

    two.network.answers = answer
    two.accept()
    two.network.advance(1.1)
    assert refused
    assert two.statuses == ("active", "active")


def test_one_direction_is_enough() -> None:
    two = pair()
    two.network.answers = lambda exchange: UNREACHABLE if exchange.sender is two.a else None
    two.accept()
    two.network.advance(1.0)
    assert two.statuses == ("active", "active")
    row = two.a.record(two.at_a.peer_id)
    assert row.inbound_proven_at is not None
    assert two.b.record(two.at_b.peer_id).inbound_proven_at is None
    assert two.a.evidence(row.id).last_outbound_heartbeat_at is None


def test_a_verified_call_that_is_no_heartbeat_proves_the_key() -> None:
    two = pair(heartbeat_eager=False)
    two.accept()
    two.a.told_nothing(two.at_a.peer_id, ProvenInbound())
    row = two.a.record(two.at_a.peer_id)
    assert (row.status, row.trust_status) == ("enrolled", "established")
    assert row.inbound_proven_at is not None
    assert two.a.steps(row.id) == ["proposed", "accepted", "enrolled"]


# --- silence --------------------------------------------------------------------------------------------------------


def test_silence_degrades_and_the_next_heartbeat_recovers(two: Pair) -> None:
    two.network.down.add(two.a.url)
    two.network.advance(250.0)
    assert reading(two) == "active"
    two.network.advance(60.0)
    assert reading(two) == "degraded", "nobody reads it as active on memory"
    two.network.advance(70.0)
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.status_reason, row.metadata["degraded_reason"]) == ("degraded", "remote_unreachable", "remote_unreachable")
    assert two.a.record(two.at_a.peer_id).status == "degraded"
    two.network.down.clear()
    two.network.advance(67.0)
    assert two.statuses == ("active", "active")
    row = two.b.record(two.at_b.peer_id)
    assert row.status_reason is None
    assert "degraded_reason" not in row.metadata
    assert two.b.steps(row.id)[-2:] == ["degraded", "active"]


def test_a_failed_heartbeat_by_itself_changes_no_status(two: Pair) -> None:
    two.network.down.add(two.a.url)
    version = two.b.record(two.at_b.peer_id).version
    outcome = two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    assert outcome.code == "remote_unreachable"
    evidence = two.b.evidence(two.at_b.peer_id)
    assert evidence.last_error == "remote_unreachable"
    assert two.b.record(two.at_b.peer_id).version == version
    two.network.down.clear()
    assert two.b.told(two.at_b.peer_id, HeartbeatNow(None))["ok"] is True
    assert two.b.evidence(two.at_b.peer_id).last_error is None


@pytest.mark.parametrize(("dedup_s", "count"), [(600.0, 2), (1_200.0, 1)])
def test_a_peer_that_never_came_up_is_reported_but_not_degraded(dedup_s: float, count: int) -> None:
    two = pair(role_of_b="child", decision_dedup_s=dedup_s)
    two.network.answers = lambda exchange: UNREACHABLE if exchange.request.path != "/federation_api/accept" else None
    two.accept()
    two.network.advance(1400.0)
    assert two.statuses == ("enrolled", "enrolled")
    reports = [event for event in two.b.store.events(0, 1000) if event.kind == "federation.peer.unreachable"]
    assert [event.severity for event in reports] == ["high"] * count, "once in that time"
    two.network.answers = lambda exchange: None
    two.network.advance(67.0)
    assert two.statuses == ("active", "active")


def test_a_remote_that_answers_the_look_but_no_heartbeat_degrades_with_the_next_look(two: Pair) -> None:
    two.network.answers = lambda exchange: UNREACHABLE if exchange.request.path == HEARTBEAT else None
    two.network.advance(500.0)
    row = two.b.record(two.at_b.peer_id)
    assert row.status == "degraded"
    assert row.status_reason == "heartbeat stale (>300s)"
    kinds = two.b.events()
    assert kinds.count("federation.peer.rehandshaked") == 1
    assert kinds.count("federation.peer.heartbeat_stale") == 1


def test_when_the_look_succeeds_a_real_heartbeat_follows_at_once(two: Pair) -> None:
    two.network.answers = lambda exchange: UNREACHABLE if exchange.request.path == HEARTBEAT else None
    while "federation.peer.rehandshaked" not in two.b.events():
        two.network.answers = lambda exchange: (
            UNREACHABLE if exchange.request.path == HEARTBEAT and "federation.peer.rehandshaked" not in two.b.events() else None
        )
        two.network.advance(1.0)
    assert two.b.record(two.at_b.peer_id).status == "active"
    assert two.b.evidence(two.at_b.peer_id).last_outbound_heartbeat_at == pytest.approx(two.network.clock.wall(), abs=1.0)


def test_a_look_that_is_never_answered_degrades_with_the_next_one(two: Pair) -> None:
    held: list[Exchange] = []

    two.a.serve = held.append  # type: ignore[method-assign]
    two.b.serve = held.append  # type: ignore[method-assign]
    two.network.advance(500.0)
    assert held
    assert two.b.record(two.at_b.peer_id).status_reason == "heartbeat stale (>300s)"


def test_a_remote_that_rejects_us_degrades_with_an_alarm(two: Pair) -> None:
    two.network.answers = refusing("unknown_peer_subject", 401)
    two.network.advance(400.0)
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.status_reason) == ("degraded", "auth_rejected")
    alarms = [event for event in two.b.store.events(0, 1000) if event.kind == "federation.peer.auth_rejected"]
    assert [(event.severity, event.payload["remote_code"]) for event in alarms] == [("high", "unknown_peer_subject")]


def test_a_restart_keeps_a_silent_peer_from_reading_active(two: Pair) -> None:
    two.network.down.add(two.a.url)
    two.network.advance(200.0)
    two.b.restart()
    two.network.advance(120.0)
    assert reading(two) == "degraded"
    two.network.advance(60.0)
    assert two.b.record(two.at_b.peer_id).status == "degraded"


# --- what the remote says of itself ---------------------------------------------------------------------------------


def test_a_pause_announced_by_the_remote_degrades_without_alarm_and_ends_with_it(two: Pair) -> None:
    two.network.answers = refusing("peer_suspended", 403, HEARTBEAT)
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.remote_state, row.status_reason) == ("degraded", "suspended_us", "the remote has suspended us")
    assert "federation.peer.auth_rejected" not in two.b.events()
    two.network.answers = lambda exchange: None
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.remote_state) == ("active", "ok")


def test_only_a_403_speaks_for_the_remote(two: Pair) -> None:
    two.network.answers = refusing("peer_suspended", 401, HEARTBEAT)
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    assert (reading(two), two.b.record(two.at_b.peer_id).remote_state) == ("active", "ok")


def test_a_remote_that_proves_itself_and_says_that_it_revoked_us_ends_our_row(two: Pair) -> None:
    two.network.answers = refusing("peer_revoked", 403)
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.remote_state, row.status_reason) == ("revoked", "revoked_us", "remote_revoked")
    assert row.revocation is not None
    assert row.revocation.last_word is None
    assert two.b.told(two.at_b.peer_id, HeartbeatNow(None)).code == "already_revoked"


@pytest.mark.parametrize(("immediate", "reason"), [(False, "remote_revoked: moved out"), (True, "remote_revoked")])
def test_whoever_asks_before_the_notice_is_there_learns_why_unless_there_is_to_be_none(two: Pair, immediate: bool, reason: str) -> None:
    two.network.answers = refusing("unavailable", 503, "/federation_api/peer_events")
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "moved out", immediate))
    assert two.b.record(two.at_b.peer_id).status == "active"
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.remote_state, row.status_reason) == ("revoked", "revoked_us", reason)


@pytest.mark.parametrize("told", ["x" * 513, "a\x1b[2Jb", 7, ["moved out"], None, ""])
def test_a_reason_beyond_the_limits_of_a_notice_is_none(two: Pair, told: object) -> None:
    def answer(exchange: Exchange) -> RemoteReply:
        body = {"success": False, "code": "peer_revoked", "details": {"reason": told}}
        return RemoteReply(403, body, {}, exchange.request.urls[0], 0.01)

    two.network.answers = answer
    two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.status_reason) == ("revoked", "remote_revoked")


def beat(two: Pair, **fields: Any) -> Any:
    """A heartbeat of B as A's door hands it over, newer than all before."""
    evidence = two.a.evidence(two.at_a.peer_id)
    numbered = {"boot_epoch": evidence.remote_boot_epoch, "sequence": evidence.remote_sequence + 1}
    return two.a.told(two.at_a.peer_id, Beat(**{**numbered, **fields}))


@pytest.mark.parametrize(("immediate", "details"), [(False, {"reason": "moved out"}), (True, {})])
def test_a_call_that_the_door_let_in_just_before_the_end_is_told_why_as_well(two: Pair, immediate: bool, details: dict[str, str]) -> None:
    two.network.answers = refusing("unavailable", 503, "/federation_api/peer_events")
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "moved out", immediate))
    for refusal in (beat(two), certify_fault(two.a.record(two.at_a.peer_id))):
        assert (refusal.code, refusal.details) == ("peer_revoked", details)


def test_the_remotes_pause_in_a_heartbeat_degrades_our_row(two: Pair) -> None:
    assert beat(two, peer_state="suspended")["status"] == "degraded"
    assert two.a.record(two.at_a.peer_id).remote_state == "suspended_us"
    assert beat(two, peer_state="suspended")["status"] == "degraded"
    assert beat(two, peer_state="ok")["status"] == "active"


def test_a_heartbeat_declares_and_absence_changes_nothing(two: Pair) -> None:
    beat(two, capabilities={"a": 1}, extension_slugs=("x",), endpoints=(Endpoint("https://b2.example"),), platform_version="1.3.0",
         sync_cursor={"k": 1}, operator_contact="op@b.example")  # fmt: skip
    beat(two)
    row = two.a.record(two.at_a.peer_id)
    assert (dict(row.capabilities), row.extension_slugs, row.platform_version) == ({"a": 1}, ("x",), "1.3.0")
    assert ([endpoint.url for endpoint in row.endpoints], dict(row.sync_cursor)) == (["https://b2.example"], {"k": 1})
    assert row.operator_contact == "op@b.example"
    beat(two, capabilities={}, extension_slugs=(), endpoints=(), sync_cursor={})
    row = two.a.record(two.at_a.peer_id)
    assert (dict(row.capabilities), row.extension_slugs, row.endpoints, dict(row.sync_cursor)) == ({}, (), (), {})


def test_an_older_heartbeat_refreshes_liveness_and_changes_no_data(two: Pair) -> None:
    beat(two, boot_epoch=5, sequence=10, platform_version="1.3.0")
    two.network.clock.advance(10.0)
    for epoch, sequence in ((5, 10), (5, 9), (4, 99)):
        beat(two, boot_epoch=epoch, sequence=sequence, platform_version="9.9.9", peer_state="suspended")
    row, evidence = two.a.record(two.at_a.peer_id), two.a.evidence(two.at_a.peer_id)
    assert (row.platform_version, row.status) == ("1.3.0", "active")
    assert evidence.last_inbound_heartbeat_at == two.network.clock.wall()
    assert (evidence.remote_boot_epoch, evidence.remote_sequence) == (5, 10)
    assert evidence.epoch_flips == 1


def test_an_older_start_that_came_back_long_ago_counts_no_more(two: Pair) -> None:
    beat(two, boot_epoch=5, sequence=10)
    for sequence, flips in ((1, 1), (2, 2)):
        beat(two, boot_epoch=4, sequence=sequence)
        assert two.a.evidence(two.at_a.peer_id).epoch_flips == flips
    two.network.clock.advance(EPOCH_FLIPS_FORGOTTEN_S + 1.0)
    beat(two, boot_epoch=4, sequence=3)
    evidence = two.a.evidence(two.at_a.peer_id)
    # Ours, and perhaps one of the peer itself, whose own start is an older one, too.
    assert evidence.epoch_flips <= 2
    assert evidence.flipped_at == two.network.clock.wall()


def test_a_sender_that_counts_nothing_is_believed_as_it_comes(two: Pair) -> None:
    beat(two, boot_epoch=0, sequence=0, platform_version="1.3.0")
    evidence = two.a.evidence(two.at_a.peer_id)
    assert two.a.record(two.at_a.peer_id).platform_version == "1.3.0"
    assert (evidence.remote_boot_epoch, evidence.epoch_flips) == (1, 0)


def test_a_body_that_cannot_be_stored_still_shows_life(two: Pair) -> None:
    refused = OperatorFault("invalid_endpoint", "bad", 422)
    before = two.a.record(two.at_a.peer_id)
    two.network.clock.advance(10.0)
    assert beat(two, refused=refused, boot_epoch=0, sequence=0, capabilities={"a": 1}) == refused
    evidence = two.a.evidence(two.at_a.peer_id)
    assert evidence.last_heartbeat_at == two.network.clock.wall()
    assert (evidence.remote_boot_epoch, evidence.epoch_flips) == (1, 0)
    assert two.a.record(two.at_a.peer_id) == before


def test_the_acknowledgement_tells_what_the_sender_needs(two: Pair) -> None:
    rule = MatrixRow("1.4.0", "1.3.0", "degraded", "known trouble")
    heard = two.a.evidence(two.at_a.peer_id)
    assert heard.remote_history > 0
    told = beat(two, boot_epoch=7, sequence=3, start_mark=5, history=9, platform_version="1.3.0", matrix=(rule,))
    assert told["last_ack"] == {"epoch": 7, "sequence": 3, "start_mark": 5, "history": heard.remote_history}
    assert told["schema_compatibility"]["status"] == "degraded"
    assert told["our_anchor_fingerprint"] == two.a.authority.ca_fingerprint
    assert told["status"] == "active"


def test_a_changed_residency_is_told_once_and_never_overwrites_the_operators(two: Pair) -> None:
    beat(two, data_residency="EU")
    beat(two, data_residency="EU")
    beat(two)
    told = [event for event in two.a.store.events(0, 1000) if event.kind == "federation.peer.data_residency_changed"]
    assert [event.payload["value"] for event in told] == ["EU"]
    row = two.a.record(two.at_a.peer_id)
    assert (row.declared_residency, row.data_residency) == ("EU", None)


def test_the_clock_difference_is_noted(two: Pair) -> None:
    beat(two, sent_at=two.network.clock.wall() + 400.0)
    assert two.a.evidence(two.at_a.peer_id).clock_skew_s == pytest.approx(400.0)


def test_a_beat_reaches_no_row_that_serves_none() -> None:
    two = pair()
    outcome = two.a.told(two.at_a.peer_id, Beat(boot_epoch=1, sequence=1))
    assert (outcome.code, outcome.status) == ("peer_not_admitted", 401)
    assert two.a.record(two.at_a.peer_id).status == "proposed"


# --- one at a time, and nothing without an identity -----------------------------------------------------------------


def test_a_tick_that_finds_a_heartbeat_under_way_is_skipped_and_counted(two: Pair) -> None:
    held: list[Exchange] = []
    serve = two.a.serve

    def hold(exchange: Exchange) -> None:
        held.append(exchange) if exchange.request.path == HEARTBEAT else serve(exchange)

    two.a.serve = hold  # type: ignore[method-assign]
    two.network.advance(200.0)
    assert len(held) == 1
    assert two.b.evidence(two.at_b.peer_id).skipped_beats == 2
    waiting = two.b.ask(two.at_b.peer_id, HeartbeatNow(None))
    two.network.run()
    assert (len(held), waiting) == (1, [])
    serve(held[0])
    two.network.run()
    assert waiting[0]["ok"] is True


def test_an_ended_certificate_of_our_own_sends_nothing() -> None:
    two = pair(cert_ttl_s=3600.0, cert_auto_renew=False)
    two.connect()
    two.network.advance(3700.0)
    two.network.passed.clear()
    outcome = two.b.told(two.at_b.peer_id, HeartbeatNow(None))
    assert (outcome.code, outcome.status) == ("no_outbound_identity", 503)
    assert two.network.passed == []
    assert two.b.evidence(two.at_b.peer_id).last_error == "no_outbound_identity"


def test_the_remotes_answer_updates_what_we_know_of_it() -> None:
    two = pair(data_residency="CH", advertised_endpoints=({"url": "https://hub.example", "scope": "wan", "priority": 5},))
    two.connect()
    row = two.b.record(two.at_b.peer_id)
    assert [(endpoint.url, endpoint.priority) for endpoint in row.endpoints] == [("https://hub.example", 5)]
    assert (row.declared_residency, row.platform_version) == ("CH", "1.4.0")
    assert row.remote_anchor_fingerprint == two.a.authority.ca_fingerprint


def test_an_answer_full_of_junk_is_still_an_acknowledgement(two: Pair) -> None:
    junk = {"our_endpoints": [{"url": "ftp://x"}], "our_data_residency": "x" * 9999, "our_anchor_fingerprint": 7, "last_ack": []}
    two.network.answers = lambda exchange: RemoteReply(200, {"data": junk}, {}, exchange.request.urls[0], 0.01)
    before = two.b.record(two.at_b.peer_id)
    two.network.clock.advance(1.0)
    assert two.b.told(two.at_b.peer_id, HeartbeatNow(None))["ok"] is True
    assert two.b.record(two.at_b.peer_id) == before
    assert two.b.evidence(two.at_b.peer_id).last_heartbeat_at == two.network.clock.wall()
