"""The lifecycle table: what must hold of it whatever rows it has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.peer import lifecycle
from actors.peer.lifecycle import LIVE, OPERATOR_TRIGGERS, REACHABLE, STATUSES, TRANSITIONS, PeerKind, Status, Trigger

KINDS: tuple[PeerKind, ...] = ("platform", "sdwan_only")
TRIGGERS: tuple[Trigger, ...] = tuple({row.trigger: None for row in TRANSITIONS})


def walk(kind: PeerKind, triggers: list[Trigger]) -> Iterator[Status]:
    status = lifecycle.transition(None, "registered", kind)
    assert status is not None
    yield status
    for trigger in triggers:
        status = lifecycle.transition(status, trigger, kind) or status
        yield status


@given(st.sampled_from(KINDS), st.lists(st.sampled_from(TRIGGERS), max_size=30))
def test_no_history_leaves_revoked_or_a_status_that_the_kind_may_have(kind: PeerKind, triggers: list[Trigger]) -> None:
    seen = list(walk(kind, triggers))
    assert all(kind in STATUSES[status].kinds for status in seen)
    if "revoked" in seen:
        assert set(seen[seen.index("revoked") :]) == {"revoked"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_status_of_a_kind_is_reached_and_no_other(kind: PeerKind) -> None:
    reached: set[Status] = set()
    frontier: list[Status | None] = [None]
    while frontier:
        status = frontier.pop()
        for trigger in TRIGGERS:
            target = lifecycle.transition(status, trigger, kind)
            if target is not None and target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == {status for status, rule in STATUSES.items() if kind in rule.kinds}


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_operator_may_cause_is_what_the_operators_triggers_lead_to(kind: PeerKind) -> None:
    for status, rule in STATUSES.items():
        if kind not in rule.kinds:
            assert lifecycle.allowed_targets(status, kind) == ()
            continue
        led_to = {lifecycle.transition(status, trigger, kind) for trigger in OPERATOR_TRIGGERS} - {None}
        allowed = lifecycle.allowed_targets(status, kind)
        assert set(allowed) == led_to
        assert len(allowed) == len(led_to)


def test_a_proposed_peer_offers_what_the_answer_of_propose_shows() -> None:
    assert lifecycle.allowed_targets("proposed", "platform") == ("accepted", "revoked")
    assert lifecycle.allowed_targets("suspended", "platform") == ("accepted", "revoked")


def test_a_status_is_never_skipped_on_the_way_to_active() -> None:
    happened: list[Trigger] = ["heartbeat_succeeded", "token_redeemed", "heartbeat_succeeded", "trust_established", "heartbeat_succeeded"]
    assert list(walk("platform", happened)) == ["proposed", "proposed", "accepted", "accepted", "enrolled", "active"]


def test_only_an_active_peer_degrades() -> None:
    degrading = {(row.source, row.target) for row in TRANSITIONS if row.target == "degraded"}
    assert degrading == {("active", "degraded")}


def test_every_status_that_is_not_final_can_be_ended_by_the_operator() -> None:
    for status, rule in STATUSES.items():
        for kind in rule.kinds:
            assert (lifecycle.transition(status, "operator_revoked", kind) == "revoked") == (status != "revoked")


def test_no_remote_moves_a_peer_that_has_no_control_plane() -> None:
    for trigger in ("remote_revoked_us", "remote_suspended_us", "heartbeat_succeeded", "trust_established"):
        assert all(lifecycle.transition(status, trigger, "sdwan_only") is None for status in STATUSES)


def test_live_statuses_admit_anchors_and_take_and_send_heartbeats_and_no_others_do() -> None:
    for status, rule in STATUSES.items():
        live = status in LIVE
        assert (rule.anchors == "admit") == live
        assert (lifecycle.inbound_refusal(status, "heartbeat") is None) == live
        assert (lifecycle.outbound_refusal(status, "heartbeat") is None) == live


def test_reachable_statuses_serve_exchanges_and_no_others_do() -> None:
    for status in STATUSES:
        assert (lifecycle.inbound_refusal(status, "exchange") is None) == (status in REACHABLE)


def test_refusals_tell_a_paused_or_ended_peer_apart_from_one_that_is_not_there_yet() -> None:
    refusals = {status: lifecycle.inbound_refusal(status, "audit_excerpts") for status in STATUSES}
    assert refusals["active"] is None
    assert refusals["suspended"] == lifecycle.Refusal("peer_suspended", 403)
    assert refusals["revoked"] == lifecycle.Refusal("peer_revoked", 403)
    others = {refusals[status] for status in ("proposed", "accepted", "enrolled", "degraded")}
    assert others == {lifecycle.Refusal("peer_not_admitted", 401)}


def test_force_opens_an_exchange_with_a_degraded_peer_and_nothing_else() -> None:
    opened = {
        (status, family)
        for status in STATUSES
        for family in ("accept", "heartbeat", "probe", "revocation_notice", "exchange")
        if lifecycle.outbound_refusal(status, family) is not None and lifecycle.outbound_refusal(status, family, forced=True) is None
    }
    assert opened == {("degraded", "exchange")}
    refusal = lifecycle.outbound_refusal("degraded", "exchange")
    assert refusal is not None
    assert refusal.code == "peer_degraded"


def test_the_diagram_has_exactly_the_arrows_of_the_table() -> None:
    drawn = set()
    for source, target, label in re.findall(r"^    (\S+) --> (\w+): (.+)$", lifecycle.diagram(), re.MULTILINE):
        drawn |= {(None if source == "[*]" else source, target, trigger) for trigger in label.split(" / ")}
    assert drawn == {(row.source, row.target, row.trigger) for row in TRANSITIONS}
    assert re.findall(r"(\w+) --> \[\*\]", lifecycle.diagram()) == ["revoked"]
