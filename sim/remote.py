"""The Remote port at frame level: a request becomes a call at the other platform's door, through the simulated network.

Lives here: whole requests and answers on connections, and what becomes of them when a connection does not hold. Must not live here: a rule
of the protocol (the door that answers is the production one), dialling (`connections`), or the wording of faults (`net.remote_faults`).

The outcomes are those of `net.remote`, step by step: an identity that cannot be used sends nothing; the next URL is tried only if nothing
was sent on the former; a request whose connection was lost is tried once more if it was a kept one and the method allows it; silence
lasts until the time limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import msgspec

from actors import certificates
from actors.addresses import inside
from actors.door.call import Answer, Call
from actors.limits import PROBE_CANDIDATES_MAX, SKEW_MAX_S
from actors.ports import (
    GRANT_BEARER_PURPOSE,
    OUTBOUND_KEY_PURPOSE,
    ClientIdentity,
    FetchRelayed,
    Probed,
    ProbeRequest,
    ProbeResult,
    ProbeTarget,
    RemoteReply,
    RemoteRequest,
    with_opened,
)
from net.http_client import IDEMPOTENT
from net.limits import CLIENT_HANDSHAKE_S
from net.remote_faults import connection_lost, no_identity, seal_broken, timed_out, unreachable, unusable_answer
from net.vault import VaultError
from runtime.errors import Fault
from sim.channels import SimulatedChannels
from sim.clock import Timeout
from sim.connections import Connection, Dial, Kept, Purpose
from sim.links import RETRANSMIT_FIRST_S
from sim.network import Direction
from sim.relay import Fetch

if TYPE_CHECKING:
    from sim.world import Host

Done = Callable[[Any], None]

ACCEPT_PATH: Final = "/federation_api/accept"
HEAD_BYTES: Final = 400
"""Request line or status line with the usual headers."""
JSON: Final = {"content-type": "application/json"}


class SimulatedRemote:
    """The port side of one incarnation of one host; what belongs to a dead incarnation goes nowhere."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.kept = Kept()
        self.channels: SimulatedChannels | None = None
        self._incarnation = host.incarnation
        self._identities: dict[ClientIdentity, tuple[tuple[bytes, ...], float, float] | str] = {}

    def request(self, request: RemoteRequest, done: Done) -> None:
        """Send a request, on a channel if there is one; exactly one outcome comes back, at the latest after its time limit."""
        if self.channels is None:
            self._over_http(request, done)
        else:
            self.channels.request(request, done, self._over_http)

    def _over_http(self, request: RemoteRequest, done: Done) -> None:
        presented = self._presented(request.identity)
        if request.identity is None and request.path != ACCEPT_PATH:
            done(no_identity("there is none for this peer"))
            return
        if isinstance(presented, str):
            done(no_identity(presented))
            return
        headers, body = JSON, request.body
        if request.sealed_fields or request.sealed_bearer is not None:
            opened = self._opened(request)
            if isinstance(opened, Fault):
                done(opened)
                return
            headers, body = opened
        told = self.host.release.sends(request.path, body)
        raw = b"" if told is None else msgspec.json.encode(told)
        exchange = _Exchange(self, request, presented, raw, headers, done)
        exchange.limit = self.host.world.timeline.timeout(request.timeout_s, exchange.expire)
        exchange.next_url()

    def _opened(self, request: RemoteRequest) -> tuple[dict[str, str], Mapping[str, Any] | None] | Fault:
        """Headers and body of a request of which parts are sealed."""
        sealed = {name: (value, request.sealed_purpose) for name, value in request.sealed_fields.items()}
        if request.sealed_bearer is not None:
            sealed["authorization"] = (request.sealed_bearer, GRANT_BEARER_PURPOSE)
        opened: dict[str, str] = {}
        for name, (value, purpose) in sealed.items():
            try:
                opened[name] = self.host.vault.open(value, purpose).reveal()
            except VaultError:
                return seal_broken(name)
        bearer = opened.pop("authorization", None) if request.sealed_bearer is not None else None
        headers = JSON if bearer is None else {**JSON, "authorization": f"Bearer {bearer}"}
        return headers, with_opened(request.body, opened) if request.body is not None or opened else None

    def probe(self, request: ProbeRequest, done: Done) -> None:
        """Look for a reachable endpoint, one after the other."""
        own = frozenset((self.host.world.network.places[self.host.name].address,))
        fitting = [target for target in request.targets if target.cidr_hint is None or inside(own, target.cidr_hint)]
        self._probe_next(request, fitting[:PROBE_CANDIDATES_MAX], [], done)

    @property
    def alive(self) -> bool:
        """Whether the process that this belongs to still runs."""
        return self.host.incarnation == self._incarnation

    def _probe_next(self, request: ProbeRequest, targets: list[ProbeTarget], probed: list[Probed], done: Done) -> None:
        if not targets:
            done(ProbeResult(None, tuple(probed)))
            return
        url, timeline = targets[0].url, self.host.world.timeline
        presented, started = self._presented(request.identity), timeline.now
        if isinstance(presented, str):
            self._probe_next(request, targets[1:], [*probed, Probed(url, False, None, "no_outbound_identity")], done)
            return

        def elapsed_ms() -> float:
            return round((timeline.now - started) * 1000, 3)

        def opened(connection: Connection) -> None:
            connection.close()
            done(ProbeResult(url, (*probed, Probed(url, True, elapsed_ms()))))

        def failed(code: str, reason: str) -> None:
            self._probe_next(request, targets[1:], [*probed, Probed(url, False, elapsed_ms(), code)], done)

        limits = request.connect_timeout_s, request.handshake_timeout_s
        Dial(self.host, url, presented, request.expectation, *limits, opened, failed).start()

    def fetch(self, request: FetchRelayed, done: Done) -> None:
        """Fetch a connection that waits at a hub of ours."""
        Fetch(self.host, request, self._presented(request.identity), lambda outcome: done(outcome) if self.alive else None).start()

    def with_channels(self) -> SimulatedChannels:
        """The channels of this incarnation, on which requests travel from now on."""
        self.channels = SimulatedChannels(self.host, self._presented)
        return self.channels

    def _presented(self, identity: ClientIdentity | None) -> tuple[bytes, ...] | str:
        """The certificates that we present, or why we cannot."""
        if identity is None:
            return ()
        found = self._identities.get(identity)
        if found is None:
            found = self._identities[identity] = self._load(identity)
        if isinstance(found, str):
            return found
        chain, not_before, not_after = found
        now = self.host.clock.wall()
        if now > not_after:
            return "its certificate has expired"
        return "its certificate is not valid yet" if now < not_before - SKEW_MAX_S else chain

    def _load(self, identity: ClientIdentity) -> tuple[tuple[bytes, ...], float, float] | str:
        if not identity.certificate_pem or not identity.sealed_key:
            return "half of the certificate and its key is missing"
        try:
            self.host.vault.open(identity.sealed_key, OUTBOUND_KEY_PURPOSE)
        except VaultError:
            return "its key cannot be opened"
        der = certificates.pem_to_der(identity.certificate_pem)
        leaf = certificates.parse_leaf(der) if isinstance(der, bytes) else der
        if isinstance(leaf, str) or not isinstance(der, bytes):
            return "its certificate cannot be read"
        return (der,), leaf.not_before, leaf.not_after


class _Exchange(msgspec.Struct, eq=False):
    """One request on its way, until its one outcome.

    Attributes:
        probed: what happened per URL, for the operator.
        index: which URL is next. fresh: a kept connection was lost already, so that only a new one will do.
    """

    remote: SimulatedRemote
    request: RemoteRequest
    presented: tuple[bytes, ...]
    body: bytes
    headers: Mapping[str, str]
    done: Done
    probed: list[dict[str, Any]] = msgspec.field(default_factory=list)
    index: int = 0
    fresh: bool = False
    finished: bool = False
    started_at: float = 0.0
    connection: Connection | None = None
    limit: Timeout | None = None

    # --- outcomes ------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The time limit has come."""
        if not self.finished:
            self.finish(timed_out(self.request.timeout_s, self.probed))

    def finish(self, outcome: Any) -> None:
        """Hand over the outcome. A connection that is still in use is in an unknown state, and is dropped."""
        if self.finished:
            return
        self.finished = True
        if self.limit is not None:
            self.limit.cancel()
        if self.connection is not None:
            self.connection.close()
            self.connection = None
        if self.remote.alive:
            self.done(outcome)

    # --- finding a connection ------------------------------------------------------------------------------------

    def next_url(self) -> None:
        """Try the next URL in order; only what was never sent is tried elsewhere."""
        if self.finished:
            return
        if self.index == len(self.request.urls):
            self.finish(unreachable(self.probed))
            return
        self.probed.append({"url": self.request.urls[self.index], "reachable": False})
        self.index += 1
        self.started_at = self._now
        self._find_connection()

    def _find_connection(self) -> None:
        request, now = self.request, self._now
        connection = None if self.fresh else self.remote.kept.take(self._purpose, now)
        if connection is not None:
            self._send(connection)
            return
        limits = request.connect_timeout_s, CLIENT_HANDSHAKE_S
        Dial(self.remote.host, self._url, self.presented, request.expectation, *limits, self._opened, self._not_ready).start()

    def _opened(self, connection: Connection) -> None:
        if self.finished:
            connection.close()
        else:
            self._send(connection)

    def _not_ready(self, code: str, reason: str) -> None:
        if not self.finished:
            self.probed[-1].update(error=code, reason=reason, elapsed_ms=round((self._now - self.started_at) * 1000, 3))
            self.next_url()

    # --- the request and its answer ------------------------------------------------------------------------------

    def _send(self, connection: Connection) -> None:
        connection.busy = self._lost
        self.connection = connection
        self._leave(connection, "out", HEAD_BYTES + len(self.body), lambda: self._arrive(connection))

    def _leave(
        self, connection: Connection, way: Direction, size: int, arrived: Callable[[], None], again_s: float = RETRANSMIT_FIRST_S
    ) -> None:
        """Let something travel. What a cut stops or holds back is sent again and again, as a stream would, while anybody waits for it."""
        if self.finished or not self.remote.alive:
            return
        path, timeline = connection.path, self.remote.host.world.timeline

        def again() -> None:
            self._leave(connection, way, size, arrived, again_s * 2)

        def landed() -> None:
            if path.is_cut(way, timeline.now):
                timeline.after(again_s, again)
            else:
                arrived()

        transit = path.transit(way, size, "frame", timeline.now)
        if transit.delay_s is not None:
            timeline.after(transit.delay_s, landed)
        elif transit.why == "cut":
            timeline.after(again_s, again)
        elif transit.why == "reset":
            self._lost()

    def _arrive(self, connection: Connection) -> None:
        """The request is there, even if whoever sent it has given up or died meanwhile."""
        if connection.path.state != "open" and self.remote.alive:
            return
        here, server = self.remote.host, connection.server
        if server.incarnation != connection.server_incarnation or not server.running:
            return
        request = self.request
        here.world.record("call", here.name, server.name, f"{request.method} {request.path}")
        body = server.release.reads(request.path, self.body)
        path, _, query = request.path.partition("?")
        pairs = dict(parse_qsl(query)) if query else {}
        call = Call(request.method, f"/api/v1/system{path}", pairs, self.headers, body, connection.source)
        server.handle(call, lambda answer: self._answered(connection, answer), here.name)

    def _answered(self, connection: Connection, answer: Answer) -> None:
        request, server = self.request, connection.server
        raw = msgspec.json.encode(server.release.answers(request.path, answer.body))
        server.world.record("answer", server.name, self.remote.host.name, f"{answer.status} {request.path}")
        self._leave(connection, "back", HEAD_BYTES + len(raw), lambda: self._received(connection, answer, raw))

    def _received(self, connection: Connection, answer: Answer, raw: bytes) -> None:
        if self.finished or self.connection is not connection or connection.path.state != "open":
            return
        if len(raw) > self.request.reply_bytes_max:
            self.probed[-1].update(reachable=True, error="reply_too_large")
            self.finish(unusable_answer(self.probed, "reply_too_large", answer.status))
            return
        if not answer.close:
            self.connection = None
            self.remote.kept.give_back(self._purpose, connection, self._now)
        body = msgspec.json.decode(raw) if answer.body is not None else {}
        elapsed_s = self._now - self.started_at
        self.finish(RemoteReply(answer.status, body, dict(answer.headers), self._url, elapsed_s, connection.fingerprints))

    def _lost(self) -> None:
        """The connection has ended before the answer."""
        connection, self.connection = self.connection, None
        if self.finished or connection is None or not self.remote.alive:
            return
        connection.close()
        if connection.reused and not self.fresh and self.request.method in IDEMPOTENT:
            self.fresh = True
            self._find_connection()
            return
        self.probed[-1].update(reachable=True, error="connection_lost")
        self.finish(connection_lost(self.probed, "connection_lost"))

    # --- small things --------------------------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        return self.remote.host.world.timeline.now

    @property
    def _url(self) -> str:
        return self.request.urls[self.index - 1]

    @property
    def _purpose(self) -> Purpose:
        identity = self.request.identity
        return self.request.peer_id, self._url, identity.certificate_pem if identity is not None else "", self.request.expectation
