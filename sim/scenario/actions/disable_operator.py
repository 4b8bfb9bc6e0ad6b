"""`disable_operator`: an operator is let in no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.add_operator import OPERATORS
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, key
from sim.scenario.stage import email_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("disable_operator", answered=True)
@attrs.frozen(kw_only=True)
class DisableOperator:
    """The first operator of a platform keeps out another one whom `add_operator` has let in, or lets that one in again."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))
    called: str = attrs.field(metadata=key(TEXT, "what `add_operator` has called the other one"))
    disabled: bool = attrs.field(default=True, metadata=key(TRUTH, "false: the other one is let in again"))

    def perform(self, stage: Stage, name: str | None) -> None:
        id = stage.host(self.on).engine.directory.find("operator", "email", email_of(self.called))
        if id is None:
            raise StageError(f"{self.on} has no operator {self.called} yet")
        stage.call(name, self.on, "PATCH", f"/{id}", {"disabled": self.disabled}, surface=OPERATORS)
