"""What is answered: in time, durable, and never with a failure of the platform's own.

Lives here: rules about answers of every kind, whoever has asked.
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.ability import at_work
from sim.checkers.registry import Checker, Visit, checker

PATIENCE: Final = 2.0
"""How many times its own deadline a platform may take: accepting with an invitation passes two."""


@checker("answered", source="docs/architecture.md#the-door")
class Answered(Checker):
    """Every call that reaches a running platform is answered within the deadline of its requests, however slow its disk is."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._open: dict[int, Visit] = {}

    def on_call(self, visit: Visit) -> None:
        self._open[id(visit)] = visit
        self._look_later(visit)

    def _look_later(self, visit: Visit) -> None:
        host = visit.host
        patience_s = PATIENCE * host.federation.request_deadline_s + 1.0

        def look() -> None:
            if self._open.get(id(visit)) is not visit:
                return
            if host.incarnation != visit.incarnation or not host.running:
                del self._open[id(visit)]
            elif not at_work(host) or self.facts.now - self.facts.resumed_at(host) < patience_s:
                # Once it is able to, it has the whole time again.
                self._look_later(visit)
            else:
                del self._open[id(visit)]
                what = visit.route or f"{visit.call.method} {visit.call.path}"
                self.complain(host, f"{what} of {visit.source or 'its operator'} has no answer after {self.facts.now - visit.at:.0f} s")

        self.later(patience_s, look)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        self._open.pop(id(visit), None)

    on_operator_call = on_call
    on_operator_answer = on_answer


@checker("shown_is_durable", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act", holds=("P2",))
class ShownIsDurable(Checker):
    """An operator is shown no version of a peer that is not committed, and a token only where its digest is."""

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        data = (answer.body or {}).get("data") if answer.status < 400 else None
        shown = data.get("peer") if isinstance(data, dict) else None
        if not isinstance(shown, dict) or "version" not in shown:
            return
        record = self.facts.peers[visit.host.name].get(shown["id"])
        if record is None or record.version < shown["version"]:
            self.complain(visit.host, f"{shown['id']}: version {shown['version']} is shown, but not committed")
