"""`attack_hop`: a holder says that it has let a resource move on, and has not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from actors.door.call import Answer, Call
from actors.migration.receipts import PURPOSE
from actors.migration.record import MIGRATION
from actors.migration.steps import canonical
from actors.migration_chain.record import CHAIN
from actors.ports import signed_bytes
from runtime.clock import iso
from runtime.store.port import Query
from runtime.values import evolve
from sim import attacks
from sim.attacks import HOUR_S, Leaf
from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

HOW: Final = ("bare", "forged", "other")
HOPS: Final = "/federation_api/migration_chains/"


@action("attack_hop", fault=True)
@attrs.frozen(kw_only=True)
class AttackHop:
    """From now on a platform answers whoever asks it for a hop of a chain that the hop is done.

    `bare`: without a receipt. `forged`: with one that it has written itself and signed under its own CA, in the destination's name.
    `other`: with the receipt of its own last migration, whatever that has moved. `false` for `lasts` lets it tell the truth again.
    """

    by: str = attrs.field(metadata=key(PLATFORM, "which holder lies"))
    on: str = attrs.field(metadata=key(PLATFORM, "who drives the chain"))
    names: str = attrs.field(metadata=key(PLATFORM, "where the hop is said to have led"))
    how: str = attrs.field(default="bare", metadata=key(one_of(*HOW), "by what"))
    lasts: bool = attrs.field(default=True, metadata=key(TRUTH, "false: the lies end"))

    def perform(self, stage: Stage, name: str | None) -> None:
        liar, driver, named = stage.host(self.by), stage.host(self.on), stage.host(self.names)
        liar.interloper = (lambda call, answer: self._said(call, answer, liar, driver, named)) if self.lasts else None

    def _said(self, call: Call, answer: Answer, liar: Host, driver: Host, named: Host) -> Answer:
        found = driver.store.query(Query(CHAIN.name, limit=1))
        if HOPS not in call.path or not call.path.endswith("/start") or not found:
            return answer
        chain = found[0].record
        hop = {"status": "completed", "attempt": chain.attempt, "next_root_id": chain.root_now, "proof": self._proof(chain, liar, named)}
        return evolve(answer, status=200, body={"success": True, "data": {"hop": hop}})

    def _proof(self, chain: Any, liar: Host, named: Host) -> Mapping[str, Any] | None:
        if self.how == "other":
            moved = liar.store.query(Query(MIGRATION.name, limit=1))
            return moved[0].record.receipt if moved else None
        return forged(chain, liar, named) if self.how == "forged" else None


def forged(chain: Any, liar: Host, named: Host) -> Mapping[str, Any]:
    """A receipt as `named` would write it, by a key that the liar's CA certifies as its."""
    wall = liar.clock.wall()
    receipt = {
        "migration_id": chain.id, "plan_digest": "0" * 64, "operation": chain.operation, "applied": 1, "skipped": 0, "renamed": [],
        "id_map": {}, "at": iso(wall), "chain": {"id": chain.id, "hop": chain.current_hop_index, "root": chain.root_now},
    }  # fmt: skip
    leaf = Leaf(common_name="fed:forged", instance_id=named.instance_id, begins=wall - HOUR_S, ends=wall + HOUR_S)
    shown = attacks.forge(liar, leaf)
    assert shown.key_pem is not None
    key = load_pem_private_key(shown.key_pem, None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    signature, pem = key.sign(signed_bytes(PURPOSE, canonical(receipt))), attacks.pem_of(shown.chain[0])
    return {"receipt": receipt, "signature": base64.b64encode(signature).decode(), "certificate_pem": pem}
