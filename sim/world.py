"""The simulated world at frame level: whole platforms in virtual time, in one thread, without sockets.

Lives here: hosts and their life (start, crash, restart), reachability, and the composition of a platform from the production actors and
door over simulated ports. Must not live here: a rule of the domain. It is, beside `api.composition`, the only one.

Same seed, same world: every draw comes from a stream of the seed, and events of one instant happen in the order in which they were made.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.audit_archive.record import ARCHIVE, PRUNING
from actors.certificates import pem_blocks
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import START_MARK_BITS, epoch_floor
from actors.door.call import Answer, Call, Source
from actors.door.families import PlatformDoor
from actors.governance.messages import Start
from actors.governance.record import KIND as GOVERNANCE
from actors.hub.lifecycle import SIDES, Side, withdrawn
from actors.operator.messages import CreateOperator
from actors.operator.permissions import PERMISSIONS
from actors.periodic.messages import Begin
from actors.ports import (
    CheckObject,
    EnsureCertificate,
    FetchRelayed,
    HashPassword,
    IssueIdentity,
    MakeRequest,
    Open,
    OpenChannel,
    ProbeRequest,
    RemoteRequest,
    Seal,
    SignRequest,
    SignStatement,
    SignToken,
    StoreObject,
    VerifyPassword,
    WriteRoutes,
)
from actors.registry import ACTORS, KINDS
from actors.rotation.actor import ROTATED
from actors.rotation.record import KIND as ROTATION
from actors.rotation.record import Root
from actors.settings import FederationSettings, Identity, Settings
from api.hang_ups import ENDINGS, HANG_UP_AFTER_S
from net.authority import REQUESTS as AUTHORITY_REQUESTS
from net.authority import Authority, Requests, Results
from net.credentials import Credentials, HashCost
from net.vault import MASTER_KEY_BYTES, Vault
from runtime.actor import Ref
from runtime.buggify import Buggify
from runtime.crash_policy import SupervisedCrashes
from runtime.engine import Engine, PortStart
from runtime.errors import Fault, InternalFault
from runtime.random import SeededRandomness
from runtime.reopening import Reopening
from runtime.secret import Secret
from runtime.store.port import Committed, Event, Unit
from runtime.trace import Trace
from runtime.values import Value
from sim.archive import MemoryArchive
from sim.channels import SimulatedChannels
from sim.clock import HostClock, Timeline
from sim.identities import SERVER_LEAF_LIFETIME_S, Person, person
from sim.links import Links
from sim.network import Listening, Network
from sim.onlooker import Former, Onlooker
from sim.proxy import MemoryProxy
from sim.relay import RelayedHere, SimulatedHub
from sim.releases import CURRENT, Release
from sim.remote import SimulatedRemote
from sim.schedule import Drawn, Schedule
from sim.server_checks import ServerChecks
from sim.store import Disk, MemoryStore
from sim.trace.tracer import TracedEngine, TracedTimeline, Tracer

if TYPE_CHECKING:
    from sim.sockets.level import SocketLevel

PASSWORD: Final = "correct horse battery staple"
CHEAP_HASH: Final = HashCost(memory_kib=8, passes=1, lanes=1)
PASSES_AT_ONCE_MAX: Final = 10_000
FRAMES_KEPT: Final = 100_000
"""Frames that can still be looked at; the digest knows of all."""

_ENCODER: Final = msgspec.msgpack.Encoder()


class Frame(Value, frozen=True, array_like=True, gc=False):
    """One thing that happened between two hosts, for traces."""

    at: float
    kind: str
    source: str
    target: str
    what: str


class SwitchedAuthority(Authority):
    """The production authority, which can be made unreadable."""

    down = False

    def handle(self, request: Requests) -> Results | Fault:
        if self.down:
            return InternalFault("ca_unavailable", "the certificate authority cannot be read", 503, retry_after_s=1.0)
        return super().handle(request)


class NoAnswerError(Exception):
    """A platform does not answer its own operator in time."""


class LivelockError(Exception):
    """A platform kept working without time passing."""


class World:
    """Hosts, the links between them, and one timeline. `frames` holds what passed between hosts lately, `frames_count` counts all of it.

    Args:
        seed: everything that is left to chance follows from it.
        scheduler_seed: if given, ready actors of each host are picked at random by it instead of in order of arrival.
        schedule: decides about them instead.
        tracer: is told everything that happens.
        drive: makes one pass of an engine, as `Engine.run`.
    """

    def __init__(
        self,
        seed: int | str,
        *,
        scheduler_seed: int | None = None,
        schedule: Schedule | None = None,
        tracer: Tracer | None = None,
        drive: Callable[[Engine], bool] = Engine.run,
    ) -> None:
        self.seed = seed
        self.tracer = tracer
        self.drive = drive
        self.timeline = Timeline() if tracer is None else TracedTimeline(tracer)
        self.chance = SeededRandomness(f"{seed}/world")
        self.links = Links(self.chance.stream("links"))
        self.network = Network(self.links, self.chance.stream("network"))
        self.hosts: dict[str, Host] = {}
        self.frames: deque[Frame] = deque(maxlen=FRAMES_KEPT)
        self.frames_count = 0
        self.commits_count = 0
        self._frames_digest = hashlib.blake2b(digest_size=16)
        self.schedule = Drawn(scheduler_seed) if schedule is None and scheduler_seed is not None else schedule
        self.onlooker: Onlooker | None = None
        self.server_checks = ServerChecks()
        self.sockets: SocketLevel | None = None
        self.buggify: Buggify | None = None
        self.chores = False

    def platform(self, name: str, **federation: Any) -> Host:
        """A new platform, started; keyword arguments are its federation settings."""
        host = Host(self, name, FederationSettings(**federation))
        self.hosts[name] = host
        host.open_signed_in()
        host.start()
        return host

    def record(self, kind: str, source: str, target: str, what: str) -> None:
        """Note a frame for the trace."""
        frame = Frame(self.timeline.now, kind, source, target, what)
        self.frames_count += 1
        self.frames.append(frame)
        self._frames_digest.update(_ENCODER.encode(frame))
        if self.tracer is not None:
            self.tracer.event(self.timeline.now, source, kind, target, what)

    def note(self, host: str, kind: str, what: str, who: str = "", **more: Any) -> None:
        """Tell the tracer, if there is one, of something that the current event has caused."""
        if self.tracer is not None:
            self.tracer.event(self.timeline.now, host, kind, who, what, **more)

    def note_effect_of(self, cause: int | None, host: str, kind: str, what: str, who: str = "", **more: Any) -> None:
        """Tell the tracer, if there is one, of something that an earlier event has caused."""
        if self.tracer is not None:
            with self.tracer.because_of(cause):
                self.tracer.event(self.timeline.now, host, kind, who, what, **more)

    def improbable(self, site: str) -> bool:
        """Whether production code takes its rarer turn at a site now."""
        return self.buggify is not None and self.buggify(site)

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        self.timeline.run_until(self.timeline.now + seconds)

    def run_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Let time pass until `condition` holds, at most `within_s`; whether it does."""
        deadline = self.timeline.now + within_s
        while not condition():
            if self.timeline.next_at is None or self.timeline.next_at > deadline:
                self.timeline.run_until(deadline)
                return condition()
            self.timeline.step()
        return True

    @property
    def events_count(self) -> int:
        """How much has happened: what fell due on the timeline, turns of actors, frames between hosts, and units made durable."""
        turns = sum(host.trace.turns for host in self.hosts.values())
        return self.timeline.fired + turns + self.frames_count + self.commits_count

    def close(self) -> None:
        """End whatever still runs; only hosts at socket level need it."""
        if self.sockets is not None:
            self.sockets.close()

    def digest(self) -> str:
        """One text for all that the actors of all hosts went through, and all that passed between hosts."""
        hosts = " ".join(f"{name}={host.trace.digest()}" for name, host in sorted(self.hosts.items()))
        return f"{hosts} frames={self._frames_digest.hexdigest()}"


@attrs.frozen
class Reply:
    """The answer to an operator's call; `cause` is the number of the traced event that gave it."""

    status: int
    body: Any
    headers: Mapping[str, str] = attrs.field(factory=dict)
    cause: int | None = None

    @property
    def data(self) -> Any:
        return self.body["data"]


class Host:
    """One platform: what survives a crash (keys, disk, clock), and the incarnation that runs now."""

    def __init__(
        self,
        world: World,
        name: str,
        federation: FederationSettings,
        who: Person | None = None,
        *,
        realm: str = "",
        release: Release = CURRENT,
    ) -> None:
        """
        Args:
            who: what makes it itself; one of the pool of its name if not given.
            realm: the name of the NAT that it is behind; empty: it has a public address.
        """
        self.world = world
        self.name = name
        self.url = f"https://{name}.example.com"
        self.clock = HostClock(world.timeline)
        self.randomness = SeededRandomness(f"{world.seed}/{name}")
        self.trace = Trace()
        self.incarnation = 0
        self.running = False
        self.power = True
        self.paused = False
        self.lag_s = 0.0
        self.ports_s = 0.0
        self._frozen: list[Callable[[], None]] = []
        self.release = release
        place = world.network.add(name, self._listening, realm=realm)
        names = world.network.names.set(f"{name}.example.com", (world.network.public_address(name),))
        if realm:
            names.views[realm] = (place.address,)
        self.boot_epoch = self.start_mark = self.history = 0
        self.copy: MemoryStore | None = None
        self.channels: SimulatedChannels | None = None
        self.hub: SimulatedHub | None = None
        self.relayed = RelayedHere()
        self.federation = federation
        self.become(person(name, world.seed) if who is None else who)
        self.interloper: Callable[[Call, Answer], Answer] | None = None
        self.store = MemoryStore(KINDS, chance=self.randomness, schedule=self._schedule, disk=Disk(), observe=self._committed)
        self.token = ""
        self._session = ""
        self._woken = False
        self._alarms: list[float] = []
        self.engine: Engine
        self.door: PlatformDoor

    def become(self, who: Person) -> None:
        """Be this platform from the next start on, with keys of its own."""
        self.who = who
        self.vault = Vault(self.randomness.token_bytes(MASTER_KEY_BYTES), self.randomness)
        self.instance_id, self.account_id, self.operator_id = who.instance_id, who.account_id, who.operator_id
        self.archive = MemoryArchive()
        self.proxy = MemoryProxy(self.vault.open)
        self.authority = self._authority(who.root_key, who.root)
        self.credentials = Credentials(who.token_key, self.randomness, CHEAP_HASH)
        self.server_chain = who.server_chain
        self._shown_root: Root | None = None

    def renew_server_chain(self) -> None:
        """Let the listener show a new certificate.

        Raises:
            AuthorityError: the root is not valid now.
        """
        root = self.rotated_root()
        leaves = self.authority.listener_leaves(
            [f"{self.name}.example.com"], [], SERVER_LEAF_LIFETIME_S, root.key if root is not None else None
        )
        chain = pem_blocks(leaves[1][0].decode())
        assert isinstance(chain, tuple)
        self.server_chain, self._shown_root = chain, root
        if self.channels is not None:
            self.channels.renew()

    def rotated_root(self) -> Root | None:
        """The root in force by what the disk holds; None is the first one."""
        row = self.store.load(ROTATION.name, self.instance_id)
        return None if row is None else row.record.current

    def _authority(self, key: ed25519.Ed25519PrivateKey, root: x509.Certificate) -> SwitchedAuthority:
        return SwitchedAuthority(
            key, root, instance_id=self.instance_id, clock=self.clock, randomness=self.randomness, vault=self.vault
        )  # fmt: skip

    # --- life ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start a process on what the disk holds.

        Raises:
            StoreError: the disk is full.
        """
        self.begin_as_another_start()
        self.running, self.paused = True, False
        self._woken, self._alarms = False, []
        self._pump, self._alarm = self._fenced(self._run_engine), self._fenced(self._ring)
        settings = self.settings()
        schedule, tracer = self.world.schedule, self.world.tracer
        self.world.note(self.name, "life", "start")
        if self.rotated_root() != self._shown_root:
            self.renew_server_chain()  # The disk is another one than that of the last start.
        made: Callable[..., Engine] = Engine if tracer is None else partial(TracedEngine, tracer, self.name)
        self.engine = made(
            store=self.store,
            clock=self.clock,
            randomness=self.randomness,
            actors=ACTORS,
            settings=settings,
            ports=self._ports(),
            crash_policy=SupervisedCrashes(ACTORS, self.clock, self.randomness),
            scheduler=None if schedule is None else schedule.of(self.name),
            trace=self.trace,
            buggify=self.world.improbable,
            wake=self._fenced(self._pump_now),
        )
        reopening = Reopening(self.clock)
        self.engine.on_unknown = lambda error: self._reopen_in(reopening.pause_s())
        self.engine.on_events.append(self._follow_root)
        self.door = PlatformDoor(self.engine, settings, self.credentials.public_key_pem)
        if self.federation.peer_channel:
            self.engine.on_events.append(self._hang_up)
            self.engine.on_events.append(self._follow_consents)
        self.hub, self.relayed = SimulatedHub(self) if self.federation.hub_enabled else None, RelayedHere()
        if self.world.onlooker is not None:
            self.world.onlooker.started(self)
        self.engine.start()
        self.begin_chores()
        self._pump_now()

    def begin_chores(self) -> None:
        """As the daemon, if the world wants it: peers are looked over and audit entries shipped by themselves, from the first start on."""
        if self.world.chores:
            self.engine.tell(Ref(GOVERNANCE.name, self.account_id), Start(self.account_id))
            for kind in (ARCHIVE, PRUNING):
                self.engine.tell(Ref(kind.name, self.account_id), Begin(self.account_id))

    def _hang_up(self, events: Sequence[Event]) -> None:
        """As the daemon: the channel of a peer ends a moment after the event that paused or ended its peering."""
        for event in events:
            if event.kind in ENDINGS and self.channels is not None:
                cut = partial(self._cut, self.channels, str(event.payload["federation_peer_id"]))
                self.world.timeline.after(HANG_UP_AFTER_S, self._fenced(cut))

    def _cut(self, channels: SimulatedChannels, peer_id: str) -> None:
        channels.cut(peer_id)
        for side in SIDES:
            self._cut_relayed(side, peer_id)

    def _follow_consents(self, events: Sequence[Event]) -> None:
        """As the daemon: what is relayed on a consent ends with the event that withdraws it."""
        for side, peer_id in withdrawn(events):
            self._cut_relayed(side, peer_id)

    def _cut_relayed(self, side: Side, peer_id: str) -> None:
        if side == "relayed":
            self.relayed.cut(peer_id)
        elif self.hub is not None:
            self.hub.cut(peer_id)

    def settings(self) -> Settings:
        """What the process that starts now is told of itself."""
        identity = Identity(
            instance_id=self.instance_id,
            url=self.url,
            ca_bundle_pem=self.authority.ca_bundle_pem,
            ca_fingerprint=self.authority.ca_fingerprint,
            ca_pin=self.authority.ca_pin,
            boot_epoch=self.boot_epoch,
            restored_at_epoch=int(self.store.meta_get("restored_at_epoch") or 0),
            account_id=self.account_id,
            start_mark=self.start_mark,
            history=self.history,
        )
        return Settings(identity, self.federation, platform_version=self.release.version, release_tag=self.release.tag)

    def _follow_root(self, events: Sequence[Event]) -> None:
        if any(event.kind == ROTATED for event in events):
            self.renew_server_chain()

    def crash(self, *, machine: bool = False) -> None:
        """Kill the process: fence it first, so that nothing it still tries has any effect, then keep what the disk kept.

        `machine`: the power goes, so that nobody is told of the end of connections and new ones meet silence instead of a refusal.
        """
        self.world.note(self.name, "life", "crash")
        self.incarnation += 1
        self.running = self.paused = False
        self.power = not machine
        self._frozen.clear()
        self.world.network.crashed(self.name, machine=machine)
        if machine:
            self.world.network.names.forget(self.name)
        self.store = self.store.crash()

    def keep_copy(self) -> None:
        """Copy what is on the disk now."""
        self.copy = self.store.image()

    def put_back(self) -> None:
        """Put the copy in the place of what is on the disk; the process does not run."""
        assert self.copy is not None
        assert not self.running
        self.store.write_image(self.copy)

    @property
    def address(self) -> str:
        """The address by which the world would have to call it."""
        return self.world.network.public_address(self.name)

    def begin_as_another_start(self) -> None:
        """As the daemon: what tells this start of the process from every other.

        Raises:
            StoreError: the disk is full.
        """
        self.boot_epoch = self._next_epoch()
        self.start_mark = self.randomness.stream("start").getrandbits(START_MARK_BITS)
        self.history = self.store.last_cursor()

    def _next_epoch(self) -> int:
        """Above every earlier one, those of a later copy included, once operators have decided about it."""
        row = self.store.load(CONTINUITY.name, self.instance_id)
        floor = epoch_floor(row.record if row is not None else None)
        if int(self.store.meta_get("boot_epoch") or 0) < floor:
            self.store.meta_set("boot_epoch", str(floor))
        return self.store.bump_epoch()

    def _reopen_in(self, pause_s: float) -> None:
        """As the daemon does when a commit ends without a verdict: read what the disk kept, and go on from there."""

        def reopen() -> None:
            self.store = self.store.crash()
            self.engine.reset(self.store)
            self._pump_now()

        if pause_s > 0.0:
            self.world.timeline.after(pause_s, self._fenced(reopen))
        else:
            reopen()

    def _listening(self) -> Listening:
        return "silent" if not self.power else "listening" if self.running else "refusing"

    @property
    def responsive(self) -> bool:
        """Whether the process does anything: it runs and is not paused."""
        return self.running and not self.paused

    def pause(self) -> None:
        """Stop the process without ending it: it does nothing, while its machine goes on taking in what arrives."""
        self.paused = True
        self._paced()

    def unpause(self) -> None:
        """Let a paused process go on with everything that has come meanwhile."""
        self.paused = False
        self._paced()
        frozen, self._frozen = self._frozen, []
        for callback in frozen:
            callback()

    def slow(self, lag_s: float) -> None:
        """Let it take up what reaches it so much later, as a busy machine does, restarts included; 0 is at once."""
        if lag_s != self.lag_s:
            # That what was never slow is not slow now gives nobody a rest from the rules about time.
            self.lag_s = lag_s
            self._paced()
        if self.running and self._woken:
            # What waits was put off by as much as it was slow before.
            self._woken = False
            self._pump_now()

    def slow_disk(self, fsync_s: float) -> None:
        """Let every commit from now on take this long; those under way take what they began with."""
        former_s, self.store.disk.fsync_s = self.store.disk.fsync_s, fsync_s
        if fsync_s < former_s and self.world.onlooker is not None:
            self.world.onlooker.paced(self, former_s)

    def _paced(self) -> None:
        if self.world.onlooker is not None:
            self.world.onlooker.paced(self)

    def restart(self) -> None:
        """Start again after a crash."""
        self.power = True
        self.start()

    def _fenced(self, callback: Callable[[], None]) -> Callable[[], None]:
        """`callback` as long as this incarnation lives."""
        incarnation = self.incarnation

        def call() -> None:
            if self.incarnation == incarnation and self.running:
                if self.paused:
                    # Fenced anew, because a function that keeps itself would wait for the garbage collector.
                    self._frozen.append(self._fenced(callback))
                else:
                    callback()

        return call

    def _schedule(self, delay_s: float, callback: Callable[[], None]) -> None:
        if delay_s > 0:
            self.world.timeline.after(delay_s, self._fenced(callback))
        else:
            self.world.timeline.soon(self._fenced(callback))

    def _pump_now(self) -> None:
        """Let the engine run before anything else happens."""
        if not self._woken:
            self._woken = True
            if self.lag_s:
                self.world.timeline.after(self.lag_s, self._pump)
            else:
                self.world.timeline.soon(self._pump)

    def _run_engine(self) -> None:
        self._woken = False
        for _ in range(PASSES_AT_ONCE_MAX):
            if not self.world.drive(self.engine):
                break
        else:
            raise LivelockError(f"{self.name} works without end at {self.world.timeline.now:.3f} s")
        self._arm()

    def _arm(self) -> None:
        """See that an alarm is set for the earliest timer or before it. One that is set too early is left: it then only sets the next."""
        next_at = self.engine.next_timer_at()
        alarms = self._alarms
        if next_at < (alarms[-1] if alarms else math.inf):
            # Each is set before all others that are still to ring, so that the last one always rings first.
            alarms.append(next_at)
            self.world.timeline.at(next_at, self._alarm)

    def _ring(self) -> None:
        self._alarms.pop()
        if self.engine.next_timer_at() <= self.world.timeline.now:
            if self.lag_s:
                self._pump_now()
            else:
                self._run_engine()
        else:
            self._arm()

    def _ports(self) -> Mapping[type, PortStart]:
        remote = SimulatedRemote(self)
        self.channels = remote.with_channels()
        ports = (self.authority, self.vault, self.credentials)
        authority, vault, credentials = (self.taking_time(_direct(port.handle)) for port in ports)
        return {
            RemoteRequest: self._watched(remote.request),
            OpenChannel: self.channels.open,
            FetchRelayed: remote.fetch,
            ProbeRequest: remote.probe,
            **dict.fromkeys((IssueIdentity, MakeRequest, SignRequest, SignStatement), authority),
            **dict.fromkeys(AUTHORITY_REQUESTS, authority),
            **dict.fromkeys((Seal, Open), vault),
            **dict.fromkeys((HashPassword, VerifyPassword, SignToken), credentials),
            **dict.fromkeys((StoreObject, CheckObject), _direct(self.archive.handle)),
            **dict.fromkeys((WriteRoutes, EnsureCertificate), _direct(self.proxy.handle)),
        }

    def taking_time(self, start: PortStart) -> PortStart:
        """The port `start`, whose outcomes come as late as `ports_s` says."""

        def call(request: Any, done: Callable[[Any], None]) -> None:
            if self.ports_s > 0.0:
                start(request, lambda outcome: self._schedule(self.ports_s, lambda: self.tell_engine(lambda: done(outcome))))
            else:
                start(request, done)

        return call

    def send_as_platform(self, request: RemoteRequest, done: Callable[[Any], None]) -> None:
        """Send a request that no actor asked for."""
        self.tell_engine(lambda: self.engine.port(RemoteRequest)(request, done))

    def tell_engine(self, what: Callable[[], object]) -> None:
        """Do something to the engine from outside of its turns."""
        what()

    def handle(self, call: Call, done: Callable[[Answer], None], source: str = "") -> None:
        """A call arrives at this host's door; the answer of a dead incarnation goes nowhere.

        Args:
            source: the name of the host that sent it, for whoever watches.
        """
        incarnation, onlooker = self.incarnation, self.world.onlooker

        def answered(answer: Answer) -> None:
            if self.incarnation == incarnation:
                if onlooker is not None:
                    onlooker.answered(self, call, source, answer)
                done(answer if self.interloper is None else self.interloper(call, answer))

        def arrive() -> None:
            if onlooker is not None:
                onlooker.arrived(self, call, source)
            self.door.handle(call, answered)
            self._pump_now()

        if self.paused:
            # It stands in the machine's buffers until the process reads it.
            self._frozen.append(self._fenced(arrive))
        else:
            arrive()

    def visited(self, call: Call, key_pem: bytes | None, by: Host, source: str, done: Callable[[Answer], None]) -> None:
        """A stranger calls. At frame level he stands at the door at once, with the certificates of which he holds the key.

        Args:
            key_pem: the key of the first certificate that he shows. by: from whose machine he calls. source: who he really is.
        """
        self.world.record("call", source, self.name, f"{call.method} {call.path.removeprefix('/api/v1/system')}")
        if self.running:
            self.handle(call, done, source)

    # --- for whoever watches -------------------------------------------------------------------------------------

    def _committed(self, unit: Unit, former: Former, result: Committed) -> None:
        self.world.commits_count += 1
        if self.world.onlooker is not None:
            self.world.onlooker.committed(self, unit, former, result)

    def _watched(self, start: PortStart) -> PortStart:
        """The port `start`, with word of each request and each outcome to whoever watches."""
        onlooker = self.world.onlooker
        if onlooker is None:
            return start

        def request(request: RemoteRequest, done: Callable[[Any], None]) -> None:
            def returned(outcome: Any) -> None:
                onlooker.returned(self, request, outcome)
                done(outcome)

            onlooker.sent(self, request)
            start(request, returned)

        return request

    # --- its operator --------------------------------------------------------------------------------------------

    def open_signed_in(self) -> None:
        """Let the disk be that of a platform whose operator has just signed in. Only before the first start, at the start of a world.

        A clock that disagrees would not have made that session, so that such a platform begins with an empty disk.
        """
        assert not self.boot_epoch
        if self.world.timeline.now == 0.0 and self.clock.offset_s == 0.0:
            from sim.opening import opened  # which needs a world itself

            ready = opened(self.who)
            self.store.write_image(ready.disk)
            self._session = ready.token

    def sign_in(self) -> Host:
        """Make the first operator if there is none, and sign in.

        Raises:
            NoAnswerError: it is too slow for that.
        """
        if self._session and self.world.timeline.now == 0.0 and self.clock.offset_s == 0.0:
            self.token, self._session = self._session, ""
            return self
        if self.engine.directory.find("operator", "email", "operator@example.com") is None:
            message = CreateOperator(
                account_id=self.account_id, by=None, email="operator@example.com", name="Operator", password=Secret(PASSWORD),
                permissions=tuple(PERMISSIONS),
            )  # fmt: skip
            made: list[Any] = []
            self.tell_engine(lambda: self.engine.ask(Ref("operator", self.operator_id), message, 30.0, made.append))
            # Hashing the password and the commit take as long as they take; a fault shows at the sign-in below.
            self.world.run_until(lambda: bool(made), 60.0)
        reply = self.call("POST", "/api/v1/auth/login", {"email": "operator@example.com", "password": PASSWORD})
        if reply is None or reply.status != 200:
            raise NoAnswerError(f"{self.name} does not let its operator sign in: {reply.body if reply is not None else 'no answer'}")
        self.token = reply.data["access_token"]
        return self

    def send(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> list[Reply]:
        """An operator's call, by the same door as any; the answer stands in the returned list once time has passed."""
        path, _, query = path.partition("?")
        pairs = dict(part.split("=", 1) for part in query.split("&")) if query else {}
        given = {"content-type": "application/json", "authorization": f"Bearer {self.token}", **(headers or {})}
        raw = b"" if body is None else json.dumps(body).encode()
        replies: list[Reply] = []
        call = Call(method, path, pairs, given, raw, Source("127.0.0.1", "loopback"))
        tracer = self.world.tracer

        def answered(answer: Answer) -> None:
            replies.append(Reply(answer.status, answer.body, answer.headers, None if tracer is None else tracer.current))

        self.handle(call, answered)
        return replies

    def call(self, method: str, path: str, body: Any = None, *, within_s: float = 60.0, headers: Any = None) -> Reply | None:
        """An operator's call and its answer; None if there was none in time (the host crashed)."""
        replies = self.send(method, path, body, headers=headers)
        self.world.run_until(lambda: bool(replies), within_s)
        return replies[0] if replies else None


def _direct(handle: Callable[[Any], Any]) -> PortStart:
    """A port that answers at once."""

    def start(request: Any, done: Callable[[Any], None]) -> None:
        done(handle(request))

    return start
