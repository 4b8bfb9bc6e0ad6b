"""`accept_invitation`: an operator pastes the invitation of the other one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("accept_invitation", answered=True)
@attrs.frozen(kw_only=True)
class AcceptInvitation:
    """An operator pastes an invitation: the other platform is registered and its token redeemed in one step."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which platform invites"))
    token: str = attrs.field(default="latest", metadata=key(one_of("latest", "first"), "which of the invitations handed over so far"))
    handed_to: str | None = attrs.field(default=None, metadata=key(PLATFORM, "to whose operator it was handed, if somebody else uses it"))

    role: str | None = attrs.field(
        default=None, metadata=key(one_of("symmetric", "parent", "child"), "what we are to the inviting side; the mirror of what it chose")
    )
    mode: str | None = attrs.field(
        default=None, metadata=key(one_of("managed_child", "autonomous_peer", "cluster_member"), "what comes with being parent or child")
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        handed = stage.handed(self.peer, self.handed_to or self.on, self.token)
        asked = {"spawn_role": self.role, "spawn_mode": self.mode}
        body = {"invitation": handed.invitation, **{field: value for field, value in asked.items() if value is not None}}
        stage.call(name, self.on, "POST", "/accept", body)
