"""The actor of a revoked certificate: it forgets itself once nobody would take the certificate any more."""

from __future__ import annotations

from actors.limits import SKEW_MAX_S
from actors.revoked_certificate.record import KIND
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, handles
from runtime.context import Context


class RevokedCertificateActor(Actor):
    """Removes the row when the certificate has ended."""

    kind = KIND

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        if self.record is not None and has_passed(ctx, self.record.not_after + SKEW_MAX_S):
            ctx.remove()
