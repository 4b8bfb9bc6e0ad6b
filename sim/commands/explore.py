"""`powernode sim explore`."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import click

from api.cli.failures import Exit
from api.cli.lazy import Command
from runtime.clock import SystemClock
from runtime.values import evolve
from sim.commands.shared import all_loaded, span, unwritten
from sim.corpus import Corpus, CorpusError
from sim.coverage import untouched
from sim.explore import Explorer, Found
from sim.scenario.write import read_document
from sim.sweep import quiet

BUDGET_S: Final = 600.0
TELL_EVERY_S: Final = 5.0
FOLDER: Final = click.Path(file_okay=False, path_type=Path)
BEGINNING: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("explore", cls=Command)
@click.option("--budget", callback=span, metavar="T", help="How long, as in 10m; ten minutes if neither it nor --runs is given.")
@click.option("--runs", type=click.IntRange(min=1), metavar="N", help="Try N documents.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="J", help="Processes that run at once; by default one per processor.")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides what chance does.")
@click.option("--corpus", type=FOLDER, default=".explored", show_default=True, help="What was found before.")
@click.option("--folder", type=BEGINNING, default="scenarios", show_default=True, help="Scenario files to begin with.")
@click.option("--json", "as_json", is_flag=True, help="The outcome as a JSON object on standard output.")
def explore_(budget: float | None, runs: int | None, jobs: int | None, seed: int, corpus: Path, folder: Path, as_json: bool) -> None:
    """Search for scenarios that fail, by chance and by what was never touched; exit 1 if one was found.

    Documents that touch something new are kept in the corpus, and a later exploration goes on from there. Ctrl-C ends it with what it has.
    """
    if budget == 0.0:
        raise click.BadParameter("0s leaves no time for a single run", param_hint="'--budget'")
    quiet()
    files = sorted(folder.glob("*.toml"))
    all_loaded(files)
    begun = [read_document(file) for file in files]
    try:
        known = Corpus(corpus)
        session = _Session(known)
        stream = Explorer(known, begun, seed).explore(
            runs=runs, for_s=BUDGET_S if budget is None and runs is None else budget, jobs=jobs or os.cpu_count() or 1
        )
        interrupted = _search(stream, session, known)
    except CorpusError as error:
        raise unwritten(error.path, error.reason, as_json=as_json) from error
    outcome = session.outcome()
    for line in [json.dumps(outcome)] if as_json else _lines(outcome):
        click.echo(line)
    if session.failed:
        raise click.exceptions.Exit(1)
    if interrupted:
        raise click.exceptions.Exit(int(Exit.INTERRUPTED))


def _search(stream: Generator[Found, None, None], session: _Session, known: Corpus) -> bool:
    """Search to the end; whether the user ended it. What was found until then is kept either way."""
    try:
        with closing(stream):
            for found in stream:
                session.add(found)
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return True
    finally:
        known.save()
    return False


class _Session:
    """What this exploration has found, and now and then a line about it."""

    def __init__(self, corpus: Corpus) -> None:
        self.failed: dict[str, int] = {}
        self._corpus = corpus
        self._before = evolve(corpus.counts)
        self._features_before = len(corpus.features)
        self._virtual_s = 0.0
        self._clock = SystemClock()
        self._started = self._told = self._clock.now()

    def add(self, found: Found) -> None:
        self._virtual_s += found.tried.virtual_s
        if found.file is not None and found.failed is not None:
            if found.file not in self.failed:
                click.echo(f"{found.failed.checker}: {found.failed.text}\n  {found.file}", err=True)
            self.failed[found.file] = self.failed.get(found.file, 0) + 1
        if self._clock.now() - self._told >= TELL_EVERY_S:
            self._told = self._clock.now()
            counts = self._corpus.counts
            text = f"{counts.runs - self._before.runs} runs, {len(self._corpus.features)} touched, {len(self._corpus.documents)} kept"
            click.echo(f"{text}, {len(self.failed)} ways to fail", err=True)

    def outcome(self) -> dict[str, Any]:
        counts, before = self._corpus.counts, self._before
        elapsed_s = self._clock.now() - self._started
        made, rejected, runs, steps, impossible = (
            getattr(counts, name) - getattr(before, name) for name in ("made", "rejected", "runs", "steps", "impossible")
        )
        left = untouched(self._corpus.features)
        return {
            "made": made, "rejected": rejected, "runs": runs, "seconds": round(elapsed_s, 1), "virtual_s": round(self._virtual_s, 1),
            "runs_per_s": round(runs / elapsed_s, 1) if elapsed_s else 0.0,
            "rejection_rate": round(rejected / made, 4) if made else 0.0,
            "impossible_rate": round(impossible / steps, 4) if steps else 0.0,
            "touched": len(self._corpus.features), "touched_new": len(self._corpus.features) - self._features_before,
            "kept": len(self._corpus.documents), "runs_in_all": counts.runs,
            "never_seen_transitions": list(left.transitions), "never_performed": list(left.actions),
            "never_fired": [*left.faults, *left.sites],
            "failures": [{"file": file, "runs": count} for file, count in self.failed.items()],
        }  # fmt: skip


def _lines(outcome: dict[str, Any]) -> Iterator[str]:
    yield f"{outcome['runs']} runs in {outcome['seconds']} s ({outcome['runs_per_s']} a second), {outcome['virtual_s']} s of virtual time"
    yield f"touched {outcome['touched']}, {outcome['touched_new']} of them new; {outcome['kept']} documents kept"
    yield (
        f"rejected {outcome['rejected']} of {outcome['made']} documents ({outcome['rejection_rate']:.1%}); "
        f"{outcome['impossible_rate']:.1%} of steps could not happen at their time"
    )
    for title, key in (("transitions never seen", "never_seen_transitions"), ("actions never performed", "never_performed")):
        yield f"{title}: {', '.join(outcome[key]) or 'none'}"
    yield f"faults never fired: {', '.join(outcome['never_fired']) or 'none'}"
    for failure in outcome["failures"]:
        yield f"FAILED in {failure['runs']} runs; replay: powernode sim replay {failure['file']}"
