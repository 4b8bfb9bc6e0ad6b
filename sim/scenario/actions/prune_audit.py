"""`prune_audit`: an operator prunes the audit chains without waiting for the morning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors.audit_archive.record import PRUNING
from actors.periodic.messages import Begin
from runtime.actor import Ref
from sim.scenario.actions.registry import action
from sim.scenario.actions.ship_audit import AUDIT
from sim.scenario.kinds import PLATFORM, TRUTH, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("prune_audit", answered=True)
@attrs.frozen(kw_only=True)
class PruneAudit:
    """An operator has pruned what is older than `audit_retention` and in the archive; from then on the platform does so daily."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    dry_run: bool = attrs.field(default=False, metadata=key(TRUTH, "nothing is removed"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        host.tell_engine(lambda: host.engine.tell(Ref(PRUNING.name, host.account_id), Begin(host.account_id)))
        stage.call(name, self.on, "POST", "/prune", {"dry_run": self.dry_run}, surface=AUDIT)
