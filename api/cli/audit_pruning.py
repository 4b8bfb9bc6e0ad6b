"""`powernode audit prune`: give up what is older than the retention, and safely in the archive.

Lives here: the command and its progress. Must not live here: what may be pruned (the daemon decides).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from api.cli.application import Application, connected
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import block, emit_json, note
from api.cli.text import counted

PATH = "/platform/audit/prune"
LIMIT_MAX = 1_000
SHIPMENTS_A_CALL = 50


@click.command(cls=Command)
@click.option("--dry-run", is_flag=True, help="Say what would be pruned, the archive read as for a run, and remove nothing.")
@connected
def prune(dry_run: bool) -> None:
    """Remove the entries that are older than `federation.audit_retention`, as the daily run does; exit 1 if the archive did not hold some.

    Only whole shipments go: verified, and read back from the archive once more just before. The last entry of a chain always stays, and so
    does an anchor of what was there: `powernode audit verify --data` goes on to verify the chain, through the archive.
    """
    client = Client(click.get_current_context().ensure_object(Application))
    told = dict.fromkeys(("chains", "shipments", "entries", "failures"), 0)
    with _progress(client.application) as progress:
        for part in _parts(client, dry_run):
            # A chain that two parts have touched counts twice, so the greater number is the truer one.
            told = {name: max(told[name], part[name]) if name in ("chains", "failures") else told[name] + part[name] for name in told}
            progress(told["entries"])
    told["more"] = bool(dry_run and part["more"])
    if client.application.as_json:
        emit_json({"dry_run": dry_run, **told})
    else:
        block({"dry_run": dry_run, **told}.items())
    if dry_run:
        note("nothing was removed; without --dry-run it is")
    if told["failures"]:
        raise Failure("audit_prune_refused", "the archive does not give back what was shipped; nothing of that was pruned", Exit.FAILURE)


def _parts(client: Client, dry_run: bool) -> Iterator[dict[str, Any]]:
    """What each call says that it has pruned. A dry run is one call: the next one would begin at the same place."""
    while True:
        part = dict(client.post(PATH, {"dry_run": dry_run, "limit": LIMIT_MAX if dry_run else SHIPMENTS_A_CALL}).data)
        yield part
        if dry_run or not part["more"] or not part["shipments"]:
            return


@contextmanager
def _progress(application: Application) -> Iterator[Callable[[int], object]]:
    """How many entries are gone, on a terminal; nothing elsewhere."""
    if application.as_json or not sys.stderr.isatty():
        yield lambda entries: None
        return
    from rich.console import Console

    with Console(stderr=True).status("pruning") as status:
        yield lambda entries: status.update(f"pruning: {counted(entries, 'entry', 'entries')}")
