"""`powernode completion`: the script that teaches a shell our commands.

Lives here: the command; the scripts are click's.
"""

from __future__ import annotations

from typing import Final

import click

from api.cli.application import current, json_option
from api.cli.lazy import Command
from api.cli.output import emit_json, say

_INTO: Final = {
    "bash": "~/.local/share/bash-completion/completions/powernode",
    "zsh": "a file _powernode in a folder of $fpath",
    "fish": "~/.config/fish/completions/powernode.fish",
}


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(tuple(_INTO)))
@json_option
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  powernode completion bash > ~/.local/share/bash-completion/completions/powernode
    zsh   powernode completion zsh > "${fpath[1]}/_powernode"
    fish  powernode completion fish > ~/.config/fish/completions/powernode.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    script = found(click.get_current_context().find_root().command, {}, "powernode", "_POWERNODE_COMPLETE").source()
    if current().as_json:
        emit_json({"shell": shell, "script": script, "belongs_into": _INTO[shell]})
    else:
        say(script)
