"""`renew_listener`: a listener gets a new certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from net.authority import AuthorityError
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("renew_listener", fault=False)
@attrs.frozen(kw_only=True)
class RenewListener:
    """The listener of a platform shows a new certificate of its own authority."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform"))

    def perform(self, stage: Stage, name: str | None) -> None:
        try:
            stage.host(self.on).renew_server_chain()
        except AuthorityError as error:
            raise StageError(f"{self.on} cannot sign: {error}") from error
