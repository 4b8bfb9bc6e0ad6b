"""The hub at frame level: a path of two paths through a platform that relays, with the consents, limits and books of production.

Lives here: how a connection that asks a hub for another name finds its other end, and what the two halves are together. Must not live
here: a rule (`actors.hub` and the door decide), or bytes: nothing is hidden from a hub that is given nothing.

What is left out: rates, which would need the sizes of everything that TLS adds, and the cut of connections on which nothing moves, because
what is kept here is given up earlier. Whoever needs them asks the socket level, where `net.relay` itself runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
import msgspec

from actors.hub.ledger import LASTING, Lane, Ledger, limits_of
from actors.hub.messages import Counted
from actors.hub.record import KIND as HUB
from actors.hub.routing import NoRoute, Route
from actors.limits import RELAY_TOKEN_CHARS
from actors.ports import FetchRelayed
from net.limits import CLIENT_HANDSHAKE_S, RELAY_TOLD_EVERY_S
from net.remote_faults import no_identity, timed_out, unreachable
from runtime.actor import Ref
from sim.connections import Connection, Dial
from sim.links import CLOSED, LOST, RESET, Kind, Transit
from sim.network import Direction, Path

if TYPE_CHECKING:
    from sim.world import Host

RELAYED_PATH: Final = "/federation_api/relayed"
UNRECOGNIZED_NAME: Final = "TLS handshake failed: tlsv1 unrecognized name"
INTERNAL_ERROR: Final = "TLS handshake failed: tlsv1 alert internal error"

State = Literal["open", "reset", "half_open"]


class RelayedPath(Path):
    """One connection through a hub: from the caller to the hub, and from there back along the one by which the peer has fetched it."""

    def __init__(self, first: Path, leg: Path, passes: Callable[[], bool], spent: Callable[[Direction, int], None]) -> None:
        """`passes`: whether the hub's process does anything. `spent` is told of what it has passed on."""
        self._first = first
        self._leg = leg
        self._passes = passes
        self._spent = spent
        self._closed = False
        self._told: list[Callable[[], None]] = []
        self.source, self.target = first.source, leg.source
        self.seen, self.port, self.opening_s = first.seen, first.port, first.opening_s
        for half in (first, leg):
            half.on_end(self._half_ended)

    @property
    def state(self) -> State:
        halves = (self._first.state, self._leg.state)
        return "reset" if "reset" in halves else "half_open" if "half_open" in halves else "open"

    @state.setter
    def state(self, state: State) -> None:
        raise AttributeError("its halves say so")

    def transit(self, direction: Direction, size: int, kind: Kind, now: float) -> Transit:
        ways: tuple[tuple[Path, Direction], ...] = ((self._first, "out"), (self._leg, "back"))
        if direction == "back":
            ways = ((self._leg, "out"), (self._first, "back"))
        if self._closed or self.state != "open":
            return RESET if self.state == "reset" else CLOSED
        taken_s = 0.0
        for path, way in ways:
            part = path.transit(way, size, kind, now + taken_s)
            if part.delay_s is None:
                return part
            taken_s += part.delay_s
            if not self._passes():
                # It has arrived at the hub's machine, and goes no further while the process stands still.
                return LOST
        self._spent(direction, size)
        return Transit((taken_s,))

    def calm(self, within_s: float, now: float) -> bool:
        """Never said of a way through a hub: it counts what passes, and may refuse it."""
        return False

    def is_cut(self, direction: Direction, now: float) -> bool:
        ways = (("out", self._first), ("back", self._leg)) if direction == "out" else (("out", self._leg), ("back", self._first))
        return any(path.is_cut(way, now) for way, path in ways)  # type: ignore[arg-type]

    def news_s(self, direction: Direction, now: float) -> float | None:
        outward, inward = ((self._first, "out"), (self._leg, "back")) if direction == "out" else ((self._leg, "out"), (self._first, "back"))
        one, other = outward[0].news_s(outward[1], now), inward[0].news_s(inward[1], now)  # type: ignore[arg-type]
        return None if one is None or other is None else one + other

    def on_end(self, callback: Callable[[], None]) -> None:
        self._told.append(callback)

    def reset(self) -> None:
        self._first.reset()
        self._leg.reset()

    def lose(self, forgot: str | None = None) -> None:
        self._first.lose(forgot)
        self._leg.lose(forgot)

    def close(self) -> None:
        self._closed = True
        self._first.close()
        self._leg.close()
        self._end()

    def _half_ended(self) -> None:
        self.reset()
        self._end()

    def _end(self) -> None:
        told, self._told = self._told, []
        for callback in told:
            callback()


@attrs.define(eq=False)
class Waiting:
    """A connection that waits at a hub to be fetched. One of the two callbacks is called, once."""

    peer_id: str
    lane: Lane
    path: Path
    fetched: Callable[[RelayedPath, Host, str], None]
    refused: Callable[[str], None]


class SimulatedHub:
    """The hub of one incarnation of one host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.ledger = Ledger(limits_of(host.federation))
        self._incarnation = host.incarnation
        self._waiting: dict[str, Waiting] = {}
        self._open: dict[RelayedPath, str] = {}
        self._telling = False

    def relays(self, name: str) -> bool:
        """Whether a connection that asks for this name is not for the hub itself."""
        return self.host.door.relay_route(name) is not None

    def entry(self, name: str, path: Path, fetched: Callable[[RelayedPath, Host, str], None], refused: Callable[[str], None]) -> None:
        """A connection asks for a name that is not ours: have the peer fetch it."""
        route = self.host.door.relay_route(name)
        if isinstance(route, NoRoute):
            self._refuse(route.peer_id, route.reason, refused)
        elif isinstance(route, Route):
            lane = self.ledger.admit(route, path.seen[0], self._now)
            if isinstance(lane, str):
                self._tell_soon()
                refused(_alert(lane))
            else:
                if self.host.world.onlooker is not None:
                    self.host.world.onlooker.relays(self.host, route.peer_id, path.seen[0])
                self._announce(name, Waiting(route.peer_id, lane, path, fetched, refused))
        else:
            refused(INTERNAL_ERROR)

    def _announce(self, name: str, waiting: Waiting) -> None:
        chance = self.host.randomness.stream("relay")
        token = "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=RELAY_TOKEN_CHARS))
        self._waiting[token] = waiting

        def given_up(reason: str) -> None:
            if self._waiting.pop(token, None) is not None:
                self.ledger.close(waiting.lane)
                self._refuse(waiting.peer_id, reason, waiting.refused)

        def answered(status: int) -> None:
            if status != 202:
                given_up("peer_refused")

        body = {"token": token, "server_name": name, "client_address": waiting.path.seen[0]}
        self.host.world.timeline.after(self.host.federation.hub_open_s, self.host._fenced(lambda: given_up("not_fetched")))
        if self.host.channels is None or not self.host.channels.tell(
            waiting.peer_id, RELAYED_PATH, msgspec.json.encode(body), answered, lambda: given_up("no_channel")
        ):
            given_up("no_channel")

    def leg(self, token: str, connection: Connection, hub_id: str) -> None:
        """A peer fetches what waits for it. `hub_id`: what this hub is called there."""
        waiting = self._waiting.get(token)
        if waiting is None or self.host.door.other_end(connection.source) != waiting.peer_id:
            connection.close()
            return
        del self._waiting[token]
        lane, there = waiting.lane, self.host.world.hosts[connection.path.source]

        def spent(direction: Direction, size: int) -> None:
            self.ledger.spend(lane, "to" if direction == "out" else "from", size, self._now)
            self._tell_soon()

        def ended() -> None:
            if self._open.pop(path, None) is not None:
                self.ledger.close(lane)
                self._tell_soon()

        path = RelayedPath(waiting.path, connection.path, lambda: self.host.responsive, spent)
        self._open[path] = waiting.peer_id
        self.ledger.opened(lane)
        path.on_end(ended)
        there.relayed.take(path, hub_id)
        waiting.fetched(path, there, hub_id)

    def open_to(self, peer_id: str) -> int:
        """How many connections are relayed to the peer, for whoever watches."""
        return sum(whose == peer_id for whose in self._open.values())

    @property
    def open_now(self) -> int:
        """How many connections are relayed or wait to be, whatever the books say."""
        return len(self._open) + len(self._waiting)

    def cut(self, peer_id: str) -> None:
        """End every connection that is relayed to the peer."""
        for token, waiting in [each for each in self._waiting.items() if each[1].peer_id == peer_id]:
            del self._waiting[token]
            self.ledger.close(waiting.lane)
            waiting.refused(INTERNAL_ERROR)
        for path in [path for path, whose in self._open.items() if whose == peer_id]:
            path.reset()

    def _refuse(self, peer_id: str, reason: str, refused: Callable[[str], None]) -> None:
        self.ledger.refuse(peer_id, reason, self._now)
        self._tell_soon()
        refused(_alert(reason))

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self.host.world.timeline.after(RELAY_TOLD_EVERY_S, self.host._fenced(self._tell))

    def _tell(self) -> None:
        self._telling = False
        for peer_id, counts in self.ledger.untold().items():
            told = Counted(
                connections=counts.connections,
                refused=counts.refused,
                bytes_to=counts.bytes_to,
                bytes_from=counts.bytes_from,
                open_now=counts.open_now,
            )
            self.host.engine.tell(Ref(HUB.name, peer_id), told)
        self.host._pump_now()

    @property
    def _now(self) -> float:
        return self.host.world.timeline.now


class RelayedHere:
    """The connections that hubs have handed over to one host."""

    def __init__(self) -> None:
        self._open: dict[RelayedPath, str] = {}

    def take(self, path: RelayedPath, hub_id: str) -> None:
        """A connection has been fetched."""
        self._open[path] = hub_id
        path.on_end(lambda: self._drop(path))

    def _drop(self, path: RelayedPath) -> None:
        self._open.pop(path, None)

    def cut(self, hub_id: str) -> None:
        """End every connection that came through this hub."""
        for path in [path for path, whose in self._open.items() if whose == hub_id]:
            path.reset()


@attrs.define(eq=False)
class Fetch:
    """The port `FetchRelayed`: one connection that waits at a hub, until its one outcome."""

    host: Host
    request: FetchRelayed
    presented: tuple[bytes, ...] | str
    done: Callable[[Any], None]
    probed: list[dict[str, Any]] = attrs.field(factory=list)
    index: int = 0
    finished: bool = False

    def start(self) -> None:
        """Dial the hub."""
        if isinstance(self.presented, str):
            self._finish(no_identity(self.presented))
            return
        late = lambda: self._finish(timed_out(self.request.timeout_s, self.probed))  # noqa: E731
        self.host.world.timeline.after(self.request.timeout_s, self.host._fenced(late))
        self._next_url()

    def _finish(self, outcome: Any) -> None:
        if not self.finished:
            self.finished = True
            self.done(outcome)

    def _next_url(self) -> None:
        if self.finished:
            return
        if self.index == len(self.request.urls):
            self._finish(unreachable(self.probed))
            return
        assert not isinstance(self.presented, str)
        url = self.request.urls[self.index]
        self.index += 1
        self.probed.append({"url": url, "reachable": False})
        limits = self.request.connect_timeout_s, CLIENT_HANDSHAKE_S
        Dial(self.host, url, self.presented, self.request.expectation, *limits, self._opened, self._not_ready).start()

    def _not_ready(self, code: str, reason: str) -> None:
        self.probed[-1].update(error=code, reason=reason)
        self._next_url()

    def _opened(self, connection: Connection) -> None:
        hub, timeline = connection.server.hub, self.host.world.timeline
        delay_s = connection.path.transit("out", RELAY_TOKEN_CHARS, "frame", timeline.now).delay_s
        if self.finished or hub is None or delay_s is None:
            connection.close()
            self._not_ready("not_a_hub" if hub is None else "connection_lost", "the remote relays nothing")
            return
        token = self.request.token.reveal()
        timeline.after(delay_s, lambda: self._arrive(hub, token, connection))
        self._finish(self.request.urls[self.index - 1])

    def _arrive(self, hub: SimulatedHub, token: str, connection: Connection) -> None:
        if connection.path.is_cut("out", self.host.world.timeline.now):
            return
        if connection.server.hub is hub and connection.server.running and connection.path.state == "open":
            hub.leg(token, connection, self.request.peer_id)


def _alert(reason: str) -> str:
    return UNRECOGNIZED_NAME if reason in LASTING else INTERNAL_ERROR
