"""`approve_anchor`: an operator vouches for a CA that a peer could not prove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

WHICH: Final = ("theirs", "shown", "another")


@action("approve_anchor", answered=True)
@attrs.frozen(kw_only=True)
class ApproveAnchor:
    """An operator approves the fingerprint of a peer's CA."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    which: str = attrs.field(
        default="theirs",
        metadata=key(
            one_of(*WHICH),
            "what is approved: what the peer's operators tell by another way, what the own platform shows as unproven, or another one",
        ),
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        fingerprint = f"sha256:{'0' * 64}"
        if self.which == "theirs":
            (fingerprint,) = stage.watch.facts.root_of(stage.host(self.peer))
        elif self.which == "shown":
            row = stage.row(self.on, self.peer)
            if row is None or row.unproven_anchor is None:
                raise StageError(f"{self.on} shows no unproven CA of {self.peer}")
            fingerprint = row.unproven_anchor.fingerprint
        path = f"/{stage.peer_id(self.on, self.peer)}/trust/approve_anchor"
        stage.call(name, self.on, "POST", path, {"fingerprint": fingerprint})
