"""Capability drift: each of its four conditions, and what just misses it."""

from __future__ import annotations

from typing import Any

import pytest

from actors.capability.declared import declared_kinds
from actors.capability.record import CapabilityRecord
from actors.governance.drift import scan_capabilities, scan_peer
from actors.peer.record import PeerEvidence, PeerRecord
from runtime.values import evolve

T = 1_800_000_000.0
PEER = PeerRecord(
    id="p", account_id="a", remote_instance_url="https://b.example", status="active", status_since=T, created_at=T, updated_at=T
)
FLOW = CapabilityRecord(
    id="c", account_id="a", federation_peer_id="p", resource_kind="NodeModule", direction="pull_remote_to_local", policy="auto_periodic",
    created_at=T, updated_at=T,
)  # fmt: skip


def aspects(record: PeerRecord, evidence: PeerEvidence | None = None, *flows: CapabilityRecord) -> list[str]:
    findings = [*scan_peer(record, evidence, T), *scan_capabilities(flows, [record])]
    assert {finding.kind for finding in findings} <= {"peer_capability_drift"}
    return [finding.payload["aspect"] for finding in findings]


@pytest.mark.parametrize(
    ("capabilities", "kinds"),
    [
        ({}, set()),
        ({"node_module": {}, "sdwan": True}, {"NodeModule"}),
        ({"resource_kinds": ["NodeModule", "Skill", 3, None, "Starship"]}, {"NodeModule", "Skill"}),
        ({"resource_kinds": "NodeModule"}, set()),
    ],
)
def test_what_a_peer_declares(capabilities: dict[str, Any], kinds: set[str]) -> None:
    assert declared_kinds(capabilities) == kinds


def test_extensions_without_a_word_about_them() -> None:
    slugs = evolve(PEER, extension_slugs=("backups",))
    assert aspects(slugs) == ["extensions"]
    assert aspects(evolve(slugs, capabilities={"backups": {}})) == []
    assert aspects(evolve(slugs, status="suspended")) == []


def test_a_declared_kind_that_is_refused() -> None:
    declares = evolve(PEER, capabilities={"resource_kinds": ["NodeModule"]})
    refused = evolve(FLOW, last_error="unknown_resource_kind", declared=True)
    assert aspects(declares, None, refused) == ["refused NodeModule"]
    assert aspects(declares, None, evolve(refused, last_error="remote_timeout")) == []
    assert aspects(PEER, None, evolve(refused, declared=False)) == []


def test_a_kind_that_is_declared_no_more() -> None:
    assert aspects(PEER, None, evolve(FLOW, declared=True)) == ["withdrawn NodeModule"]
    assert aspects(PEER, None, FLOW) == []
    assert aspects(evolve(PEER, capabilities={"node_module": 1}), None, evolve(FLOW, declared=True)) == []


def test_declarations_that_never_rest() -> None:
    often = PeerEvidence(capability_changes=tuple(T - number * 500.0 for number in range(7)))
    assert aspects(PEER, often) == ["restless"]
    assert aspects(PEER, PeerEvidence(capability_changes=often.capability_changes[:6])) == []
    assert aspects(PEER, PeerEvidence(capability_changes=tuple(T - 3_601.0 - number for number in range(7)))) == []
