"""Planted faults are found: a sample of them in every test run, all of them in a sweep."""

from __future__ import annotations

import pytest

import tests.planted.chosen_blind
import tests.planted.faults  # noqa: F401  # registers the faults
from sim.checkers.registry import CHECKERS
from tests.planted.hunt import hunt
from tests.planted.registry import PLANTS

SAMPLE = (
    "token_burnt_before_commit",
    "digest_not_cleared",
    "expired_token_accepted",
    "receipt_not_bound_to_handshake",
    "own_token_survives_dialling",
    "any_server_will_do",
    "evidence_goes_backwards",
    "silence_goes_unnoticed",
    "status_read_from_memory",
    "audit_entry_missing",
    "any_anchor_will_do",
    "instance_unchecked",
    "dates_ignored",
    "limits_off",
    "reply_before_durable",
    "deadline_lost_on_restart",
    "vault_seals_nothing",
    "superseded_certificate_admitted",
    "resume_enrols_unproven",
    "receipt_for_anyone",
    "another_handshake_each_time",
    "deadlines_lost_in_restart",
    "owned_rows_unseen",
    "blind_after_resume",
    "beat_served_after_the_end",
    "exchange_before_proof",
    "former_bearer_forever",
    "bearer_of_another_peer",
    "expiry_of_grants_ignored",
    "held_bearer_opens_our_door",
    "bearer_told_in_an_event",
    "held_bearers_outlive_the_peering",
)


def test_there_are_at_least_twenty() -> None:
    assert len(PLANTS) >= 20
    assert all(plant.fault.endswith(".") for plant in PLANTS.values())
    assert all(file.exists() for plant in PLANTS.values() for file in plant.files)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_found_by_the_first_seeds(name: str) -> None:
    found = hunt(PLANTS[name], seeds=1)
    assert found is not None
    assert found.checker in CHECKERS, found
    assert found.runs <= 3


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PLANTS)
def test_every_planted_fault_is_found(name: str) -> None:
    assert hunt(PLANTS[name]) is not None
