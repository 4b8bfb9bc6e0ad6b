"""The same scenario at both levels, and where they tell different stories.

Lives here: the comparison, as values. Must not live here: how a level works. The socket level is the measure: it runs the daemon's own
listener, client, HTTP and TLS, so that a difference is a kindness of the frame level, a fault of one of them, or chance.

Chance is why times are compared with a tolerance: both levels draw from the same seed, but not in the same order, so that latencies, and
the moments at which timers with jitter ring, differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import attrs

from actors.settings import FederationSettings
from sim.scenario.history import History
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario

TOLERANCE_S: Final = 15.0
"""How far apart the levels may be about when a row takes a status, beside one heartbeat: a connection that is tried and given up."""

Level = Literal["frames", "sockets"]


@attrs.frozen
class Difference:
    """One thing that the levels do not agree on. `at` is in seconds since the start of the world."""

    about: Literal["verdict", "status", "answer"]
    at: float
    text: str


@attrs.frozen
class Comparison:
    """What came of one seed at both levels."""

    frames: Result
    sockets: Result
    differences: tuple[Difference, ...]


def at_level(scenario: Scenario, level: Level) -> Scenario:
    """The scenario with every platform at one level."""
    platforms = tuple(attrs.evolve(platform, level=None) for platform in scenario.platforms)
    return attrs.evolve(scenario, world=attrs.evolve(scenario.world, level=level), platforms=platforms)


def tolerance_of(scenario: Scenario) -> float:
    """What is chance in a scenario, seconds: most of what a platform finds out, it finds out at its next heartbeat."""
    default = FederationSettings().heartbeat_interval_s
    return TOLERANCE_S + max(float(platform.settings.get("heartbeat_interval_s", default)) for platform in scenario.platforms)


def compare(scenario: Scenario, seed: int, tolerance_s: float | None = None) -> Comparison:
    """Run a scenario at both levels under one seed. Without a tolerance it is that of the scenario."""
    tolerance_s = tolerance_of(scenario) if tolerance_s is None else tolerance_s
    frames, sockets = (run(at_level(scenario, level), seed, explain=False) for level in ("frames", "sockets"))
    found = [
        *_verdicts(frames, sockets),
        *_answers(frames.history, sockets.history),
        *statuses(frames.history, sockets.history, tolerance_s),
    ]
    return Comparison(frames, sockets, tuple(sorted(found, key=lambda difference: difference.at)))


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


def statuses(frames: History, sockets: History, tolerance_s: float) -> Iterator[Difference]:
    """Statuses that a row takes at one level and has not within the tolerance of that moment at the other; the first of each row."""
    told: set[tuple[str, str]] = set()
    sides = (("frame level", frames, sockets), ("sockets", sockets, frames))
    changes = [(change, level, there) for level, here, there in sides for change in here.changes]
    for change, level, there in sorted(changes, key=lambda found: found[0].at):
        row = (change.on, change.peer)
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
