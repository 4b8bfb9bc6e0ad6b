"""The actor that keeps count of an account's periodic runs.

Lives here: adding a run. Must not live here: any run.
"""

from __future__ import annotations

from actors.periodic.messages import NoteRun
from actors.periodic.record import KIND, PeriodicRecord, with_run
from runtime.actor import Actor, handles
from runtime.context import Context


class PeriodicActor(Actor):
    """One per account."""

    kind = KIND

    @handles(NoteRun)
    def on_note_run(self, message: NoteRun, ctx: Context) -> None:
        if self.record is None:
            ctx.save(PeriodicRecord(id=ctx.ref.id))
        ctx.set_evidence(with_run(self.evidence, message))
