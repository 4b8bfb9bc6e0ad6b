"""`overlay_peer`: an operator looks after a peer that shares overlay networks and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

OVERLAY: Final = "/api/v1/system/sdwan/federation_peers"
STATUSES: Final = {"accept": "accepted", "suspend": "suspended", "resume": "accepted", "revoke": "revoked"}


@action("overlay_peer", answered=True)
@attrs.frozen(kw_only=True)
class OverlayPeer:
    """An operator proposes a peer that only shares overlay networks, accepts it with its own token, pauses, resumes or ends it."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "with whom"))
    step: str = attrs.field(metadata=key(one_of("propose", *STATUSES), "what is done"))
    prefix: str | None = attrs.field(default=None, metadata=key(TEXT, "with `propose`: the prefix of the other side"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if self.step == "propose":
            fields: dict[str, Any] = {"remote_instance_url": stage.host(self.peer).url}
            fields |= {} if self.prefix is None else {"remote_prefix_advertisement": self.prefix}
            # Both operators know it: it is a word between them.
            stage.call(name, self.on, "POST", "", {"federation_peer": fields}, hands_to=self.on, surface=OVERLAY)
            return
        fields = {"status": STATUSES[self.step]}
        if self.step == "accept":
            fields["acceptance_token"] = stage.handed(self.on, self.on, "latest").token
        stage.call(name, self.on, "PATCH", f"/{stage.peer_id(self.on, self.peer)}", {"federation_peer": fields}, surface=OVERLAY)
