"""`attack_bearer`: a platform presents a bearer in a call that it chooses itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from actors import certificates
from actors.ports import OUTBOUND_KEY_PURPOSE
from actors.resource.record import KIND as RESOURCE
from runtime.clock import iso
from runtime.ids import uuid7
from runtime.store.port import Query
from sim import attacks
from sim.attacks import Shown
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

CALLS: Final = ("read", "preflight", "announce", "hop", "bring")


@action("attack_bearer", answered=True, fault=True)
@attrs.frozen(kw_only=True)
class AttackBearer:
    """A peer calls with its own good certificate, and with a bearer that another one was given, that it gave away itself, or that is its
    own and perhaps not for this call."""

    on: str = attrs.field(metadata=key(PLATFORM, "which platform is called"))
    by: str = attrs.field(metadata=key(PLATFORM, "which of its peers calls"))
    issuer: str = attrs.field(metadata=key(PLATFORM, "who issued the grant"))
    holder: str = attrs.field(metadata=key(PLATFORM, "to whom it was issued"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    call: str = attrs.field(
        default="read",
        metadata=key(
            one_of(*CALLS),
            "what it wants: to read a list, to ask whether a plan fits, to announce one, to have a hop of a chain begun, or to bring a "
            "state of a record of the platform that is called, as if it were the record's home",
        ),
    )
    network: bool = attrs.field(
        default=False, metadata=key(TRUTH, "the call comes through the newest overlay network of the platform that is called")
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        target, caller, row = stage.host(self.on), stage.host(self.by), stage.row(self.by, self.on)
        if row is None or row.outbound is None:
            raise StageError(f"{self.by} has no certificate for {self.on}")
        der = certificates.pem_to_der(row.outbound.certificate_pem)
        assert isinstance(der, bytes)
        headers = {"authorization": f"Bearer {stage.bearer(self.issuer, self.holder, self.kind)}"}
        key_pem = caller.vault.open(row.outbound.sealed_key, OUTBOUND_KEY_PURPOSE).reveal().encode()
        network_id = stage.newest_network(self.on) if self.network else None
        route, body = self._wanted(stage)
        shown = Shown((der,), key_pem)
        method = "GET" if body is None else "PUT" if self.call == "bring" else "POST"
        answers = attacks.send(target, route, body, shown, caller, self.by, headers=headers, network_id=network_id, method=method)
        stage.strange(name, self.on, method, route, answers)

    def _wanted(self, stage: Stage) -> tuple[str, dict[str, Any] | None]:
        """The route and the body of a call about a record that nobody has; a hop and a state are of one of the platform that is called."""
        if self.call == "read":
            return f"resources/{self.kind}", None
        chance, caller = stage.world.chance.stream("attacks"), stage.host(self.by)
        fresh = [uuid7(caller.clock.wall(), chance) for _ in range(2)]
        held = (row.record for row in stage.host(self.on).store.query(Query(RESOURCE.name)))
        lent = next((record for record in held if record.kind == self.kind and record.lives), None)
        lent_id = fresh[0] if lent is None else lent.id
        third = next((host for name, host in stage.world.hosts.items() if name not in (self.on, self.by)), caller)
        onward = {"root_resource_id": lent_id, "destination_instance_id": third.instance_id, "attempt": 1}
        root = {"operation": "migrate", "root_resource_kind": self.kind, "root_resource_id": fresh[0]}
        step = {"order": 0, "kind": self.kind, "id": fresh[0], "action": "create", "conflict_policy": "fail", "natural_key": {"name": "x"}}
        state = {
            "epoch": caller.boot_epoch, "updated_at": iso(caller.clock.wall()), "etag": "0" * 64, "deleted": False,
            "attributes": {} if lent is None else dict(lent.attributes), "acknowledge_residency": False,
        }  # fmt: skip
        calls: dict[str, tuple[str, dict[str, Any]]] = {
            "preflight": ("migrations/preflight", root | {"steps": [step]}),
            "announce": ("migrations", root | {"migration_id": fresh[1], "plan_digest": "0" * 64, "step_count": 1}),
            "bring": (f"resources/{self.kind}/{lent_id}/mirror", state),
            "hop": (f"migration_chains/{fresh[1]}/hops/1/start", root | onward),
        }
        return calls[self.call]
