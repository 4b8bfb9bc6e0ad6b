"""Where data lives: the effective tag, and the whole table of outcomes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import residency
from actors.peer.record import PeerRecord
from runtime.values import evolve

PEER = PeerRecord(id="p", account_id="a", remote_instance_url=None, status_since=0.0, created_at=0.0, updated_at=0.0)


def peer(decided: str | None = None, declared: str | None = None) -> PeerRecord:
    return evolve(PEER, data_residency=decided, declared_residency=declared)


@pytest.mark.parametrize(
    ("decided", "declared", "effective", "conflict"),
    [
        (None, None, None, False),
        (None, "EU", "eu", False),
        ("EU", None, "eu", False),
        (" eu ", "EU", "eu", False),
        ("EU", "US", "eu", True),
        ("unknown", "US", "us", False),
        ("EU", "Unknown", "eu", False),
        ("", "  ", None, False),
    ],
)
def test_what_operators_decided_goes_before_what_the_peer_declares(
    decided: str | None, declared: str | None, effective: str | None, conflict: bool
) -> None:
    assert residency.remote_tag(peer(decided, declared)) == effective
    assert residency.conflicts(peer(decided, declared)) is conflict


@pytest.mark.parametrize(
    ("mode", "unknown", "ours", "theirs", "allowed", "crossing", "severity", "code", "acknowledged"),
    [
        ("permissive", "allow", "eu", "EU", True, False, None, None, None),
        ("permissive", "allow", "eu", "us", True, True, "medium", None, None),
        ("permissive", "refuse", "eu", "us", True, True, "medium", None, None),
        ("permissive", "allow", None, "us", True, False, None, None, None),
        ("permissive", "refuse", "eu", None, False, False, None, "residency_refused", "residency_refused"),
        ("warn", "allow", "eu", "us", True, True, "high", "residency_unacknowledged", None),
        ("warn", "refuse", "unknown", "us", False, False, None, "residency_refused", "residency_refused"),
        ("refuse", "allow", "eu", "us", False, True, None, "residency_refused", "residency_refused"),
        ("refuse", "allow", "eu", "eu", True, False, None, None, None),
        ("refuse", "allow", "eu", None, True, False, None, None, None),
        ("nonsense", "allow", "eu", "eu", False, False, None, "residency_refused", "residency_refused"),
        ("permissive", "nonsense", "eu", "eu", False, False, None, "residency_refused", "residency_refused"),
    ],
)
def test_outcomes(
    mode: str, unknown: str, ours: str, theirs: str, allowed: bool, crossing: bool, severity: str, code: str, acknowledged: str
) -> None:
    outcome = residency.judge(mode, unknown, ours, peer(declared=theirs))
    assert (outcome.allowed, outcome.crossing, outcome.severity) == (allowed, crossing, severity)
    told: Any = residency.refusal(outcome)
    assert (told.code if told else None) == code
    told = residency.refusal(outcome, acknowledged=True)
    assert (told.code if told else None) == acknowledged
    assert residency.refusal(outcome, acknowledged=True, overridden=True) is None


def test_a_conflict_counts_as_crossing_even_if_one_of_the_tags_is_ours() -> None:
    assert residency.situation("eu", peer("eu", "us")) == "different"
    assert not residency.judge("refuse", "allow", "eu", peer("eu", "us")).allowed


_tags = st.sampled_from([None, "", "unknown", "EU", "eu ", "US"])


@given(st.sampled_from(residency.MODES), st.sampled_from(residency.UNKNOWN_MODES), _tags, _tags, _tags)
def test_the_table_is_whole_and_a_stricter_mode_never_allows_more(mode: Any, unknown: Any, ours: Any, decided: Any, declared: Any) -> None:
    remote = peer(decided, declared)
    outcome = residency.judge(mode, unknown, ours, remote)
    assert outcome == residency.TABLE[mode, unknown, residency.situation(ours, remote)]
    stricter = residency.judge("refuse", "refuse", ours, remote)
    assert outcome.allowed or not stricter.allowed
    assert stricter.allowed == (residency.situation(ours, remote) == "same")
