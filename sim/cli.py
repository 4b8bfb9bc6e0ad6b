"""`powernode sim`: the group of commands that run scenario files.

Lives here: the group. Must not live here: a command (see `commands`), or anything about scenarios.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import click

from api.cli.lazy import LazyGroup

COMMANDS: Final = {
    "audit": ("sim.commands.audit:audit_", "Run a seed in a second process and name the first event that differs."),
    "check": ("sim.commands.check:check", "Read scenario files without running them."),
    "compare": ("sim.commands.compare:compare_", "Run scenarios at both levels; exit 1 if they tell different stories."),
    "explore": ("sim.commands.explore:explore_", "Search for scenarios that fail, by chance and by what was never touched."),
    "list": ("sim.commands.listing:list_", "List the scenario files of a folder."),
    "record": ("sim.commands.record:record", "Turn what a daemon's flight recorder holds into a scenario."),
    "rehearse": ("sim.commands.rehearse:rehearse_", "Rehearse a rotation of the root with a platform's own peers."),
    "replay": ("sim.commands.replay:replay", "Run a scenario once more and print everything that happens."),
    "schema": ("sim.commands.schema:schema", "Print the JSON schema of scenario files, for editors."),
    "shrink": ("sim.commands.shrink:shrink_", "Write the smallest scenario that still fails the same way."),
    "run": ("sim.commands.run:run_", "Run scenarios under one seed or many; exit 1 if a promise does not hold."),
    "trace": ("sim.commands.trace:trace", "Draw a run as a page or as a mermaid diagram."),
}
"""Name to where the command lives and what it is for."""


INTERRUPTED: Final = 130
"""The exit code of a command that somebody has ended; 1 would say that a promise did not hold."""


class _Interruptible(LazyGroup):
    """Commands that end by Ctrl-C without a word about where they stood."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            pass
        except BaseExceptionGroup as group:
            # A world over sockets runs in a nursery, which wraps whatever ends it.
            if group.subgroup(KeyboardInterrupt) is None:
                raise
        click.echo("interrupted", err=True)
        raise click.exceptions.Exit(INTERRUPTED)


@click.group("sim", cls=_Interruptible, lazy=COMMANDS)
def sim() -> None:
    """Run whole platforms in virtual time, from scenario files.

    A run depends on the file and the seed alone: the same seed gives the same digest, on any machine.
    """
    # What platforms would log is in the trace, and a fault that a scenario plants is no news.
    logging.getLogger().addHandler(logging.NullHandler())
