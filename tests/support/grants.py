"""Two simulated platforms that are peers, and calls of the one at the other's door under any certificate, bearer, header and address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from actors import certificates
from actors.door.call import Answer, Call, Source
from sim.world import Host, Reply, World

PEERS = "/api/v1/system/platform/peers"
SEED_BODY: Mapping[str, Any] = {
    "remote_subject": "operator@platform-b.example.com",
    "resource_kind": "NodeModule",
    "resource_id": None,
    "permission_scopes": ["read"],
    "node_instance_ids": [],
    "sdwan_network_ids": [],
    "source_cidrs": [],
}
"""The body of the runbook."""


@attrs.define(eq=False)
class Peers:
    """`b` is a peer of `a` and the other way round."""

    world: World
    a: Host
    b: Host
    b_at_a: str
    a_at_b: str

    @property
    def path(self) -> str:
        """Of the grants that `a` gives to `b`."""
        return f"{PEERS}/{self.b_at_a}/grants"

    def ask(self, method: str, path: str, body: Any = None, *, at: Host | None = None, **headers: str) -> Reply:
        """An operator's call, at `a` unless told otherwise; a path without a beginning is one below the grants of `b`."""
        full = path if path.startswith("/") else self.path + path if path.startswith("?") else f"{self.path}/{path}".rstrip("/")
        host = at or self.a
        reply = host.call(method, full, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        if reply is not None and reply.status == 401:
            host.sign_in()
            reply = host.call(method, full, body, headers={name.replace("_", "-"): value for name, value in headers.items()})
        assert reply is not None
        return reply

    def issue(self, **changes: Any) -> tuple[str, str]:
        """A grant as the runbook issues it, with changes; its id and its bearer."""
        reply = self.ask("POST", "", {**SEED_BODY, **changes})
        assert reply.status == 201, reply.body
        return reply.data["grant"]["id"], reply.data["bearer_token"]

    def hold(self, **changes: Any) -> str:
        """A grant of `a` whose bearer `b` holds; its id."""
        grant_id, bearer = self.issue(**changes)
        reply = self.ask("POST", f"{PEERS}/{self.a_at_b}/received_grants", {"bearer_token": bearer}, at=self.b)
        assert reply.status == 201, reply.body
        return grant_id

    def revoke(self, grant_id: str, **body: Any) -> Reply:
        return self.ask("POST", f"{grant_id}/revoke", body)

    def read(self, bearer: str | None, path: str = "/resources/NodeModule", **how: Any) -> Answer:
        """`b` calls the federation API of `a` as the real client would."""
        return call_as(self.b, self.a_at_b, self.a, path, bearer, **how)

    def code(self, bearer: str | None, path: str = "/resources/NodeModule", **how: Any) -> str:
        """`ok`, or the code of the refusal."""
        return code_of(self.read(bearer, path, **how))


def peers(seed: int | str = 1, **federation: Any) -> Peers:
    """Two platforms, paired and active."""
    world = World(seed)
    a, b = world.platform("a", **federation).sign_in(), world.platform("b").sign_in()
    return pair(world, a, b)


def pair(world: World, a: Host, b: Host) -> Peers:
    """Pair two platforms of a world."""
    proposed = a.call("POST", PEERS, {"remote_instance_url": b.url})
    assert proposed is not None
    accepted = b.call("POST", f"{PEERS}/accept", {"invitation": proposed.data["invitation"]})
    assert accepted is not None
    assert accepted.status == 200, accepted.body
    found = Peers(world, a, b, proposed.data["peer"]["id"], accepted.data["peer"]["id"])

    def active() -> bool:
        rows = (a.engine.directory.row("peer", found.b_at_a), b.engine.directory.row("peer", found.a_at_b))
        return all(row is not None and row.record.status == "active" for row in rows)

    assert world.run_until(active, 10.0)
    return found


def source_of(caller: Host, row_id: str, **how: Any) -> Source:
    """A fresh connection under the certificate that the caller has for this row."""
    row = caller.engine.directory.row("peer", row_id)
    assert row is not None
    der = certificates.pem_to_der(row.record.outbound.certificate_pem)
    assert isinstance(der, bytes)
    return Source(how.get("address", caller.address), "tls", (der,), "test", how.get("network_id"))


def call_as(caller: Host, row_id: str, host: Host, path: str, bearer: str | None, **how: Any) -> Answer:
    """One call at the door of `host`. `how`: method, body, headers, address, network_id, source, request_id."""
    path, _, query = path.partition("?")
    headers = {"content-type": "application/json", **(how.get("headers") or {})}
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    if how.get("request_id"):
        headers["x-request-id"] = how["request_id"]
    pairs = dict(part.split("=", 1) for part in query.split("&")) if query else {}
    answers: list[Answer] = []
    source = how.get("source") or source_of(caller, row_id, **how)
    call = Call(how.get("method", "GET"), f"/api/v1/system/federation_api{path}", pairs, headers, how.get("body", b""), source)
    host.handle(call, answers.append)
    assert host.world.run_until(lambda: bool(answers), 60.0)
    return answers[0]


def code_of(answer: Answer) -> str:
    if answer.status < 400:
        return "ok"
    assert answer.body is not None
    return str(answer.body["code"])
