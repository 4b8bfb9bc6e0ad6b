"""Platforms whose operator has just signed in: their disks, written once per process by the very actors that always write them.

Lives here: making and remembering such disks. Must not live here: what stands on them. Nearly every world begins with the same minute, in
which each platform gets its first operator and a session; a run need not go through it again, and is the same whether the disk was
remembered or not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from actors.settings import FederationSettings
from sim.identities import REMEMBERED_MAX, Person, named
from sim.store import MemoryStore
from sim.world import Host, World

BEFORE_S: Final = 2.0
"""How long before the start of a world its operators have signed in."""


@attrs.frozen
class Opened:
    """A platform with its first operator. `token` is the access token of the operator's session."""

    disk: MemoryStore
    token: str = attrs.field(repr=False)


def opened(who: Person) -> Opened:
    """The disk of a platform, as its operator's first sign-in has left it."""
    return _opened(who.name, who.number)


@lru_cache(maxsize=REMEMBERED_MAX)
def _opened(name: str, number: int) -> Opened:
    world = World(f"opening/{name}/{number}")
    host = Host(world, name, FederationSettings(), named(name, number))
    host.clock.offset_s = -BEFORE_S
    host.start()
    host.sign_in()
    assert world.timeline.now < BEFORE_S
    return Opened(host.store.image(), host.token)
