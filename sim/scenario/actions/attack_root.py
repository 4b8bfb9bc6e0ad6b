"""`attack_root`: somebody claims that a peer has another root than it has."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.door.call import Answer, Call
from runtime.clock import iso
from runtime.values import evolve
from sim import attacks
from sim.attacks import HOUR_S, Leaf
from sim.checkers.facts import ders, fingerprint_of
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

HOW: Final = ("heartbeat", "bundle", "kept_word")
WEEK_S: Final = 7 * 86_400


@action("attack_root", fault=True)
@attrs.frozen(kw_only=True)
class AttackRoot:
    """Somebody wants a platform to take another root for one of its peers.

    `heartbeat`: a caller with a certificate of the peer's stolen CA names the other root, once. `bundle`: from now on whoever holds the
    peer's listener answers reads of its bundle with the other root, signed for by that root's own key. `kept_word`: the same, with a
    signature of the peer's stolen CA that names another platform than the one that reads. `false` for `lasts` puts the listener right.
    """

    on: str = attrs.field(metadata=key(PLATFORM, "whom to convince"))
    claims: str = attrs.field(metadata=key(PLATFORM, "which of its peers"))
    by: str = attrs.field(metadata=key(PLATFORM, "whose root is to be taken"))
    how: str = attrs.field(metadata=key(one_of(*HOW), "by what"))
    lasts: bool = attrs.field(default=True, metadata=key(TRUTH, "false: the false answers end"))

    def perform(self, stage: Stage, name: str | None) -> None:
        if self.by in (self.on, self.claims):
            raise StageError(f"{self.by} cannot pretend to be itself; let another platform do it")
        target, claimed, attacker = stage.host(self.on), stage.host(self.claims), stage.host(self.by)
        if self.how == "heartbeat":
            self._call(stage, target, claimed, attacker)
        elif not self.lasts:
            claimed.interloper = None
        else:
            claimed.interloper = lambda call, answer: self._spoilt(call, answer, target, claimed, attacker)

    def _call(self, stage: Stage, target: Host, claimed: Host, attacker: Host) -> None:
        wall, peer_id = target.clock.wall(), stage.peer_id(self.on, self.claims)
        leaf = Leaf(common_name=f"fed:{peer_id}", instance_id=claimed.instance_id, begins=wall - HOUR_S, ends=wall + HOUR_S)
        evidence = stage.watch.facts.evidence[self.on].get(peer_id)
        body = {
            "boot_epoch": evidence.remote_boot_epoch if evidence is not None else 1,
            "sequence": (evidence.remote_sequence if evidence is not None else 0) + 1,
            "anchor_fingerprint": attacker.authority.ca_fingerprint,
        }
        attacks.send(target, "heartbeat", body, attacks.forge(claimed, leaf), attacker, self.claims)

    def _spoilt(self, call: Call, answer: Answer, target: Host, claimed: Host, attacker: Host) -> Answer:
        """The answer with the attacker's root as the next one."""
        if not call.path.endswith("/federation_api/trust_bundle") or answer.status != 200:
            return answer
        begins = int(claimed.clock.wall())
        new, old = attacker.authority.ca_fingerprint, fingerprint_of(ders(claimed.authority.ca_bundle_pem)[0])
        told = attacker.instance_id if self.how == "kept_word" else target.instance_id
        lines = ("powernode-anchor-rotation-v1", new, old, claimed.instance_id, told, f"{begins} {begins + WEEK_S}", "")
        key: ed25519.Ed25519PrivateKey = (claimed if self.how == "kept_word" else attacker).authority._key
        signature = base64.b64encode(key.sign("\n".join(lines).encode())).decode()
        rotation = {"next_ca_pem": attacker.authority.ca_bundle_pem, "signed_by": old, "begins": iso(begins), "ends": iso(begins + WEEK_S),
                    "signature": signature}  # fmt: skip
        body = dict(answer.body or {})
        return evolve(answer, body={**body, "data": {**body["data"], "rotation": rotation}})
