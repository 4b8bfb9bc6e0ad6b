"""The change that is proposed lets the call pass, and no proper part of it does."""

from __future__ import annotations

import itertools
import random

import pytest

from actors.grant.chain import decide
from actors.grant.explain import apply, explain
from tests.actors.grant.triples import triple


def flips(seed: int, count: int) -> set[str]:
    """Explain so many random calls; the edits that were met."""
    chance = random.Random(seed)
    met: set[str] = set()
    for _ in range(count):
        ask = triple(chance).ask()
        found = explain(ask)
        assert found.verdict == decide(ask)
        assert bool(found.edits) != found.verdict.allowed
        if found.verdict.allowed:
            continue
        met |= {edit.name for edit in found.edits}
        assert decide(apply(ask, found.edits)).allowed, (ask, found.edits)
        for size in range(len(found.edits)):
            for part in itertools.combinations(found.edits, size):
                assert not decide(apply(ask, part)).allowed, (ask, part)
    return met


def test_the_proposed_change_flips_the_verdict_and_no_part_of_it_does() -> None:
    assert flips(1, 2_000) == {
        "resume_admission", "issue_grant", "present_bearer", "widen_kind", "widen_resource", "add_scope", "send_subject", "widen_axis",
        "activate_bridge", "allow_public_calls",
    }  # fmt: skip


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(2, 12))
def test_the_proposed_change_flips_the_verdict_of_many_calls(seed: int) -> None:
    flips(seed, 10_000)
