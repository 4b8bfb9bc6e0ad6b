"""What a parent has signed for its children, from the answers in which it handed the certificates over.

Lives here: the rule that the end of a peering, or a new handshake, takes all of them back. Must not live here: who is let in with one
(see `admission`), or what the platform itself remembers of what it signed.
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.facts import Paper, ders
from sim.checkers.registry import Checker, Commit, Visit, checker

HELD_MAX: Final = 8
"""So many certificates of a child stay valid; what is older was revoked when a newer one was made."""
SIGNED: Final = {"accept": "federation_certificate", "certificate": "certificate"}
"""Route to the key of its answer that holds what was signed."""


@checker("issued_is_revoked", source="docs/protocol.md#post-certificate", holds=("I4",))
class IssuedIsRevoked(Checker):
    """When a peering ends, every certificate that the platform has handed to its child and that has not ended is revoked with it."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._issued: dict[tuple[str, str], list[Paper]] = {}

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        data = (answer.body or {}).get("data") if visit.route in SIGNED and answer.status < 300 else None
        signed = data.get(SIGNED[visit.route]) if isinstance(data, dict) else None
        pem = signed.get("cert_pem") if isinstance(signed, dict) else None
        paper = self.facts.paper(ders(pem)[0]) if isinstance(pem, str) and ders(pem) else None
        row = self.facts.by_subject(visit.host, paper.names[0]) if paper is not None and len(paper.names) == 1 else None
        if paper is not None and row is not None:
            held = self._issued.setdefault((visit.host.name, row.id), [])
            if paper not in held:
                held.append(paper)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "peer" and change.after is not None and change.after.record.status == "revoked":
                for paper in self._issued.pop((commit.host.name, change.id), ())[-HELD_MAX:]:
                    serial = f"{paper.certificate.serial_number:x}"
                    if paper.ends > commit.wall and (commit.host.name, serial) not in self.facts.revoked:
                        self.complain(commit.host, f"{change.id}: the peering has ended, and its certificate {serial} is not revoked")

    def on_replaced(self, host: Any) -> None:
        # An earlier disk does not know what was signed since.
        self._issued = {key: held for key, held in self._issued.items() if key[0] != host.name}
