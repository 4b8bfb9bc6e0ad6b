"""`powernode config`, and the options by which a command is told where a daemon's data and configuration are.

Lives here: from the command line to a `Configuration`. Must not live here: what an option means (see `api.configuration`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import attrs
import click

from api.cli.application import current, json_option
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import cell, emit_json, note, table

if TYPE_CHECKING:
    from api.configuration import Configuration

P = ParamSpec("P")
T = TypeVar("T")

config = LazyGroup(
    "config",
    help="Show the configuration of a daemon.",
    lazy={"show": ("api.cli.config:show", "Print every option in force and where it came from; never a secret.")},
)


def data_option(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--data`, required."""
    option = click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="POWERNODE_DATA",
        required=True,
        metavar="DIR",
        help="Data directory of the platform; also POWERNODE_DATA.",
    )
    return option(function)


def config_option(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--config`."""
    option = click.option(
        "--config",
        "file",
        type=click.Path(dir_okay=False, path_type=Path),
        envvar="POWERNODE_CONFIG",
        metavar="FILE",
        help="Configuration file; also POWERNODE_CONFIG.  [default: powernode.toml in the data directory, if there]",
    )
    return option(function)


def load_configuration(data: Path, file: Path | None, flags: Mapping[str, object] | None = None) -> Configuration:
    """The configuration in force.

    Raises:
        Failure: with all problems.
    """
    from api.configuration import ConfigurationError, load

    try:
        return load(data=data, file=file, environment=os.environ, flags=flags)
    except ConfigurationError as error:
        problems = [{"field": problem.key, "message": problem.message, "place": problem.place} for problem in error.problems]
        count = len(problems)
        raise Failure(
            "invalid_configuration",
            f"the configuration has {count} problem{'s' if count > 1 else ''}",
            Exit.USAGE,
            details={"problems": problems},
        ) from error


@click.command(cls=Command)
@data_option
@config_option
@json_option
def show(data: Path, file: Path | None) -> None:
    """Print every option in force and where it came from; never a secret."""
    configuration = load_configuration(data, file)
    rows = configuration.effective()
    for warning in configuration.warnings():
        note(f"warning: {warning}")
    if current().as_json:
        for row in rows:
            emit_json(attrs.asdict(row))
        return
    table(
        ("option", "value", "from", "place"),
        [(row.key, _written(row.value), row.source.kind, row.source.place) for row in rows],
        empty="",
    )


def _written(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else cell(value)
