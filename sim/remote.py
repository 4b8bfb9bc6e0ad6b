"""The Remote port at frame level: a request becomes a call at the other platform's door, through simulated links.

Lives here: travelling, and the checks that the real port makes before it sends. Must not live here: a rule of the protocol: the door that
answers is the production one, and a server proves itself by the same function as in production.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from actors import certificates
from actors.door.call import Answer, Call, Source
from actors.ports import (
    GRANT_BEARER_PURPOSE,
    OUTBOUND_KEY_PURPOSE,
    ClientIdentity,
    Probed,
    ProbeRequest,
    ProbeResult,
    RemoteReply,
    RemoteRequest,
)
from net.vault import VaultError
from runtime.errors import Fault, InternalFault, RemoteFault
from sim.clock import Timeout

if TYPE_CHECKING:
    from sim.world import Host

Done = Callable[[Any], None]


class SimulatedRemote:
    """The port side of one incarnation of one host; what belongs to a dead incarnation goes nowhere."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._incarnation = host.incarnation
        self._connections: dict[tuple[str, int, str], Source] = {}

    def request(self, request: RemoteRequest, done: Done) -> None:
        """Send a request; exactly one outcome comes back, at the latest after its time limit."""
        answered = False

        def once(outcome: Any) -> None:
            nonlocal answered
            if not answered and self._alive:
                answered = True
                if limit is not None:
                    limit.cancel()
                done(outcome)

        limit: Timeout | None = None

        fault = self._refusal(request)
        if fault is not None:
            once(fault)
            return
        late = RemoteFault("remote_timeout", "the remote did not answer in time", 504)
        limit = self._host.world.timeline.timeout(request.timeout_s, lambda: once(late))
        self._try(request, 0, [], once)

    def probe(self, request: ProbeRequest, done: Done) -> None:
        """Look for a reachable endpoint."""
        probed: list[Probed] = []
        for target in request.targets:
            host = self._host.world.reachable(self._host, target.url)
            reason = "unreachable" if host is None else self._unproven(host, request.expectation)
            probed.append(Probed(target.url, reason is None, 1.0 if reason is None else None, reason))
            if reason is None:
                break
        endpoint = next((probe.url for probe in probed if probe.reachable), None)
        result = ProbeResult(endpoint, tuple(probed))
        self._host.world.timeline.after(request.connect_timeout_s, lambda: done(result) if self._alive else None)

    @property
    def _alive(self) -> bool:
        return self._host.incarnation == self._incarnation

    def _refusal(self, request: RemoteRequest) -> Fault | None:
        if request.identity is None:
            return None if request.path == "/federation_api/accept" else _no_identity()
        return None if self._opens(request.identity) else _no_identity()

    def _opens(self, identity: ClientIdentity) -> bool:
        try:
            self._host.vault.open(identity.sealed_key, OUTBOUND_KEY_PURPOSE)
        except VaultError:
            return False
        return isinstance(certificates.pem_to_der(identity.certificate_pem), bytes)

    def _unproven(self, server: Host, expectation: Any) -> str | None:
        return self._host.world.server_checks.unproven(server.server_chain, expectation, self._host.clock.wall())

    def _try(self, request: RemoteRequest, index: int, probed: list[dict[str, Any]], done: Done) -> None:
        """Connect to the next URL in order; only what was never sent is tried elsewhere."""
        world = self._host.world
        if index == len(request.urls):
            done(RemoteFault("remote_unreachable", "no endpoint of the remote can be reached", 502, {"probed": probed}))
            return
        url = request.urls[index]
        server = world.reachable(self._host, url)
        if server is None:
            probed.append({"url": url, "reachable": False, "error": "unreachable"})
            world.timeline.after(request.connect_timeout_s, lambda: self._try(request, index + 1, probed, done))
            return
        reason = self._unproven(server, request.expectation)
        if reason is not None:
            text = "the server could not prove to be the remote; nothing was sent"
            done(RemoteFault("server_identity_unverified", text, 502, {"reason": reason, "url": url}))
            return
        body = dict(request.body) if request.body is not None else None
        for name, sealed in request.sealed_fields.items():
            assert body is not None
            body[name] = self._host.vault.open(sealed, request.sealed_purpose).reveal()
        self._deliver(request, url, server, b"" if body is None else msgspec.json.encode(body), done)

    def _deliver(self, request: RemoteRequest, url: str, server: Host, body: bytes, done: Done) -> None:
        world, here = self._host.world, self._host
        sent_at = world.timeline.now
        source = self._source(server, request.identity)
        path, _, query = request.path.partition("?")
        headers = {"content-type": "application/json"}
        if request.sealed_bearer is not None:
            headers["authorization"] = f"Bearer {here.vault.open(request.sealed_bearer, GRANT_BEARER_PURPOSE).reveal()}"
        call = Call(request.method, f"/api/v1/system{path}", dict(parse_qsl(query)), headers, body, source)

        def answered(answer: Answer) -> None:
            raw = msgspec.json.encode(answer.body)
            world.record("answer", server.name, here.name, f"{answer.status} {request.path}")
            back_s = world.links.between(server.name, here.name).transit(world.timeline.now, 0, "frame", world.links.chance).delay_s
            if back_s is None:
                return
            reply = RemoteReply(answer.status, msgspec.json.decode(raw), dict(answer.headers), url, world.timeline.now - sent_at)
            world.timeline.after(back_s, lambda: done(reply))

        def arrive() -> None:
            if server.running:
                world.record("call", here.name, server.name, f"{request.method} {request.path}")
                server.handle(call, answered, here.name)

        there_s = world.links.between(here.name, server.name).transit(world.timeline.now, 0, "frame", world.links.chance).delay_s
        if there_s is not None:
            world.timeline.after(there_s, arrive)

    def _source(self, server: Host, identity: ClientIdentity | None) -> Source:
        """The kept connection to this incarnation of the server under this identity."""
        pem = identity.certificate_pem if identity is not None else ""
        key = (server.name, server.incarnation, pem)
        source = self._connections.get(key)
        if source is None:
            der = certificates.pem_to_der(pem) if pem else b""
            presented = (der,) if isinstance(der, bytes) and der else ()
            source = self._connections[key] = Source(self._host.address, "tls", presented, f"{self._host.name}-{len(self._connections)}")
        return source


def _no_identity() -> Fault:
    return InternalFault("no_outbound_identity", "there is no usable client certificate for this peer; nothing was sent", 503)
