"""`powernode status`: one look at the whole platform.

Lives here: the command. Must not live here: lists with filters (see `peers` and `findings`).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.findings import print_findings, remedy_of, standing
from api.cli.lazy import Command
from api.cli.output import block, emit_json, say


@click.command(cls=Command)
@connected
def status() -> None:
    """Show health, peers by status and open findings."""
    client = Client(current())
    health, peers, found = client.application.run(_collect, client)
    counts = dict(sorted(Counter(str(peer.get("status")) for peer in peers).items()))
    found = [{**row, "remedy": remedy_of(row)} for row in found]
    if client.application.as_json:
        emit_json({"url": client.url, "health": health, "peers_by_status": counts, "findings": found})
        return
    block((("daemon", client.url), *(health.items() if isinstance(health, dict) else ())))
    say()
    block(counts.items() or [("peers", "none yet; `powernode peers invite https://…` proposes the first one")])
    say()
    print_findings(found, client.application.clock.wall())


async def _collect(client: Client) -> tuple[Any, list[dict[str, Any]], list[dict[str, Any]]]:
    health = (await client.request("GET", "/platform/health")).data
    peers = await client.all_pages("/platform/peers")
    governance = (await client.request("GET", "/federation/governance")).data
    return health, peers, standing(governance)
