"""The child of the sweep of determinism: runs seeds under both drivers, in a process of its own, and prints their digests.

Lives here: the printing. `python -m tests.sweeps.digests LEVEL BACKWARDS SEED:FILE…`; what ran before a seed differs if it goes backwards.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runtime.values import evolve
from sim.drivers import DRIVERS, driven
from sim.scenario.load import load
from sim.scenario.run import run
from sim.sweep import quiet


def main(level: str, backwards: str, *pieces: str) -> None:
    """One line for each seed and driver: SEED:FILE, driver, digest."""
    quiet()
    for driver in DRIVERS if level == "frames" else DRIVERS[:1]:
        with driven(driver) as drive:
            for piece in reversed(pieces) if backwards == "yes" else pieces:
                seed, _, file = piece.partition(":")
                scenario = load(Path(file))
                if level == "sockets":
                    scenario = evolve(scenario, world=evolve(scenario.world, level=level))
                print(piece, driver, run(scenario, int(seed), drive=drive, explain=False).digest, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
