"""`python -m tests.planted`: plant each fault, tell who found it and after how many runs.

Lives here: the command. Must not live here: how a plant is looked for (see `hunt`).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import tests.planted.chosen_blind
import tests.planted.corners
import tests.planted.faults
import tests.planted.rotations  # noqa: F401  # registers the faults
from runtime.clock import SystemClock
from sim.sweep import quiet
from tests.planted.hunt import SEEDS_MAX, hunt, shrunk
from tests.planted.registry import PLANTS
from tests.sweeps.program import program
from tests.sweeps.progress import FOLDER, Progress

PLANTED = ("tests/planted/*.py",)
"""What a hunt depends on beside the program."""

_CLOCK = SystemClock()


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    unknown = [name for name in options.names if name not in PLANTS]
    if unknown:
        print(f"no such fault: {', '.join(unknown)}; --list shows all", file=sys.stderr)
        return 2
    if options.list:
        for name, plant in PLANTS.items():
            print(f"{name:36s} {plant.fault}")
        return 0
    quiet()
    told = sys.stderr if options.json == "-" else sys.stdout
    with Progress(options.folder, f"planted-{options.seeds}{'-shrunk' if options.shrink else ''}", program(*PLANTED)) as progress:
        for name in options.names or PLANTS:
            if name not in progress.rows:
                progress.add(name, **_row(name, options.seeds, smallest=options.shrink))
            print(_line(progress.rows[name]), file=told, flush=True)
        rows = [progress.rows[name] for name in options.names or PLANTS]
    found = sum(_found(row) for row in rows)
    print(f"{found} of {len(rows)} found", file=told)
    if options.json is not None:
        text = json.dumps({"found": found, "of": len(rows), "seeds_max": options.seeds, "plants": rows}, indent=1)
        print(text) if options.json == "-" else Path(options.json).write_text(text + "\n", encoding="utf-8")
    return 0 if found == len(rows) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.planted",
        description="Plant each fault in the production code, one at a time, and sweep the shipped scenarios until one fails that passes "
        "without it: the scenarios named beside the fault first, then the others, cheap ones first. A failure counts if a rule noticed "
        "it; where something crashed, the plant no longer fits its place. What is done is kept for each state of the program, so that the "
        "same command goes on where it was stopped. Exit 1 if a fault is not found.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which faults; all if not given")
    parser.add_argument("--list", action="store_true", help="show the faults and hunt none")
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, metavar="K", help="seeds for each file (default: %(default)s)")
    parser.add_argument("--shrink", action="store_true", help="also shrink each failure, and tell how many steps are left")
    parser.add_argument("--json", metavar="FILE", help="also write the table as JSON; - for standard output")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where progress is kept, to go on from there (default: %(default)s)")
    return parser


def _row(name: str, seeds: int, *, smallest: bool) -> dict[str, Any]:
    """What came of the hunt for one fault; `runs` is None if it was not found."""
    started = _CLOCK.now()
    caught = hunt(PLANTS[name], seeds)
    row: dict[str, Any] = {"plant": name, "fault": PLANTS[name].fault, "blind": PLANTS[name].blind, "runs": None}
    if caught is not None:
        row |= {"runs": caught.runs, "seconds": round(_CLOCK.now() - started, 2), "checker": caught.checker, "file": caught.file}
        row |= {"seed": caught.seed, "text": caught.text, "crash": caught.crash}
        if smallest and caught.crash is None:
            small = shrunk(caught)
            row |= {"steps": small.steps_after, "shrink_runs": small.runs}
    return row


def _found(row: dict[str, Any]) -> bool:
    return row["runs"] is not None and row["crash"] is None


def _line(row: dict[str, Any]) -> str:
    if row["runs"] is None:
        return f"{row['plant']:36s} never"
    if row["crash"] is not None:
        return f"{row['plant']:36s} BROKEN  in {row['file']} seed {row['seed']}: {row['crash']}"
    small = f"  {row['steps']} steps after {row['shrink_runs']} runs" if "steps" in row else ""
    return f"{row['plant']:36s} {row['runs']:4d} runs {row['seconds']:6.2f} s  {row['checker']:20s} {row['file']} seed {row['seed']}{small}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
