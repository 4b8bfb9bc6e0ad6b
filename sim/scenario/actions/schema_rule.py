"""`schema_rule`: an operator decides whether the versions of two platforms fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.door.bodies import COMPATIBILITY_STATUSES
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

RULES: Final = "/api/v1/system/federation/schema_compatibility"


@action("schema_rule", answered=True)
@attrs.frozen(kw_only=True)
class SchemaRule:
    """An operator decides whether the version of the own platform fits that of another one."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "whose version"))
    status: str = attrs.field(metadata=key(one_of(*COMPATIBILITY_STATUSES), "what is decided"))

    def perform(self, stage: Stage, name: str | None) -> None:
        ours, theirs = (stage.host(each).release.version for each in (self.on, self.peer))
        stage.call(name, self.on, "POST", "", {"local_version": ours, "remote_version": theirs, "status": self.status}, surface=RULES)
