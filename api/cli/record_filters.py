"""The options by which a list of resources is narrowed, here and at a peer, and the query that they make.

Must not live here: what a filter means; the platform that is asked knows the fields and says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from api.cli.failures import Exit, Failure

_OPTIONS = (
    click.option(
        "--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Only these; also NAME[gte]=, [lte]=, [in]=A,B. May be repeated."
    ),
    click.option("--since", metavar="TIME", help="Only those written at or after this time."),
    click.option("--sort", metavar="NAME", help="updated_at, or the attribute that names a record."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many."),
)


def narrowed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--filter`, `--since`, `--sort` and `--limit`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def query_of(filters: Sequence[str], since: str | None, sort: str | None) -> dict[str, object]:
    """The parameters of a list for these options.

    Raises:
        Failure: a filter is not NAME=VALUE.
    """
    query: dict[str, object] = {"updated_since": since, "sort": sort}
    for text in filters:
        name, separator, value = text.partition("=")
        attribute, bracket, word = name.partition("[")
        if not separator or not name:
            raise Failure("usage", f"a filter is written NAME=VALUE, not {text!r}", Exit.USAGE)
        query[f"filter[{attribute}]{bracket}{word}"] = value
    return query
