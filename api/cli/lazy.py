"""Groups whose commands are imported when they are needed, and commands that other packages add.

Lives here: the two click classes that all commands are made of. Must not live here: any command.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final

import click

PLUGINS: Final = "powernode.commands"
_HELP: Final = {"help_option_names": ["-h", "--help"]}


class Command(click.Command):
    """A command that never repeats a surplus argument, because it may be a secret that was pasted into the wrong place."""

    def __init__(self, name: str | None, context_settings: MutableMapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(name, {"allow_extra_args": True, **_HELP, **(context_settings or {})}, **kwargs)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if ctx.args and not ctx.resilient_parsing:
            usage = " ".join(self.collect_usage_pieces(ctx))
            raise click.UsageError(f"{len(ctx.args)} argument(s) too many; expected: {ctx.command_path} {usage}", ctx)
        return rest


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, name: str | None = None, context_settings: MutableMapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(name, context_settings={**_HELP, **(context_settings or {})}, **kwargs)


class LazyGroup(Group):
    """A group that knows where its commands live and what they are for, and imports one when it runs.

    Args:
        lazy: command name to (`module:attribute`, one line of help).
        plugins: entry point group in which other packages register more commands, or None.
    """

    def __init__(self, name: str | None = None, *, lazy: Mapping[str, tuple[str, str]], plugins: str | None = None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._lazy = lazy
        self._plugins = plugins

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self._lazy, *self._plugin_names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._lazy:
            return _imported(self._lazy[cmd_name][0])
        return self._plugin(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._lazy[name][1] if name in self._lazy else self._plugin_help(name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _entry_points(self) -> Sequence[Any]:
        if self._plugins is None:
            return ()
        from importlib.metadata import entry_points  # slow to import, and most commands are our own

        return tuple(entry_points(group=self._plugins))

    def _plugin_names(self) -> dict[str, str]:
        return {point.name: point.value.partition(":")[0] for point in self._entry_points() if point.name not in self._lazy}

    def _plugin_help(self, name: str) -> str:
        """What a plugin's command says of itself; one that cannot be imported must not keep the others from being listed."""
        try:
            command = self._plugin(name)
        except click.ClickException:
            return f"Cannot be imported from {self._plugin_names()[name]}."
        return command.get_short_help_str(limit=150) if command is not None else ""

    def _plugin(self, name: str) -> click.Command | None:
        for point in self._entry_points():
            if point.name != name:
                continue
            try:
                command = point.load()
            except Exception as error:
                raise click.ClickException(
                    f"the command {name!r} is registered as {point.value}, which cannot be imported: {type(error).__name__}: {error}\n"
                    "reinstall the package that provides it, or uninstall it"
                ) from error
            if not isinstance(command, click.Command):
                raise click.ClickException(f"the command {name!r} is registered as {point.value}, which is no click command")
            return command
        return None


def _imported(place: str) -> click.Command:
    module, _, attribute = place.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command
