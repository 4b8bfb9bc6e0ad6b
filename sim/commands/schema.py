"""`powernode sim schema`."""

from __future__ import annotations

import click

from api.cli.lazy import Command
from sim.scenario.json_schema import to_text


@click.command("schema", cls=Command)
@click.option("--json", is_flag=True, expose_value=False, help="Changes nothing: a schema is JSON.")
def schema() -> None:
    """Print the JSON schema of scenario files, for editors."""
    click.echo(to_text(), nl=False)
