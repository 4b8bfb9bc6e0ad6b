"""Small faults in handlers and store, planted by tests to see who notices.

Lives here: the faults, and a scenario in which each shows. Must not live here: a judgement.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import actors.door.admission
import actors.migration.giving
import actors.migration.transfer
import actors.peer.cascade
import actors.peer.heartbeats
import actors.peer.minting
import actors.peer.tokens
import sim.store
from actors.migration.transfer import Transfer
from actors.peer.heartbeats import Heartbeats
from actors.peer.lifecycle import transition
from runtime.store.chain import GENESIS, link
from runtime.values import evolve

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
HAPPY = (SCENARIOS / "happy-path.toml").read_text("utf-8")
REVOKED = (SCENARIOS / "revoked.toml").read_text("utf-8")
MOVES = (SCENARIOS / "resource-moves.toml").read_text("utf-8").replace('\n[[expect]]\nthat = "code"\ncall = "end"\nis = "completed"\n', "")
CRASHES = """
[[at]]
t = "3m"
do = "crash"
on = "a"

[[at]]
t = "4m"
do = "restart"
on = "a"

"""
PROPOSED_TWICE = """
name = "proposed twice"
description = "The second proposal is refused."
world = { for = "1m" }
platform = [{ name = "a" }, { name = "b" }]
at = [
    { t = 0, do = "propose", on = "a", peer = "b", name = "first" },
    { t = 1, do = "propose", on = "a", peer = "b", name = "second" },
]
expect = [{ that = "code", call = "first", is = "ok" }, { that = "code", call = "second", is = "peer_exists" }]
"""


def forget_the_audit_entry(patch: pytest.MonkeyPatch) -> None:
    def step(ctx: Any, record: Any, trigger: Any, by: Any, reason: Any = None) -> Any:
        return evolve(record, status=transition(record.status, trigger, record.peer_kind))

    patch.setattr(actors.peer.heartbeats, "step", step)


def leave_the_spent_token_open(patch: pytest.MonkeyPatch) -> None:
    def changed(record: Any, **changes: Any) -> Any:
        if "receipt" in changes:
            del changes["acceptance_token_digest"], changes["acceptance_token_expires_at"]
        return evolve(record, **changes)

    patch.setattr(actors.peer.minting, "evolve", changed)


def store_the_token_itself(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actors.peer.tokens, "digest", lambda token: token.reveal())


def break_the_chain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sim.store, "link", lambda draft, sequence, previous: link(draft, sequence, GENESIS))


def crash_on_contact(patch: pytest.MonkeyPatch) -> None:
    def contact(*_: Any) -> Any:
        raise RuntimeError("planted")

    patch.setattr(Heartbeats, "_contact", contact)


def ignore_unique_keys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sim.store._Table, "violated", lambda table, record: None)


def send_no_heartbeats(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Heartbeats, "_beat", lambda actor, ctx: None)


def keep_the_key(patch: pytest.MonkeyPatch) -> None:
    completed = actors.peer.cascade.completed
    patch.setattr(actors.peer.cascade, "completed", lambda ctx, record: evolve(completed(ctx, record), outbound=record.outbound))


def hold_nothing(patch: pytest.MonkeyPatch) -> None:
    def changed(record: Any, **changes: Any) -> Any:
        return record if set(changes) == {"frozen_by"} else evolve(record, **changes)

    patch.setattr(actors.migration.giving, "evolve", changed)


def guess_that_it_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actors.migration.transfer, "flaw", lambda *_: "planted")
    patch.setattr(Transfer, "_doubt", lambda actor, ctx, record, code: actor.fail(ctx, record, code))


def tell_more_than_is_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(actors.peer.heartbeats, "told_history", lambda record, events: events + 100)


PLANTED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "transitions": (forget_the_audit_entry, HAPPY),
    "single_use": (leave_the_spent_token_open, HAPPY),
    "secrecy": (store_the_token_itself, HAPPY),
    "audit_chain": (break_the_chain, HAPPY),
    "handlers": (crash_on_contact, HAPPY),
    "frozen_for_cause": (tell_more_than_is_stored, HAPPY.replace("[[expect]]", CRASHES + "[[expect]]", 1)),
    "end_completes": (keep_the_key, REVOKED),
    "one_home": (hold_nothing, MOVES),
    "one_verdict": (guess_that_it_failed, MOVES),
    "one_row_per_url": (ignore_unique_keys, PROPOSED_TWICE),
}
"""Name of the checker that notices to what plants the fault, and the scenario that shows it."""
