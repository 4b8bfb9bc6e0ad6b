"""The registry of planted faults.

Lives here: the value of a plant, and the decorator. Must not live here: a fault.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import attrs

from sim.scenario.load import load

SCENARIOS = Path(__file__).parent.parent.parent / "scenarios"
COST_MAX = 50.0
"""Scenarios that cost more than so many hours of a platform's life are not searched: a thousand cheap runs find more in the same time."""


@functools.cache
def by_cost() -> tuple[Path, ...]:
    """The shipped scenarios that a hunt can afford, cheap ones first."""
    costs = {file: load(file).cost for file in sorted(SCENARIOS.glob("*.toml"))}
    return tuple(sorted((file for file, cost in costs.items() if cost <= COST_MAX), key=lambda file: (costs[file], file.name)))


class Patch(Protocol):
    """What a plant needs of pytest's `MonkeyPatch`."""

    def setattr(self, target: Any, name: str, value: Any) -> None: ...

    def setitem(self, dic: Any, name: Any, value: Any) -> None: ...


@attrs.frozen
class Plant:
    """One fault.

    Attributes:
        fault: what is wrong, in one line.
        apply: plants it, for as long as the patch lasts.
        scenarios: files in which it is looked for first; a hunt goes on with all others.
        blind: it was chosen by somebody who had not read the checkers.
        crashes: the fault is that something crashes; without this, what is found by a crash counts as a broken plant.
    """

    name: str
    fault: str
    apply: Callable[[Patch], None]
    scenarios: tuple[str, ...]
    blind: bool = False
    crashes: bool = False

    @property
    def files(self) -> tuple[Path, ...]:
        """The scenario files in the order of a hunt: the named ones, then all others, cheap ones first."""
        first = [SCENARIOS / f"{name}.toml" for name in self.scenarios]
        return (*first, *(file for file in by_cost() if file not in first))


PLANTS: dict[str, Plant] = {}
"""Name to plant."""


def plant(*scenarios: str, crashes: bool = False) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    """Register a function that plants a fault; its name is the plant's name, its docstring the fault."""

    def register(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        assert apply.__name__ not in PLANTS, apply.__name__
        blind = apply.__module__.endswith(".chosen_blind")
        fault = (apply.__doc__ or "").strip()
        PLANTS[apply.__name__] = Plant(apply.__name__, fault, apply, scenarios or ("happy-path",), blind, crashes)
        return apply

    return register


def handler(patch: Patch, message: type, replacement: Callable[[Any, Any, Any], None]) -> Callable[[Any, Any, Any], None]:
    """Let `replacement` handle a message of the peer actor; the former handler is returned."""
    from actors.peer.actor import PeerActor

    former = PeerActor.handlers[message]
    patch.setitem(PeerActor.handlers, message, replacement)
    return former
