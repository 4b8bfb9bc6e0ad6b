"""Network address translation and firewalls, on the axes of RFC 4787 (UDP) and RFC 5382 (TCP).

Lives here: one box between an inside and an outside: which outside port stands for whom, who may answer, for how long. Must not live
here: routing through several boxes (see `network`), links, time.

A box that is no translator (`translates=False`) keeps addresses and only filters: a stateful firewall.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, Literal

import attrs

Transport = Literal["tcp", "udp"]
Endpoint = tuple[str, int]
"""An address and a port."""

Dependence = Literal["endpoint_independent", "address_dependent", "address_and_port_dependent"]
"""What of the remote a mapping or a filter depends on (RFC 4787, sections 4.1 and 5)."""

Allocation = Literal["preserve", "sequential", "random"]

FIRST_PORT: Final = 20_000
LAST_PORT: Final = 59_999
UDP_TIMEOUT_S: Final = 300.0
"""RFC 4787, REQ-5: the default; two minutes are the least."""
TCP_TIMEOUT_S: Final = 7_440.0
"""RFC 5382, REQ-5: two hours and four minutes."""


@attrs.frozen
class NatRules:
    """How a box behaves.

    Attributes:
        mapping: whose outside port is shared. filtering: who may send to it.
        allocation: how an outside port is chosen; `preserve` keeps the inside one if it is free.
        udp_timeout_s, tcp_timeout_s: after which silence a mapping is forgotten. Only what goes out counts (RFC 4787, REQ-6).
        hairpin: whether two insiders reach each other by the outside address.
        udp_blocked: nothing but streams passes.
        translates: False for a firewall without translation.
    """

    mapping: Dependence = "endpoint_independent"
    filtering: Dependence = "address_and_port_dependent"
    allocation: Allocation = "preserve"
    udp_timeout_s: float = UDP_TIMEOUT_S
    tcp_timeout_s: float = TCP_TIMEOUT_S
    hairpin: bool = False
    udp_blocked: bool = False
    translates: bool = True


@attrs.define(eq=False)
class Mapping:
    """An outside endpoint that stands for an inside one.

    Attributes:
        remotes: whom the insider has sent to by this mapping, and when last.
        last_out_at: when it last sent anything.
    """

    transport: Transport
    inside: Endpoint
    outside: Endpoint
    remotes: dict[Endpoint, float] = attrs.field(factory=dict)
    last_out_at: float = 0.0


class Nat:
    """One box. `outside` is its address on the outer side; `name` names the network on its inner side."""

    def __init__(self, name: str, outside: str, rules: NatRules, chance: random.Random, *, outer: str = "") -> None:
        self.name = name
        self.outside = outside
        self.rules = rules
        self.outer = outer
        self.forwards: dict[tuple[Transport, int], Endpoint] = {}
        self.reboots = 0
        self._chance = chance
        self._mappings: dict[tuple[Transport, Endpoint, object], Mapping] = {}
        self._by_outside: dict[tuple[Transport, Endpoint], Mapping] = {}
        self._incoming: dict[Mapping, None] = {}
        self._next_port = FIRST_PORT

    def outbound(self, transport: Transport, inside: Endpoint, remote: Endpoint, now: float) -> Mapping | None:
        """The mapping by which something goes out; None if the box lets nothing of that kind out."""
        if transport == "udp" and self.rules.udp_blocked:
            return None
        key = (transport, inside, _part(self.rules.mapping, remote))
        mapping = self._mappings.get(key)
        if mapping is not None and self._expired(mapping, now):
            self._forget(key, mapping)
            mapping = None
        if mapping is None:
            outside = (self.outside, self._port(transport, inside[1], now)) if self.rules.translates else inside
            mapping = self._mappings[key] = Mapping(transport, inside, outside)
            self._by_outside[(transport, outside)] = mapping
        mapping.remotes[remote] = mapping.last_out_at = now
        return mapping

    def inbound(self, transport: Transport, outside: Endpoint, remote: Endpoint, now: float) -> Endpoint | None:
        """Whom something from `remote` reaches that arrives for `outside`; None if the box drops it."""
        if transport == "udp" and self.rules.udp_blocked:
            return None
        forwarded = self.forwards.get((transport, outside[1]))
        # Whoever only filters lets calls for that one pass; it cannot turn those for somebody else to it.
        if forwarded is not None and (self.rules.translates or forwarded == outside):
            return forwarded
        mapping = self._by_outside.get((transport, outside))
        if mapping is None or self._expired(mapping, now) or not self._admits(mapping, remote, now):
            return None
        return mapping.inside

    def let_in(self, transport: Transport, outside: Endpoint, inside: Endpoint, remote: Endpoint, now: float) -> Mapping:
        """What the box remembers of a stream that it has let in to `inside`: as much as of one that went out, and as long."""
        known = self._by_outside.get((transport, outside))
        if known is not None and known.inside == inside and not self._expired(known, now):
            return known
        mapping = Mapping(transport, inside, outside, {remote: now}, now)
        self._incoming[mapping] = None
        return mapping

    def ended(self, mapping: Mapping) -> None:
        """A stream that was let in is over."""
        self._incoming.pop(mapping, None)

    def carries(self, mapping: Mapping, now: float) -> bool:
        """Whether a stream that was set up by `mapping` still passes."""
        known = mapping in self._incoming or self._by_outside.get((mapping.transport, mapping.outside)) is mapping
        return known and not self._expired(mapping, now)

    def used(self, mapping: Mapping, remote: Endpoint, now: float) -> None:
        """The insider has sent something again by `mapping`."""
        mapping.remotes[remote] = mapping.last_out_at = now

    def reboot(self) -> None:
        """Forget every mapping, and what was let in; forwards are configuration and stay."""
        self.reboots += 1
        self._mappings.clear()
        self._incoming.clear()
        self._by_outside.clear()

    def change_address(self, outside: str) -> None:
        """Get another outside address from the provider; everything that stood for the former one is gone."""
        self.outside = outside
        self.reboot()

    def mappings(self, now: float) -> Iterator[Mapping]:
        """The mappings in force, in the order in which they came about; for traces."""
        return (mapping for mapping in self._mappings.values() if not self._expired(mapping, now))

    def _timeout_s(self, transport: Transport) -> float:
        return self.rules.udp_timeout_s if transport == "udp" else self.rules.tcp_timeout_s

    def _expired(self, mapping: Mapping, now: float) -> bool:
        return now - mapping.last_out_at >= self._timeout_s(mapping.transport)

    def _admits(self, mapping: Mapping, remote: Endpoint, now: float) -> bool:
        wanted = _part(self.rules.filtering, remote)
        since = now - self._timeout_s(mapping.transport)
        return any(_part(self.rules.filtering, known) == wanted for known, at in mapping.remotes.items() if at > since)

    def _forget(self, key: tuple[Transport, Endpoint, object], mapping: Mapping) -> None:
        del self._mappings[key]
        if self._by_outside.get((mapping.transport, mapping.outside)) is mapping:
            del self._by_outside[(mapping.transport, mapping.outside)]

    def _port(self, transport: Transport, inside_port: int, now: float) -> int:
        def free(port: int) -> bool:
            holder = self._by_outside.get((transport, (self.outside, port)))
            return (holder is None or self._expired(holder, now)) and (transport, port) not in self.forwards

        if self.rules.allocation == "preserve" and free(inside_port):
            return inside_port
        count = LAST_PORT - FIRST_PORT + 1
        start = self._chance.randrange(count) if self.rules.allocation == "random" else self._next_port - FIRST_PORT
        port = next((FIRST_PORT + (start + step) % count for step in range(count) if free(FIRST_PORT + (start + step) % count)), FIRST_PORT)
        self._next_port = FIRST_PORT + (port + 1 - FIRST_PORT) % count
        return port


def _part(dependence: Dependence, remote: Endpoint) -> object:
    if dependence == "endpoint_independent":
        return None
    return remote[0] if dependence == "address_dependent" else remote
