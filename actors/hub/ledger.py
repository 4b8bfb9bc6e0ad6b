"""What relaying may cost: who may open how much, how fast bytes may go, and what is counted for each peer.

Lives here: admission of connections, rates as buckets, counts. Must not live here: a connection or a clock (`now` is the caller's, in
seconds of any steady clock), or whose a connection is (see `routing`).
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

import attrs

from actors.door.rate_limits import source_key
from actors.hub.routing import Route
from actors.settings import FederationSettings
from runtime.values import Value

Direction = Literal["to", "from"]
REASONS: Final = (
    "source_denied", "source_not_permitted", "too_many_connections", "too_many_for_peer", "too_many_from_source", "too_many_new_for_peer",
    "too_many_new_from_source", "peer_not_in_force", "name_changed", "withdrawn", "no_channel", "peer_refused", "not_fetched",
)  # fmt: skip
"""Why a connection was not relayed, as stable words."""

LASTING: Final = frozenset({"peer_not_in_force", "name_changed", "source_denied", "source_not_permitted", "withdrawn"})
"""Reasons that time alone does not take away; whoever is refused is told so by another alert."""

_SOURCES_REMEMBERED: Final = 4_096


class HubLimits(Value, frozen=True, kw_only=True):
    """What all relaying together, one peer and one source may cost. Rates are bytes per second, both directions together.

    Attributes:
        connections, connections_per_peer, connections_per_source: relayed connections at a time.
        new_connections_per_peer, new_connections_per_source: relayed connections that begin within a minute.
        denied: networks from which nothing is relayed to anybody.
    """

    connections: int
    connections_per_peer: int
    connections_per_source: int
    new_connections_per_peer: int
    new_connections_per_source: int
    rate_bytes: int
    rate_bytes_per_peer: int
    denied: tuple[str, ...] = ()


def limits_of(federation: FederationSettings) -> HubLimits:
    """What relaying may cost, as configured."""
    return HubLimits(
        connections=federation.hub_connections,
        connections_per_peer=federation.hub_connections_per_peer,
        connections_per_source=federation.hub_connections_per_source,
        new_connections_per_peer=federation.hub_new_connections_per_peer,
        new_connections_per_source=federation.hub_new_connections_per_source,
        denied=federation.hub_denied_sources,
        rate_bytes=federation.hub_rate_bytes,
        rate_bytes_per_peer=federation.hub_rate_bytes_per_peer,
    )


class Counts(Value, frozen=True, kw_only=True):
    """What was relayed for one peer since it was counted last."""

    connections: int
    refused: Mapping[str, int]
    bytes_to: int
    bytes_from: int
    open_now: int


@attrs.define(eq=False)
class Lane:
    """One relayed connection."""

    peer_id: str
    source: str


@attrs.define(eq=False)
class _Bucket:
    """A rate with a burst of one second. What is taken beyond it is owed, and paid for by waiting."""

    rate: int
    tokens: float
    at: float

    def take(self, count: int, now: float) -> float:
        """Take `count`; how many seconds to wait before going on."""
        self.tokens = min(float(self.rate), self.tokens + (now - self.at) * self.rate)
        self.at = now
        self.tokens -= count
        return max(0.0, -self.tokens / self.rate)


@attrs.define(eq=False)
class _Pace:
    """How many connections may begin within a minute, all of them at once if need be."""

    most: int
    left: float
    at: float

    def ready(self, most: int, now: float) -> bool:
        """Whether another may begin, if `most` are allowed from now on."""
        self.left = min(float(most), self.left + (now - self.at) * most / 60.0)
        self.most, self.at = most, now
        return self.left >= 1.0


@attrs.define(eq=False)
class _PeerBook:
    """What is counted and allowed for one peer."""

    bucket: _Bucket
    pace: _Pace
    open_now: int = 0
    connections: int = 0
    bytes_to: int = 0
    bytes_from: int = 0
    refused: Counter[str] = attrs.field(factory=Counter)
    told: bool = True


class Ledger:
    """The books of one hub since its start."""

    def __init__(self, limits: HubLimits) -> None:
        self.limits = limits
        self._peers: dict[str, _PeerBook] = {}
        self._sources: Counter[str] = Counter()
        self._paces: OrderedDict[str, _Pace] = OrderedDict()
        self._all = _Bucket(limits.rate_bytes, float(limits.rate_bytes), 0.0)

    @property
    def open_now(self) -> int:
        """How many connections are open or about to be."""
        return sum(self._sources.values())

    def admit(self, route: Route, source: str, now: float) -> Lane | str:
        """A lane for a connection from the address `source`, or the reason why there is none; the caller closes the lane.

        A peer's own terms can only tighten what the settings allow to every peer, but for its rate of bytes, which is as they say. What is
        refused uses nothing up, so that nobody who is kept out can keep others out.
        """
        book = self._book(route.peer_id, now)
        limits, terms, key = self.limits, route.terms, source_key(source)
        most = min(terms.connections_max or limits.connections_per_peer, limits.connections_per_peer)
        fresh = min(terms.new_connections_max or limits.new_connections_per_peer, limits.new_connections_per_peer)
        pace = self._pace_of(key, now)
        if _inside(source, limits.denied) or _inside(source, terms.denied):
            reason = "source_denied"
        elif terms.sources and not _inside(source, terms.sources):
            reason = "source_not_permitted"
        elif self.open_now >= limits.connections:
            reason = "too_many_connections"
        elif book.open_now >= most:
            reason = "too_many_for_peer"
        elif self._sources[key] >= limits.connections_per_source:
            reason = "too_many_from_source"
        elif not pace.ready(limits.new_connections_per_source, now):
            reason = "too_many_new_from_source"
        elif not book.pace.ready(fresh, now):
            reason = "too_many_new_for_peer"
        else:
            pace.left -= 1.0
            book.pace.left -= 1.0
            rate = min(terms.rate_bytes or limits.rate_bytes_per_peer, limits.rate_bytes)
            if book.bucket.rate != rate:
                book.bucket = _Bucket(rate, float(rate), now)
            book.open_now += 1
            self._sources[key] += 1
            book.told = False
            return Lane(route.peer_id, key)
        self.refuse(route.peer_id, reason, now)
        return reason

    def refuse(self, peer_id: str, reason: str, now: float) -> None:
        """Count a connection to the peer that is not relayed."""
        book = self._book(peer_id, now)
        book.refused[reason] += 1
        book.told = False

    def opened(self, lane: Lane) -> None:
        """Count a connection that has reached the peer."""
        self._peers[lane.peer_id].connections += 1

    def spend(self, lane: Lane, direction: Direction, count: int, now: float) -> float:
        """Count bytes that are about to be passed on; how many seconds to wait before passing them."""
        book = self._peers[lane.peer_id]
        if direction == "to":
            book.bytes_to += count
        else:
            book.bytes_from += count
        book.told = False
        return max(book.bucket.take(count, now), self._all.take(count, now))

    def close(self, lane: Lane) -> None:
        """The connection is over; once for each lane."""
        book = self._peers[lane.peer_id]
        book.open_now -= 1
        book.told = False
        self._sources[lane.source] -= 1
        if not self._sources[lane.source]:
            del self._sources[lane.source]

    def untold(self) -> dict[str, Counts]:
        """What has changed since the last call, by peer; the caller has it kept."""
        told: dict[str, Counts] = {}
        for peer_id, book in list(self._peers.items()):
            if book.told:
                continue
            told[peer_id] = Counts(
                connections=book.connections,
                refused=dict(book.refused),
                bytes_to=book.bytes_to,
                bytes_from=book.bytes_from,
                open_now=book.open_now,
            )
            book.connections = book.bytes_to = book.bytes_from = 0
            book.refused.clear()
            book.told = True
        return told

    def _book(self, peer_id: str, now: float) -> _PeerBook:
        book = self._peers.get(peer_id)
        if book is None:
            rate = self.limits.rate_bytes_per_peer
            most = self.limits.new_connections_per_peer
            book = self._peers[peer_id] = _PeerBook(_Bucket(rate, float(rate), now), _Pace(most, float(most), now))
        return book

    def _pace_of(self, key: str, now: float) -> _Pace:
        """The pace of a source. Whose was asked for longest ago is forgotten first: a peer's own pace holds against very many sources."""
        most = self.limits.new_connections_per_source
        pace = self._paces.setdefault(key, _Pace(most, float(most), now))
        self._paces.move_to_end(key)
        while len(self._paces) > _SOURCES_REMEMBERED:
            self._paces.popitem(last=False)
        return pace


def _inside(source: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    # A socket for both versions shows an IPv4 address as one of IPv6, and no list means that.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=1024)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    return ipaddress.ip_network(text)
