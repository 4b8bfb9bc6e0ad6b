"""Three platforms, a module that can go from one to the next, and the words of their operators."""

from __future__ import annotations

from typing import Any

import attrs

from actors.approval.record import KIND as APPROVAL
from actors.migration_chain.record import CHAIN, MigrationChainRecord
from actors.resource.record import KIND as RESOURCE
from runtime.store.port import Condition, Query
from sim.world import Host, Reply, World
from tests.support.grants import PEERS, SEED_BODY, Peers, pair

SYSTEM = "/api/v1/system"
CHAINS = f"{SYSTEM}/platform/migration_chains"
APPROVALS = "/api/v1/ai/autonomy/approvals"


@attrs.define(eq=False)
class Trio:
    """`a`, `b` and `c` are peers of each other; `a` has a module, and may move modules to `b`, and `b` to `c`."""

    world: World
    a: Host
    b: Host
    c: Host
    pairs: dict[str, Peers]
    module_id: str

    def ask(self, host: Host, verb: str, path: str, body: Any = None, **headers: str) -> Reply:
        """What an operator's call is answered."""
        reply = host.call(verb, path, body, headers=headers or None)
        if reply is not None and reply.status == 401:
            host.sign_in()
            reply = host.call(verb, path, body, headers=headers or None)
        assert reply is not None
        return reply

    def peer_id(self, host: Host, other: Host) -> str:
        """The row of one platform about another."""
        key = f"{host.account_id} {other.url}"
        found = host.engine.directory.find("peer", "url", key)
        assert found is not None
        return found

    def plan(self, *hops: Host, **changes: Any) -> Reply:
        """Plan a chain at `a`."""
        body = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": self.module_id,
            "hop_peer_ids": [self.peer_id(self.a, hop) for hop in hops], **changes,
        }  # fmt: skip
        return self.ask(self.a, "POST", CHAINS, body)

    def planned(self, *hops: Host, **changes: Any) -> str:
        """The id of a new chain."""
        reply = self.plan(*hops, **changes)
        assert reply.status == 201, reply.body
        return str(reply.data["migration_chain"]["id"])

    def act(self, id: str, act: str) -> Reply:
        return self.ask(self.a, "POST", f"{CHAINS}/{id}/{act}", {})

    def shown(self, id: str) -> Any:
        return self.ask(self.a, "GET", f"{CHAINS}/{id}").data["migration_chain"]

    def chain(self, id: str) -> MigrationChainRecord:
        """The committed row."""
        row = self.a.store.load(CHAIN.name, id)
        assert row is not None
        record: MigrationChainRecord = row.record
        return record

    def decide(self, host: Host, decision: str = "approve", within_s: float = 90.0) -> Reply:
        """Wait for a request on a platform, and decide about it."""
        query = Query(APPROVAL.name, ((Condition("status", "=", "pending"),),), limit=1)
        assert self.world.run_until(lambda: bool(host.store.query(query)), within_s)
        # What the disk holds the platform hears of a moment later.
        self.world.run_for(0.1)
        id = host.store.query(query)[0].record.id
        reply = self.ask(host, "POST", f"{APPROVALS}/{id}/{decision}", {"reason": "no"} if decision == "reject" else {})
        assert reply.status == 200, reply.body
        return reply

    def until(self, id: str, status: str, within_s: float = 200.0) -> MigrationChainRecord:
        """The chain once it has this status."""
        assert self.world.run_until(lambda: self.chain(id).status == status, within_s), self.chain(id)
        self.world.run_for(0.1)
        return self.chain(id)

    def homes(self) -> set[str]:
        """Where the module lives."""
        rows = {host.name: host.store.load(RESOURCE.name, self.module_id) for host in (self.a, self.b, self.c)}
        return {name for name, row in rows.items() if row is not None and row.record.lives}

    def lend(self, issuer: Host, holder: Host) -> str:
        """Let `holder` move modules to `issuer`; the id of the grant. The holder keeps the bearer."""
        body = {**SEED_BODY, "remote_subject": f"mover@{holder.name}", "permission_scopes": ["migrate"]}
        issued = self.ask(issuer, "POST", f"{PEERS}/{self.peer_id(issuer, holder)}/grants", body)
        bearer = issued.data["bearer_token"]
        kept = self.ask(holder, "POST", f"{PEERS}/{self.peer_id(holder, issuer)}/received_grants", {"bearer_token": bearer})
        assert kept.status == 201, kept.body
        return str(issued.data["grant"]["id"])


def wrote(host: Host, kind: str, **attributes: Any) -> str:
    """The id of a new record."""
    reply = host.call("POST", f"{SYSTEM}/platform/resources/{kind}", {"attributes": attributes})
    assert reply is not None
    assert reply.status == 201, reply.body
    return str(reply.data["resource"]["id"])


def trio(seed: int | str = 1, *, lent: bool = True, settings: Any = None) -> Trio:
    """Three platforms and a module. `settings`: of the federation, by the name of the platform."""
    world = World(seed)
    a, b, c = (world.platform(name, **(settings or {}).get(name, {})).sign_in() for name in "abc")
    pairs = {f"{one.name}{two.name}": pair(world, one, two) for one, two in ((a, b), (b, c), (a, c))}
    platforms = {host.name: wrote(host, "NodePlatform", name="debian", architecture="amd64") for host in (a, b, c)}
    module_id = wrote(a, "NodeModule", name="nginx", node_platform_id=platforms["a"])
    found = Trio(world, a, b, c, pairs, module_id)
    if lent:
        found.lend(b, a)
        found.lend(c, b)
    return found
