"""What happened in a run, as far as expectations ask.

Lives here: status changes and answers, in order. Must not live here: judgement.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class Change:
    """A row took a status. Times are seconds since the start of the world.

    Attributes:
        trigger: what moved it, in the words of the lifecycle table; empty where the disk was replaced.
    """

    at: float
    on: str
    peer: str
    status: str
    trigger: str = ""


@attrs.define
class History:
    """The record of one run.

    Attributes:
        end: when the world ended, before faults were stopped for convergence.
        changes: every status that a row passed, those passed within one commit included.
        answers: name of a step to `ok` or the error code of its answer; a name without an answer is missing.
        heard: every answer to a call from outside, named or not: when, from which platform, to what, its code.
    """

    end: float
    changes: list[Change] = attrs.field(factory=list)
    answers: dict[str, str] = attrs.field(factory=dict)
    heard: list[tuple[float, str, str, str]] = attrs.field(factory=list)

    def status_at(self, on: str, peer: str, at: float) -> str | None:
        """The status at a moment; None before there was a row."""
        found: str | None = None
        for change in self.changes:
            if change.at <= at and (change.on, change.peer) == (on, peer):
                found = change.status
        return found

    def statuses(self, on: str, peer: str, since: float, until: float) -> list[str | None]:
        """The status at `since`, and every one that was taken up to `until`."""
        taken = [
            change.status for change in self.changes if (change.on, change.peer) == (on, peer) and since < change.at <= until
        ]  # fmt: skip
        return [self.status_at(on, peer, since), *taken]
