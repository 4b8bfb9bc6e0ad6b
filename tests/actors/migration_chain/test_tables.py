"""The tables of chains and hops, and what is read of a holder's word."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.migration_chain import lifecycle, limits, transient
from actors.migration_chain.word import HopWord, parse

ID = "0190c0de-0000-7000-8000-00000000acc0"


def test_nothing_leaves_a_terminal_status_and_everything_is_reached() -> None:
    assert not [status for status, _ in lifecycle.TRANSITIONS if status in lifecycle.TERMINAL]
    assert set(lifecycle.TRANSITIONS.values()) | {"planned"} == set(lifecycle.STATUSES)
    assert set(lifecycle.HOP_TRANSITIONS.values()) == set(lifecycle.HOP_STATUSES)
    # What has arrived is never asked for again.
    assert not [status for status, _ in lifecycle.HOP_TRANSITIONS if status == "completed"]


def test_a_hop_moves_only_when_it_was_approved_or_is_our_own() -> None:
    ways = {(status, trigger) for (status, trigger), target in lifecycle.HOP_TRANSITIONS.items() if target == "moving"}
    assert {trigger for _, trigger in ways} == {"approve", "begin"}
    assert {status for status, trigger in ways if trigger == "approve"} == {"awaiting_approval"}


def test_waits_grow_and_then_stay() -> None:
    waits = [limits.retry_after(tries) for tries in range(1, 9)]
    assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 3_600.0, 3_600.0, 3_600.0]


def test_refusals_are_told_from_what_passes() -> None:
    assert all(transient.passes(code) for code in ("remote_timeout", "peer_degraded", "resource_frozen"))
    assert transient.passes("anything", 503)
    assert not any(transient.passes(code, 409) for code in ("residency_refused", "no_received_grant", "grant_revoked", "hop_rejected"))


WORDS = st.builds(
    HopWord,
    status=st.sampled_from(lifecycle.HOP_STATUSES),
    attempt=st.integers(1, limits.ATTEMPT_MAX),
    migration_id=st.none() | st.just(ID),
    migration_status=st.none() | st.sampled_from(("conflict", "failed", "applying")),
    approval_expires_at=st.none() | st.just("2026-05-17T17:45:12Z"),
    error=st.none() | st.just("remote_timeout"),
    next_root_id=st.just(ID),
    proof=st.none() | st.just({"receipt": {}}),
)


@given(word=WORDS)
def test_a_word_is_read_as_it_was_said(word: HopWord) -> None:
    read = parse(word.to_json())
    assert read is not None
    assert read == (word if word.status == "completed" else HopWord(**{**word.to_json(), "next_root_id": None, "proof": None}))
    assert read.waits_for


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(value=JSON)
def test_no_word_can_break_the_reading(value: Any) -> None:
    parse(value)
    parse({"status": "completed", "attempt": value, "next_root_id": value, "error": value})
    told = dict.fromkeys(("error", "migration_id", "migration_status", "approval_expires_at"), value)
    read = parse({"status": "moving", "attempt": 1, **told})
    assert read is not None
    assert read.error is None or read.error.isascii()


def test_a_hop_that_has_ended_says_what_the_resource_is_called() -> None:
    assert parse({"status": "completed", "attempt": 1}) is None
    assert parse({"status": "completed", "attempt": 1, "next_root_id": "../x"}) is None
