"""Planted faults are found: a sample of them in every test run, all of them in a sweep."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import actors.door.admission
import sim.store
import tests.planted.__main__
import tests.planted.chosen_blind
import tests.planted.corners
import tests.planted.faults  # registers the faults
from actors.peer.actor import PeerActor
from sim.checkers.registry import CHECKERS
from tests.planted.__main__ import main
from tests.planted.hunt import hunt, loaded, planted
from tests.planted.registry import PLANTS, Patch, Plant

SAMPLE = (
    "token_burnt_before_commit",
    "digest_not_cleared",
    "expired_token_accepted",
    "receipt_not_bound_to_handshake",
    "own_token_survives_dialling",
    "any_server_will_do",
    "evidence_goes_backwards",
    "guard_not_asked_again",
    "certificate_for_the_wrong_row",
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
    "operator_grant_confirmed_and_not_kept",
    "cross_signature_unchecked",
    "window_of_the_next_rotation",
    "late_push_wins",
    "holders_word_believed",
    "receipt_of_another_hop",
    "seat_across_a_boundary",
    "withdrawal_not_told",
    "one_axis_suffices",
    "grant_outlives_its_end",
    "grace_ends_with_the_last_word",
    "refused_record_passed",
    "one_bucket_for_everybody",
    "one_seat_too_many",
    "event_taken_twice",
    "refused_turn_speaks",
    "held_by_two",
    "longer_history_unheard",
    "approved_and_never_carried_out",
    "any_echo_counts",
    "both_keep_their_own",
    "subscription_outlives_the_peering",
    "receipt_not_verified",
    "own_request_approved",
    "keys_of_all_operators",
    "session_outlives_its_operator",
    "terms_not_written_down",
    "any_contract_will_do",
    "peering_has_no_end",
    "keys_at_the_same_time",
    "lanes_never_close",
    "asks_never_expire",
)


def test_there_are_at_least_twenty() -> None:
    assert len(PLANTS) >= 20
    assert all(plant.fault.endswith(".") for plant in PLANTS.values())
    assert all(file.exists() for plant in PLANTS.values() for file in plant.files)


@pytest.mark.parametrize("name", PLANTS)
def test_each_still_has_its_place_in_the_program(name: str) -> None:
    with planted(PLANTS[name]):
        pass


def test_one_whose_place_is_gone_is_broken_and_ends_no_sweep(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def moved(patch: Patch) -> None:
        patch.setattr(PeerActor, "a_method_that_is_gone", None)

    monkeypatch.setitem(PLANTS, "moved", Plant("moved", "It is gone.", moved, ("happy-path",)))
    assert main(["moved", "digest_not_cleared", "--seeds", "1", "--folder", str(tmp_path)]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  in happy-path.toml seed 1: AttributeError" in told
    assert "1 of 2 found" in told


def test_a_hunt_looks_where_it_is_told_first_and_then_where_it_is_cheap() -> None:
    files = PLANTS["token_burnt_before_commit"].files
    costs = [loaded(file).cost for file in files[1:]]
    assert files[0].stem == "happy-path"
    assert costs == sorted(costs)
    assert len(set(files)) == len(files) > 100


def test_the_command_tells_its_table_in_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["digest_not_cleared", "--seeds", "1", "--shrink", "--json", "-", "--folder", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["found"], told["of"]) == (1, 1)
    (row,) = told["plants"]
    assert row["runs"] == 1
    assert row["steps"] <= 5
    assert row["checker"] in CHECKERS


def test_a_hunt_that_has_ended_is_not_made_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = ["digest_not_cleared", "--seeds", "1", "--folder", str(tmp_path)]
    assert main(asked) == 0
    monkeypatch.setattr(tests.planted.__main__, "hunt", lambda *given: pytest.fail("it hunts again"))
    assert main(asked) == 0


@pytest.mark.parametrize("at", ["handler", "door", "run"])
def test_a_plant_that_does_not_fit_its_place_finds_nothing(
    at: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"handler": (PeerActor, "_contact"), "door": (actors.door.admission, "check_instance"), "run": (sim.store._Table, "violated")}

    def apply(patch: Patch) -> None:
        patch.setattr(*places[at], lambda: None)

    monkeypatch.setitem(PLANTS, "ill_fitting", Plant("ill_fitting", "It takes no parameter.", apply, ("happy-path",)))
    assert main(["ill_fitting", "--seeds", "1", "--shrink", "--folder", str(tmp_path)]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_asking_for_help_or_for_what_is_not_there_hunts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tests.planted.__main__, "hunt", lambda *given: pytest.fail("it hunts"))
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert main(["no_such_fault"]) == 2
    assert main(["--list"]) == 0


@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_is_found_by_the_first_seeds(name: str) -> None:
    found = hunt(PLANTS[name], seeds=1)
    assert found is not None
    assert found.checker in CHECKERS, found
    assert found.crash is None, found
    assert found.runs <= 3


@pytest.mark.sweep
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", PLANTS)
def test_every_planted_fault_is_found(name: str) -> None:
    found = hunt(PLANTS[name])
    assert found is not None
    assert found.crash is None, found
