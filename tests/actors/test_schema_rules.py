"""Operators' decisions about pairs of versions, on a real engine."""

from __future__ import annotations

from typing import Any

import pytest

from actors.idempotency.record import KIND as ANSWER
from actors.idempotency.record import Mark
from actors.registry import ACTORS, KINDS
from actors.schema_rule.messages import Create, Delete, Update
from actors.schema_rule.record import KIND, SchemaRule, to_json, to_matrix_row
from actors.schema_versions import negotiate
from runtime.actor import Ref
from runtime.engine import Engine
from runtime.errors import Fault
from runtime.random import SeededRandomness
from sim.store import MemoryStore
from tests.support.engines import AtOnce, ManualClock


class Rules:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MemoryStore(KINDS, strict=True)
        self.engine = Engine(
            store=self.store,
            clock=self.clock,
            randomness=SeededRandomness(1),
            actors=ACTORS,
            settings=None,
            ports={},
            crash_policy=AtOnce(),
        )

    def ask(self, id: str, message: Any) -> Any:
        outcomes: list[Any] = []
        self.engine.ask(Ref(KIND.name, id), message, 5.0, outcomes.append)
        while self.engine.run():
            pass
        (outcome,) = outcomes
        return outcome


@pytest.fixture
def rules() -> Rules:
    return Rules()


def create(local: str = "1.4.0", remote: str = "1.9.0", **fields: Any) -> Create:
    return Create(**{"account_id": "a", "by": "op", "local_version": local, "remote_version": remote, "status": "compatible", **fields})


def test_a_decision_goes_before_the_implicit_rule(rules: Rules) -> None:
    made = rules.ask("r1", create(status="degraded", notes="the ledger differs", blocked_kinds=("ledger",)))
    assert isinstance(made, SchemaRule)
    result = negotiate("1.4.0", "v1.9", [to_matrix_row(made)])
    assert (result.status, result.source, result.notes) == ("degraded", "operator", "the ledger differs")
    assert result.blocks_kind("ledger")
    assert not result.blocks_kind("template")


@pytest.mark.parametrize(
    ("local", "remote", "account", "code"),
    [
        ("1.4.0", "1.9.0", "a", "schema_compatibility_exists"),
        ("v1.4", "1.9.0-rc1", "a", "schema_compatibility_exists"),
        ("1.9.0", "1.4.0", "a", None),
        ("1.4.0", "1.9.1", "a", None),
        ("1.4.0", "1.9.0", "b", None),
    ],
)
def test_a_pair_is_decided_once_per_account(rules: Rules, local: str, remote: str, account: str, code: str | None) -> None:
    rules.ask("r1", create())
    outcome = rules.ask("r2", create(local, remote, account_id=account))
    assert (outcome.code if isinstance(outcome, Fault) else None) == code
    assert (rules.store.load(KIND.name, "r2") is None) is (code is not None)


def test_making_one_twice_changes_nothing(rules: Rules) -> None:
    made = rules.ask("r1", create())
    assert rules.ask("r1", create("2.0.0")).code == "schema_compatibility_exists"
    assert rules.store.load(KIND.name, "r1").record == made


def test_status_and_notes_change_under_the_expected_version(rules: Rules) -> None:
    made = rules.ask("r1", create(notes="x"))
    rules.clock.advance(5.0)
    changed = rules.ask("r1", Update("op", {"status": "incompatible", "notes": None}, made.version))
    assert (changed.status, changed.notes, changed.version, changed.updated_at - changed.created_at) == ("incompatible", "", 2, 5.0)
    assert rules.ask("r1", Update("op", {"status": "compatible"}, made.version)).code == "version_conflict"
    assert rules.ask("r1", Update("op", {"account_id": "b"})).code == "field_not_editable"
    assert rules.store.load(KIND.name, "r1").record == changed


def test_a_forgotten_decision_frees_its_pair(rules: Rules) -> None:
    made = rules.ask("r1", create())
    assert rules.ask("r1", Delete("op", 9)).code == "version_conflict"
    assert rules.ask("r1", Delete("op", 1)) == made
    assert rules.store.load(KIND.name, "r1") is None
    assert rules.ask("r1", Delete("op")).code == "not_found"
    assert isinstance(rules.ask("r2", create()), SchemaRule)


def test_answers_are_remembered_with_the_change(rules: Rules) -> None:
    made = rules.ask("r1", create(mark=Mark("m1", "digest")))
    remembered = rules.store.load(ANSWER.name, "m1").record
    assert (remembered.status, remembered.body) == (201, {"schema_compatibility": to_json(made)})
    refused = rules.ask("r2", create(mark=Mark("m2", "digest")))
    assert refused.code == "schema_compatibility_exists"
    assert rules.store.load(ANSWER.name, "m2") is None


def test_the_shown_form(rules: Rules) -> None:
    assert to_json(rules.ask("r1", create())) == {
        "id": "r1",
        "local_version": "1.4.0",
        "remote_version": "1.9.0",
        "status": "compatible",
        "notes": None,
        "blocked_kinds": [],
        "source": "operator",
        "created_at": "2027-01-15T08:00:00.000Z",
        "updated_at": "2027-01-15T08:00:00.000Z",
        "version": 1,
    }
