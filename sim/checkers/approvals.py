"""Approvals: what operators have approved is carried out.

Lives here: the rule, from committed rows. Must not live here: who may decide.
"""

from __future__ import annotations

from typing import Any

from runtime.store.port import Query
from sim.checkers.registry import Checker, checker


@checker("approved_is_done", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act")
class ApprovedIsDone(Checker):
    """At rest nothing that was approved is still being carried out: whatever crashed meanwhile, it was done, or is known to have failed."""

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("approval")):
            record = row.record
            if record.status == "approved" and record.execution_status not in ("succeeded", "failed"):
                self.complain(host, f"{record.id}: was approved, and its execution is {record.execution_status}")
