"""The world in which every route is called in every role: who calls, on which objects, with which bodies.

Lives here: operators of each kind, the platforms that are peers in each state, objects of each kind by the place of their id in a path,
and sample bodies out of the API's description. Must not live here: what must be answered; that is stated in the tests.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from actors.approval.messages import AskApproval
from actors.audit_archive.record import ARCHIVE, PRUNING
from actors.door.call import Answer, Call, Source
from actors.door.openapi import document
from actors.limits import ACCESS_TOKEN_TTL_S
from actors.operator.messages import CreateOperator
from actors.operator.permissions import PERMISSIONS
from actors.periodic.messages import Begin
from actors.registry import KINDS
from actors.settings import FederationSettings, Limit
from runtime.actor import Ref
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import Query
from runtime.values import evolve
from sim.world import Host, World
from tests.support.grants import PEERS, SEED_BODY, Peers, pair, source_of
from tests.support.services import OFFERINGS, WIKI

SYSTEM: Final = "/api/v1/system"
NOBODYS: Final = "0190c0de-dead-7000-8000-000000000404"
"""An id that no object has."""
OTHER_ACCOUNT: Final = "0190c0de-0000-7000-8000-00000000acc2"
PASSWORD: Final = "correct horse battery staple"
UNLIMITED: Final = {name: Limit(1_000_000, 1.0, 1_000_000) for name in FederationSettings().rate_limits}
EXPIRED_AFTER_S: Final = ACCESS_TOKEN_TTL_S + 60.0
ROWS_MAX: Final = 10_000

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST: Final = re.compile(r"\b[0-9a-f]{64}\b")


@attrs.frozen
class Operation:
    """One operation of the API's description."""

    name: str
    method: str
    path: str
    described: Mapping[str, Any]

    @property
    def parameters(self) -> tuple[tuple[str, str], ...]:
        """(the word before it, its name) of each path parameter, from left to right."""
        parts = self.path.split("/")
        if "/federation_api/migrations" in self.path:
            # What comes to us and what goes from us are found under one word.
            parts[parts.index("migrations")] = "arrivals"
        if "/federation_api/migration_chains" in self.path:
            parts[parts.index("migration_chains")] = "wishes"
        return tuple((parts[place - 1], part[1:-1]) for place, part in enumerate(parts) if part.startswith("{"))

    def documents(self, status: int, code: str | None) -> bool:
        """Whether the description has this answer."""
        found = self.described["responses"].get(str(status), self.described["responses"].get(status))
        if found is None or code is None:
            return found is not None
        return code in found["content"]["application/json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]

    def at(self, ids: Mapping[str, str]) -> str:
        """The path with these values of its parameters."""
        return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], self.path)


DOCUMENT: Final = document("1.0.0")
OPERATIONS: Final = tuple(
    Operation(described["operationId"], method.upper(), path, described)
    for path, item in DOCUMENT["paths"].items()
    for method, described in item.items()
)


# --- bodies ---------------------------------------------------------------------------------------------------------


def sample(schema: Mapping[str, Any]) -> Any:
    """A small value that a schema of the description allows; whether the domain takes it is another matter."""
    if "$ref" in schema:
        return sample(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "default" in schema:
        return schema["default"]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return sample(schema[choice][0])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: sample(schema["properties"][name]) for name in schema.get("required", ())}
    if kind == "array":
        return [sample(schema["items"]) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    if kind == "boolean":
        return False
    if kind == "string":
        formats = {"uuid": NOBODYS, "uri": "https://sample.example", "email": "sample@example.org", "date-time": "2030-01-01T00:00:00Z"}
        return formats.get(schema.get("format", ""), "s" * max(1, schema.get("minLength", 1)))
    return {}


def body_of(operation: Operation, number: int) -> Any:
    """A body for the operation: by hand where the domain asks for more than its schema says, else a sample. `number` makes names new."""
    by_hand: Mapping[str, Any] = {
        "propose_peer": {"remote_instance_url": f"https://p{number}.example"},
        "propose_overlay_peer": {"federation_peer": {"remote_instance_url": f"https://p{number}.example"}},
        "update_peer": {"metadata": {"label": "changed"}},
        "update_overlay_peer": {"federation_peer": {"metadata": {"label": "changed"}}},
        "update_overlay_peer, which waits": {"federation_peer": {"data_residency": f"tag-{number}"}},
        "update_peer, which waits": {"data_residency": f"tag-{number}"},
        "retire_offering, which waits": {"immediate": True},
        "issue_grant": {**SEED_BODY, "remote_subject": f"subject-{number}"},
        "narrow_grant": {"label": "changed"},
        "update_grant": {"label": "changed"},
        "create_offering": {**WIKI, "slug": f"made-{number}"},
        "update_offering": {"name": "changed"},
        "create_capability": {"resource_kind": "NodePlatform", "direction": "pull_remote_to_local"},
        "update_capability": {"interval_seconds": 60 + number % 1_000},
        "create_bridge": {"sdwan_network_id": NOBODYS},
        "update_bridge": {"metadata": {"label": "changed"}},
        "create_operator": {"email": f"o{number}@example.org", "name": "O", "password": PASSWORD},
        "update_operator": {"disabled": True},
        "create_schema_compatibility": {"local_version": "1.0", "remote_version": f"9.{number}", "status": "compatible"},
        "update_schema_compatibility": {"notes": "changed"},
        "approve_peer_anchor": {"fingerprint": "sha256:" + "0" * 64},
        "explain_grants": {"resource_kind": "NodeModule"},
        "explain_grants_without_peer": {"resource_kind": "NodeModule"},
        "write_resources": {"resources": [{"kind": "NodePlatform", "attributes": {"name": f"p{number}"}}]},
        "create_resource": {"attributes": {"name": f"c{number}"}},
        "update_resource": {"attributes": {"description": "changed"}},
        "federation_reclaim_migration": {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": NOBODYS, "plan_digest": "0" * 64,
        },
    }  # fmt: skip
    if operation.name in by_hand:
        return by_hand[operation.name]
    request = operation.described.get("requestBody")
    return None if request is None else sample(request["content"]["application/json"]["schema"])


# --- the world ------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Matrix:
    """Platform `a`, which is called, its operators by role, and its peers by what has become of them.

    Attributes:
        tokens: access token by role; see `roles`.
        of: an account's own objects are made with the token of its operator with every permission.
        peers: `b` and `c` are active, `suspended` and `revoked` are what they are called.
        sources: by role of the federation API, what its connection proves.
        waiting: by the name of an operation, a body that waits for approval and concerns something that was made beforehand.
    """

    world: World
    a: Host
    tokens: dict[str, str]
    peers: dict[str, Peers]
    sources: dict[str, Source]
    waiting: dict[str, Mapping[str, Any]] = attrs.field(factory=dict)
    _holds: set[str] = attrs.field(factory=set)
    _numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def number(self) -> int:
        return next(self._numbers)

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, source: Source | None = None, raw: bytes | None = None,
        **headers: str,
    ) -> Answer:  # fmt: skip
        """One call at the door of `a`; federation calls by a fresh connection that proves what `source` does."""
        given = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        fresh = Source("127.0.0.1", "loopback") if source is None else evolve(source, verified={})
        path, _, query = path.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&")) if query else {}
        answers: list[Answer] = []
        self.a.handle(Call(method, path, pairs, given, content, fresh), answers.append)
        assert self.world.run_until(lambda: bool(answers), 120.0), f"{method} {path} was never answered"
        return answers[0]

    def made(self, path: str, body: Any, token: str, *inside: str) -> str:
        """The id of an object that an operator has just made."""
        answer = self.call("POST", path, body, token=token)
        assert answer.status == 201, (path, answer.body)
        assert answer.body is not None
        data = answer.body["data"]
        for name in inside:
            data = data[name]
        return str(data["id"])

    def mirror(self) -> str:
        """The id of a mirror of a record that `b` has just brought."""
        peers, number = self.peers["b"], self.number()
        grant = {**SEED_BODY, "remote_subject": f"bringer-{number}", "resource_kind": "NodePlatform", "permission_scopes": ["write"]}
        issued = self.call("POST", peers.path, grant, token=self.tokens["all"]).body
        assert issued is not None
        origin_id = f"0190c0de-1111-7000-8000-{number:012x}"
        told = {"epoch": 1, "updated_at": "2026-01-01T00:00:00Z", "etag": "x", "attributes": {"name": f"mirrored{number}"}}
        path = f"{SYSTEM}/federation_api/resources/NodePlatform/{origin_id}/mirror"
        taken = self.call("PUT", path, told, source=self.sources["b"], token=issued["data"]["bearer_token"])
        assert taken.status == 200, taken.body
        listed = self.call("GET", f"{SYSTEM}/platform/mirrors?origin_id={origin_id}", token=self.tokens["all"]).body
        assert listed is not None
        return str(listed["data"][0]["id"])

    def _capability(self, peer_id: str, token: str) -> str:
        """The id of a capability of the peer: the one that it has, as there are only so many ways in which records can flow."""
        path = f"{PEERS}/{peer_id}/capabilities"
        listed = self.call("GET", path, token=token).body
        if listed is not None and listed["data"]:
            return str(listed["data"][0]["id"])
        return self.made(path, {"resource_kind": "NodePlatform", "direction": "migration_only"}, token, "capability")

    def content(self) -> dict[str, dict[str, Any]]:
        """Every record of `a`; evidence is no part of it, nor when what goes on by itself was last looked at."""
        rows = {kind.name: self.a.store.query(Query(kind.name, limit=ROWS_MAX)) for kind in KINDS}
        return {kind: {row.record.id: _known(kind, row.record) for row in found} for kind, found in rows.items()}

    def body(self, operation: Operation) -> Any:
        """A body for the operation."""
        found = self.waiting.get(operation.name)
        if found is None:
            return body_of(operation, self.number())
        return {**found, "local_hostname": f"w{self.number()}.a.example"} if "slug" in found else found

    def make_waiting(self) -> None:
        """What our rules about residency refuse: a module that shall move abroad, and a service that is bound to its provider's place."""
        self.hold("abroad")
        peers = self.peers["abroad"]
        module_id = self.module(self.tokens["all"])
        self.waiting["plan_migration, which waits"] = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": module_id,
            "destination_peer_id": peers.b_at_a, "override_residency": True,
        }  # fmt: skip
        made = peers.ask("POST", OFFERINGS, {**WIKI, "slug": "bound", "residency_sensitive": True}, at=peers.b)
        assert peers.ask("POST", f"{OFFERINGS}/{made.data['offering']['id']}/activate", {}, at=peers.b).status == 200
        catalogue = self.call("GET", f"{SYSTEM}/federation/peers/{peers.b_at_a}/catalog", token=self.tokens["all"])
        assert catalogue.status == 200, catalogue.body
        self.waiting["subscribe, which waits"] = {"slug": "bound", "override_residency": True}

    def sign_in(self, email: str) -> str:
        answer = self.call("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
        assert answer.status == 200, answer.body
        assert answer.body is not None
        return str(answer.body["data"]["access_token"])

    def operator(self, role: str, account_id: str, permissions: tuple[str, ...]) -> str:
        """A new operator; the access token of its session."""
        email = role.replace(" ", "-") + "@matrix.example"
        secret = Secret(PASSWORD)
        message = CreateOperator(account_id=account_id, by=None, email=email, name=role, password=secret, permissions=permissions)
        outcomes: list[Any] = []
        id = uuid7(self.a.clock.wall(), self.a.randomness.stream("matrix"))
        self.a.engine.ask(Ref("operator", id), message, 30.0, outcomes.append)
        assert self.world.run_until(lambda: bool(outcomes), 10.0)
        return self.sign_in(email)

    def bearer(self, subject: str, *, of: str = "a") -> str:
        """The bearer of a grant for every `NodePlatform`, that `a` gives to `b`, or the other way round."""
        peers = self.peers["b"]
        body = {**SEED_BODY, "remote_subject": subject, "resource_kind": "NodePlatform"}
        if of == "b":
            return str(peers.ask("POST", f"{PEERS}/{peers.a_at_b}/grants", body, at=peers.b).data["bearer_token"])
        answer = self.call("POST", peers.path, body, token=self.tokens["all"])
        assert answer.body is not None
        return str(answer.body["data"]["bearer_token"])

    def offering(self, token: str) -> tuple[str, str]:
        """A new offering of a service; its id and its slug."""
        slug = f"offered-{self.number()}"
        return self.made(OFFERINGS, {**WIKI, "slug": slug}, token, "offering"), slug

    def subscription(self) -> str:
        """A new subscription of `b` to an offering of `a`."""
        id, slug = self.offering(self.tokens["all"])
        assert self.call("POST", f"{OFFERINGS}/{id}/activate", {}, token=self.tokens["all"]).status == 200
        key = uuid7(self.a.clock.wall(), self.a.randomness.stream("matrix"))
        body = {"slug": slug, "local_hostname": f"{slug}.b.example", "idempotency_key": key}
        answer = self.call("POST", f"{SYSTEM}/federation_api/subscriptions", body, source=self.sources["b"])
        assert answer.status == 201, answer.body
        assert answer.body is not None
        return str(answer.body["data"]["grant_id"])

    def module(self, token: str) -> str:
        """A new module that could move."""
        system = self.made(f"{SYSTEM}/platform/resources/NodePlatform", {"attributes": {"name": f"m{self.number()}"}}, token, "resource")
        attributes = {"name": f"module{self.number()}", "node_platform_id": system}
        return self.made(f"{SYSTEM}/platform/resources/NodeModule", {"attributes": attributes}, token, "resource")

    def migration(self, token: str) -> str:
        """A new plan to move a module to `b`."""
        body = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": self.module(token),
            "destination_peer_id": self.peers["b"].b_at_a, "bearer": self.bearer(f"mover-{self.number()}", of="b"),
        }  # fmt: skip
        return self.made(f"{SYSTEM}/platform/migrations", body, token, "migration")

    def mover(self) -> str:
        """The bearer of a grant by which `b` may move modules to `a`."""
        body = {**SEED_BODY, "remote_subject": f"mover-{self.number()}", "permission_scopes": ["migrate"]}
        answer = self.call("POST", self.peers["b"].path, body, token=self.tokens["all"])
        assert answer.body is not None
        return str(answer.body["data"]["bearer_token"])

    def hold(self, role: str) -> None:
        """Let `a` keep the bearer of a grant by which it may move modules to this peer."""
        if role in self._holds:
            return
        self._holds.add(role)
        peers = self.peers[role]
        body = {**SEED_BODY, "remote_subject": "chains", "permission_scopes": ["migrate"]}
        bearer = peers.ask("POST", f"{PEERS}/{peers.a_at_b}/grants", body, at=peers.b).data["bearer_token"]
        self.made(f"{PEERS}/{peers.b_at_a}/received_grants", {"bearer_token": bearer}, self.tokens["all"], "received_grant")

    def chain(self, token: str) -> str:
        """A new chain that leads to `b` alone."""
        self.hold("b")
        body = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": self.module(token),
            "hop_peer_ids": [self.peers["b"].b_at_a],
        }  # fmt: skip
        return self.made(f"{SYSTEM}/platform/migration_chains", body, token, "migration_chain")

    def wish(self) -> str:
        """A chain of `b` that has asked for a module of `a` to go on to `c`; it waits for approval."""
        self.hold("c")
        id = uuid7(self.a.clock.wall(), self.a.randomness.stream("matrix"))
        body = {**SEED_BODY, "remote_subject": f"wisher-{self.number()}", "permission_scopes": ["migrate"]}
        issued = self.call("POST", self.peers["b"].path, body, token=self.tokens["all"])
        assert issued.body is not None
        destination = self.a.engine.directory.row("peer", self.peers["c"].b_at_a)
        assert destination is not None
        body = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": self.module(self.tokens["all"]),
            "destination_instance_id": destination.record.remote_instance_id, "attempt": 1,
        }  # fmt: skip
        path = f"{SYSTEM}/federation_api/migration_chains/{id}/hops/1/start"
        answer = self.call("POST", path, body, source=self.sources["b"], token=issued.body["data"]["bearer_token"])
        assert answer.status == 202, answer.body
        return id

    def arrival(self) -> str:
        """A plan that `b` has announced to `a`."""
        id = uuid7(self.a.clock.wall(), self.a.randomness.stream("matrix"))
        body = {
            "migration_id": id, "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": NOBODYS,
            "plan_digest": "0" * 64, "step_count": 1,
        }  # fmt: skip
        path = f"{SYSTEM}/federation_api/migrations"
        answer = self.call("POST", path, body, source=self.sources["b"], token=self.mover())
        assert answer.status == 201, answer.body
        return id

    def subscribed(self, token: str) -> str:
        """A new subscription of `a` to an offering of `b`."""
        peers, slug = self.peers["b"], f"theirs-{self.number()}"
        made = peers.ask("POST", OFFERINGS, {**WIKI, "slug": slug}, at=peers.b)
        assert peers.ask("POST", f"{OFFERINGS}/{made.data['offering']['id']}/activate", {}, at=peers.b).status == 200
        body = {"slug": slug, "local_hostname": f"{slug}.a.example"}
        return self.made(f"{SYSTEM}/federation/peers/{peers.b_at_a}/subscriptions", body, token, "subscription")

    def approval(self, token: str) -> str:
        """A new request for approval in the account of this operator."""
        account_id = OTHER_ACCOUNT if token == self.tokens["other account"] else self.a.account_id
        asked = AskApproval(
            account_id=account_id, action_category="system.migration_overwrite", requested_by=None, origin="rest", federation_peer_id=None,
            subject_kind="migration", subject_id=NOBODYS, summary="s", impact="i", plan={}, params={"order": 0},
        )  # fmt: skip
        outcomes: list[Any] = []
        id = uuid7(self.a.clock.wall(), self.a.randomness.stream("matrix"))
        self.a.engine.ask(Ref("approval", id), asked, 30.0, outcomes.append)
        assert self.world.run_until(lambda: bool(outcomes), 10.0)
        return id

    # --- objects, by the word before their id in a path ----------------------------------------------------------

    def objects(self, token: str, peer_id: str | None = None) -> dict[tuple[str, str], Callable[[], str]]:
        """How to make a new object of the account of this operator, by the place of its id in a path; inside `peer_id`, if given."""

        def peer() -> str:
            return self.made(PEERS, {"remote_instance_url": f"https://n{self.number()}.example"}, token, "peer")

        def overlay_peer() -> str:
            body = {"federation_peer": {"remote_instance_url": f"https://n{self.number()}.example"}}
            return self.made(f"{SYSTEM}/sdwan/federation_peers", body, token, "federation_peer")

        def network() -> str:
            body = {"attributes": {"name": "n", "slug": f"n{self.number()}"}}
            return self.made(f"{SYSTEM}/platform/resources/SdwanNetwork", body, token, "resource")

        def platform() -> str:
            body = {"attributes": {"name": f"node{self.number()}"}}
            return self.made(f"{SYSTEM}/platform/resources/NodePlatform", body, token, "resource")

        def operator() -> str:
            body = {"email": f"made{self.number()}@example.org", "name": "M", "password": PASSWORD}
            return self.made(f"{SYSTEM}/operators", body, token, "operator")

        def rule() -> str:
            body = {"local_version": "1.0", "remote_version": f"7.{self.number()}", "status": "compatible"}
            return self.made(f"{SYSTEM}/federation/schema_compatibility", body, token, "schema_compatibility")

        def within(collection: str, body: Callable[[], Any], name: str) -> Callable[[], str]:
            return lambda: self.made(f"{PEERS}/{peer_id or peer()}/{collection}", body(), token, name)

        def received() -> str:
            issued = self.bearer(f"received-{self.number()}", of="b")
            return self.made(f"{PEERS}/{peer_id}/received_grants", {"bearer_token": issued}, token, "received_grant")

        return {
            ("peers", "id"): peer,
            ("federation_peers", "id"): overlay_peer,
            ("peers", "peer_id"): peer,
            ("operators", "id"): operator,
            ("schema_compatibility", "id"): rule,
            ("{kind}", "id"): platform,
            ("chains", "id"): lambda: self.offering(token)[0],
            ("service_offerings", "id"): lambda: self.offering(token)[0],
            ("received_grants", "received_grant_id"): received,
            ("subscriptions", "grant_id"): self.subscription,
            ("approvals", "id"): lambda: self.approval(token),
            ("migrations", "id"): lambda: self.migration(token),
            ("arrivals", "id"): self.arrival,
            ("migration_chains", "id"): lambda: self.chain(token),
            ("wishes", "id"): self.wish,
            ("service_subscriptions", "id"): lambda: self.subscribed(token),
            ("mirrors", "id"): self.mirror,
            ("capabilities", "capability_id"): lambda: self._capability(peer_id or peer(), token),
            ("bridges", "bridge_id"): within("bridges", lambda: {"sdwan_network_id": network()}, "bridge"),
            ("grants", "grant_id"): within("grants", lambda: {**SEED_BODY, "remote_subject": f"made-{self.number()}"}, "grant"),
        }


WORDS: Final[Mapping[tuple[str, str], str]] = {
    ("resources", "kind"): "NodePlatform",
    ("remote_resources", "kind"): "NodePlatform",
    ("actors", "kind"): "peer",
    ("{kind}", "resource_id"): NOBODYS,
    ("steps", "order"): "1",
    ("hops", "number"): "1",
}
"""Parameters that name no object of this platform."""

NOT_MADE: Final = {("{kind}", "resource_id")}
"""Those of `WORDS` of which there is none, so that who may call is told so."""

ACCEPTED_ONLY: Final = {
    ("grants", "grant_id"), ("subscriptions", "grant_id"), ("received_grants", "received_grant_id"), ("migrations", "id"),
    ("service_subscriptions", "id"), ("mirrors", "id"), ("migration_chains", "id"),
}  # fmt: skip
"""Objects that only an accepted peer can have, so that they cannot be made inside another account; its operator asks for ours instead."""


GOING_ON: Final[Mapping[str, frozenset[str]]] = {
    "migration": frozenset({"version", "updated_at", "next_look_at"}),
    "migration_chain": frozenset({"version", "updated_at", "next_attempt_at"}),
    "chain_hop": frozenset({"version", "updated_at", "look_at"}),
}
"""Kinds whose rows note, from time to time, that they have been looked at, and where they note it."""


def _known(kind: str, record: Any) -> Any:
    noted = GOING_ON.get(kind)
    if noted is None:
        return record
    return {field.name: getattr(record, field.name) for field in attrs.fields(type(record)) if field.name not in noted}


def build() -> Matrix:
    """A platform with operators in every role and peers in every state."""
    world = World("matrix")
    # What is elsewhere by its own word is refused; of most peers nothing is known, and that is allowed.
    places = {"a": {"data_residency": "CH", "residency_mode": "refuse"}, "f": {"data_residency": "US"}}
    hosts = {name: world.platform(name, rate_limits=UNLIMITED, **places.get(name, {})).sign_in() for name in "abcdefs"}
    a, b = hosts["a"], hosts["b"]
    matrix = Matrix(world, a, {}, {}, {})
    matrix.tokens["expired"] = matrix.operator("expired", a.account_id, tuple(PERMISSIONS))
    for role, host in (("b", b), ("c", hosts["c"]), ("suspended", hosts["d"]), ("revoked", hosts["e"]), ("abroad", hosts["f"])):
        matrix.peers[role] = pair(world, a, host)
        matrix.sources[role] = source_of(host, matrix.peers[role].a_at_b)
    known_elsewhere = pair(world, b, hosts["s"])
    matrix.sources["stranger"] = source_of(hosts["s"], known_elsewhere.a_at_b)
    matrix.sources["no certificate"] = Source("192.0.2.9", "tls")
    matrix.sources["loopback"] = evolve(matrix.sources["b"], face="loopback")
    # As the daemon does at its start.
    for kind in (ARCHIVE, PRUNING):
        a.engine.tell(Ref(kind.name, a.account_id), Begin(a.account_id))
    world.run_for(EXPIRED_AFTER_S)
    for role, permissions in roles().items():
        matrix.tokens[role] = matrix.operator(role, OTHER_ACCOUNT if role == "other account" else a.account_id, permissions)
    for role in ("signed out", "disabled"):
        matrix.tokens[role] = matrix.operator(role, a.account_id, tuple(PERMISSIONS))
    assert matrix.call("POST", "/api/v1/auth/logout", {}, token=matrix.tokens["signed out"]).status == 200
    id = a.engine.directory.find("operator", "email", "disabled@matrix.example")
    assert matrix.call("PATCH", f"{SYSTEM}/operators/{id}", {"disabled": True}, token=matrix.tokens["all"]).status == 200
    for role, act in (("suspended", "suspend"), ("revoked", "revoke")):
        path = f"{PEERS}/{matrix.peers[role].b_at_a}/{act}"
        answer = matrix.call("POST", path, {"reason": "matrix"}, token=matrix.tokens["all"])
        assert answer.status == 200, answer.body
    matrix.make_waiting()
    world.run_for(5.0)
    return matrix


def roles() -> dict[str, tuple[str, ...]]:
    """Operators who are signed in, with their permissions."""
    single = {permission: (permission,) for permission in PERMISSIONS}
    return {"no permission": (), **single, "all": tuple(PERMISSIONS), "other account": tuple(PERMISSIONS)}


def uuids(value: Any) -> set[str]:
    """Every id that stands in an answer."""
    return set(_UUID.findall(json.dumps(value)))


def digests(value: Any) -> set[str]:
    """Every SHA-256 in an answer."""
    return set(_DIGEST.findall(json.dumps(value)))
