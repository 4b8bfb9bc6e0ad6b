"""What a platform does by itself, again and again: one table.

Lives here: each periodic work by its name, how often it is done and for what, and the note that an actor makes of a run. Must not live
here: the work itself, or when it is due, which is a deadline of the record that it is about.

No work here is a sweep over everything: each row has a durable deadline, which counts as due after a start of the process if it passed
meanwhile, and which fires until a commit has moved it. So a run that was missed is made once, whatever became of the process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from actors.periodic.messages import NoteRun
from runtime.actor import Ref
from runtime.context import Context
from runtime.errors import Fault

PERIODIC: Final = "periodic_work"
ERROR_CHARS_MAX: Final = 64


@attrs.frozen(kw_only=True)
class Work:
    """One kind of periodic work.

    Attributes:
        cadence: how often it is done, and for what.
        does: what is done, in a sentence.
        daily: the kind of the account's record that holds its runs and when the next one is due; None where there is no such record.
    """

    name: str
    cadence: str
    does: str
    daily: str | None = None


AUDIT_ARCHIVE: Final = Work(
    name="audit_archive",
    cadence="every day at 04:30 UTC",
    does="Ships what is old enough of every audit chain to the archive, and reads it back.",
    daily="audit_archive",
)
AUDIT_PRUNING: Final = Work(
    name="audit_pruning",
    cadence="every day at 05:30 UTC",
    does="Gives up shipped entries that are older than federation.audit_retention, if that is set.",
    daily="audit_pruning",
)
CAPABILITY_SYNC: Final = Work(
    name="capability_sync",
    cadence="each capability, every interval of its own (60 s and more), or when something has changed",
    does="Brings mirrors up to date with what the home shows.",
)
CHAIN_ADVANCE: Final = Work(
    name="chain_advance",
    cadence="each chain under way, every 60 s; every hour once it has made no progress for an hour",
    does="Asks whoever holds the resource to move it on.",
)
GOVERNANCE_SCAN: Final = Work(
    name="governance_scan",
    cadence="every 5 min",
    does="Looks over the peers, and over what stands between them, for findings.",
)
GRANT_ARCHIVAL: Final = Work(
    name="grant_archival",
    cadence="each grant, on the first midnight (UTC) that is 90 days behind its end",
    does="Archives grants that have long ended.",
)
GRANT_REVIEW: Final = Work(
    name="grant_review",
    cadence="every week, and when an operator asks",
    does="Says which grants and certificates deserve a look.",
)
MIGRATION_RECOVERY: Final = Work(
    name="migration_recovery",
    cadence="each migration under way, every 30 s",
    does="Asks the destination what has become of it, and takes the step that is left.",
)
OFFERING_RETIREMENT: Final = Work(
    name="offering_retirement",
    cadence="each retired offering, when it is retired and 7 days, 1 day and no time before access ends",
    does="Tells subscribers that access ends, and then ends it.",
)
SUBSCRIPTION_MONITOR: Final = Work(
    name="subscription_monitor",
    cadence="each subscription, every hour",
    does="Renews, suspends, resumes or gives up a subscription, and sees whether the provider still knows of it.",
)

WORKS: Final[Mapping[str, Work]] = {
    work.name: work
    for work in (
        AUDIT_ARCHIVE, AUDIT_PRUNING, CAPABILITY_SYNC, CHAIN_ADVANCE, GOVERNANCE_SCAN, GRANT_ARCHIVAL, GRANT_REVIEW, MIGRATION_RECOVERY,
        OFFERING_RETIREMENT, SUBSCRIPTION_MONITOR,
    )
}  # fmt: skip
"""Every periodic work by its name, in the order in which operators see it."""


def note_run(ctx: Context, work: Work, account_id: str, error: Fault | str | None = None) -> None:
    """Note that a run has been made, and what kept it from its purpose, if anything did: a fault, or the code of one.

    It is evidence: nothing waits for it, and a crash may cost the last second of it.
    """
    code = str(error.details.get("remote_code") or error.code) if isinstance(error, Fault) else error
    ctx.send(Ref(PERIODIC, account_id), NoteRun(work.name, ctx.wall, code if code is None else code[:ERROR_CHARS_MAX]))
