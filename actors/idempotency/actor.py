"""The actor of a remembered answer: it forgets itself when its time has come."""

from __future__ import annotations

from actors.idempotency.record import KIND
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, handles
from runtime.context import Context


class RememberedAnswerActor(Actor):
    """Removes the row once it has expired."""

    kind = KIND

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        if self.record is not None and has_passed(ctx, self.record.expires_at):
            ctx.remove()
