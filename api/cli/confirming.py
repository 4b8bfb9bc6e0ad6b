"""The question that comes before something stops or is lost.

Lives here: the question, and the option by which a program answers it beforehand. Must not live here: what is asked about.
"""

from __future__ import annotations

import sys
from typing import Final

import click

from api.cli.client import Client
from api.cli.failures import Exit, Failure

YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(client: Client, question: str, *, yes: bool) -> None:
    """Ask before something stops; a program says --yes.

    Raises:
        Failure: nobody can be asked, or the answer was no.
    """
    if yes:
        return
    if client.application.as_json or not sys.stdin.isatty():
        raise Failure("confirmation_required", f"{question} Say --yes to go on without being asked.", Exit.USAGE)
    if not click.confirm(question, err=True):
        raise Failure("aborted", "nothing was changed", Exit.FAILURE)
