"""Seeds run again and again: under two hash seeds, in processes of their own, and under both drivers. All digests of a seed are equal.

Lives here: which seeds and files, and the comparison. At socket level the daemon's own driver runs in every process, so that two digests
of a seed are compared instead of four.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from runtime.clock import SystemClock
from tests.sweeps.corpus import scenarios
from tests.sweeps.program import ROOT
from tests.sweeps.progress import Progress

HASH_SEEDS = ("1", "2")
CHUNK = 20
"""Seeds that one process runs."""

COST_MAX = 10.0
"""Scenarios that cost more hours of a platform's life are left to the audit command: a thousand seeds of them take a day."""

_CLOCK = SystemClock()


def pieces(seeds: int, level: str) -> list[str]:
    """`SEED:FILE` for each seed; the files take turns."""
    files = [os.path.relpath(each.path, ROOT) for each in scenarios() if each.cost <= COST_MAX and each.world.level == "frames"]
    return [f"{seed}:{file}" for seed, file in zip(range(seeds), itertools.cycle(files), strict=False)]


def determinism(progress: Progress, *, seeds: int, level: str, for_s: float | None) -> Iterator[dict[str, Any]]:
    """Compare what is not compared yet; each row as it is known. Both hash seeds run at once, so that two processors are busy."""
    end = None if for_s is None else _CLOCK.now() + for_s
    left = [piece for piece in pieces(seeds, level) if piece not in progress.rows]
    for first in range(0, len(left), CHUNK):
        if end is not None and _CLOCK.now() >= end:
            return
        for piece, found in digests(left[first : first + CHUNK], level).items():
            progress.add(piece, digests=found, equal=len(set(found.values())) == 1)
            yield progress.rows[piece]


def digests(chunk: Sequence[str], level: str) -> dict[str, dict[str, str]]:
    """Each piece to its digests, by hash seed and driver."""
    found: dict[str, dict[str, str]] = {piece: {} for piece in chunk}
    processes = []
    for hash_seed in HASH_SEEDS:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        backwards = "yes" if hash_seed != HASH_SEEDS[0] else "no"
        command = [sys.executable, "-m", "tests.sweeps.digests", level, backwards, *chunk]
        processes.append((hash_seed, subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)))
    for hash_seed, process in processes:
        out, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"a process under hash seed {hash_seed} ended with {process.returncode}")
        for line in out.splitlines():
            piece, driver, digest = line.split(" ")
            found[piece][f"{hash_seed}/{driver}"] = digest
    wanted = len(HASH_SEEDS) * (2 if level == "frames" else 1)
    assert all(len(each) == wanted for each in found.values()), found
    return found


def report(progress: Progress, seeds: int, level: str) -> dict[str, Any]:
    """What all rows come to."""
    rows = [progress.rows[piece] for piece in pieces(seeds, level) if piece in progress.rows]
    return {
        "seeds": len(rows),
        "planned": seeds,
        "finished": len(rows) == seeds,
        "runs": sum(len(row["digests"]) for row in rows),
        "files": len({row["key"].partition(":")[2] for row in rows}),
        "failed": sum(not row["equal"] for row in rows),
        "violations": [row for row in rows if not row["equal"]],
    }
