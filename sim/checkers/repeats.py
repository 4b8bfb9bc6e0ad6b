"""Requests that operators repeat under a key: done once, and answered as they were.

Lives here: a ledger of the answers that left, by operator, route and key. Must not live here: what the platform itself remembers of them,
or what a request does.
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.admission import code_of
from sim.checkers.operators import claims_of
from sim.checkers.registry import Checker, Visit, checker

Scope = tuple[str, str, str, str]
"""Platform, operator, route and key."""

KEPT_S: Final = 86_400.0
REUSED: Final = "idempotency_key_reused"
EARLIER: Final = frozenset({"unauthenticated", "forbidden", "rate_limited", "unavailable", "trust_frozen", "deadline_exceeded"})
"""What is said before anybody looks at the key, or where nobody knows."""
SAID_ANEW: Final = frozenset({"request_id", "token_already_revealed", "warnings"})
"""What a repeated answer may say otherwise."""


@checker("repeats", source="docs/operator-guide.md#requests-of-your-own-programs")
class Repeats(Checker):
    """The same request of an operator under the same key gets the same answer, with its secrets left out; another one is refused, and
    what others do under the same text, or on another route, is theirs."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._answers: dict[Scope, tuple[bytes, Answer, float]] = {}
        self._tried: set[Scope] = set()

    def on_replaced(self, host: Any) -> None:
        self._answers = {key: known for key, known in self._answers.items() if key[0] != host.name}

    def on_operator_call(self, visit: Visit) -> None:
        key = visit.call.headers.get("idempotency-key")
        if key is not None:
            scope = (visit.host.name, _operator(visit), f"{visit.call.method} {visit.call.path}", key)
            visit.notes["scope"], visit.notes["tried"] = scope, scope in self._tried
            self._tried.add(scope)

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        scope: Scope | None = visit.notes.get("scope")
        if scope is None:
            return
        key = scope[3]
        body, former, at = self._answers.get(scope, (b"", None, 0.0))
        if former is None or visit.wall >= at + KEPT_S:
            if code_of(answer) == REUSED and not visit.notes["tried"]:
                self.complain(visit.host, f"{scope[2]}: {key} was never used there, and is refused as used")
            elif answer.status < 300:
                if _revealed(answer) and not visit.notes["tried"]:
                    self.complain(visit.host, f"{scope[2]}: {key} was never used there, and gets the answer to another request")
                self._answers[scope] = (visit.call.body, answer, visit.host.clock.wall())
        elif body != visit.call.body:
            if code_of(answer) not in (REUSED, *EARLIER):
                self.complain(visit.host, f"{scope[2]}: another request under {key} is answered {answer.status} {code_of(answer)}")
        elif code_of(answer) not in EARLIER and (answer.status != former.status or not _same(former.body, answer.body)):
            self.complain(visit.host, f"{scope[2]}: the same request under {key} is answered {answer.status}, and was {former.status}")


def _operator(visit: Visit) -> str:
    """Who calls, as the access token says; it is judged elsewhere."""
    return str(claims_of(visit).get("sub", ""))


def _revealed(answer: Answer) -> bool:
    data = (answer.body or {}).get("data")
    return isinstance(data, dict) and bool(data.get("token_already_revealed"))


def _same(former: Any, answer: Any) -> bool:
    """Whether two answers say the same, but for secrets that the later one leaves out."""
    if isinstance(former, dict) and isinstance(answer, dict):
        return all(key in SAID_ANEW or _same(former.get(key), answer.get(key)) for key in former.keys() | answer.keys())
    if isinstance(former, list) and isinstance(answer, list):
        return len(former) == len(answer) and all(map(_same, former, answer))
    return answer is None or former == answer
