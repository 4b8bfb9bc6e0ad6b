"""The chain agrees with an independent model, reports refusals in their order, and tells nobody what would be allowed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from actors.grant.chain import STEPS, Ask, PeerFacts, UnderWay, Verdict, decide
from actors.grant.tokens import Bearer
from runtime.values import evolve
from tests.actors.grant import chain_model
from tests.actors.grant.triples import CIDRS, INSTANCES, NETWORKS, NOW, PEERS, Triple, record, triple


def code(verdict: Verdict) -> str:
    if verdict.refusal is None:
        return "ok"
    axis = verdict.refusal.details.get("axis")
    return verdict.refusal.code + (f" {axis}" if axis else "")


def agree(seed: int, count: int) -> dict[str, int]:
    """Compare so many triples; how often each verdict was met."""
    chance = random.Random(seed)
    met: dict[str, int] = {}
    for _ in range(count):
        drawn = triple(chance)
        expected = chain_model.verdict(drawn.grant, drawn.call, drawn.peer)
        found = code(decide(drawn.ask()))
        assert found == expected, drawn
        met[found] = met.get(found, 0) + 1
    return met


EVERY_VERDICT = {
    "ok", "grant_token_required", "grant_token_invalid", "grant_revoked", "grant_expired", "grant_kind_mismatch",
    "grant_resource_mismatch", "grant_scope_missing", "grant_subject_mismatch", "axis_denied node_instance_ids",
    "axis_denied sdwan_network_ids", "axis_denied source_cidrs", "bridge_inactive", "overlay_required",
    "unknown_peer_subject", "peer_suspended", "schema_incompatible",
}  # fmt: skip


def test_the_chain_agrees_with_the_model() -> None:
    met = agree(1, 5_000)
    assert met.keys() == EVERY_VERDICT
    assert min(met.values()) >= 10, met


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(2, 12))
def test_the_chain_agrees_with_the_model_on_a_hundred_thousand_triples(seed: int) -> None:
    agree(seed, 10_000)


def sound() -> Triple:
    """A triple that passes every step, with every axis restricted."""
    chance = random.Random(0)
    drawn = triple(chance)
    while drawn.grant is None:
        drawn = triple(chance)
    grant = {
        **drawn.grant, "peer": PEERS[0], "epoch": 1, "expires": NOW + 10, "revoked": False, "archived": False, "bare": False,
        "secret": "current", "kind": "NodeModule", "id_of": None, "scopes": ["read"], "subject": "s",
        "instances": [INSTANCES[0]], "networks": [NETWORKS[0]], "cidrs": [CIDRS[0]],
    }  # fmt: skip
    call = {
        "now": NOW, "bearer": "well-formed", "bearer_id": grant["id"], "secret": "current", "kind": "NodeModule", "id": None,
        "scope": "read", "subject": "s", "instance": INSTANCES[0], "network": NETWORKS[0], "source": "203.0.113.7", "bridge": True,
        "admission": None,
    }  # fmt: skip
    return Triple(grant, call, {"id": PEERS[0], "epoch": 1, "overlay_only": False})


def test_every_step_is_told_in_order() -> None:
    verdict = decide(sound().ask())
    assert verdict.allowed
    assert [outcome.step for outcome in verdict.outcomes] == [step.name for step in STEPS]
    assert [outcome.number for outcome in verdict.outcomes] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert all(outcome.passed for outcome in verdict.outcomes)


def test_steps_behind_a_refusal_are_judged_too() -> None:
    ask = evolve(sound().ask(), source_address="198.51.100.9", instance_id=INSTANCES[1], bridge_active=False)
    verdict = decide(ask)
    assert code(verdict) == "axis_denied node_instance_ids"
    failed = [outcome.step for outcome in verdict.outcomes if outcome.refusal is not None]
    assert failed == ["instance", "bridge", "source"]


def test_nothing_is_judged_against_a_grant_that_the_caller_does_not_hold() -> None:
    stolen = evolve(sound().ask(), peer=PeerFacts(PEERS[1], 1, False))
    verdict = decide(stolen)
    assert code(verdict) == "grant_token_invalid"
    unreached = [outcome.step for outcome in verdict.outcomes if not outcome.reached]
    assert unreached == ["in_force", "kind", "resource", "scope", "subject", "instance", "network", "source"]


@pytest.mark.parametrize("axis", ["node_instance_ids", "sdwan_network_ids", "source_cidrs"])
@pytest.mark.parametrize("blank", [(), ("",), (" ",), ("*", "")])
def test_a_blank_stored_axis_admits_nobody(axis: str, blank: tuple[str, ...]) -> None:
    ask = sound().ask()
    assert ask.grant is not None
    assert code(decide(evolve(ask, grant=evolve(ask.grant, **{axis: blank})))) == f"axis_denied {axis}"


def test_a_refusal_says_what_was_supplied_and_not_what_is_allowed() -> None:
    drawn = sound()
    assert drawn.grant is not None
    secrets = [*drawn.grant["instances"], *drawn.grant["networks"], *drawn.grant["cidrs"], "203.0.113"]
    for change in ({"instance_id": INSTANCES[2]}, {"network_id": NETWORKS[2]}, {"source_address": "198.51.100.9"}):
        refusal = decide(evolve(drawn.ask(), **change)).refusal  # type: ignore[arg-type]
        assert refusal is not None
        told = f"{refusal.message} {dict(refusal.details)}"
        assert next(iter(change.values())) in told
        assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize(("wall", "expected"), [(NOW + 9.999, "ok"), (NOW + 10.0, "grant_expired"), (NOW + 10.001, "grant_expired")])
def test_a_grant_ends_at_its_instant(wall: float, expected: str) -> None:
    assert code(decide(evolve(sound().ask(), wall=wall))) == expected


def test_an_admission_refusal_goes_before_everything() -> None:
    from runtime.errors import RemoteFault

    ask = Ask(NOW, None, None, None, "read", admission=RemoteFault("peer_suspended", "paused", 403))
    assert code(decide(ask)) == "peer_suspended"


def test_a_token_without_a_digest_is_good_only_where_it_was_made_bare() -> None:
    drawn = sound()
    assert drawn.grant is not None
    torn = Triple({**drawn.grant, "secret": None, "bare": False}, {**drawn.call, "secret": None}, drawn.peer)
    assert code(decide(torn.ask())) == "grant_token_invalid"
    bare = Triple({**drawn.grant, "secret": None, "bare": True}, {**drawn.call, "secret": None}, drawn.peer)
    assert code(decide(bare.ask())) == "ok"
    assert code(decide(evolve(bare.ask(), grant=record(torn.grant or {})))) == "grant_token_invalid"


@pytest.mark.parametrize(
    ("ended", "begun", "wall", "expected"),
    [
        ({"revoked_at": NOW}, NOW - 1, NOW + 299, ("ok", "ok")),
        ({"revoked_at": NOW}, NOW - 1, NOW + 300, ("grant_revoked", "ok")),
        ({"revoked_at": NOW, "revocation_immediate": True}, NOW - 1, NOW + 1, ("grant_revoked", "ok")),
        ({"revoked_at": NOW}, NOW + 1, NOW + 2, ("grant_revoked", "grant_revoked")),
        ({"revoked_at": NOW, "expires_at": NOW + 9}, NOW - 1, NOW + 10, ("grant_revoked", "ok")),
        ({"expires_at": NOW}, NOW - 1, NOW + 1, ("grant_expired", "ok")),
        ({"expires_at": NOW}, NOW + 1, NOW + 2, ("grant_expired", "grant_expired")),
        ({"expires_at": NOW, "archived_at": NOW + 1}, NOW - 1, NOW + 2, ("grant_revoked", "grant_revoked")),
        ({"revoked_at": NOW, "peering_epoch": 0}, NOW - 1, NOW + 1, ("grant_revoked", "grant_revoked")),
    ],
)
def test_what_was_begun_under_a_grant_may_go_on_and_end(
    ended: dict[str, Any], begun: float, wall: float, expected: tuple[str, str]
) -> None:
    ask = sound().ask()
    assert ask.grant is not None
    over = evolve(ask, wall=wall, grant=evolve(ask.grant, **{"expires_at": NOW + 9_000, **ended}))
    assert tuple(code(decide(evolve(over, under_way=UnderWay(begun, ends_only)))) for ends_only in (False, True)) == expected
    assert not decide(over).allowed


def test_another_secret_opens_nothing_but_an_end() -> None:
    ask = sound().ask()
    assert isinstance(ask.bearer, Bearer)
    former = evolve(ask, bearer=Bearer(ask.bearer.grant_id, "another"))
    codes = [code(decide(evolve(former, under_way=UnderWay(NOW, ends_only)))) for ends_only in (False, True)]
    assert codes == ["grant_token_invalid", "ok"]
    stolen = evolve(former, peer=PeerFacts(PEERS[1], 1, False), under_way=UnderWay(NOW, ends_only=True))
    assert code(decide(stolen)) == "grant_token_invalid"
