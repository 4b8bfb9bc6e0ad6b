"""Findings: recognised again, complete in words, and safe with facts from a remote."""

from __future__ import annotations

import json
import re

import pytest

from actors import findings
from actors.findings import KINDS

PEER = "0190aaaa-0000-7000-8000-000000000001"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_makes_a_whole_sentence_and_names_a_way_out(kind: str) -> None:
    facts = {name: f"<{name}>" for name in KINDS[kind].facts}
    found = findings.make(kind, PEER, {"status": "active"}, **facts)
    assert all(fact in found.message for fact in facts.values())
    assert not re.search(r"[{}]", found.message)
    assert found.message.endswith(".")
    json.dumps(found.to_json())


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_case_is_the_same_finding_until_a_distinguishing_fact_changes(kind: str) -> None:
    entry = KINDS[kind]
    first = findings.make(kind, PEER, {}, **dict.fromkeys(entry.facts, "1"))
    for name in entry.facts:
        other = findings.make(kind, PEER, {"seen": 2}, **dict.fromkeys(entry.facts, "1") | {name: "2"})
        assert (other.fingerprint != first.fingerprint) == (name in entry.distinguished_by)
    assert findings.make(kind, "another peer", {}, **dict.fromkeys(entry.facts, "1")).fingerprint != first.fingerprint


def test_facts_that_do_not_fit_the_kind_are_a_mistake_of_the_raiser() -> None:
    with pytest.raises(ValueError, match="skew_s"):
        findings.make("peer_clock_skew", PEER, {})
    with pytest.raises(ValueError, match="colour"):
        findings.make("peer_clock_skew", PEER, {}, skew_s=400, colour="blue")
    with pytest.raises(KeyError):
        findings.make("no_such_kind", PEER, {})


def test_a_remotes_text_is_never_read_as_a_template() -> None:
    found = findings.make("peer_identity_undisclosed", PEER, {}, missing="{peer_id} {0.__class__} {}")
    assert "{0.__class__}" in found.message
