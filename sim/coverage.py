"""What a run has touched, as a set of short texts: the states of actors in which messages came, transitions, answers, frames, faults.

Lives here: which events count as the same, and what there is that nobody has touched yet. Must not live here: how runs are chosen by it
(see `explore`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

import attrs

from runtime.buggify import SITES
from sim.lives import STEPS, UNREACHABLE
from sim.scenario.actions.registry import ACTIONS, FAULTS
from sim.trace.events import TraceEvent

_OPAQUE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[A-Za-z0-9_-]{24,}")
_NUMBER: Final = re.compile(r"\d+")


def feature(event: TraceEvent) -> str:
    """What an event touches. Events that differ only in time, platform or ids touch the same."""
    if event.kind == "turn":
        return f"turn {event.who.partition('/')[0]} {event.state or 'none'} {event.what}: {event.outcome}"
    if event.kind == "operator":
        return f"operator {event.outcome}"
    if event.kind == "step":
        return f"step {event.what.partition(' ')[0]}"
    if event.kind in ("call", "answer"):
        # What is asked for, not for whom or from where on.
        return f"{event.kind} {_OPAQUE.sub('ID', event.what.partition('?')[0])}"
    return f"{event.kind} {_NUMBER.sub('N', _OPAQUE.sub('ID', event.what))}"


class Touched:
    """The listener of a tracer that keeps what a run touches.

    Attributes:
        features: in the order in which they were first touched.
    """

    def __init__(self) -> None:
        self.features: dict[str, None] = {}

    def __call__(self, event: TraceEvent) -> None:
        self.features[feature(event)] = None


@attrs.frozen
class Untouched:
    """What there is and was never touched.

    Attributes:
        transitions: steps of the lifecycles of all kinds of rows (see `sim.lives`).
        actions: words that no document used, faults among them.
        faults: those of them that do harm.
        sites: of production code, at which improbable turns may be taken.
    """

    transitions: tuple[str, ...]
    actions: tuple[str, ...]
    faults: tuple[str, ...]
    sites: tuple[str, ...]


def untouched(features: Collection[str]) -> Untouched:
    """What these features leave out."""
    seen = set(features)
    # Those of recordings happen on platforms that play one, which nothing draws.
    words = _missing(sorted(word for word in ACTIONS if not word.startswith("recorded_")), "step", seen)
    faults = tuple(word for word in words if word in FAULTS)
    reachable = [step for step in STEPS if step not in UNREACHABLE]
    return Untouched(_missing(reachable, "life", seen), words, faults, _missing(sorted(SITES), "fault buggify", seen))


def _missing(names: Iterable[str], kind: str, seen: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if f"{kind} {name}" not in seen)
