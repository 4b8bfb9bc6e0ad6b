"""`rotate_root`: an operator replaces the root of a platform's own CA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.actions.unfreeze import TRUST
from sim.scenario.kinds import PLATFORM, TRUTH, WHOLE, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("rotate_root", answered=True)
@attrs.frozen(kw_only=True)
class RotateRoot:
    """An operator begins to replace the root of a platform's own CA; peers accept both for the overlap."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    overlap_days: int | None = attrs.field(
        default=None, metadata=key(WHOLE, "days in which both roots count; without it `anchor_overlap` of the platform")
    )
    force: bool = attrs.field(default=False, metadata=key(TRUTH, "the present key is stolen: its root ends at once"))
    keep_tokens: bool = attrs.field(default=False, metadata=key(TRUTH, "with `force`: open tokens stay"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body: dict[str, object] = {"reason": "rehearsed"} | ({"force": True} if self.force else {})
        body |= {"overlap_days": self.overlap_days} if self.overlap_days is not None and not self.force else {}
        body |= {"keep_tokens": True} if self.keep_tokens and self.force else {}
        stage.call(name, self.on, "POST", "/rotate", body, surface=TRUST)
