"""The domain name system of a world: names, what each network sees of them, what each host remembers, and how it all fails.

Lives here: resolution with its faults, as values. Must not live here: which address may be dialled (`actors.addresses`), or routing.

A host remembers an answer for its time to live (RFC 1035) and a missing name for a shorter one (RFC 2308), so that a change of address
reaches it late. A server that fails or is silent is not remembered. What is remembered is used even while the servers are away.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import attrs

from sim.links import Flap

Trouble = Literal["nxdomain", "servfail", "timeout"]

TTL_S: Final = 300.0
MISSING_TTL_S: Final = 30.0
LOOK_UP_S: Final = 0.01
"""How long a server takes to answer."""


@attrs.define
class Name:
    """One name.

    Attributes:
        addresses: what the world sees. views: what one network (by the name of its NAT) sees instead: split horizon.
        trouble: what every server answers now. flap: `trouble` holds only while this is down.
    """

    addresses: tuple[str, ...]
    ttl_s: float = TTL_S
    views: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    trouble: Trouble | None = None
    flap: Flap | None = None

    def fails(self, now: float) -> Trouble | None:
        """What is wrong with the name at `now`."""
        return self.trouble if self.flap is None or self.flap.down(now) else None


@attrs.frozen
class Resolved:
    """The addresses of a name, best first, and after how long they are known."""

    addresses: tuple[str, ...]
    delay_s: float


@attrs.frozen
class Unresolved:
    """A name without an address. `after_s`: when that is known; None: nobody answers."""

    trouble: Trouble
    after_s: float | None


class Names:
    """All names, and the memory of every host."""

    def __init__(self) -> None:
        self._names: dict[str, Name] = {}
        self._memory: dict[tuple[str, str], tuple[float, tuple[str, ...]]] = {}
        self._blind: dict[str, Trouble] = {}

    def set(self, name: str, addresses: Sequence[str] | None = None, *, ttl_s: float | None = None) -> Name:
        """Let `name` have these addresses from now on (None: as before); whoever remembers others finds out when they expire."""
        entry = self._names.setdefault(name, Name(()))
        if addresses is not None:
            entry.addresses = tuple(addresses)
        if ttl_s is not None:
            entry.ttl_s = ttl_s
        return entry

    def get(self, name: str) -> Name | None:
        """The entry of a name."""
        return self._names.get(name)

    def trouble(self, name: str, trouble: Trouble | None, flap: Flap | None = None) -> None:
        """Let every server answer so for `name`; None ends it."""
        entry = self._names.setdefault(name, Name(()))
        entry.trouble, entry.flap = trouble, flap

    def blind(self, host: str, trouble: Trouble | None) -> None:
        """Let the resolver of one host answer so for every name; None ends it."""
        if trouble is None:
            self._blind.pop(host, None)
        else:
            self._blind[host] = trouble

    def forget(self, host: str) -> None:
        """Empty the memory of a host, as after a restart of its machine."""
        for key in [key for key in self._memory if key[0] == host]:
            del self._memory[key]

    def heal(self) -> None:
        """End every fault; changed addresses and memories stay."""
        self._blind.clear()
        for entry in self._names.values():
            entry.trouble = entry.flap = None

    def resolve(self, host: str, view: str, name: str, now: float) -> Resolved | Unresolved:
        """What `host`, in the network `view` (empty: the public one), finds for `name` now."""
        known_until, known = self._memory.get((host, name), (-1.0, ()))
        if now < known_until:
            return Resolved(known, 0.0) if known else Unresolved("nxdomain", 0.0)
        entry = self._names.get(name)
        trouble = self._blind.get(host) or ("nxdomain" if entry is None else entry.fails(now))
        if trouble == "timeout":
            return Unresolved(trouble, None)
        if trouble == "servfail":
            return Unresolved(trouble, LOOK_UP_S)
        addresses = () if entry is None or trouble is not None else entry.views.get(view, entry.addresses)
        self._memory[(host, name)] = (now + (entry.ttl_s if entry is not None and addresses else MISSING_TTL_S), addresses)
        return Resolved(addresses, LOOK_UP_S) if addresses else Unresolved("nxdomain", LOOK_UP_S)
