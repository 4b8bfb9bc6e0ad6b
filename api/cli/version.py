"""`powernode version`: of this program, and of what a daemon can agree on.

Lives here: the command.
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.lazy import Command
from api.cli.output import emit_json, say
from api.cli.text import clean
from api.version import RELEASE_TAG, VERSION


@click.command(cls=Command)
@click.option("--server", is_flag=True, help="Also ask the daemon: readiness and contract versions.")
@connected
def version(server: bool) -> None:
    """Print the version of this program, or of the daemon."""
    answer: dict[str, Any] = {"version": VERSION, "release_tag": RELEASE_TAG}
    if server:
        from api.cli.client import Client

        client = Client(current())
        answer["server"] = {"url": client.url, "contract_versions": client.get("/federation/contract_versions").data}
    if current().as_json:
        emit_json(answer)
        return
    say(f"powernode {VERSION} ({RELEASE_TAG})")
    for entry in answer.get("server", {}).get("contract_versions") or []:
        supported = "supported" if entry.get("supported") else "no longer supported"
        say(f"daemon: contract version {clean(entry.get('version'))}, {supported}, digest {clean(entry.get('contract_digest'))}")
