"""What commands print: tables and key-value blocks for people, JSON for programs, notes on standard error.

Lives here: layout. Must not live here: what is printed. Every text passes `text.clean`, since much of it comes from other platforms.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from api.cli.text import clean
from api.durations import approximate

if TYPE_CHECKING:
    from api.cli.application import Application

STYLES: Final[Mapping[str, str]] = {
    "active": "green",
    "ok": "green",
    "pass": "green",
    "proposed": "cyan",
    "accepted": "cyan",
    "enrolled": "cyan",
    "degraded": "yellow",
    "medium": "yellow",
    "suspended": "yellow",
    "high": "red",
    "critical": "bold red",
    "revoked": "dim",
    "skipped": "dim",
}


def emit_json(value: Any) -> None:
    """One JSON value on one line of standard output."""
    click.echo(json.dumps(value))


def say(text: str = "") -> None:
    """A line of the result."""
    click.echo(text)


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error, so that it never mixes with the result."""
    click.echo(text, err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Rows under a header; on a terminal cells wrap, elsewhere lines are as long as they must be. `empty` is said instead of no row."""
    shown = [[clean(cell) for cell in row] for row in rows]
    if not shown:
        note(empty)
        return
    # Imported late: rich costs more than everything else that a command does.
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    grid = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        grid.add_column(column.upper(), overflow="fold", no_wrap=not terminal)
    for row in shown:
        grid.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    width = shutil.get_terminal_size().columns if terminal else 1_000_000
    buffer = io.StringIO()
    Console(file=buffer, force_terminal=terminal, width=width, highlight=False).print(grid)
    for line in buffer.getvalue().splitlines():
        click.echo(line.rstrip())


def listing(
    application: Application,
    rows: Iterable[dict[str, Any]],
    columns: Sequence[str],
    cells: Callable[[dict[str, Any], float], Sequence[object]],
    *,
    empty: str,
) -> None:
    """Rows of an answer: for programs one JSON value a line, for people a table.

    Args:
        cells: makes the cells of a row; it is given the row and the wall clock's now (seconds since the epoch).
        empty: said instead of no row.
    """
    if application.as_json:
        for row in rows:
            emit_json(row)
        return
    now = application.clock.wall()
    table(columns, (cells(row, now) for row in rows), empty=empty)


def block(pairs: Iterable[tuple[str, object]]) -> None:
    """Aligned `name  value` lines; lists and objects are shown as JSON, None as a dash."""
    shown = [(name, cell(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{clean(name):<{width}}  {value}".rstrip())


def resource_block(resource: Mapping[str, Any]) -> None:
    """A resource as `name  value` lines, and then its attributes likewise."""
    block((name, value) for name, value in resource.items() if name != "attributes")
    say()
    block((resource.get("attributes") or {}).items())


def cell(value: object) -> str:
    """One value as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping | list | tuple):
        return clean(json.dumps(value)) if value else "-"
    return clean(value)


def ago(instant: object, now: float) -> str:
    """An ISO-8601 instant as its distance from `now` (seconds since the epoch): `3m 2s ago`, `in 6d 23h`; a dash for None."""
    from runtime.clock import parse_iso

    if not isinstance(instant, str):
        return "-"
    try:
        distance = now - parse_iso(instant)
    except ValueError:
        return clean(instant)
    return f"{approximate(distance)} ago" if distance >= 0 else f"in {approximate(-distance)}"
