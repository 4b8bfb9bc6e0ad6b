"""`powernode sim audit`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import click

from api.cli.lazy import Command
from api.cli.text import counted
from sim.audit import CONTEXT, AuditError, Divergence, Verdict, audit
from sim.commands.shared import all_loaded, files_of
from sim.drivers import DRIVERS

HASH_SEED: Final = click.IntRange(0, 2**32 - 1)
"""What Python takes as `PYTHONHASHSEED`."""


@click.command("audit", cls=Command)
@click.argument("files", type=click.Path(exists=True, path_type=Path), nargs=-1, required=True, metavar="FILE...")
@click.option("--seed", type=int, help="The seed; the file's own if not given.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, metavar="K", help="K seeds, counted up from the first.")
@click.option(
    "--hash-seed", type=HASH_SEED, metavar="H", help="PYTHONHASHSEED of the second process; one that differs from this one's if not given."
)
@click.option("--driver", type=click.Choice(DRIVERS), default="step", show_default=True, help="How handlers run in the second process.")
@click.option("--context", type=click.IntRange(min=0), default=CONTEXT, show_default=True, help="Events to show before one that differs.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per seed.")
def audit_(files: tuple[Path, ...], seed: int | None, seeds: int, hash_seed: int | None, driver: str, context: int, as_json: bool) -> None:
    """Run files, or all of a folder, again in a second process under another hash seed.

    Exit 1 and name the first event that differs, if one does.
    """
    audited = differing = 0
    chosen = files_of(files)
    for file, scenario in zip(chosen, all_loaded(chosen), strict=True):
        first = scenario.world.seed if seed is None else seed
        try:
            other = None if hash_seed is None else str(hash_seed)
            for verdict in audit(file, range(first, first + seeds), driver=driver, context=context, hash_seed=other):
                audited += 1
                differing += not verdict.equal
                for line in [_document(file, verdict)] if as_json else _lines(file, verdict):
                    click.echo(line)
        except AuditError as error:
            raise click.ClickException(f"{file}: {error}") from error
    click.echo(f"{counted(audited, 'run')} audited, {differing} differ", err=True)
    if differing:
        raise click.exceptions.Exit(1)


def _document(file: Path, verdict: Verdict) -> str:
    divergence = None if verdict.divergence is None else {**attrs.asdict(verdict.divergence), "fields": verdict.divergence.fields}
    told = {"file": str(file), "seed": verdict.seed, "equal": verdict.equal, "here": verdict.here, "there": verdict.there}
    return json.dumps({**told, "divergence": divergence})


def _lines(file: Path, verdict: Verdict) -> Iterator[str]:
    if verdict.equal:
        yield f"equal  {file}  seed {verdict.seed}  digest {verdict.here}"
        return
    yield f"DIFFERENT  {file}  seed {verdict.seed}  digest {verdict.here} here and {verdict.there} there"
    if verdict.divergence is None:
        yield "  no event differed when both were run again: what differs comes and goes, such as the time of day or an order of threads"
    else:
        yield from _divergence(verdict.divergence)


def _divergence(found: Divergence) -> Iterator[str]:
    yield f"  event {found.number} is the first that differs" + (f", in its {', '.join(found.fields)}" if found.fields else "")
    for line in found.before:
        yield f"    both   {line}"
    for name, event in (("here", found.here), ("there", found.there)):
        yield f"    {name:6} {'the run has ended' if event is None else event['line']}"
    if found.here is not None and found.there is not None and found.here["line"] == found.there["line"]:
        yield from _hidden(found.fields, found.here, found.there)


def _hidden(fields: list[str], here: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    """What does not show in the lines."""
    for field in fields:
        yield f"    here   {field}: {here[field]}"
        yield f"    there  {field}: {there[field]}"
