"""The same scenario at both levels, and where they tell different stories.

Lives here: the comparison, as values. Must not live here: how a level works. The socket level is the measure: it runs the daemon's own
listener, client, HTTP and TLS, so that a difference is a kindness of the frame level, a fault of one of them, or chance.

Chance is why times are compared with a tolerance: both levels draw from the same seed, but not in the same order, so that latencies, and
the moments at which timers with jitter ring, differ. Chance also decides races. What differs under one seed is therefore chance, and no
difference, if the frame level tells the story of the sockets under another seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal

import attrs

from actors.settings import FederationSettings
from runtime.values import evolve
from sim.scenario.history import Change, History
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario

OTHER_SEEDS: Final = 20
"""So many other seeds the frame level has to tell the story of the sockets, before a difference counts."""

OWN_S: Final = 5.0
"""What an operator does to the own platform travels over no link: only its session and its commit take time."""

REQUEST_S: Final = 15.0
"""A request across: a connection that is tried and given up, and another one; over sockets what is lost is sent again meanwhile."""

LOOK_S: Final = 75.0
"""Silence is found out by looks, one a minute, each with a test of the endpoints that may take its whole time limit."""

OWN: Final = frozenset({"registered", "operator_revoked", "operator_suspended", "operator_resumed"})
ACROSS: Final = frozenset({"token_redeemed"})
LOOKED_FOR: Final = frozenset({"contact_lost"})

Level = Literal["frames", "sockets"]


@attrs.frozen
class Difference:
    """One thing that the levels do not agree on. `at` is in seconds since the start of the world."""

    about: Literal["verdict", "status", "answer"]
    at: float
    text: str


@attrs.frozen
class Comparison:
    """What came of one seed at both levels.

    Attributes:
        chance: the seed under which the frame level tells what it did not tell under this one; None if there was no difference, or is one.
    """

    frames: Result
    sockets: Result
    differences: tuple[Difference, ...]
    chance: int | None = None


def at_level(scenario: Scenario, level: Level) -> Scenario:
    """The scenario with every platform at one level."""
    platforms = tuple(evolve(platform, level=None) for platform in scenario.platforms)
    return evolve(scenario, world=evolve(scenario.world, level=level), platforms=platforms)


def tolerance_of(scenario: Scenario) -> Callable[[Change], float]:
    """How far apart the levels may be about a change of a status, seconds, by what moves it.

    What is told by heartbeats needs a whole interval: after a cut both sides find each other at the next one, and where in the interval it
    falls follows from all the jitter that was drawn before.
    """
    default = FederationSettings().heartbeat_interval_s
    interval_s = max(float(platform.settings.get("heartbeat_interval_s", default)) for platform in scenario.platforms)
    slow_s = 10 * max(platform.fsync_s for platform in scenario.platforms)

    def tolerance(change: Change) -> float:
        if change.trigger in OWN:
            return OWN_S + slow_s
        if change.trigger in ACROSS:
            return REQUEST_S + slow_s
        return LOOK_S if change.trigger in LOOKED_FOR else interval_s + REQUEST_S

    return tolerance


def compare(scenario: Scenario, seed: int, tolerance_s: float | None = None) -> Comparison:
    """Run a scenario at both levels under one seed. Without a tolerance it is that of the scenario."""
    tolerance = tolerance_of(scenario) if tolerance_s is None else lambda change: tolerance_s
    frames, sockets = (run(at_level(scenario, level), seed, explain=False) for level in ("frames", "sockets"))
    found = _differences(frames, sockets, tolerance)
    if found:
        for other in range(seed + 1, seed + 1 + OTHER_SEEDS):
            if not _differences(run(at_level(scenario, "frames"), other, explain=False), sockets, tolerance):
                return Comparison(frames, sockets, (), other)
    return Comparison(frames, sockets, found)


def _differences(frames: Result, sockets: Result, tolerance: Callable[[Change], float]) -> tuple[Difference, ...]:
    found = [
        *_verdicts(frames, sockets),
        *_answers(frames.history, sockets.history),
        *statuses(frames.history, sockets.history, tolerance),
    ]
    return tuple(sorted(found, key=lambda difference: difference.at))


def _verdicts(frames: Result, sockets: Result) -> Iterator[Difference]:
    """What one level complains of and the other does not, by checker."""
    for level, here, there in (("frames", frames, sockets), ("sockets", sockets, frames)):
        known = {failure.checker for failure in there.failures}
        for failure in here.failures:
            if failure.checker not in known:
                yield Difference("verdict", failure.at, f"only {level}: {failure.checker}: {failure.text}")


def _answers(frames: History, sockets: History) -> Iterator[Difference]:
    for name in dict.fromkeys((*frames.answers, *sockets.answers)):
        one, other = frames.answers.get(name, "no_answer"), sockets.answers.get(name, "no_answer")
        if one != other:
            yield Difference("answer", 0.0, f"{name!r} is answered {one} at frame level and {other} over sockets")


def statuses(frames: History, sockets: History, tolerance: Callable[[Change], float]) -> Iterator[Difference]:
    """Statuses that a row takes at one level and has not within the tolerance of that moment at the other; the first of each row."""
    told: set[tuple[str, str]] = set()
    sides = (("frame level", frames, sockets), ("sockets", sockets, frames))
    changes = [(change, level, there) for level, here, there in sides for change in here.changes]
    for change, level, there in sorted(changes, key=lambda found: found[0].at):
        row, tolerance_s = (change.on, change.peer), tolerance(change)
        near = there.statuses(*row, change.at - tolerance_s, change.at + tolerance_s)
        # The end of the world cuts off what would have come a moment later.
        if change.status in near or row in told or change.at + tolerance_s > there.end:
            continue
        told.add(row)
        seen = ", ".join(str(status) for status in dict.fromkeys(near))
        yield Difference("status", change.at, f"{change.peer} on {change.on} becomes {change.status} only at {level}; the other has {seen}")


def distances(frames: History, sockets: History) -> Iterator[tuple[str, float]]:
    """Trigger and seconds: how far apart the levels are about each change that both have. It is what the tolerances are judged by."""
    moments: list[dict[tuple[str, str, str, str], list[float]]] = []
    for history in (frames, sockets):
        found: dict[tuple[str, str, str, str], list[float]] = {}
        for change in history.changes:
            found.setdefault((change.on, change.peer, change.status, change.trigger), []).append(change.at)
        moments.append(found)
    for key, here in moments[0].items():
        yield from ((key[3], abs(one - other)) for one, other in zip(here, moments[1].get(key, ()), strict=False))
