"""`attack_certificate`: somebody calls as a peer with a certificate that proves nothing, or not enough."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import attrs

from runtime.values import evolve
from sim import attacks
from sim.attacks import HOUR_S, Leaf, Shown
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

FLAWS: Final = (
    "none", "foreign_anchor", "other_subject", "other_instance", "ended", "for_servers", "an_authority", "beside_another",
    "revoked_serial", "no_flaw", "stolen_root", "in_a_header", "behind_own",
)  # fmt: skip
DAY_S: Final = 86_400.0


@action("attack_certificate", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class AttackCertificate:
    """Somebody calls a platform as one of its peers, with a certificate that has one flaw and none but that; asks for the trust
    bundle, and sends a heartbeat, whose answer is that of the step.

    `in_a_header`, `behind_own`: the certificate is good, but stands in `Client-Cert`, as if a proxy had forwarded it: without any
    certificate of the connection, or behind one that is the attacker's.
    """

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    claims: str = attrs.field(metadata=key(PLATFORM, "which of its peers the caller claims to be"))
    by: str = attrs.field(
        metadata=key(PLATFORM, "whose CA signs where the flaw is a foreign anchor; whose instance is named where it is that")
    )
    flaw: str = attrs.field(metadata=key(one_of(*FLAWS), "what is wrong with the certificate"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if self.by in (self.on, self.claims):
            raise StageError(f"{self.by} cannot pretend to be itself; let another platform do it")
        target, claimed, attacker = stage.host(self.on), stage.host(self.claims), stage.host(self.by)
        wall = target.clock.wall()
        peer_id = stage.peer_id(self.on, self.claims) if self.flaw != "other_subject" else attacker.instance_id
        leaf = Leaf(
            common_name=f"fed:{peer_id}",
            instance_id=attacker.instance_id if self.flaw == "other_instance" else claimed.instance_id,
            begins=wall - 2 * DAY_S,
            ends=wall - DAY_S if self.flaw == "ended" else wall + HOUR_S,
            client=self.flaw != "for_servers",
            authority=self.flaw == "an_authority",
            serial=self._revoked(stage) if self.flaw == "revoked_serial" else None,
        )
        signers = {"foreign_anchor": attacker, "revoked_serial": target, "stolen_root": target}
        forged = attacks.forge(signers.get(self.flaw, claimed), leaf)
        beside = attacker.server_chain[-1:] if self.flaw == "beside_another" else ()
        headers = {}
        if self.flaw in ("in_a_header", "behind_own"):
            headers = {"client-cert": f":{base64.b64encode(forged.chain[0]).decode()}:", "x-forwarded-for": claimed.address}
        if self.flaw == "behind_own":
            forged = attacks.forge(attacker, evolve(leaf, common_name="a proxy", instance_id=attacker.instance_id))
        shown = Shown() if self.flaw in ("none", "in_a_header") else Shown((*forged.chain, *beside), forged.key_pem)
        for route, body in (("trust_bundle", None), ("heartbeat", {"boot_epoch": 1, "sequence": 1})):
            answers = attacks.send(target, route, body, shown, attacker, headers=headers)
        stage.strange(name, self.on, "POST", "heartbeat", answers)

    def _revoked(self, stage: Stage) -> int:
        """The number of a certificate that the platform itself has issued and revoked."""
        found = next((id for host, id in stage.watch.facts.revoked if host == self.on), None)
        if found is None:
            raise StageError(f"{self.on} has revoked no certificate yet")
        return int(found, 16)
