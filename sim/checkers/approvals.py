"""Approvals: who decides may decide, nothing is done that is not approved, and what is approved is done.

Lives here: the rules, from committed rows. Must not live here: what an approved operation does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime.store.port import Query
from sim.checkers.registry import Checker, Commit, checker


@checker("approved_is_done", source="docs/architecture.md#one-turn-of-an-actor-decide-commit-act")
class ApprovedIsDone(Checker):
    """At rest nothing that was approved is still being carried out: whatever crashed meanwhile, it was done, or is known to have failed."""

    def on_rest(self, host: Any) -> None:
        for row in host.store.query(Query("approval")):
            record = row.record
            if record.status == "approved" and record.execution_status not in ("succeeded", "failed"):
                self.complain(host, f"{record.id}: was approved, and its execution is {record.execution_status}")


@checker("decisions", source="docs/approvals.md")
class Decisions(Checker):
    """Whoever decides about a request is let in, holds the permission, and decides once, in time, about the very inputs; who asked for
    something approves it only while nobody else could; and nothing is carried out before every step is approved."""

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "approval" and change.after is not None:
                self._judge(commit, None if change.before is None else change.before.record, change.after.record)

    def _judge(self, commit: Commit, before: Any, record: Any) -> None:
        host, known = commit.host, 0 if before is None else len(_decisions(before))
        for step, decision in _decisions(record)[known:]:
            for wrong in self._wrong(commit, before, record, step, decision):
                self.complain(host, f"{record.id}: {decision.decision} by {decision.by}, {wrong}")
        if before is not None and (record.params, record.params_digest) != (before.params, before.params_digest):
            self.complain(host, f"{record.id}: what is asked for has changed while it waited")
        enough = all(sum(each.decision == "approve" for each in step.decisions) >= step.required_approvals for step in record.steps)
        if (record.status == "approved" or record.execution_status in ("running", "succeeded")) and not enough:
            self.complain(host, f"{record.id}: is {record.status} and {record.execution_status}, and not every step is approved")

    def _wrong(self, commit: Commit, before: Any, record: Any, step: Any, decision: Any) -> Iterator[str]:
        operators = [row.record for row in commit.host.store.query(Query("operator"))]
        able = {each.id for each in operators if not each.disabled and step.permission in each.permissions}
        if decision.by not in able:
            yield "who may not"
        if decision.decision == "approve" and decision.by == record.requested_by and len(able) > 1 and step.allow_self_approval != "always":
            yield "who asked for it, while somebody else could"
        if sum(each.by == decision.by for each in step.decisions) > 1:
            yield "who had decided already"
        if before is None or before.status != "pending" or decision.at >= record.expires_at:
            yield "too late"
        if decision.params_digest != record.params_digest:
            yield "about something else"


def _decisions(record: Any) -> list[tuple[Any, Any]]:
    return [(step, decision) for step in record.steps for decision in step.decisions]
