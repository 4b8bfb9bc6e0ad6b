"""The `powernode` command.

Lives here: the command line, one module per noun. It speaks to a running daemon over its operator API, and works on a data directory
only where no daemon can help (`serve`, `backup`, `restore`, `doctor`). Must not live here: rules of the domain.

Starting must be quick, so a module of a noun is imported only when its command runs (see `lazy`).
"""

from __future__ import annotations


def main() -> None:
    """The console script."""
    from api.cli.root import cli
    from api.cli.standard_output import run

    run(lambda: cli(prog_name="powernode"))
