"""One platform put together from its parts, whatever kind of clock, store and sockets they are.

Lives here: the wiring of engine, ports, door, faces and listener, and the services that run them. Must not live here: where the parts come
from (`api.daemon` takes them from files and the system, the simulator from memory), or any rule of the domain.
"""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import trio

from actors.certificates import verify_server
from actors.door.access import AccessLine, through_logging
from actors.door.call import Answer, Call
from actors.door.channel.routes import CHANNEL_URL_PATH
from actors.door.families import PlatformDoor
from actors.door.openapi import document
from actors.hub.lifecycle import SIDES, Side, withdrawn
from actors.peer.messages import ChannelEnded, ChannelOpened
from actors.peer.record import KIND as PEER
from actors.ports import (
    CheckObject,
    ClientIdentity,
    EnsureCertificate,
    FetchRelayed,
    HashPassword,
    Open,
    OpenChannel,
    ProbeRequest,
    RemoteRequest,
    Seal,
    SignToken,
    StoreObject,
    VerifyPassword,
    WriteRoutes,
)
from actors.registry import ACTORS
from actors.rotation.actor import ROTATED
from actors.settings import Settings
from api.archive_log import FailedShipments
from api.channel import admitted
from api.events import EventHub
from api.faces import Door as FacesDoor
from api.faces import Faces
from api.hang_ups import HangUps
from api.health import Readiness
from api.http import HttpApp
from api.relaying import hub_of
from api.transcoding import internal_error, source_of
from api.version import VERSION
from net.addresses import Dialler, local_addresses
from net.authority import REQUESTS, Authority
from net.channels import ChannelParts, Channels
from net.credentials import Credentials
from net.limits import CHANNEL_SILENCE_MIN_S, DEFAULT_LISTENER_LIMITS, ListenerLimits
from net.listener import Listener
from net.ports import PortRunner
from net.relayed import RelayedConnections
from net.remote import RemoteClient
from net.tls import ListenerLeaf
from net.vault import Vault
from net.websocket import Upgrade
from runtime.actor import Ref
from runtime.clock import Clock
from runtime.crash_policy import SupervisedCrashes
from runtime.engine import Engine, PortStart
from runtime.ids import uuid7
from runtime.random import Randomness
from runtime.reopening import Reopening
from runtime.services import Service
from runtime.store.port import Event, Store, StoreError
from runtime.supervision import ChildSpec
from runtime.trace import Trace
from runtime.trio_driver import StepDriver
from runtime.values import Value, evolve

log = logging.getLogger("powernode.store")

LISTENER_LEAF_LIFETIME_S: Final = 90 * 86_400.0
LISTENER_LEAF_RENEWED_EVERY_S: Final = 86_400.0
LISTENER_LEAF_LOOKED_AT_EVERY_S: Final = 60.0
DRAIN_S: Final = 5.0

Listeners = Sequence[trio.SocketListener]


class Parts(Value, frozen=True, kw_only=True):
    """What a platform is made of.

    Attributes:
        archive, proxy: answer the ports of the archive and of the reverse proxy; they may block.
        reopen: gives up the store whose last commit ended without a verdict, and opens what is on the disk.
        leaves: the listener's certificates, made anew at every call.
        certificates_end: when our own certificates end, seconds since the epoch.
        own_addresses: the addresses of this host.
        engine: makes the engine.
        access_line: writes the lines of the access log.
        scheduler, trace: as the engine has them; attached by worlds.
    """

    settings: Settings
    clock: Clock
    randomness: Randomness
    store: Store
    reopen: Callable[[], Store]
    authority: Authority
    credentials: Credentials
    vault: Vault
    archive: Callable[[Any], Any]
    proxy: Callable[[Any], Any]
    dialler: Dialler
    leaves: Callable[[], Sequence[ListenerLeaf]]
    certificates_end: Callable[[], Iterable[float]]
    limits: ListenerLimits = DEFAULT_LISTENER_LIMITS
    own_addresses: Callable[[], Awaitable[frozenset[str]]] = local_addresses
    engine: Callable[..., Engine] = Engine
    access_line: AccessLine = through_logging
    scheduler: Callable[[int], int] | None = None
    trace: Trace | None = None


class Composition:
    """One platform in one trio run. `ports` is the nursery in which its port calls live."""

    def __init__(self, parts: Parts, ports: trio.Nursery) -> None:
        self.parts = parts
        self.store = parts.store
        self._ports = ports
        self._reopening = Reopening(parts.clock)
        self.remote = self._remote()
        self.channels = Channels(self.remote, ports, self._channel_parts())
        self.relayed = RelayedConnections(self.remote, ports, lambda stream: self.listener.serve_relayed(stream))
        self.engine = self._engine(self.port_table(PortRunner(ports)))
        self.driver = StepDriver(self.engine)
        self.door = PlatformDoor(self.engine, parts.settings, parts.credentials.public_key_pem)
        self.door.access_line = parts.access_line
        self.hub = EventHub(self.store)
        self.engine.on_events.append(self.hub.publish)
        self.engine.on_events.append(FailedShipments().publish)
        self.made_faces = self.faces()
        self.app = HttpApp(self.made_faces)
        upgrades = {CHANNEL_URL_PATH.encode(): self._hold}
        federation, chance = parts.settings.federation, parts.randomness
        self.relay = hub_of(federation, self.engine, self.door, self.channels, chance.token_bytes, parts.limits.handshake_s)
        self.listener = Listener(
            self.app,
            parts.leaves(),
            limits=parts.limits,
            clock=parts.clock,
            upgrades=upgrades,
            relay=self.relay,
            for_many=lambda source: self.door.proxies.opened(source, parts.clock.wall()),
        )
        self.hang_ups = HangUps(self._cut, self.remote.forget)
        self.engine.on_events.append(self.hang_ups.publish)
        self.engine.on_events.append(self._follow_root)
        self.engine.on_events.append(self._follow_consents)

    def _remote(self) -> RemoteClient:
        vault = self.parts.vault
        return RemoteClient(
            clock=self.parts.clock,
            open_sealed=lambda sealed, purpose: vault.open(sealed, purpose).reveal_bytes(),
            verify_server=verify_server,
            dialler=self.parts.dialler,
            own_addresses=self.parts.own_addresses,
        )

    def port_table(self, runner: PortRunner) -> dict[type, PortStart]:
        """Every port of the domain and its real side."""
        authority, vault, credentials = self.parts.authority, self.parts.vault, self.parts.credentials
        return {
            RemoteRequest: runner.asynchronous(self.channels.request),
            OpenChannel: runner.asynchronous(self.channels.open),
            FetchRelayed: runner.asynchronous(self.relayed.fetch),
            ProbeRequest: runner.asynchronous(self.remote.probe),
            **dict.fromkeys(REQUESTS, runner.direct(authority.handle)),
            Seal: runner.direct(vault.handle),
            Open: runner.direct(vault.handle),
            HashPassword: runner.threaded(credentials.handle),
            VerifyPassword: runner.threaded(credentials.handle),
            SignToken: runner.direct(credentials.handle),
            **dict.fromkeys((StoreObject, CheckObject), runner.threaded(self.parts.archive)),
            **dict.fromkeys((WriteRoutes, EnsureCertificate), runner.threaded(self.parts.proxy)),
        }

    def _engine(self, ports: Mapping[type, PortStart]) -> Engine:
        parts = self.parts
        engine = parts.engine(
            store=self.store,
            clock=parts.clock,
            randomness=parts.randomness,
            actors=ACTORS,
            settings=parts.settings,
            ports=ports,
            crash_policy=SupervisedCrashes(ACTORS, parts.clock, parts.randomness),
            scheduler=parts.scheduler,
            trace=parts.trace,
        )
        engine.on_unknown = lambda error: self._reopen_in(self._reopening.pause_s())
        return engine

    def _reopen_in(self, pause_s: float) -> None:
        if pause_s > 0.0:
            contextvars.Context().run(self._ports.start_soon, self._reopen_after, pause_s)
        else:
            self._reopen()

    async def _reopen_after(self, pause_s: float) -> None:
        await trio.sleep(pause_s)
        self._reopen()

    def _reopen(self) -> None:
        """A commit ended without a verdict: what is on the disk decides, so read it again and go on from there."""
        try:
            self.store = self.parts.reopen()
        except StoreError as error:
            pause_s = self._reopening.pause_s()
            log.critical("the store cannot be opened again; the next attempt is in %.0f s: %s", pause_s, error)
            self._reopen_in(pause_s)
        else:
            self.engine.reset(self.store)

    def _follow_root(self, events: Sequence[Event]) -> None:
        """Let the listener show certificates of the root that has come into force."""
        if any(event.kind == ROTATED for event in events):
            self.show_leaves()

    def show_leaves(self) -> None:
        """Let the listener show new certificates, and peers on channels dial anew in time."""
        self.listener.use_leaves(self.parts.leaves())
        shown = self.listener.now_shown
        if shown is not None:
            self.channels.renew(shown)

    def _shows_what_is_to_come(self) -> bool:
        """Whether the listener's certificate is not valid yet: a clock that was ahead has made it, as at the start of a machine."""
        shown = self.listener.now_shown
        return shown is not None and shown.not_before > self.parts.clock.wall()

    def outer_door(self) -> FacesDoor:
        """The door as the faces see it; a world may stand before it and watch."""
        return self.door

    def faces(self) -> Faces:
        """What the HTTP application of this platform is made of."""
        parts = self.parts
        chance = parts.randomness.stream("requests")
        return Faces(
            door=self.outer_door(),
            events=self.hub,
            health=Readiness(self.engine, parts.clock, lambda: self.store, parts.certificates_end),
            openapi=partial(document, VERSION),
            new_request_id=lambda: uuid7(parts.clock.wall(), chance),
        )

    # --- channels ------------------------------------------------------------------------------------------------

    def _channel_parts(self) -> ChannelParts:
        federation, vault = self.parts.settings.federation, self.parts.vault

        def serve(call: Call, done: Callable[[Answer], None]) -> None:
            request_id = self.made_faces.new_request_id()
            try:
                self.made_faces.door.handle(evolve(call, headers={**call.headers, "x-request-id": request_id}), done)
            except Exception:
                log.exception("the door failed on request %s", request_id)
                done(internal_error(request_id))

        return ChannelParts(
            serve=serve,
            other_end=lambda source: self.door.other_end(source),
            opened=lambda peer_id, ours: self.engine.tell(Ref(PEER.name, peer_id), ChannelOpened(ours)),
            ended=self._channel_ended,
            open_sealed=lambda sealed, purpose: vault.open(sealed, purpose).reveal_bytes(),
            silence_s=max(CHANNEL_SILENCE_MIN_S, 3 * federation.heartbeat_interval_s),
            wall=self.parts.clock.wall,
        )

    async def _hold(self, upgrade: Upgrade) -> bool:
        """Answer a peer that asks for a channel; whether it has one."""
        faces = self.made_faces
        prove: Callable[[ClientIdentity], str | None] = lambda identity: self.channels.proof(identity, upgrade.stream)  # noqa: E731
        leave = await admitted(faces.door, prove, faces.new_request_id, upgrade, full=self.listener.full)
        if leave is None:
            return False
        source = source_of(upgrade.scope)
        shown = self.listener.shown(source.connection_id)
        return await self.channels.accept(
            upgrade, leave.peer_id, source, leave.proof, leave.identity, ours_wins=leave.ours_wins, shown=shown
        )

    def _channel_ended(self, peer_id: str, lasted_s: float) -> None:
        self.engine.tell(Ref(PEER.name, peer_id), ChannelEnded(lasted_s))

    def _cut(self, peer_id: str) -> None:
        self.channels.cut(peer_id)
        self.listener.cut_peer(peer_id)
        for side in SIDES:
            self._cut_relayed(side, peer_id)

    def _follow_consents(self, events: Sequence[Event]) -> None:
        """End at once what is relayed on a consent that is withdrawn."""
        for side, peer_id in withdrawn(events):
            self._cut_relayed(side, peer_id)

    def _cut_relayed(self, side: Side, peer_id: str) -> None:
        if side == "relayed":
            self.listener.cut(lambda source: source.relayed_by == peer_id)
        elif self.relay is not None:
            self.relay.cut(peer_id)

    def services(self, public: Listeners, loopback: Listeners) -> list[ChildSpec]:
        """What runs as long as the platform does, in the order in which it starts."""

        async def drive(service: Service) -> None:
            with service.until_stop():
                await self.driver.run(task_status=service)

        async def listen(service: Service) -> None:
            async with trio.open_nursery() as nursery:
                stop = trio.Event()
                nursery.start_soon(partial(self.listener.serve, tls=public, loopback=loopback, stop=stop, task_status=service))
                with service.until_stop():
                    await trio.sleep_forever()
                stop.set()

        async def renew(service: Service) -> None:
            service.started()
            shown_at = self.parts.clock.now()
            while True:
                await trio.sleep(LISTENER_LEAF_LOOKED_AT_EVERY_S)
                if self.parts.clock.now() - shown_at >= LISTENER_LEAF_RENEWED_EVERY_S or self._shows_what_is_to_come():
                    self.show_leaves()
                    shown_at = self.parts.clock.now()

        async def keep_alive(service: Service) -> None:
            service.started()
            await self.channels.keep_alive()

        async def keep_books(service: Service) -> None:
            service.started()
            if self.relay is not None:
                await self.relay.keep_books()
            await trio.sleep_forever()

        return [
            ChildSpec("actors", drive),
            ChildSpec("listener", listen, shutdown=self.parts.limits.grace_s + DRAIN_S),
            ChildSpec("channels", keep_alive),
            ChildSpec("hub", keep_books),
            ChildSpec("leaf-renewal", renew),
            ChildSpec("hang-ups", self.hang_ups.run),
        ]

    def hang_up(self) -> None:
        """End what would wait for ever: event streams and kept connections."""
        self.hub.close()
        self.channels.close()
        self.remote.close()

    async def drain(self) -> None:
        """Let commits under way end and evidence reach the disk before the store closes."""
        if self.relay is not None:
            self.relay.tell()
            self.engine.run()
        self.engine.flush_evidence()
        with trio.move_on_after(DRAIN_S):
            while self.engine.run() or not self.engine.quiescent:
                await trio.sleep(0.005)
