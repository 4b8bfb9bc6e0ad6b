"""Frozen trust: what may bring it about.

Lives here: rules about platforms that find that they are an earlier copy of themselves. Must not live here: what is refused meanwhile (see
`acceptance` and `services`).
"""

from __future__ import annotations

from typing import Any

from sim.checkers.registry import Checker, Commit, checker


@checker("frozen_for_cause", source="docs/operator-guide.md#backup-and-restore")
class FrozenForCause(Checker):
    """Trust is frozen on the word of peers only where an earlier copy has taken the place of a platform's data: not by crashes or disks."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._replaced: set[str] = set()

    def on_replaced(self, host: Any) -> None:
        self._replaced.add(host.instance_id)

    def on_change(self, commit: Commit) -> None:
        for change in commit.changes:
            froze = change.kind == "continuity" and change.after is not None and change.after.record.frozen_at is not None
            if froze and commit.host.instance_id not in self._replaced:
                self.complain(commit.host, "trust is frozen, and these are the newest data of this platform")
