"""The audit chain: linking, and noticing every kind of tampering."""

from __future__ import annotations

import hashlib

import pytest

from runtime.store.chain import GENESIS, link, verify
from runtime.store.port import AuditDraft, AuditEntry
from runtime.values import evolve


def chain_of(count: int, chain: str = "p") -> list[AuditEntry]:
    entries: list[AuditEntry] = []
    for number in range(1, count + 1):
        draft = AuditDraft(chain, "act", 10.0 + number, "operator", "me", {"n": number})
        entries.append(link(draft, number, entries[-1].hash if entries else GENESIS))
    return entries


def test_the_hash_is_sha256_of_the_canonical_entry() -> None:
    entry = link(AuditDraft("p", "act", 1, "operator", None, {"b": "é", "a": 1.0}), 1, GENESIS)
    text = (
        '{"action":"act","actor":{"id":null,"kind":"operator"},"at":1.0,"chain":"p",'
        '"payload":{"a":1.0,"b":"é"},"previous_hash":"' + GENESIS + '","sequence":1}'
    )
    assert entry.hash == hashlib.sha256(text.encode()).hexdigest()


def test_a_whole_chain_verifies_from_the_start_and_from_the_middle() -> None:
    entries = chain_of(4)
    assert verify([]) is None
    assert verify(entries) is None
    assert verify(entries[2:], 2, entries[1].hash) is None


@pytest.mark.parametrize(
    "change",
    [
        {"action": "other"},
        {"at": 11.5},
        {"actor_kind": "peer"},
        {"actor_id": None},
        {"payload": {"n": 22}},
        {"payload": {"n": "2"}},
        {"chain": "q"},
        {"sequence": 3},
        {"previous_hash": GENESIS},
        {"hash": GENESIS},
    ],
)
def test_any_changed_field_shows(change: dict[str, object]) -> None:
    entries = chain_of(3)
    entries[1] = evolve(entries[1], **change)  # type: ignore[arg-type]
    assert verify(entries) == 2


def test_dropped_swapped_and_foreign_entries_show() -> None:
    entries = chain_of(3)
    assert verify(entries[1:]) == 1
    assert verify([entries[0], entries[2]]) == 2
    assert verify([entries[1], entries[0], entries[2]]) == 1
    assert verify([entries[0], *chain_of(3, "q")[1:]]) == 2


def test_a_chain_rewritten_from_one_entry_on_shows_at_the_next_known_hash() -> None:
    entries = chain_of(3)
    forged = link(AuditDraft("p", "act", 12.0, "operator", "me", {"n": 99}), 2, entries[0].hash)
    assert verify([entries[0], forged, entries[2]]) == 3
