"""Operators: whose word counts, and what they are told.

Lives here: who is let in at the operators' side of the door, and that a finding shows as long as it is found. Must not live here: what an
operator may do with a permission, or which requests need an approval (see `approvals`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from actors.door.call import Answer
from sim.checkers.registry import Checker, Commit, Visit, checker


def claims_of(visit: Visit) -> Mapping[str, Any]:
    """What the access token of a call says of itself; whether it is genuine is not asked here. Empty without one."""
    token = visit.call.headers.get("authorization", "").removeprefix("Bearer ")
    part = token.split(".")[1] if token.count(".") == 2 else ""
    try:
        read = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


@checker("operators_let_in", source="docs/operator-guide.md#operators-and-permissions")
class OperatorsLetIn(Checker):
    """With an access token only an operator is served who is let in, and in a session that has not ended."""

    def on_operator_call(self, visit: Visit) -> None:
        claims = claims_of(visit)
        if not claims:
            return
        row = visit.host.store.load("operator", str(claims.get("sub")))
        if row is None or row.record.disabled:
            visit.notes["kept_out"] = "is let in no more"
        elif all(session.id != claims.get("sid") for session in row.record.sessions):
            visit.notes["kept_out"] = "calls in a session that has ended"

    def on_operator_answer(self, visit: Visit, answer: Answer) -> None:
        if "kept_out" in visit.notes and answer.status < 400:
            who = claims_of(visit).get("sub")
            self.complain(visit.host, f"{visit.call.method} {visit.call.path} is served for {who}, who {visit.notes['kept_out']}")


@checker("findings", source="docs/operator-guide.md#findings")
class Findings(Checker):
    """A finding is open if and only if the newest scan has found it, and one that comes back begins anew."""

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            if change.kind == "governance" and change.after is not None:
                before = () if change.before is None else change.before.record.findings
                self._judge(commit.host, {each.fingerprint: each for each in before}, change.after.record)

    def _judge(self, host: Any, before: Mapping[str, Any], record: Any) -> None:
        for finding in record.findings:
            former = before.get(finding.fingerprint)
            if finding.resolved_at is None and record.scanned_at is not None and finding.last_seen_at < record.scanned_at:
                self.complain(host, f"{finding.kind} is open, and the newest scan has not found it")
            resolved_at = None if former is None or finding.resolved_at is not None else former.resolved_at
            if resolved_at is not None and finding.first_seen_at <= resolved_at:
                self.complain(host, f"{finding.kind} was resolved, and is open again as if it had never been")
