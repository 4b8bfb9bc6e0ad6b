"""The actor of a remembered answer: it forgets itself when its time has come."""

from __future__ import annotations

from actors.idempotency.record import KIND
from actors.limits import IDEMPOTENCY_KEPT_S
from runtime.actor import Actor, Due, handles
from runtime.context import Context
from runtime.deadlines import has_come


class RememberedAnswerActor(Actor):
    """Removes the row once it has expired."""

    kind = KIND

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        if self.record is not None and has_come(self.record.expires_at, ctx.wall, IDEMPOTENCY_KEPT_S):
            ctx.remove()
