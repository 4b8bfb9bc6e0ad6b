"""Who reaches whom: hosts, the boxes between them, names, and the paths of open connections.

Both levels of the simulator ask the same questions here, so that a partition, a NAT or a name server means the same to a whole request
and to a segment of TLS:

    network.resolve(source, name, now)            -> Resolved | Unresolved
    network.connect(source, address, port, now)   -> Path | Failure
    path.transit("out" | "back", size, kind, now) -> Transit          # when it arrives, or why it never does
    path.on_end(callback)                                             # the connection was reset; half-open ones tell nobody
    network.datagram(source, port, to, now, size) -> Delivery | Failure

Everything is a question about this moment and an answer as a value; nothing here waits or schedules: whoever asks lets the time pass.
Must not live here: time on the way (see `links`), translation (`nat`), resolution (`names`), or anything that is sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final, Literal

import attrs

from sim.links import CLOSED, RESET, Kind, Links, Transit
from sim.names import Names, Resolved, Unresolved
from sim.nat import Endpoint, Mapping, Nat, NatRules, Transport

Direction = Literal["out", "back"]
"""`out`: from whoever connected; `back`: to it."""

Listening = Literal["listening", "refusing", "silent"]
"""A host whose program runs, whose machine runs alone, and one that is not there at all."""

FIRST_PORT: Final = 32_768
PORTS: Final = 28_232
HANDSHAKE_BYTES: Final = 60


@attrs.frozen
class Failure:
    """No connection. `code` is one of `net.addresses.DialFailed`; `after_s`: when that is known, None: silence for as long as one waits."""

    code: str
    reason: str
    after_s: float | None = None


@attrs.define(eq=False)
class Place:
    """Where a host is: its address in the network `realm` (the name of a NAT; empty: the public one)."""

    name: str
    address: str
    realm: str
    listening: Callable[[], Listening]
    next_port: int = FIRST_PORT


@attrs.frozen
class Delivery:
    """A datagram that a box or an address lets through: whom it reaches, from where as that one sees it, and when."""

    target: str
    port: int
    source: Endpoint
    transit: Transit


class Path:
    """One connection between two hosts, as the network sees it.

    Attributes:
        source, target: names of the hosts; `source` connected.
        seen: address and port of `source` as `target` sees them (those of the outermost NAT).
        port: the port on which `target` is reached, which a box may have changed.
        opening_s: how long the exchange of SYN and SYN-ACK took.
        state: `open`; `reset`: over, and both ends were told; `half_open`: over, and nobody knows. A half-open connection that one end
            has forgotten is reset by the next thing sent to that end, once it is there again.
    """

    def __init__(self, network: Network, source: str, target: str, seen: Endpoint, crossed: tuple[Crossing, ...]) -> None:
        self.source = source
        self.target = target
        self.seen = seen
        self.port = 0
        self.opening_s = 0.0
        self.state: Literal["open", "reset", "half_open"] = "open"
        self._network = network
        self._out = network.links.between(source, target)
        self._back = network.links.between(target, source)
        self._crossed = crossed
        self._ended: list[Callable[[], None]] = []
        self._last_out = self._last_back = 0.0
        self._late_out_s = self._late_back_s = 0.0
        self._forgot: str | None = None

    def transit(self, direction: Direction, size: int, kind: Kind, now: float) -> Transit:
        """What becomes of `size` bytes that leave in a direction now. Segments of one direction arrive in order."""
        out = direction == "out"
        if self.state == "half_open" and self._forgot == (self.target if out else self.source) and self._network.is_up(self._forgot):
            self.state = "reset"
            return RESET
        if self.state != "open" or (self._crossed and not self._carried(direction, now)):
            return CLOSED
        transit = (self._out if out else self._back).transit(now, size, kind, self._network.links.chance)
        if not transit.delays_s:
            return transit
        late_s = self._late_out_s if out else self._late_back_s
        if kind != "segment":
            return transit if not late_s else Transit(tuple(delay_s + late_s for delay_s in transit.delays_s), transit.corrupted)
        arrives_at = max(now + transit.delays_s[0] + late_s, self._last_out if out else self._last_back)
        if out:
            self._last_out = arrives_at
        else:
            self._last_back = arrives_at
        return Transit((arrives_at - now,))

    def calm(self, within_s: float, now: float) -> bool:
        """Whether a frame that is sent now reaches the other end and an answer comes back within a time, whatever chance says. Says no
        where that must be tried: at boxes, which remember what passes, and at faults."""
        if self.state != "open" or self._crossed or self._late_out_s or self._late_back_s:
            return False
        return self._out.calm_s(now) + self._back.calm_s(now) <= within_s

    def is_cut(self, direction: Direction, now: float) -> bool:
        """Whether what would arrive now is lost: a cut takes what is under way, too."""
        return (self._out if direction == "out" else self._back).is_cut(now)

    def news_s(self, direction: Direction, now: float) -> float | None:
        """How long the news of the end of the connection is under way; None if it cannot pass now."""
        out = direction == "out"
        delay_s = (self._out if out else self._back).transit(now, HANDSHAKE_BYTES, "segment", self._network.links.chance).delay_s
        return None if delay_s is None else delay_s + (self._late_out_s if out else self._late_back_s)

    def delay(self, sender: str, late_s: float) -> None:
        """Let what one of the two ends sends from now on arrive so much later; 0 is at once."""
        if sender == self.source:
            self._late_out_s = late_s
        else:
            self._late_back_s = late_s

    def readable(self, direction: Direction, available: int) -> int:
        """How many of `available` bytes one read gets that came in a direction; fewer only on links with short reads."""
        link = self._out if direction == "out" else self._back
        chance = self._network.links.chance
        if available > 1 and link.short_reads and chance.random() < link.short_reads:
            return chance.randint(1, available - 1)
        return available

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back when the connection is reset. Each end asks for itself, and decides when it notices."""
        self._ended.append(callback)

    def reset(self) -> None:
        """End the connection with both ends told."""
        if self.state == "open":
            self.close()
            self.state = "reset"
            ended, self._ended = self._ended, []
            for callback in ended:
                callback()

    def lose(self, forgot: str | None = None) -> None:
        """End the connection with nobody told: what either end sends is lost. `forgot`: the end that knows nothing of it any more."""
        if self.state == "open":
            self.close()
            self.state, self._forgot = "half_open", forgot

    def close(self) -> None:
        """The orderly end: the network forgets the connection."""
        self._network.forget(self)

    def forgotten(self) -> None:
        """The boxes that have let the connection in need remember it no longer."""
        for crossing in self._crossed:
            crossing.nat.ended(crossing.mapping)

    def _carried(self, direction: Direction, now: float) -> bool:
        for crossing in self._crossed:
            if not crossing.nat.carries(crossing.mapping, now):
                self.lose()
                return False
            if direction == crossing.outward:
                crossing.nat.used(crossing.mapping, crossing.remote, now)
        return True


@attrs.frozen
class Crossing:
    """A box on a path, and what it remembers of the connection. `outward`: the direction in which things leave its inside."""

    nat: Nat
    mapping: Mapping
    remote: Endpoint
    outward: Direction = "out"


@attrs.frozen
class _Route:
    place: Place
    port: int
    source: Endpoint
    crossed: tuple[Crossing, ...]


class Network:
    """All hosts of a world, their links, boxes and names, and every open connection."""

    def __init__(self, links: Links, chance: random.Random) -> None:
        self.links = links
        self.names = Names()
        self.nats: dict[str, Nat] = {}
        self.places: dict[str, Place] = {}
        self._chance = chance
        self._holders: dict[str, dict[str, Place | Nat]] = {"": {}}
        self._paths: dict[Path, None] = {}
        self._renumbered = 0

    # --- what there is -------------------------------------------------------------------------------------------

    def add_nat(self, name: str, rules: NatRules, *, outside: str | None = None, outer: str = "") -> Nat:
        """A box with a network of its own behind it. `outer`: the network that it is in (carrier-grade layers).

        Raises:
            KeyError: there is no network `outer`.
        """
        number = len(self.nats) + 1
        address = outside or (f"62.1.{number // 256}.{number % 256}" if not outer else f"100.64.{number // 256}.{number % 256}")
        nat = Nat(name, address, rules, self._chance, outer=outer)
        self._holders[outer][address] = nat
        self._holders[name] = {}
        self.nats[name] = nat
        return nat

    def add(self, name: str, listening: Callable[[], Listening], *, realm: str = "", address: str | None = None) -> Place:
        """A host in a network.

        Raises:
            KeyError: there is no network `realm`.
        """
        place = Place(name, address or self._new_address(realm), realm, listening)
        self._holders[realm][place.address] = place
        self.places[name] = place
        return place

    def move(self, name: str, *, address: str | None = None) -> str:
        """Give a host another address, which is returned: its connections are lost without a word, and names know nothing of it yet."""
        place = self.places[name]
        del self._holders[place.realm][place.address]
        place.address = address or self._new_address(place.realm)
        self._holders[place.realm][place.address] = place
        for path in self.paths(name):
            path.lose()
        return place.address

    def renumber_nat(self, name: str) -> None:
        """Give a box an outside address that nobody had before."""
        self._renumbered += 1
        outer = self.nats[name].outer
        self.move_nat(name, f"62.2.0.{self._renumbered}" if not outer else f"100.65.0.{self._renumbered}")

    def move_nat(self, name: str, outside: str) -> None:
        """Give a box another outside address; connections through it are lost without a word."""
        nat = self.nats[name]
        del self._holders[nat.outer][nat.outside]
        nat.change_address(outside)
        self._holders[nat.outer][outside] = nat

    def forward(self, nat: str, name: str, port: int = 443) -> None:
        """Let a box hand everything that comes to its `port` to a host behind it."""
        self.nats[nat].forwards[("tcp", port)] = (self.places[name].address, port)

    def public_address(self, name: str) -> str:
        """The address by which the world would have to call a host: its own, or that of the outermost box in front of it."""
        place = self.places[name]
        address, realm = place.address, place.realm
        while realm:
            nat = self.nats[realm]
            address, realm = (nat.outside if nat.rules.translates else address), nat.outer
        return address

    def reach_through(self, name: str, hub: str) -> None:
        """Let the name of a host lead to another one, which relays for it."""
        entry = self.names.set(f"{name}.example.com", (self.public_address(hub),))
        entry.views.clear()

    def paths(self, one: str, other: str | None = None) -> list[Path]:
        """The open connections of a host, or between two, in the order in which they came about."""
        return [path for path in self._paths if one in (path.source, path.target) and other in (None, path.source, path.target)]

    def forget(self, path: Path) -> None:
        """A connection is over."""
        self._paths.pop(path, None)
        path.forgotten()

    def crashed(self, name: str, *, machine: bool = False) -> None:
        """The program of a host has ended, or its whole machine. A machine that lives tells the other ends; a dead one tells nobody."""
        for path in self.paths(name):
            if machine:
                path.lose(name)
            else:
                path.reset()

    def hurry(self, paths: Iterable[Path]) -> None:
        """Let what is sent on connections from now on be late no more."""
        for path in paths:
            path.delay(path.source, 0.0)
            path.delay(path.target, 0.0)

    def is_up(self, name: str) -> bool:
        """Whether the machine of a host answers at all."""
        return self.places[name].listening() != "silent"

    def heal(self) -> None:
        """End every fault of links, open connections and names; boxes and addresses are as they are."""
        self.links.heal()
        self.hurry(self._paths)
        self.names.heal()

    # --- questions -----------------------------------------------------------------------------------------------

    def resolve(self, source: str, name: str, now: float) -> Resolved | Unresolved:
        """The addresses that a host finds for a name now."""
        return self.names.resolve(source, self.places[source].realm, name, now)

    def connect(self, source: str, address: str, port: int, now: float) -> Path | Failure:
        """A connection, with the time that it takes to open, or why there is none."""
        route = self._route(source, "tcp", self._port(self.places[source]), address, port, now)
        if isinstance(route, Failure):
            return route
        there, back = self.links.between(source, route.place.name), self.links.between(route.place.name, source)
        out = there.transit(now, HANDSHAKE_BYTES, "segment", self.links.chance)
        again = back.transit(now, HANDSHAKE_BYTES, "segment", self.links.chance)
        listening = route.place.listening()
        if out.delay_s is None or again.delay_s is None or listening == "silent":
            return Failure("connect_timeout", "no answer")
        if listening == "refusing":
            return Failure("connect_refused", "ECONNREFUSED", out.delay_s + again.delay_s)
        path = Path(self, source, route.place.name, route.source, route.crossed)
        path.port = route.port
        path.opening_s = out.delay_s + again.delay_s
        self._paths[path] = None
        return path

    def datagram(self, source: str, port: int, to: Endpoint, now: float, size: int = 0) -> Delivery | Failure:
        """What becomes of a datagram that leaves a port of a host now."""
        route = self._route(source, "udp", port, *to, now)
        if isinstance(route, Failure):
            return route
        link = self.links.between(source, route.place.name)
        return Delivery(route.place.name, route.port, route.source, link.transit(now, size, "datagram", self.links.chance))

    def _route(self, source: str, transport: Transport, source_port: int, address: str, port: int, now: float) -> _Route | Failure:
        """Out through the boxes in front of the source until the address is known, then in through those in front of the target."""
        place = self.places[source]
        seen, realm, remote = (place.address, source_port), place.realm, (address, port)
        crossed: list[Crossing] = []
        while address not in self._holders[realm] and realm:
            nat = self.nats[realm]
            mapping = nat.outbound(transport, seen, remote, now)
            if mapping is None:
                return Failure("connect_timeout", "a firewall drops it")
            crossed.append(Crossing(nat, mapping, remote))
            seen, realm = mapping.outside, nat.outer
        holder = self._holders[realm].get(address) or self._behind_firewall(realm, address)
        while isinstance(holder, Nat):
            if not holder.rules.hairpin and any(crossing.nat is holder for crossing in crossed):
                return Failure("connect_timeout", "the NAT sends nothing back inside")
            inside = holder.inbound(transport, (address, port), seen, now)
            if inside is None:
                return Failure("connect_timeout", "a NAT drops it")
            if transport == "tcp":
                crossed.append(Crossing(holder, holder.let_in(transport, (address, port), inside, seen, now), seen, "back"))
            address, port = inside
            holder = self._holders[holder.name].get(address) or self._behind_firewall(holder.name, address)
        if holder is None:
            return Failure("unreachable", "EHOSTUNREACH", 0.0)
        return _Route(holder, port, seen, tuple(crossed))

    def _behind_firewall(self, realm: str, address: str) -> Nat | None:
        """The box without translation in this network behind which the address is."""
        for nat in self.nats.values():
            if nat.outer == realm and not nat.rules.translates and address in self._holders[nat.name]:
                return nat
        return None

    def _port(self, place: Place) -> int:
        place.next_port = FIRST_PORT + (place.next_port + 1 - FIRST_PORT) % PORTS
        return place.next_port

    def _new_address(self, realm: str) -> str:
        """An unused one; what the public network has is public in the sense of the address policy too."""
        if not realm or not self.nats[realm].rules.translates:
            number = len(self.places) + 1
            base = "60.1"
        else:
            number = len(self._holders[realm]) + 1
            base = f"10.{list(self.nats).index(realm) + 1}"
        while True:
            address = f"{base}.{number // 256}.{number % 256}"
            if all(address not in holders for holders in self._holders.values()):
                return address
            number += 1
