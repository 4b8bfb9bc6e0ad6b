"""`powernode sim trace`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from api.cli.lazy import Command
from api.cli.text import counted
from sim.commands.shared import FILE, failure_lines, loaded, span, writable, write
from sim.scenario.run import run
from sim.trace.film import Film
from sim.trace.mermaid import diagram
from sim.trace.page import render


@click.command("trace", cls=Command)
@click.argument("file", type=FILE)
@click.option("--seed", type=int, help="The seed of the run; the file's own if not given.")
@click.option("--until", callback=span, metavar="T", help="Stop at this moment, as in 90s or 1h30m.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), callback=writable, metavar="OUT", help="Write one self-contained page."
)
@click.option("--mermaid", is_flag=True, help="Print a mermaid sequence diagram.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, with the diagram in it.")
def trace(file: Path, seed: int | None, until: float | None, html: Path | None, mermaid: bool, as_json: bool) -> None:
    """Run the scenario in FILE once more and draw what happens.

    The page has a lane for each platform, with messages, crashes, partitions, mappings of NATs, the lifetimes of tokens, certificates and
    grants as bars, and the statuses of peers as coloured spans; click anything to see its state and what it came from.
    """
    if html is None and not mermaid:
        raise click.UsageError("say how to draw it: --html OUT, --mermaid, or both")
    scenario = loaded(file)
    film = Film()
    result = run(scenario, seed, until=until, tracer=film.tracer, staged=film.staged)
    film.finished(result)
    if html is not None:
        page = render(scenario, film)
        flaw = film.flaw_in(page)
        if flaw is not None:
            raise click.ClickException(f"the page would hold {flaw}, and is not written")
        write(html, page, as_json=as_json)
        size = f"{counted(len(film.events), 'event')} of {counted(len(film.hosts), 'platform')}"
        click.echo(f"{html}: {size}, digest {result.digest}", err=True)
    drawn = diagram(film) if mermaid else None
    if as_json:
        told = {"scenario": result.scenario, "seed": result.seed, "digest": result.digest, "passed": result.passed}
        click.echo(json.dumps({**told, "html": str(html) if html is not None else None, "mermaid": drawn}))
    elif drawn is not None:
        click.echo(drawn, nl=False)
    for line in failure_lines(result):
        click.echo(line, err=True)
