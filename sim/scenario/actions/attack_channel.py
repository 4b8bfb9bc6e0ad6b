"""`attack_channel`: a peer sends a heartbeat on a channel, and lies about what it has heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from actors import certificates
from actors.ports import OUTBOUND_KEY_PURPOSE
from sim import attacks
from sim.attacks import Shown
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

ECHOES: Final = ("none", "of_another_start", "never_sent", "long_ago")
FAR: Final = 1_000_000
"""So many heartbeats no platform sends."""


@action("attack_channel", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class AttackChannel:
    """A peer sends a heartbeat with its own good certificate, as if on a channel that it holds, and tells falsely which heartbeat it has
    heard last. Nobody has had to answer for it, so it is no contact."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    by: str = attrs.field(metadata=key(PLATFORM, "which of its peers lies"))
    echo: str = attrs.field(metadata=key(one_of(*ECHOES), "what it says that it has heard last"))

    def perform(self, stage: Stage, name: str | None) -> None:
        target, caller, row = stage.host(self.on), stage.host(self.by), stage.row(self.by, self.on)
        if row is None or row.outbound is None:
            raise StageError(f"{self.by} has no certificate for {self.on}")
        der = certificates.pem_to_der(row.outbound.certificate_pem)
        assert isinstance(der, bytes)
        key_pem = caller.vault.open(row.outbound.sealed_key, OUTBOUND_KEY_PURPOSE).reveal().encode()
        body: dict[str, Any] = {} if self.echo == "none" else {"last_ack": self._echo(target)}
        shown = Shown((der,), key_pem)
        stage.strange(name, self.on, "POST", "heartbeat", attacks.send(target, "heartbeat", body, shown, caller, self.by, channel=True))

    def _echo(self, target: Host) -> dict[str, int]:
        return {
            "of_another_start": {"epoch": target.boot_epoch - 1, "sequence": 1},
            "never_sent": {"epoch": target.boot_epoch, "sequence": FAR},
            "long_ago": {"epoch": target.boot_epoch, "sequence": 1},
        }[self.echo]
