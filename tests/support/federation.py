"""Several platforms in one process: real engines, doors, authorities and vaults over stores in memory, joined by a network of values.

Nothing here waits: time moves by hand, from one timer to the next. What a platform sends to another passes the checks that TLS would make
(the server's certificate by the caller's expectation, the caller's certificate handed to the door) and can be lost on either way.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import parse_qsl

import attrs

from actors import certificates
from actors.continuity.record import START_MARK_BITS
from actors.door.call import Answer, Call, Source
from actors.door.families import PlatformDoor
from actors.peer import roles
from actors.peer.messages import Accepted, AcceptRemote, Minted, Propose, Regenerate
from actors.peer.record import KIND, PeerEvidence, PeerRecord
from actors.ports import (
    GRANT_BEARER_PURPOSE,
    OUTBOUND_KEY_PURPOSE,
    EnsureCertificate,
    Open,
    OpenChannel,
    ProbeRequest,
    RemoteReply,
    RemoteRequest,
    Seal,
    WriteRoutes,
    with_opened,
)
from actors.registry import ACTORS, KINDS
from actors.rotation.actor import ROTATED
from actors.settings import FederationSettings, Identity, Limit, Settings
from net.authority import REQUESTS as AUTHORITY_REQUESTS
from net.authority import Authority, new_root
from net.vault import Vault, VaultError
from runtime.actor import Ref
from runtime.engine import Engine
from runtime.errors import Fault, InternalFault, RemoteFault
from runtime.ids import uuid7
from runtime.random import SeededRandomness
from runtime.secret import Secret
from runtime.store.port import AuditEntry, BatchResult, Event, Unit
from sim.proxy import MemoryProxy
from sim.store import MemoryStore
from tests.support.engines import AtOnce, ManualClock

ACCOUNT = "0190c0de-0000-7000-8000-00000000acc0"
OPERATOR = "0190c0de-0000-7000-8000-00000000aaaa"
PREFIX = "/api/v1/system"
ROUNDS_MAX = 100_000

_UNLIMITED = {name: Limit(1_000_000, 1.0, 1_000_000) for name in FederationSettings().rate_limits}

Moment = Literal["before", "after"]
"""Of a crash at a commit: before it reached the disk, or after it, with the outcome never heard."""


@attrs.define(eq=False)
class Exchange:
    """One request under way."""

    sender: Platform
    life: int
    request: RemoteRequest
    done: Callable[[Any], None]


@attrs.define(eq=False)
class Network:
    """The clock that all platforms share, who is where, and what is under way between them.

    Attributes:
        down: base URLs that nobody can reach.
        lost_requests, lost_answers: how many of the next exchanges of a path vanish before or after they took effect.
        answers: overrides; a function that gets the exchange and returns an outcome, or None to let it pass.
        passed: every request that reached a platform, as (sender's name, receiver's name, path, HTTP status).
    """

    clock: ManualClock = attrs.field(factory=ManualClock)
    platforms: dict[str, Platform] = attrs.field(factory=dict)
    under_way: deque[Exchange] = attrs.field(factory=deque)
    down: set[str] = attrs.field(factory=set)
    lost_requests: Counter[str] = attrs.field(factory=Counter)
    lost_answers: Counter[str] = attrs.field(factory=Counter)
    answers: Callable[[Exchange], Any] = lambda exchange: None
    passed: list[tuple[str, str, str, int]] = attrs.field(factory=list)

    def platform(self, name: str, **federation: Any) -> Platform:
        """A new platform at `https://<name>.example`."""
        platform = Platform(self, name, federation)
        self.platforms[platform.url] = platform
        return platform

    def run(self) -> None:
        """Run engines and deliver requests until only time could bring news."""
        for _ in range(ROUNDS_MAX):
            moved = False
            for platform in list(self.platforms.values()):
                moved |= platform.run()
            if self.under_way:
                self._deliver(self.under_way.popleft())
            elif not moved:
                return
        raise AssertionError("the platforms never come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, stopping at every timer on the way."""
        until = self.clock.now() + seconds
        self.run()
        while (at := min(platform.engine.next_timer_at() for platform in self.platforms.values())) <= until:
            self.clock.advance(max(0.0, at - self.clock.now()))
            self.run()
        self.clock.advance(until - self.clock.now())
        self.run()

    def _deliver(self, exchange: Exchange) -> None:
        request = exchange.request
        override = self.answers(exchange)
        if override is not None:
            exchange.sender.hear(exchange, override)
            return
        receiver = next((self.platforms[url] for url in request.urls if url in self.platforms and url not in self.down), None)
        if receiver is None or exchange.sender.url in self.down:
            exchange.sender.hear(exchange, RemoteFault("remote_unreachable", "no endpoint answers", 502))
        elif self.lost_requests[request.path] > 0:
            self.lost_requests[request.path] -= 1
            exchange.sender.hear(exchange, RemoteFault("remote_timeout", "no answer in time", 504))
        else:
            receiver.serve(exchange)


class Platform:
    """One platform: its disk, its secrets, and the process that runs on them at present.

    Attributes:
        crash_at: at which commit (counted in `commits`) the process dies.
        held: set to a list, authority and vault keep their answers back until `release`.
    """

    def __init__(self, network: Network, name: str, federation: Mapping[str, Any]) -> None:
        self.network = network
        self.name = name
        self.url = f"https://{name}.example"
        self.chance = SeededRandomness(name)
        self.instance_id = uuid7(network.clock.wall(), self.chance.stream("instance"))
        self.vault = Vault(self.chance.token_bytes(32), self.chance)
        self.proxy = MemoryProxy(self.vault.open)
        key, root = new_root(self.instance_id, now=network.clock.wall(), randomness=self.chance)
        self.authority = Authority(key, root, instance_id=self.instance_id, clock=network.clock, randomness=self.chance, vault=self.vault)
        chain_pem, _ = self.authority.listener_leaves([f"{name}.example"], [], 30 * 86_400.0)[1]
        blocks = certificates.pem_blocks(chain_pem.decode())
        assert not isinstance(blocks, str)
        self.server_chain = blocks
        self.federation = FederationSettings(**{"rate_limits": _UNLIMITED, **federation})
        self.store = MemoryStore(KINDS, chance=self.chance, strict=True)
        self.life = 0
        self.restored_at_epoch = 0
        self.commits = 0
        self.crash_at: tuple[int, Moment] | None = None
        self.crashed = False
        self.serving: list[Exchange] = []
        self.held: list[Callable[[], None]] | None = None
        self._boot()

    # --- the process ---------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        self.life += 1
        self.settings = Settings(
            identity=Identity(
                instance_id=self.instance_id,
                url=self.url,
                ca_bundle_pem=self.authority.ca_bundle_pem,
                ca_fingerprint=self.authority.ca_fingerprint,
                ca_pin=self.authority.ca_pin,
                boot_epoch=self.life,
                restored_at_epoch=self.restored_at_epoch,
                account_id=ACCOUNT,
                start_mark=self.chance.stream("start").getrandbits(START_MARK_BITS),
                history=self.store.last_cursor(),
            ),
            federation=self.federation,
            platform_version="1.4.0",
        )
        ports: dict[type, Callable[[Any, Callable[[Any], None]], None]] = {
            kind: lambda request, done: self._local(lambda: done(self.authority.handle(request))) for kind in AUTHORITY_REQUESTS
        }
        ports |= {kind: lambda request, done: self._local(lambda: done(self.vault.handle(request))) for kind in (Seal, Open)}
        ports[RemoteRequest] = self._send
        ports[OpenChannel] = lambda request, done: self.open_channel(request, done)
        ports |= {kind: lambda request, done: done(self.proxy.handle(request)) for kind in (WriteRoutes, EnsureCertificate)}
        ports[ProbeRequest] = lambda request, done: done(InternalFault("unavailable", "this network has no prober", 503))
        self._watch_commits()
        self.engine = Engine(
            store=self.store, clock=self.network.clock, randomness=self.chance, actors=ACTORS, settings=self.settings, ports=ports,
            crash_policy=AtOnce(),
        )  # fmt: skip
        self.door = PlatformDoor(self.engine, self.settings, b"no operator signs in here")
        self.engine.on_events.append(self._follow_root)
        self.engine.start()

    def _follow_root(self, events: Sequence[Event]) -> None:
        if any(event.kind == ROTATED for event in events):
            row = self.store.load("rotation", self.instance_id)
            assert row is not None
            chain_pem, _ = self.authority.listener_leaves([f"{self.name}.example"], [], 30 * 86_400.0, row.record.current.key)[1]
            blocks = certificates.pem_blocks(chain_pem.decode())
            assert not isinstance(blocks, str)
            self.server_chain = blocks

    def _local(self, answer: Callable[[], None]) -> None:
        if self.held is None:
            answer()
        else:
            self.held.append(answer)

    def release(self) -> None:
        """Let authority and vault answer what they have held back, one by one, and hold nothing back any more."""
        held, self.held = self.held or [], None
        for answer in held:
            answer()
            self.network.run()

    def _watch_commits(self) -> None:
        commit = self.store.commit

        def watched(units: Sequence[Unit], done: Callable[[BatchResult], None]) -> None:
            self.commits += 1
            if self.crash_at is None or self.crash_at[0] != self.commits:
                commit(units, done)
                return
            if self.crash_at[1] == "after":
                commit(units, lambda result: None)
            self.crashed = True

        self.store.commit = watched  # type: ignore[method-assign]

    def run(self) -> bool:
        """Run the engine as far as it goes; whether it did anything that others may have to react to."""
        moved = False
        while self.engine.has_ready or self.engine.next_timer_at() <= self.network.clock.now() or not self.engine.quiescent:
            self.engine.run()
            moved = True
            if self.crashed:
                self.restart()
        return moved

    def restart(self) -> None:
        """Kill the process and start another on what the disk holds. Requests on their way go on; their answers find nobody."""
        self.crashed = False
        self.store = self.store.crash()
        broken, self.serving = self.serving, []
        self._boot()
        for exchange in broken:
            exchange.sender.hear(exchange, RemoteFault("remote_error", "the connection broke", 502))

    # --- the network ---------------------------------------------------------------------------------------------

    def _send(self, request: RemoteRequest, done: Callable[[Any], None]) -> None:
        self.network.under_way.append(Exchange(self, self.life, request, done))

    def open_channel(self, request: OpenChannel, done: Callable[[Any], None]) -> None:
        """The port of channels, which a test may replace: here there are none."""
        done(RemoteFault("remote_unreachable", "this network has no channels", 502))

    def hear(self, exchange: Exchange, outcome: Any) -> None:
        """The outcome of an exchange reaches its sender, if that process still lives."""
        if exchange.life == self.life:
            exchange.done(outcome)

    def serve(self, exchange: Exchange) -> None:
        """Take a request as the listener would."""
        sender, request = exchange.sender, exchange.request
        if certificates.verify_server(self.server_chain, request.expectation, now=self.network.clock.wall()) is not None:
            sender.hear(exchange, RemoteFault("server_identity_unverified", "the server is not the expected one", 502))
            return
        presented: tuple[bytes, ...] = ()
        if request.identity is not None:
            try:
                sender.vault.open(request.identity.sealed_key, OUTBOUND_KEY_PURPOSE)
            except VaultError:
                sender.hear(exchange, InternalFault("no_outbound_identity", "the key cannot be opened", 503))
                return
            der = certificates.pem_to_der(request.identity.certificate_pem)
            assert isinstance(der, bytes)
            presented = (der,)

        life = self.life
        self.serving.append(exchange)

        def answered(answer: Answer) -> None:
            if self.life != life:
                return
            self.serving.remove(exchange)
            self.network.passed.append((sender.name, self.name, request.path, answer.status))
            if self.network.lost_answers[request.path] > 0:
                self.network.lost_answers[request.path] -= 1
                sender.hear(exchange, RemoteFault("remote_timeout", "no answer in time", 504))
                return
            body = json.loads(json.dumps(answer.body))
            sender.hear(exchange, RemoteReply(answer.status, body, answer.headers, request.urls[0], 0.01))

        bearer = request.sealed_bearer
        headers = {} if bearer is None else {"authorization": f"Bearer {sender.vault.open(bearer, GRANT_BEARER_PURPOSE).reveal()}"}
        self.call(request.method, request.path, sender.plain_body(request), answered, presented, headers)

    def call(
        self, method: str, path: str, body: bytes, done: Callable[[Answer], None], presented: tuple[bytes, ...] = (),
        headers: Mapping[str, str] | None = None, source: Source | None = None,
    ) -> None:  # fmt: skip
        """Hand a federation call to the door as the listener would."""
        path, _, query = path.partition("?")
        source = source or Source("192.0.2.1", "tls", presented)
        self.door.handle(
            Call(method, PREFIX + path, dict(parse_qsl(query, keep_blank_values=True)), {**_JSON, **(headers or {})}, body, source), done
        )

    def redeem(self, token: Secret, caller: Platform, **other: Any) -> list[Answer]:
        """`caller` presents a token by hand, with its CA as trust material; the list fills with the one answer."""
        body = {
            "acceptance_token": token.reveal(),
            "contract_version": 1,
            "handshake_id": uuid7(self.network.clock.wall(), caller.chance.stream("handshakes")),
            "peer_ca_bundle_pem": caller.authority.ca_bundle_pem,
            "caller_inbound_subject": "fed:0190c0de-1111-7000-8000-000000000001",
            "instance": {"id": caller.instance_id},
            **other,
        }
        answers: list[Answer] = []
        self.call("POST", "/federation_api/accept", json.dumps(body).encode(), answers.append)
        return answers

    def plain_body(self, request: RemoteRequest) -> bytes:
        """The body as it leaves this platform."""
        if request.body is None:
            return b""
        opened = {name: self.vault.open(sealed, request.sealed_purpose).reveal() for name, sealed in request.sealed_fields.items()}
        return json.dumps(with_opened(request.body, opened)).encode()

    # --- operators -----------------------------------------------------------------------------------------------

    def ask(self, peer_id: str, message: Any, timeout_s: float = 60.0) -> list[Any]:
        """Queue a message to a peer; the list fills with its one outcome."""
        outcomes: list[Any] = []
        self.engine.ask(Ref(KIND.name, peer_id), message, timeout_s, outcomes.append)
        return outcomes

    def told(self, peer_id: str, message: Any) -> Any:
        """The outcome of a message that needs no passing of time."""
        outcomes = self.ask(peer_id, message)
        self.network.run()
        assert len(outcomes) == 1, "the message was not answered at once"
        return outcomes[0]

    def told_nothing(self, peer_id: str, message: Any) -> None:
        """Send a message that has no answer."""
        self.engine.tell(Ref(KIND.name, peer_id), message)
        self.network.run()

    def propose(self, remote: Platform, **options: Any) -> Invited:
        """Register `remote` here."""
        peer_id = uuid7(self.network.clock.wall(), self.chance.stream("ids"))
        pairing = roles.resolve(options.pop("role", None), options.pop("mode", None))
        assert isinstance(pairing, roles.Pairing)
        ttl_s = options.pop("token_ttl_s", 3600)
        message = Propose(account_id=ACCOUNT, by=OPERATOR, url=remote.url, pairing=pairing, token_ttl_s=ttl_s, **options)
        minted = self.told(peer_id, message)
        assert isinstance(minted, Minted), minted
        return Invited(peer_id, minted.token)

    def regenerate(self, peer_id: str, ttl_s: int = 3600) -> Secret:
        minted = self.told(peer_id, Regenerate(OPERATOR, ttl_s))
        assert isinstance(minted, Minted), minted
        return minted.token

    def accept(self, peer_id: str, token: Secret) -> Accepted | Fault:
        """Accept with the remote's token, waiting as long as the operator would."""
        outcomes = self.ask(peer_id, AcceptRemote(by=OPERATOR, token=token))
        self.network.run()
        while not outcomes:
            self.network.advance(0.5)
        outcome: Accepted | Fault = outcomes[0]
        return outcome

    # --- looking in ----------------------------------------------------------------------------------------------

    def record(self, peer_id: str) -> PeerRecord:
        """What is on the disk."""
        row = self.store.load(KIND.name, peer_id)
        assert row is not None
        record: PeerRecord = row.record
        return record

    def evidence(self, peer_id: str) -> PeerEvidence:
        """What is known of the peer now."""
        row = self.engine.directory.row(KIND.name, peer_id)
        assert row is not None
        evidence: PeerEvidence = row.evidence or PeerEvidence()
        return evidence

    def chain(self, peer_id: str) -> list[AuditEntry]:
        return self.store.audit(peer_id, 0, 1000)

    def steps(self, peer_id: str) -> list[str]:
        """The statuses that the audit chain says were passed."""
        return [entry.payload["to"] for entry in self.chain(peer_id) if "trigger" in entry.payload]

    def events(self) -> list[str]:
        return [event.kind for event in self.store.events(0, 10_000)]


@attrs.frozen
class Invited:
    """A row and the token that was minted for it."""

    peer_id: str
    token: Secret


@attrs.define(eq=False)
class Pair:
    """Two platforms that know of each other: `a` invited, `b` accepts."""

    network: Network
    a: Platform
    b: Platform
    at_a: Invited
    at_b: Invited

    @property
    def statuses(self) -> tuple[str, str]:
        return self.a.record(self.at_a.peer_id).status, self.b.record(self.at_b.peer_id).status

    def accept(self) -> Accepted | Fault:
        return self.b.accept(self.at_b.peer_id, self.at_a.token)

    def connect(self) -> None:
        """Pair and let the first heartbeats flow."""
        outcome = self.accept()
        assert isinstance(outcome, Accepted), outcome
        self.network.advance(2.0)
        assert self.statuses == ("active", "active")


def pair(*, role_of_b: str | None = None, mode: str | None = None, **federation: Any) -> Pair:
    """Two fresh platforms that have registered each other. `role_of_b` is what B says of itself (`child` of a parent A)."""
    network = Network()
    a, b = network.platform("a", **federation), network.platform("b", **federation)
    role_of_a = roles.mirror(role_of_b) if role_of_b is not None else None  # type: ignore[arg-type]
    at_a = a.propose(b, role=role_of_a, mode=mode)
    at_b = b.propose(a, role=role_of_b, mode=mode)
    return Pair(network, a, b, at_a, at_b)


_JSON: Mapping[str, str] = {"content-type": "application/json"}

__all__ = ["ACCOUNT", "OPERATOR", "Exchange", "Invited", "Network", "Pair", "Platform", "pair"]
