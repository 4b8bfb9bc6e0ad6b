"""`attack_receipt`: somebody hands a receipt to the operator of a source that its destination has not written."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from actors.migration.receipts import PURPOSE
from actors.migration.record import MIGRATION
from actors.migration.steps import canonical
from actors.ports import signed_bytes
from runtime.clock import iso
from runtime.store.port import Query
from sim import attacks
from sim.attacks import HOUR_S, Leaf
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage
    from sim.world import Host

HOW: Final = ("forged", "of_another")


@action("attack_receipt", fault=True)
@attrs.frozen(kw_only=True)
class AttackReceipt:
    """Somebody hands a false receipt of the newest migration of a platform to its operator, who may believe it (`resolve_migration`).

    `forged`: signed under the CA of the one who hands it over, in the destination's name. `of_another`: with the destination's own
    signature, and about another migration.
    """

    to: str = attrs.field(metadata=key(PLATFORM, "to whose operator it is handed"))
    by: str = attrs.field(metadata=key(PLATFORM, "whose CA signs where it is forged"))
    names: str = attrs.field(metadata=key(PLATFORM, "the destination, in whose name it is"))
    how: str = attrs.field(default="forged", metadata=key(one_of(*HOW), "what is wrong with it"))

    def perform(self, stage: Stage, name: str | None) -> None:
        moves = [row.record for row in stage.host(self.to).store.query(Query(MIGRATION.name))]
        if not moves:
            raise StageError(f"{self.to} has no migration yet")
        if self.how == "of_another":
            proof = next((move.receipt for move in moves[1:] if move.receipt is not None), None)
            if proof is None:
                raise StageError(f"{self.to} holds no receipt of an earlier migration")
            stage.receipts[self.to] = dict(proof)
        else:
            stage.receipts[self.to] = forged(moves[0], stage.host(self.by), stage.host(self.names))


def forged(move: Any, forger: Host, named: Host) -> dict[str, Any]:
    """A receipt of a migration as `named` would write it, by a key that the forger's CA certifies as its."""
    wall = forger.clock.wall()
    receipt = {
        "migration_id": move.transfer_id, "plan_digest": move.plan_digest, "operation": move.operation, "applied": len(move.steps),
        "skipped": 0, "renamed": [], "id_map": {}, "at": iso(wall),
    }  # fmt: skip
    leaf = Leaf(common_name="fed:forged", instance_id=named.instance_id, begins=wall - HOUR_S, ends=wall + HOUR_S)
    shown = attacks.forge(forger, leaf)
    assert shown.key_pem is not None
    signer = load_pem_private_key(shown.key_pem, None)
    assert isinstance(signer, ed25519.Ed25519PrivateKey)
    signature, pem = signer.sign(signed_bytes(PURPOSE, canonical(receipt))), attacks.pem_of(shown.chain[0])
    return {"receipt": receipt, "signature": base64.b64encode(signature).decode(), "certificate_pem": pem}
