"""The audit chain: how an entry is numbered, hashed and checked. Pure; every side of the store port uses it.

An entry's hash is SHA-256 over the canonical JSON of all its other fields, the previous entry's hash among them, so that no
entry can be changed, dropped, moved or carried into another chain without breaking every hash behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from runtime.store.codec import canonical_json
from runtime.store.port import AuditDraft, AuditEntry

GENESIS = "0" * 64
"""`previous_hash` of the first entry of every chain."""


def link(draft: AuditDraft, sequence: int, previous_hash: str) -> AuditEntry:
    """`draft` as entry number `sequence` behind the entry whose hash is `previous_hash` (`GENESIS` for number 1)."""
    at = float(draft.at)
    return AuditEntry(
        chain=draft.chain,
        sequence=sequence,
        action=draft.action,
        at=at,
        actor_kind=draft.actor_kind,
        actor_id=draft.actor_id,
        payload=draft.payload,
        previous_hash=previous_hash,
        hash=_digest(draft, at, sequence, previous_hash),
    )


def total(previous: str, chain: str, sequence: int, hash: str) -> str:
    """The hash over the ledger up to and with this entry; `previous` is the one before (`GENESIS` for the first)."""
    return hashlib.sha256(f"{previous} {sequence} {hash} {chain}".encode()).hexdigest()


def verify(entries: Iterable[AuditEntry], after_sequence: int = 0, previous_hash: str = GENESIS) -> int | None:
    """The sequence number at which the chain first breaks, or None if it is whole.

    `entries` are all entries of one chain behind `after_sequence`, ascending; `previous_hash` is that entry's hash.
    """
    sequence, head = after_sequence, previous_hash
    chain: str | None = None
    for entry in entries:
        sequence += 1
        chain = entry.chain if chain is None else chain
        sound = entry.chain == chain and entry.sequence == sequence and entry.previous_hash == head
        if not sound or entry.hash != _digest(entry, entry.at, sequence, head):
            return sequence
        head = entry.hash
    return None


def _digest(entry: AuditDraft | AuditEntry, at: float, sequence: int, previous_hash: str) -> str:
    body = {
        "chain": entry.chain,
        "sequence": sequence,
        "action": entry.action,
        "at": at,
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id},
        "payload": entry.payload,
        "previous_hash": previous_hash,
    }
    return hashlib.sha256(canonical_json(body)).hexdigest()
