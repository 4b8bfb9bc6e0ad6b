"""The way from `powernode trust rotate --drill` to the simulator, which is another package and plugs into the command line.

Lives here: finding the plugin's command and handing the peers over. Must not live here: a rehearsal.
"""

from __future__ import annotations

import io
import json
from typing import Any, Final

import click

from api.cli.application import current
from api.cli.client import Client
from api.cli.failures import Exit, Failure

GROUP: Final = "sim"
COMMAND: Final = "rehearse"


def drill(client: Client, overlap: int | None, seeds: int) -> None:
    """Rehearse a rotation with the daemon's own peers; nothing is changed. Ends with exit code 1 if anybody would be left behind.

    Raises:
        Failure: the simulator is not installed.
    """
    ctx = click.get_current_context()
    group = ctx.find_root().command
    plugin = group.get_command(ctx, GROUP) if isinstance(group, click.Group) else None
    command = plugin.get_command(ctx, COMMAND) if isinstance(plugin, click.Group) else None
    if command is None:
        raise Failure("simulator_missing", "a drill needs the simulator, which is not installed here", Exit.FAILURE)
    told: dict[str, Any] = client.get("/platform/trust/rotation").data.get("rotation", {})
    ctx.invoke(command, source=io.StringIO(json.dumps(told)), overlap=overlap, seeds=seeds, as_json=current().as_json)
