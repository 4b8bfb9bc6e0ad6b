"""`powernode sim trace`."""

from __future__ import annotations

from pathlib import Path

import click

from api.cli.lazy import Command
from sim.commands.shared import FILE, failure_lines, loaded, span, writable
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
def trace(file: Path, seed: int | None, until: float | None, html: Path | None, mermaid: bool) -> None:
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
        html.write_text(page, encoding="utf-8")
        click.echo(f"{html}: {len(film.events)} events of {len(film.hosts)} platforms, digest {result.digest}", err=True)
    if mermaid:
        click.echo(diagram(film), nl=False)
    for line in failure_lines(result):
        click.echo(line, err=True)
