"""`ship_audit`: an operator ships the audit chains without waiting for the night."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from actors.audit_archive.record import ARCHIVE
from actors.periodic.messages import Begin
from runtime.actor import Ref
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

AUDIT: Final = "/api/v1/system/platform/audit"


@action("ship_audit", answered=True)
@attrs.frozen(kw_only=True)
class ShipAudit:
    """An operator has everything shipped to the archive that is older than `audit_boundary`; from then on the platform does so daily."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        # A daemon begins with that when it starts. In a world it would cost every run a turn of every platform for nothing.
        host.tell_engine(lambda: host.engine.tell(Ref(ARCHIVE.name, host.account_id), Begin(host.account_id)))
        stage.call(name, self.on, "POST", "/ship", {}, surface=AUDIT)
