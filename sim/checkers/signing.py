"""What platforms sign for others: receipts of what has moved, and the certificates by which they are known to a new peer.

Lives here: that a receipt counts only as its destination has written it, and that nothing is signed by a root before that is in force.
Must not live here: which root of a peer counts (see `anchors`), or what becomes of a migration (see `migrations`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.facts import Paper, ders
from sim.checkers.registry import Change, Checker, Commit, Visit, checker

MIGRATIONS: Final = "migrations"


def canonical(receipt: Mapping[str, Any]) -> str:
    """One text for a receipt."""
    return json.dumps(receipt, sort_keys=True, default=list)


@checker("receipts", source="docs/migrations.md#the-way-of-a-migration", holds=("R2",))
class Receipts(Checker):
    """A source takes for the receipt of a migration only what its destination has written of that very migration."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._written: dict[str, set[str]] = {}

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            receipt = None if change.after is None else getattr(change.after.record, "receipt", None)
            if receipt is None:
                continue
            if change.kind == "arrival":
                self._written.setdefault(change.id, set()).add(canonical(receipt))
            elif change.kind == "migration" and (change.before is None or change.before.record.receipt != receipt):
                self._judge(commit.host, change.after.record, receipt)  # type: ignore[union-attr]

    def _judge(self, host: Any, record: Any, proof: Mapping[str, Any]) -> None:
        if canonical(proof["receipt"]) not in self._written.get(record.transfer_id, ()):
            self.complain(host, f"{record.id}: takes for a receipt what its destination has never written")


@checker("signed_in_force", source="docs/trust-model.md#rotation", holds=("P10",))
class SignedInForce(Checker):
    """Receipts, and the certificate by which a platform is known to a new peer, are signed under the root that is in force on it."""

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        data = (answer.body or {}).get("data") if visit.route == MIGRATIONS and answer.status < 300 else None
        pem = data.get("certificate_pem") if isinstance(data, dict) else None
        if isinstance(pem, str):
            self._judge(visit.host, pem, f"the receipt for {visit.source}")

    def on_peer(self, change: Change, commit: Commit) -> None:
        assert change.after is not None
        former = None if change.before is None else change.before.record.outbound
        outbound = change.after.record.outbound
        if former is None and outbound is not None:
            self._judge(commit.host, outbound.certificate_pem, f"the first certificate for {change.id}")

    def _judge(self, host: Any, pem: str, what: str) -> None:
        leaf = self.facts.paper(ders(pem)[0])
        for root_pem in self.facts.root_pems(host):
            root = self._root(root_pem)
            if leaf is not None and root is not None and self.facts.signed(leaf, root):
                if root.fingerprint not in self.facts.root_of(host):
                    self.complain(host, f"{what} is signed under a root that is not in force")
                return

    def _root(self, pem: str) -> Paper | None:
        found = ders(pem)
        return self.facts.paper(found[0]) if found else None
