"""The same seed gives the same digest: in processes with different hash seeds, under both drivers, whatever ran before.

The sample here is run with every change; `pytest -m sweep tests/sim/test_determinism.py` does the same for a thousand seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.scenario.load import load

ROOT = Path(__file__).parent.parent.parent
SAMPLE = ("crossed-accepts", "minter-crashes-in-accept", "token-used-twice", "invitation")
HASH_SEEDS = ("1", "2")
LENGTH_MAX_S = 900.0
PLATFORMS_MAX = 3

PROGRAM = """
import os
import sys
from pathlib import Path
from sim.drivers import DRIVERS, driven
from sim.scenario.load import load
from sim.scenario.run import run
from sim.sweep import quiet

quiet()
first, last, *paths = sys.argv[1:]
seeds = range(int(first), int(last))
if os.environ["PYTHONHASHSEED"] == "2":
    # What ran before differs too.
    seeds = reversed(seeds)
seeds = list(seeds)
for driver in DRIVERS:
    with driven(driver) as drive:
        for seed in seeds:
            path = paths[seed % len(paths)]
            print(seed, path, driver, run(load(Path(path)), seed, drive=drive, explain=False).digest, flush=True)
"""


def digests(first: int, last: int, paths: list[str]) -> dict[tuple[str, str], set[str]]:
    """(seed, path) to every digest that came of it: two hash seeds by two drivers."""
    processes = []
    for hash_seed in HASH_SEEDS:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM, str(first), str(last), *paths]
        processes.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True))
    found: dict[tuple[str, str], set[str]] = {}
    lines = 0
    for process in processes:
        out, _ = process.communicate()
        assert process.returncode == 0
        for line in out.splitlines():
            seed, path, _, digest = line.split(" ")
            found.setdefault((seed, path), set()).add(digest)
            lines += 1
    assert lines == 4 * (last - first)
    return found


def test_a_sample_of_seeds_gives_one_digest_each() -> None:
    found = digests(0, 8, [f"scenarios/{name}.toml" for name in SAMPLE])
    assert {case: each for case, each in found.items() if len(each) > 1} == {}
    assert len({next(iter(each)) for each in found.values()}) == 8, "different seeds must differ, or the digest says nothing"


@pytest.mark.sweep
@pytest.mark.timeout(3_600)
def test_a_thousand_seeds_give_one_digest_each() -> None:
    short = []
    for file in sorted((ROOT / "scenarios").glob("*.toml")):
        scenario = load(file)
        if scenario.world.for_s <= LENGTH_MAX_S and len(scenario.platforms) <= PLATFORMS_MAX and scenario.world.level == "frames":
            short.append(str(file.relative_to(ROOT)))
    assert len(short) > 5
    found = digests(0, 1_000, short)
    assert {case: each for case, each in found.items() if len(each) > 1} == {}
