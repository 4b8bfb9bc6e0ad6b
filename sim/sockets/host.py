"""A platform at socket level: the production composition with its listener, HTTP, TLS and client, over simulated sockets.

Lives here: what surrounds a composition in a world: its process, its disk, its operator, whoever watches. Must not live here: a rule of the
domain, or anything that the daemon does otherwise.

What survives a crash is the same as at frame level. A crash fences first: the store takes nothing more, the sockets are gone, the engine
stands; only then are the tasks cancelled, so that nothing which they do in their own end has an effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import trio
from cryptography import x509

from actors.door.call import Answer, Call
from actors.door.channel.handlers import ChannelLeave
from actors.ports import HashPassword, Open, ProbeRequest, RemoteRequest, Seal, SignToken, VerifyPassword
from actors.settings import FederationSettings
from actors.urls import url_of
from api.composition import LISTENER_LEAF_LIFETIME_S, Composition, Parts
from api.event_stream import StreamSession
from api.faces import Door as FacesDoor
from net.addresses import Dialler
from net.authority import REQUESTS as AUTHORITY_REQUESTS
from net.http_client import RequestError, request_json
from net.listener import open_loopback, open_public
from net.ports import PortRunner
from net.relayed import RelayedStream
from net.tls import ListenerLeaf, TlsStream
from runtime.engine import Engine, PortStart
from runtime.services import open_service_tree
from runtime.store.port import Store
from runtime.values import evolve
from sim.network import Path
from sim.remote import SimulatedRemote
from sim.sockets.level import level_of
from sim.sockets.sockets import SimSocket
from sim.sockets.strangers import PUBLIC_PORT, visit
from sim.sockets.tcp import Process
from sim.trace.tracer import TracedEngine
from sim.world import Host, Reply, World

OPERATOR_PORT: Final = 7443
OPERATOR_PATIENCE_S: Final = 60.0
FENCED: Final = "the process was killed"
OWN_PORTS: Final = (*AUTHORITY_REQUESTS, Seal, Open, HashPassword, VerifyPassword, SignToken)
"""Requests to what a platform keeps keys in, as opposed to its disk and to others."""


class SocketHost(Host):
    """One platform, whose requests travel as bytes."""

    def __init__(self, world: World, name: str, federation: FederationSettings, **nature: Any) -> None:
        super().__init__(world, name, federation, **nature)
        self.level = level_of(world)
        self.desk = self.level.process(name, f"{name}'s operator")
        self.process: Process | None = None
        self.composition: WorldComposition | None = None
        self._scope: trio.CancelScope | None = None
        self._leaves_end = math.inf
        self._shown: tuple[tuple[bytes, ...], tuple[ListenerLeaf, ...]] | None = None

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.begin_as_another_start()
        self.running, self.paused = True, False
        self.world.note(self.name, "life", "start")
        process = self.process = self.level.process(self.name, self.name)
        process.machine.powered = True
        self.level.brakes.slow(process, self.lag_s)
        self.level.loop.start(self.level.sockets.as_process, process, partial(self._live, process), name=self.name)
        self.level.loop.pump()

    async def _live(self, process: Process) -> None:
        """One process, from its start to its end."""
        try:
            with trio.CancelScope() as scope:
                self._scope = scope
                async with trio.open_nursery() as ports:
                    public = await open_public("0.0.0.0", PUBLIC_PORT)
                    loopback = await open_loopback("127.0.0.1", OPERATOR_PORT)
                    composition = self.composition = WorldComposition(self, ports)
                    self.engine, self.door = composition.engine, composition.door
                    # Whoever speaks to the engine from outside of the run wakes its driver all the same.
                    wake = self.engine.wake
                    self.engine.wake = lambda: self.level.loop.call(wake)
                    if self.world.onlooker is not None:
                        self.world.onlooker.started(self)
                    services = composition.services(public, loopback)
                    async with open_service_tree("platform", "rest_for_one", services, self.clock, self.randomness):
                        composition.engine.start()
                        self.begin_chores()
                        await trio.sleep_forever()
        except* Exception:
            # Whatever a dead process ends with is nobody's concern.
            if process.alive:
                raise

    def crash(self, *, machine: bool = False) -> None:
        assert self.process is not None
        self.level.loop.pump()
        self.world.note(self.name, "life", "crash")
        self.incarnation += 1
        self.running = self.paused = False
        self._frozen.clear()
        self.power = self.process.machine.powered = not machine
        self.engine.halted = FENCED
        self.process.kill(silently=machine)
        self.level.brakes.release(self.process)
        self.level.processes.pop(self.process, None)
        if machine:
            self.world.network.crashed(self.name, machine=True)
            self.world.network.names.forget(self.name)
        self.store = self.store.crash()
        if self._scope is not None:
            self.level.loop.call(self._scope.cancel)
        self.level.loop.pump()

    def pause(self) -> None:
        assert self.process is not None
        super().pause()
        self.level.brakes.pause(self.process)

    def unpause(self) -> None:
        assert self.process is not None
        self.level.loop.call(super().unpause)
        self.level.brakes.unpause(self.process)

    def slow(self, lag_s: float) -> None:
        super().slow(lag_s)
        if self.process is not None and self.running:
            self.level.brakes.slow(self.process, lag_s)

    def parts(self) -> Parts:
        """What the process that starts now is made of."""
        schedule, tracer = self.world.schedule, self.world.tracer
        return Parts(
            settings=self.settings(),
            clock=self.clock,
            randomness=self.randomness,
            store=self.store,
            reopen=self._reopen,
            authority=self.authority,
            credentials=self.credentials,
            vault=self.vault,
            archive=self.archive.handle,
            proxy=self.proxy.handle,
            dialler=Dialler(allowed=lambda: self.federation.allowed_networks, resolve=self.level.sockets.resolve),
            leaves=self._leaves,
            certificates_end=lambda: (self._root_ends(), self._leaves_end),
            own_addresses=self._own_addresses,
            engine=partial(Engine, buggify=self.world.improbable)
            if tracer is None
            else partial(TracedEngine, tracer, self.name, buggify=self.world.improbable),
            scheduler=None if schedule is None else schedule.of(self.name),
            trace=self.trace,
        )

    def _leaves(self) -> tuple[ListenerLeaf, ...]:
        """The listener's certificates: made anew as in production, unless the scenario says when they end."""
        ends = self._chain_ends()
        wall = self.clock.wall()
        if ends - wall > LISTENER_LEAF_LIFETIME_S:
            return self._made(LISTENER_LEAF_LIFETIME_S)
        if self._shown is None or self._shown[0] is not self.server_chain:
            self._shown = (self.server_chain, self._made(max(ends - wall, 1.0)))
        return self._shown[1]

    def _root_ends(self) -> float:
        root = self.rotated_root()
        return self.authority.not_after if root is None else root.not_after

    def _chain_ends(self) -> float:
        return x509.load_der_x509_certificate(self.server_chain[0]).not_valid_after_utc.timestamp() if self.server_chain else math.inf

    def _made(self, lifetime_s: float) -> tuple[ListenerLeaf, ...]:
        root = self.rotated_root()
        names = [f"{self.name}.example.com", "localhost"]
        made = self.authority.listener_leaves(names, ["127.0.0.1"], lifetime_s, root.key if root is not None else None)
        self._leaves_end = self.clock.wall() + lifetime_s
        return tuple(ListenerLeaf(chain, key) for chain, key in made)

    def renew_server_chain(self) -> None:
        super().renew_server_chain()
        if self.composition is not None:
            self.level.loop.call(self.composition.show_leaves)

    async def _own_addresses(self) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        return frozenset((self.world.network.places[self.name].address,))

    def _reopen(self) -> Store:
        self.store = self.store.crash()
        return self.store

    # --- from outside --------------------------------------------------------------------------------------------

    def _schedule(self, delay_s: float, callback: Callable[[], None]) -> None:
        super()._schedule(delay_s, lambda: self.level.loop.call(callback))

    def _pump_now(self) -> None:
        """The engine's own driver runs it."""

    def tell_engine(self, what: Callable[[], object]) -> None:
        self.level.loop.call(what)

    def handle(self, call: Call, done: Callable[[Answer], None], source: str = "") -> None:
        self.level.loop.call(lambda: super(SocketHost, self).handle(call, done, source))

    def visited(self, call: Call, key_pem: bytes | None, by: Host, source: str, done: Callable[[Answer], None]) -> None:
        visit(self, by.name, call, key_pem, source, done)

    def send(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> list[Reply]:
        """An operator's call over HTTP, made on the platform's own machine."""
        replies: list[Reply] = []
        given = {**({"authorization": f"Bearer {self.token}"} if self.token else {}), **(headers or {})}
        tracer = self.world.tracer

        async def ask() -> None:
            url = f"http://127.0.0.1:{OPERATOR_PORT}{path}"
            try:
                reply = await request_json(method, url, headers=given, body=body, timeout_s=OPERATOR_PATIENCE_S, clock=self.clock)
            except RequestError:
                return
            replies.append(Reply(reply.status, reply.body, reply.headers, None if tracer is None else tracer.current))

        self.level.loop.start(self.level.sockets.as_process, self.desk, ask, name=f"{self.name}'s operator")
        return replies


class WorldComposition(Composition):
    """The production composition, watched, with a way out to hosts that are at frame level."""

    def __init__(self, host: SocketHost, ports: trio.Nursery) -> None:
        self._host = host
        self._frames = SimulatedRemote(host)
        super().__init__(host.parts(), ports)
        if self.relay is not None:
            self.relay.joined = self._joined

    def _joined(self, client: object, leg: object) -> None:
        one, other = path_of(client), path_of(leg)
        if one is not None and other is not None:
            joined = self._host.level.joined
            joined[one], joined[other] = other, one

    def outer_door(self) -> FacesDoor:
        return WatchedDoor(self._host, self.door)

    def port_table(self, runner: PortRunner) -> dict[type, PortStart]:
        table = super().port_table(runner)
        outward = self._former(table[RemoteRequest])
        table[RemoteRequest] = self._host._watched(self._either(outward, self._frames.request, lambda request: request.urls))
        table |= {kind: self._host.taking_time(table[kind]) for kind in OWN_PORTS}
        targets: Callable[[Any], tuple[str, ...]] = lambda request: tuple(target.url for target in request.targets)  # noqa: E731
        table[ProbeRequest] = self._either(table[ProbeRequest], self._frames.probe, targets)
        return table

    def _either(self, sockets: PortStart, frames: PortStart, urls: Callable[[Any], tuple[str, ...]]) -> PortStart:
        """Bytes to hosts of this level, whole requests to those at frame level."""
        world, loop = self._host.world, self._host.level.loop

        def start(request: Any, done: Callable[[Any], None]) -> None:
            known = [host for host in world.hosts.values() if any(host.url == url_of(way) for way in urls(request))]
            if known and not any(isinstance(host, SocketHost) for host in known):
                frames(request, lambda outcome: loop.call(lambda: done(outcome)))
            else:
                sockets(request, done)

        return start

    def _former(self, start: PortStart) -> PortStart:
        """The port as a former release would have used it."""
        release = self._host.release
        if not release.unknown:
            return start

        def request(request: RemoteRequest, done: Callable[[Any], None]) -> None:
            start(release.sends_request(request), done)

        return request


class WatchedDoor:
    """The door of a platform, with word of every call and every answer to whoever watches."""

    def __init__(self, host: SocketHost, door: FacesDoor) -> None:
        self._host = host
        self._door = door
        self._incarnation = host.incarnation

    def handle(self, call: Call, done: Callable[[Answer], None]) -> None:
        host, onlooker = self._host, self._host.world.onlooker
        if host.incarnation != self._incarnation:
            return  # What a dead process has read on its way out reaches nobody.
        source = "" if call.source.face == "loopback" else self._caller(call.source.connection_id)
        path = call.path.removeprefix("/api/v1/system")
        call = evolve(call, body=host.release.reads(path, call.body))

        def answered(answer: Answer) -> None:
            if host.incarnation == self._incarnation:
                if onlooker is not None:
                    onlooker.answered(host, call, source, answer)
                host.world.record("answer", host.name, source, f"{answer.status} {path}")
                told = answer if host.interloper is None else host.interloper(call, answer)
                done(evolve(told, body=host.release.answers(path, told.body)))

        if onlooker is not None:
            onlooker.arrived(host, call, source)
        host.world.record("call", source, host.name, f"{call.method} {path}")
        self._door.handle(call, answered)

    def authorize_stream(self, call: Call) -> StreamSession | Answer:
        return self._door.authorize_stream(call)

    def open_channel(self, call: Call) -> ChannelLeave | Answer:
        return self._door.open_channel(call)

    def _caller(self, connection: str) -> str:
        """The name of the host at the other end of a connection; several may share an address."""
        composition = self._host.composition
        stream = None if composition is None else composition.listener.stream(connection) or composition.channels.stream(connection)
        transport = stream.transport if isinstance(stream, TlsStream) else None
        path = path_of(transport.leg if isinstance(transport, RelayedStream) else stream)
        if path is None:
            return ""
        beyond = self._host.level.joined.get(path)
        stranger = self._host.level.strangers.get(path)
        if stranger is not None:
            return stranger
        # Whoever is at the far end of a hub has dialled it, too.
        return beyond.source if beyond is not None else path.target if path.source == self._host.name else path.source


def path_of(stream: object) -> Path | None:
    """The path on which a stream of this level runs, if it runs on one."""
    while isinstance(stream, TlsStream):
        stream = stream.transport
    socket = stream.socket if isinstance(stream, trio.SocketStream) else None
    return socket.connection.path if isinstance(socket, SimSocket) and socket.connection is not None else None
