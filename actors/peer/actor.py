"""The peer actor: one per remote platform, composed of one class per concern.

Lives here: the composition, and what happens when the actor enters memory. All mutations of a peer go through this one actor, so its
transitions are serial.
"""

from __future__ import annotations

from actors.peer.calling import CallingSide
from actors.peer.certifying import Certifying
from actors.peer.continuing import Continuing
from actors.peer.ending import Ending
from actors.peer.minting import MintingSide
from actors.peer.notices import Notices
from actors.peer.operator_side import OperatorSide
from actors.peer.overlay import OverlaySide
from actors.peer.record import KIND
from actors.peer.steps import wants_heartbeats
from actors.peer.trail import Trail
from runtime.actor import Resume, handles
from runtime.context import Context


class PeerActor(OperatorSide, MintingSide, CallingSide, Ending, Notices, Continuing, Trail, Certifying, OverlaySide):
    """One remote platform."""

    kind = KIND

    def on_activated(self, ctx: Context) -> None:
        """Take up what a restart interrupted: our own accept call, heartbeats, the look at the evidence."""
        self.resume_accept(ctx)
        self.catch_up_with_roots(ctx)
        self.look_whether_taken_back(ctx)
        if wants_heartbeats(self.record):
            self.schedule_heartbeat(ctx, soon=True)
            self.schedule_liveness(ctx)

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        """Entering memory was all that was asked for."""

    def holds_work(self) -> bool:
        return (
            self.minting is not None
            or self.calling is not None
            or self.dialling
            or self.beating
            or bool(self.asked)
            or self.telling
            or bool(self.news or self.news_of_ends)
            or self.renewing is not None
            or bool(self.pushed)
        )
