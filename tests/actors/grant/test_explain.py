"""The change that is proposed lets the call pass, and no proper part of it does."""

from __future__ import annotations

import itertools
import random

import pytest

from actors.grant.chain import Ask, decide
from actors.grant.explain import Edit, apply, explain, held, of_past
from runtime.values import evolve
from tests.actors.grant.triples import triple


def can_be_made(edit: Edit, ask: Ask, edits: tuple[Edit, ...]) -> bool:
    """Whether a command would take the facts of this edit, once all edits before it are made."""
    facts = dict(edit.facts)
    networks = [*facts.get("sdwan_network_ids", ()), facts.get("network_id"), *([facts["add"]] if edit.name == "widen_axis" else ())]
    if ask.network_id in networks and ask.network_id is not None and not ask.network_known and edits[0].name != "add_network":
        return False
    if not ask.resource_known and facts.get("resource_id") is not None:
        return False
    return "subject" not in facts or facts["subject"] is not None


def flips(seed: int, count: int) -> set[str]:
    """Explain so many random calls; the edits that were met."""
    chance = random.Random(seed)
    met: set[str] = set()
    for _ in range(count):
        ask = evolve(triple(chance).ask(), network_known=chance.random() < 0.7, resource_known=chance.random() < 0.7)
        if ask.network_id is None:
            ask = evolve(ask, network_known=True)
        found = explain(ask)
        assert found.verdict == decide(ask)
        assert bool(found.edits) != found.verdict.allowed
        if found.verdict.allowed:
            continue
        met |= {edit.name for edit in found.edits}
        assert decide(apply(ask, found.edits)).allowed, (ask, found.edits)
        assert all(can_be_made(edit, ask, found.edits) for edit in found.edits), (ask, found.edits)
        for size in range(len(found.edits)):
            for part in itertools.combinations(found.edits, size):
                assert not decide(apply(ask, part)).allowed, (ask, part)
    return met


def test_the_proposed_change_flips_the_verdict_and_no_part_of_it_does() -> None:
    assert flips(1, 2_000) == {
        "resume_admission", "issue_grant", "present_bearer", "widen_kind", "widen_resource", "add_scope", "send_subject", "widen_axis",
        "activate_bridge", "allow_public_calls", "add_network",
    }  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(2, 12))
def test_the_proposed_change_flips_the_verdict_of_many_calls(seed: int) -> None:
    flips(seed, 10_000)


def test_of_a_past_call_no_smaller_change_is_overlooked() -> None:
    chance = random.Random(7)
    shown = 0
    for _ in range(2_000):
        ask = triple(chance).ask()
        if ask.peer is None or ask.grant is None:
            continue
        bare = evolve(ask, bearer=None, grant=None)
        found, alone = of_past(bare, (ask.grant,)), explain(bare)
        assert found.verdict == alone.verdict == decide(bare)
        assert len(found.edits) <= len(alone.edits)
        tried = evolve(bare, grant=ask.grant) if any(edit.name == "present_bearer" for edit in found.edits) else bare
        assert decide(apply(tried, found.edits)).allowed
        fits = decide(evolve(held(bare, ask.grant), admission=None)).allowed and ask.grant.issued_at <= ask.wall
        if fits:
            shown += 1
            assert [edit.name for edit in found.edits if edit.name != "resume_admission"] == ["present_bearer"]
    assert shown > 20
