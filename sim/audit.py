"""The audit of determinism: a seed is run again in a second process under another hash seed, and the first event that differs is named.

Lives here: the comparison, and the second process (`python -m sim.audit`). Must not live here: how a verdict is shown.

Two runs are compared by their digests. Only if those differ are both run again, event by event: first as fingerprints, which cover messages
and records whole, and then what stands around the first one that differs.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from sim.drivers import driven
from sim.scenario.load import load
from sim.scenario.run import run
from sim.trace.events import TraceEvent
from sim.trace.tracer import Tracer

CONTEXT: Final = 5
HASH_SEEDS: Final = ("1", "2")
CHILD: Final = "sim.audit"


class AuditError(Exception):
    """The second process did not do what it was there for."""


@attrs.frozen
class Divergence:
    """The first event that differs.

    Attributes:
        number: its number, counted from 1, or the number of the event that one of both runs does not have.
        before: the lines of the events before it, equal in both.
        here, there: the event in this process and in the other one; None where the run had ended.
    """

    number: int
    before: tuple[str, ...]
    here: Mapping[str, Any] | None
    there: Mapping[str, Any] | None

    @property
    def fields(self) -> list[str]:
        """In what the two events differ."""
        if self.here is None or self.there is None:
            return []
        return [name for name, value in self.here.items() if name != "line" and value != self.there[name]]


@attrs.frozen
class Verdict:
    """What an audit of one seed has found.

    Attributes:
        here, there: the digests of both runs.
        divergence: None if the digests are equal, and if they differ but no event did when the runs were repeated.
    """

    seed: int
    here: str
    there: str
    divergence: Divergence | None = None

    @property
    def equal(self) -> bool:
        return self.here == self.there


def other_hash_seed() -> str:
    """A hash seed that this process does not run under."""
    return next(seed for seed in HASH_SEEDS if seed != os.environ.get("PYTHONHASHSEED"))


def audit(
    path: Path, seeds: Sequence[int], *, driver: str = "step", context: int = CONTEXT, hash_seed: str | None = None
) -> Iterator[Verdict]:
    """Compare runs of a scenario file here with the same in another process.

    Args:
        driver: how handlers are run in the other process; here it is always `step`.
        hash_seed: `PYTHONHASHSEED` of the other process.

    Raises:
        AuditError: the other process failed.
        ScenarioError: the file is no scenario.
    """
    scenario = load(path)
    other = _Other(path, driver, hash_seed or other_hash_seed())
    for seed, there in zip(seeds, other.digests(seeds), strict=True):
        here = run(scenario, seed, explain=False).digest
        divergence = None if here == there else _divergence(path, seed, other, context)
        yield Verdict(seed, here, there, divergence)


def _divergence(path: Path, seed: int, other: _Other, context: int) -> Divergence | None:
    here, there = fingerprints(path, seed, "step"), other.fingerprints(seed)
    pairs = enumerate(itertools.zip_longest(here, there))
    index = next((index for index, (one, two) in pairs if one != two), None)
    if index is None:
        return None
    first = max(0, index - context)
    shown = [around(path, seed, "step", first, index + 1), other.around(seed, first, index + 1)]
    at = index - first
    mine, theirs = (dict(events[at]) if len(events) > at else None for events in shown)
    return Divergence(index + 1, tuple(event["line"] for event in shown[0][:at]), mine, theirs)


class _Other:
    """The same questions, answered by another process."""

    def __init__(self, path: Path, driver: str, hash_seed: str) -> None:
        self._path = path
        self._driver = driver
        self._hash_seed = hash_seed

    def _ask(self, what: str, *words: object) -> list[str]:
        command = [sys.executable, "-m", CHILD, what, str(self._path), self._driver, *map(str, words)]
        environment = {**os.environ, "PYTHONHASHSEED": self._hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise AuditError(f"the second process ended with {done.returncode}: {last}")
        return done.stdout.splitlines()

    def digests(self, seeds: Sequence[int]) -> list[str]:
        return self._ask("digests", *seeds)

    def fingerprints(self, seed: int) -> list[str]:
        return self._ask("fingerprints", seed)

    def around(self, seed: int, first: int, end: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._ask("around", seed, first, end)]


# --- what both processes do ----------------------------------------------------------------------------------------------


def digests(path: Path, driver: str, seeds: Sequence[int]) -> Iterator[str]:
    """The digest of every seed."""
    scenario = load(path)
    with driven(driver) as drive:
        for seed in seeds:
            yield run(scenario, seed, drive=drive, explain=False).digest


def fingerprints(path: Path, seed: int, driver: str) -> list[str]:
    """The fingerprint of every event."""
    found: list[str] = []
    _traced(path, seed, driver, lambda event: found.append(event.fingerprint))
    return found


def around(path: Path, seed: int, driver: str, first: int, end: int) -> list[dict[str, Any]]:
    """Events `first` up to before `end`, counted from 0, with their lines."""
    found: list[dict[str, Any]] = []

    def listen(event: TraceEvent) -> None:
        if first < event.seq <= end:
            found.append({"line": event.line, **event.document()})

    _traced(path, seed, driver, listen)
    return found


def _traced(path: Path, seed: int, driver: str, listener: Callable[[TraceEvent], None]) -> None:
    with driven(driver) as drive:
        run(load(path), seed, tracer=Tracer(listener), drive=drive)


def _main(what: str, path: str, driver: str, *words: str) -> None:
    numbers = [int(word) for word in words]
    if what == "digests":
        for digest in digests(Path(path), driver, numbers):
            print(digest)
    elif what == "fingerprints":
        print("\n".join(fingerprints(Path(path), numbers[0], driver)))
    else:
        for event in around(Path(path), numbers[0], driver, numbers[1], numbers[2]):
            print(json.dumps(event))


if __name__ == "__main__":
    _main(*sys.argv[1:])
