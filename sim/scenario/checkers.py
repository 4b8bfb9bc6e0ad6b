"""What must hold in every world at every moment, whatever a scenario does.

Lives here: the safety checkers. Each reads what a platform has committed, never what it says about itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

import attrs

from actors.peer.lifecycle import TRANSITIONS
from actors.registry import KINDS
from runtime.store.chain import verify
from runtime.store.port import AuditEntry, Query
from sim.world import Host

STEPS: Final = {(row.source, row.target, row.trigger, kind) for row in TRANSITIONS for kind in row.kinds}
ENTRIES_MAX: Final = 1_000_000


@attrs.define
class Watched:
    """What a platform has shown before.

    Attributes:
        secrets: texts that must not be found in anything stored.
        redemptions: digest of a spent token to the handshakes and rows that it was seen to open.
    """

    secrets: Collection[str] = ()
    redemptions: dict[str, set[tuple[str, str, str]]] = attrs.field(factory=dict)


Checker = Callable[[Host, Watched], Iterator[str]]


def rows(host: Host) -> list[Any]:
    """The committed peer records of a platform, oldest first."""
    return [row.record for row in host.store.query(Query("peer", newest_first=False))]


def trail(host: Host, peer_id: str) -> list[AuditEntry]:
    """The audit entries of one peer that tell of a status change."""
    return [entry for entry in host.store.audit(peer_id, 0, ENTRIES_MAX) if "to" in entry.payload]


def transitions(host: Host, watched: Watched) -> Iterator[str]:
    """Every status change is in the transition table and has exactly one audit entry."""
    for record in rows(host):
        before = None
        for entry in trail(host, record.id):
            told = entry.payload
            if told.get("from") != before:
                yield f"{record.id}: an audit entry goes from {told.get('from')}, but the row was {before}"
            if (told.get("from"), told["to"], told.get("trigger"), record.peer_kind) not in STEPS:
                yield f"{record.id}: {told.get('from')} to {told['to']} by {told.get('trigger')} is not in the table"
            before = told["to"]
        if before != record.status:
            yield f"{record.id}: the row is {record.status}, but its audit entries end with {before}"


def chain(host: Host, watched: Watched) -> Iterator[str]:
    """The audit chain of every peer is unbroken."""
    for record in rows(host):
        broken = verify(host.store.audit(record.id, 0, ENTRIES_MAX))
        if broken is not None:
            yield f"{record.id}: the audit chain breaks at entry {broken}"


def single_use(host: Host, watched: Watched) -> Iterator[str]:
    """A row is accepted at most once, and a spent token opens nothing more."""
    for record in rows(host):
        accepted = sum(1 for entry in trail(host, record.id) if entry.payload["to"] == "accepted" and entry.payload["from"] == "proposed")
        if accepted > 1:
            yield f"{record.id}: became accepted {accepted} times"
        if record.receipt is None:
            continue
        digest = record.receipt.token_digest
        if digest == record.acceptance_token_digest:
            yield f"{record.id}: the token is spent and still open"
        opened = watched.redemptions.setdefault(digest, set())
        opened.add((host.name, record.id, record.receipt.handshake_id))
        if len(opened) > 1:
            yield f"{record.id}: one token was redeemed by {len(opened)} handshakes"


def secrecy(host: Host, watched: Watched) -> Iterator[str]:
    """No plaintext token is in a stored row, an event or an audit entry."""
    stored: list[tuple[str, Any]] = [("an event", event) for event in host.store.events(0, ENTRIES_MAX)]
    for kind in KINDS:
        for row in host.store.query(Query(kind.name)):
            stored.append((f"a {kind.name} row", row))
            stored += [("an audit entry", entry) for entry in host.store.audit(row.record.id, 0, ENTRIES_MAX)]
    for what, value in stored:
        text = repr(value)
        if any(secret in text for secret in watched.secrets):
            yield f"{what} holds a token in plaintext"


def one_row_per_url(host: Host, watched: Watched) -> Iterator[str]:
    """At most one row per remote URL is not revoked."""
    counts = Counter(record.remote_instance_url for record in rows(host) if record.status != "revoked" and record.remote_instance_url)
    for url, count in counts.items():
        if count > 1:
            yield f"{count} rows for {url} are not revoked"


def handlers(host: Host, watched: Watched) -> Iterator[str]:
    """No handler of an actor crashes."""
    for crash in host.engine.crashes:
        yield f"{crash.ref} crashed on {type(crash.message).__name__}: {type(crash.error).__name__}: {crash.error}"


AT_COMMITS: Final[tuple[Checker, ...]] = (transitions, chain, single_use, one_row_per_url, handlers)
"""Checked whenever a peer row has changed, after every step and at the end."""

AT_STEPS: Final[tuple[Checker, ...]] = (secrecy,)
"""Checked after every step and at the end: they read all that is stored."""
