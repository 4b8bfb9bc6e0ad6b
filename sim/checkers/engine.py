"""The engine below the actors: no handler fails, no queue grows without bound, and nothing is left over when all is done.

Lives here: rules about turns, mailboxes and what an idle platform may still hold.
"""

from __future__ import annotations

from typing import Any, Final

from actors.door.call import Answer
from sim.checkers.registry import Checker, Commit, Visit, checker
from sim.mishaps import PlantedError

MAILBOX_MAX: Final = 1_024
DEAD_LETTERS_MAX: Final = 10_000
MUST_BE_ZERO: Final = ("effects_failed", "listeners_failed", "evidence_refused")
ENDED: Final = frozenset({"revoked", "suspended"})


@checker("handlers", source="docs/architecture.md#who-runs-the-engine")
class Handlers(Checker):
    """No handler crashes but those that are poisoned, no effect of a turn fails, and the store refuses no change for its own reasons."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._told: dict[str, int] = {}

    def on_commit(self, commit: Commit) -> None:
        self._look(commit.host)

    def on_step(self, host: Any) -> None:
        self._look(host)

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if answer.status >= 500:
            self._look(visit.host)

    on_operator_answer = on_answer

    def _look(self, host: Any) -> None:
        counters = host.engine.counters
        key = f"{host.name}/{host.incarnation}"
        # Not by index: a counter asks a method of its own for what it has not counted yet.
        crashes = counters.get("crashes", 0)
        new = crashes - self._told.get(key, 0)
        self._told[key] = crashes
        for crash in list(host.engine.crashes)[-new:] if new > 0 else ():
            if isinstance(crash.error, PlantedError):
                continue
            text = f"{crash.ref} crashed on {type(crash.message).__name__}: {type(crash.error).__name__}: {crash.error}"
            self.complain(host, text)
        for name in MUST_BE_ZERO:
            if counters.get(name):
                self.complain(host, f"the engine counts {counters[name]} {name.replace('_', ' ')}")


@checker("no_internal_errors", source="docs/troubleshooting.md#error-codes")
class NoInternalErrors(Checker):
    """No request ends in a failure that is the platform's own fault."""

    def on_answer(self, visit: Visit, answer: Answer) -> None:
        if answer.status == 500:
            what = visit.route or f"{visit.call.method} {visit.call.path}"
            self.complain(visit.host, f"{what} is answered with {(answer.body or {}).get('code')}")

    on_operator_answer = on_answer


@checker("queues", source="docs/architecture.md#who-runs-the-engine", holds=("I11",))
class Queues(Checker):
    """No mailbox, no list of waiting callers and no heap of dead letters is longer than its limit."""

    def on_step(self, host: Any) -> None:
        engine = host.engine
        for ref in engine.in_memory:
            depth = engine.state(ref)["mailbox"]
            if depth > MAILBOX_MAX:
                self.complain(host, f"{depth} messages wait for {ref}")


@checker("leaks", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act")
class Leaks(Checker):
    """A platform at rest holds nothing: no ask without answer, no message, no open port call, no timer of a peering that has ended."""

    def on_rest(self, host: Any) -> None:
        engine = host.engine
        for ref in engine.in_memory:
            state = engine.state(ref)
            left = {name: state[name] for name in ("mailbox", "open_calls", "held_asks") if state[name]}
            if left:
                self.complain(host, f"{ref} is at rest and still has {left}")
            elif engine.holds_work(ref) and not _counts(ref.kind, state["timers"]):
                self.complain(host, f"{ref} is at rest and still keeps a slot for work that has ended")
            record = self.facts.peers[host.name].get(ref.id) if ref.kind == "peer" else None
            if record is not None and record.status in ENDED and state["timers"]:
                self.complain(host, f"{ref} is {record.status} and keeps the timers {', '.join(state['timers'])}")


def _counts(kind: str, timers: Any) -> bool:
    """Whether an actor only counts: what a grant's use has shown is written a while later, and so is how often calls were denied."""
    return (kind == "grant" and "write" in timers) or (kind == "grant_book" and any(each.startswith("tell ") for each in timers))
