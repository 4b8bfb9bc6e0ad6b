"""`python -m tests.sweeps SWEEP`: the long sweeps, which go on where they were stopped. Exit 1 if a violation was found.

Lives here: the command. Must not live here: a sweep.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from runtime.clock import SystemClock
from sim.sweep import quiet
from tests.sweeps import corpus, determinism, levels
from tests.sweeps.program import Program, program
from tests.sweeps.progress import FOLDER, Progress

TELL_EVERY_S = 30.0
SHOWN_MAX = 20
_CLOCK = SystemClock()

Sweep = Callable[[Progress, argparse.Namespace], Iterator[Any]]
Report = Callable[[Progress, argparse.Namespace], dict[str, Any]]

SWEEPS: dict[str, tuple[Sweep, Report]] = {
    "corpus": (
        lambda progress, given: corpus.corpus(progress, runs=given.runs, jobs=given.jobs, for_s=given.for_s),
        lambda progress, given: corpus.report(progress, given.runs),
    ),
    "determinism": (
        lambda progress, given: determinism.determinism(progress, seeds=given.seeds, level=given.level, for_s=given.for_s),
        lambda progress, given: determinism.report(progress, given.seeds, given.level),
    ),
    "levels": (
        lambda progress, given: levels.levels(progress, seeds=given.seeds, for_s=given.for_s),
        lambda progress, given: levels.report(progress, given.seeds),
    ),
}


def main(arguments: list[str]) -> int:
    given = _parser().parse_args(arguments)
    given.for_s = None if given.minutes is None else given.minutes * 60.0
    quiet()
    about = program()
    name = f"{given.sweep}-{given.level}" if given.sweep == "determinism" else given.sweep
    sweep, report = SWEEPS[given.sweep]
    with Progress(given.folder, name, about) as progress:
        if not given.report:
            _watched(sweep(progress, given), progress)
        told = _told(given, about, progress, report(progress, given))
    print("\n".join(_lines(told)), file=sys.stderr)
    if given.json is not None:
        text = json.dumps(told, indent=1)
        print(text) if given.json == "-" else Path(given.json).write_text(text + "\n", encoding="utf-8")
    return 1 if told["failed"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.sweeps",
        description="Sweeps for a night. What has been done is kept for each state of the program, so that the same command goes on where "
        "an earlier one was stopped, by Ctrl-C or otherwise. Exit 1 if a violation was found.",
    )
    kinds = parser.add_subparsers(dest="sweep", required=True, metavar="SWEEP")
    seeds = kinds.add_parser("corpus", help="seeds over all shipped scenarios, more of those that run fast; about an hour for 10,000")
    seeds.add_argument("--runs", type=int, default=10_000, metavar="N", help="runs in all (default: %(default)s)")
    seeds.add_argument("--jobs", type=int, default=2, metavar="J", help="processes (default: %(default)s)")
    same = kinds.add_parser("determinism", help="each seed under two hash seeds and both drivers: one digest; two processes")
    same.add_argument("--seeds", type=int, default=1_000, metavar="K", help="seeds in all, spread over the files (default: %(default)s)")
    same.add_argument("--level", choices=("frames", "sockets"), default="frames", help="sockets: hash seeds only")
    both = kinds.add_parser("levels", help="every scenario at both levels; one process")
    both.add_argument("--seeds", type=int, default=20, metavar="K", help="seeds of each file (default: %(default)s)")
    for kind in (seeds, same, both):
        kind.add_argument("--minutes", type=float, metavar="M", help="begin nothing after M minutes")
        kind.add_argument("--folder", type=Path, default=FOLDER, help="where progress is kept (default: %(default)s)")
        kind.add_argument("--json", metavar="FILE", help="write the report as JSON; - for standard output")
        kind.add_argument("--report", action="store_true", help="run nothing; report what has been done")
        kind.set_defaults(level="frames")
    return parser


def _watched(stream: Iterator[Any], progress: Progress) -> None:
    """Work to the end or to Ctrl-C, with a line now and then."""
    told = _CLOCK.now()
    try:
        with closing(stream):  # type: ignore[type-var]
            for _ in stream:
                if _CLOCK.now() - told >= TELL_EVERY_S:
                    told = _CLOCK.now()
                    print(f"{len(progress.rows)} done", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)


def _told(given: argparse.Namespace, about: Program, progress: Progress, found: dict[str, Any]) -> dict[str, Any]:
    return {"sweep": given.sweep, "commit": about.commit, "program": about.digest, "progress": str(progress.path), **found}


def _lines(told: dict[str, Any]) -> Iterator[str]:
    done = told.get("runs", 0) if told["sweep"] == "corpus" else told["seeds"]
    state = "finished" if told["finished"] else "not finished"
    yield f"{told['sweep']}: {done} of {told['planned']}, {state}; {told['failed']} violations; commit {told['commit'] or 'unknown'}"
    for each in told["violations"][:SHOWN_MAX]:
        yield f"  {json.dumps(each)}"
    for hope in told.get("never", ()):
        yield f"  NEVER {hope}"
    for step in told.get("steps_never_taken", ()):
        yield f"  step never taken: {step}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
