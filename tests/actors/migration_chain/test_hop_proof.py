"""The receipt by which a chain believes that a hop has ended: each of its parts is looked at."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from actors.door.call import Answer, Call
from actors.limits import SKEW_MAX_S
from actors.migration.receipts import hop_flaw
from actors.migration_chain.record import HOP
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.chains import SYSTEM, Trio, trio

Told = dict[str, Any]


@pytest.fixture(scope="module")
def proven() -> tuple[Told, Mapping[str, Any]]:
    """A chain that has ended: what its last hop is judged by, and the receipt that came with it."""
    three: Trio = trio("proof")
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    three.decide(three.b)
    record = three.until(id, "completed")
    assert record.word is not None
    assert record.word.proof is None
    (hop,) = three.b.store.query(Query(HOP.name))
    proof = three.ask(three.b, "GET", f"{SYSTEM}/platform/migrations/{hop.record.migration_id}").data["migration"]["receipt"]
    c = three.c
    told: Told = {
        "anchors_pem": (c.authority.ca_bundle_pem,), "instance_id": c.instance_id, "hop": (id, 1),
        "moved": ("migrate", three.module_id, three.module_id), "since": record.created_at,
    }  # fmt: skip
    return {**told, "liar": three.b.authority.ca_bundle_pem, "liar_id": three.b.instance_id}, proof


def flaw_of(told: Told, proof: Mapping[str, Any] | None, **changes: Any) -> str | None:
    judged = {**told, **changes}
    return hop_flaw(proof, judged["anchors_pem"], judged["instance_id"], judged["hop"], judged["moved"], judged["since"])


def test_the_receipt_of_the_destination_proves_the_hop(proven: tuple[Told, Mapping[str, Any]]) -> None:
    told, proof = proven
    assert flaw_of(told, proof) is None


def test_nothing_and_shapeless_things_prove_nothing(proven: tuple[Told, Mapping[str, Any]]) -> None:
    told, proof = proven
    assert flaw_of(told, None) == "missing"
    for name in ("receipt", "signature", "certificate_pem"):
        assert flaw_of(told, {**proof, name: None}) == "malformed"
    assert flaw_of(told, {**proof, "signature": "A" * 129}) == "malformed"


def test_the_receipt_is_of_this_hop_and_this_resource(proven: tuple[Told, Mapping[str, Any]]) -> None:
    told, proof = proven
    (chain, number), (operation, root, after) = told["hop"], told["moved"]
    other = told["instance_id"]
    assert flaw_of(told, proof, hop=(chain, number + 1)) == "other_hop"
    assert flaw_of(told, proof, hop=(other, number)) == "other_hop"
    assert flaw_of(told, proof, moved=("duplicate", root, after)) == "other_hop"
    assert flaw_of(told, proof, moved=(operation, other, other)) == "other_resource"
    assert flaw_of(told, proof, moved=(operation, root, other)) == "other_resource"
    assert flaw_of(told, proof, since=told["since"] + 10 * SKEW_MAX_S) == "too_old"


def test_the_receipt_is_signed_by_the_destination(proven: tuple[Told, Mapping[str, Any]]) -> None:
    told, proof = proven
    assert flaw_of(told, proof, instance_id=told["liar_id"]) == "instance_mismatch"
    assert flaw_of(told, proof, anchors_pem=(told["liar"],)) is not None
    for name, value in (("applied", 7), ("at", "2030-03-17T18:00:00Z"), ("migration_id", told["instance_id"])):
        spoilt = copy.deepcopy(dict(proof))
        spoilt["receipt"][name] = value
        assert flaw_of(told, spoilt) == "signature_invalid"
    without = copy.deepcopy(dict(proof))
    del without["receipt"]["chain"]
    assert flaw_of(told, without) == "other_hop"


def test_a_chain_stops_at_a_hop_that_is_claimed_and_not_proven_and_goes_on_once_it_is() -> None:
    three = trio("unproven")

    def unproven(call: Call, answer: Answer) -> Answer:
        told = (answer.body or {}).get("data") or {}
        if "hop" not in told or told["hop"].get("proof") is None:
            return answer
        return evolve(answer, body={**(answer.body or {}), "data": {"hop": {**told["hop"], "proof": None}}})

    three.b.interloper = unproven
    id = three.planned(three.b, three.c)
    three.act(id, "run")
    three.decide(three.b)
    record = three.until(id, "failed")
    assert (record.error, record.holder_certain, record.current_hop_index) == ("hop_unproven", False, 1)
    assert [entry["reason"] for entry in record.audit_log if entry["why"] == "unproven"] == ["missing"]
    (event,) = [each for each in three.a.store.events(0, 1_000) if each.kind == "migration_chain.unproven"]
    assert event.severity == "high"
    three.b.interloper = None
    three.act(id, "retry")
    assert three.until(id, "completed").holder_certain is True
