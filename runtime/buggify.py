"""Places in production code at which a simulated world may choose the rarer of two allowed behaviours.

Lives here: the register of sites, and the choice of a seeded world. Must not live here: a behaviour that would be wrong: what a site does
must be allowed by the contracts at any time, only improbable (a slow port, a deadline told twice, a commit of its own).

Production code asks `buggify(SITE)`, which is False without a world. In a world some sites are on and the others off for a whole run
(swarm testing: a run in which everything happens hides what needs quiet), and one that is on fires now and then.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

SITE_ON: Final = 0.25
"""The chance that a site is on in a run."""

SITE_FIRES: Final = 0.25
"""The chance that a site which is on fires when it is asked."""

SITES: Final[dict[str, str]] = {}
"""Name of a site to what happens there when it fires."""

Decide = Callable[[str], bool]


def site(name: str, text: str) -> str:
    """Register a site; the name is given back.

    Raises:
        ValueError: there is one of that name.
    """
    if name in SITES:
        raise ValueError(f"there is a site {name} already")
    SITES[name] = text
    return name


def never(name: str) -> bool:
    """What production has in place of a world."""
    return False


class Buggify:
    """The choices of one world.

    Attributes:
        on: the sites that may fire in this run.
        fired: how often each has.
    """

    def __init__(self, chance: random.Random) -> None:
        self.on = frozenset(name for name in sorted(SITES) if chance.random() < SITE_ON)
        self.fired: Counter[str] = Counter()
        self._chance = chance

    def __call__(self, name: str) -> bool:
        if name not in self.on or self._chance.random() >= SITE_FIRES:
            return False
        self.fired[name] += 1
        return True
