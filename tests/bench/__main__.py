"""`python -m tests.bench`: runs every figure of the files `bench_*.py` beside this one and shows what it reaches.

Lives here: finding, running, printing. With `--json FILE` the result is also written for programs, with what is needed to judge it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure


def found(only: str) -> list[Figure]:
    """Every figure whose name contains `only`, in order of the files; a file without `FIGURES` has a command of its own."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("bench_*.py"))
    modules = [importlib.import_module(f"tests.bench.{name}") for name in names]
    return [figure for module in modules for figure in getattr(module, "FIGURES", ()) if only in figure.name]


def run(figures: list[Figure]) -> list[dict[str, Any]]:
    """Measure each, printing a line as soon as it is known."""
    width = max((len(figure.name) for figure in figures), default=0)
    print(f"{'figure':<{width}}  {'reached':>12}  {'target':>10}  met")
    results: list[dict[str, Any]] = []
    for figure in figures:
        values = figure.measure()
        met = figure.met(values["figure"])
        print(f"{figure.name:<{width}}  {values['figure']:>10.1f} {figure.unit:<5}{figure.target:>7}  {'yes' if met else 'NO'}", flush=True)
        results.append({"name": figure.name, "unit": figure.unit, "target": figure.target, "met": met, "values": values})
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the platform against its targets.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures, with the machine's facts, as JSON")
    parser.add_argument("--only", default="", metavar="TEXT", help="only figures whose name contains this")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    results = run(found(options.only))
    if options.json is not None:
        facts = {
            "cpu_count": os.cpu_count(),
            "load_average_before": load_before,
            "load_average_after": os.getloadavg()[0],
            "python": platform.python_version(),
            "figures": results,
        }
        options.json.write_text(json.dumps(facts, indent=2) + "\n")
    return 0 if all(result["met"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
