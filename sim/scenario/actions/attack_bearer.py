"""`attack_bearer`: a platform presents a bearer that was not made for this call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from actors import certificates
from actors.ports import OUTBOUND_KEY_PURPOSE
from sim import attacks
from sim.attacks import Shown
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("attack_bearer", fault=True)
@attrs.frozen(kw_only=True)
class AttackBearer:
    """A peer calls with its own good certificate, and with a bearer that another one was given, or that it gave away itself."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    by: str = attrs.field(metadata=key(PLATFORM, "which of its peers calls"))
    issuer: str = attrs.field(metadata=key(PLATFORM, "who issued the grant"))
    holder: str = attrs.field(metadata=key(PLATFORM, "to whom it was issued"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))

    def perform(self, stage: Stage, name: str | None) -> None:
        caller, row = stage.host(self.by), stage.row(self.by, self.on)
        if row is None or row.outbound is None:
            raise StageError(f"{self.by} has no certificate for {self.on}")
        der = certificates.pem_to_der(row.outbound.certificate_pem)
        assert isinstance(der, bytes)
        headers = {"authorization": f"Bearer {stage.bearer(self.issuer, self.holder, self.kind)}"}
        key_pem = caller.vault.open(row.outbound.sealed_key, OUTBOUND_KEY_PURPOSE).reveal().encode()
        shown = Shown((der,), key_pem)
        attacks.send(stage.host(self.on), f"resources/{self.kind}", None, shown, caller, self.by, headers=headers)
