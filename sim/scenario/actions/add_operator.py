"""`add_operator`: a platform gets another operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.operator.permissions import PERMISSIONS
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, key, one_of
from sim.scenario.stage import email_of
from sim.world import PASSWORD

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

OPERATORS: Final = "/api/v1/system/operators"


@action("add_operator", answered=True)
@attrs.frozen(kw_only=True)
class AddOperator:
    """The first operator of a platform lets another one in, who may do everything, or only look."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    called: str = attrs.field(metadata=key(TEXT, "what the file calls the other one, in small letters"))
    may: str = attrs.field(default="everything", metadata=key(one_of("everything", "look"), "what the other one may do"))

    def perform(self, stage: Stage, name: str | None) -> None:
        permissions = [each for each in PERMISSIONS if self.may == "everything" or each.endswith(".read")]
        body = {"email": email_of(self.called), "name": self.called, "password": PASSWORD, "permissions": permissions}
        stage.call(name, self.on, "POST", "", body, surface=OPERATORS)
