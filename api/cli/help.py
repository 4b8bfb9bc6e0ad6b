"""`powernode help`: topics that belong to no single command, and the help of any command.

Lives here: the topics' texts.
"""

from __future__ import annotations

from typing import Final

import click

from api.cli.application import DEFAULT_URL, current, json_option
from api.cli.failures import EXIT_MEANINGS
from api.cli.lazy import Command
from api.cli.output import emit_json, say

_CONNECTION: Final = f"""\
A command finds the daemon at --url, else POWERNODE_URL, else {DEFAULT_URL} (this machine only).
An https URL is checked against the public CAs, or against --ca-file (POWERNODE_CA_FILE) alone.

It presents the token of --token-file (- for standard input), else of POWERNODE_TOKEN, else of the session that `powernode login`
stored for that URL in $XDG_CONFIG_HOME/powernode (default ~/.config/powernode), mode 0600. A session is renewed when it is used."""

_SECRETS: Final = """\
Passwords, tokens and invitations are never arguments: every user of a machine can read those of all processes, and the shell
remembers them. Leave them away to be asked, pipe them in with -, or name a file that holds nothing else."""

_CONFIGURATION: Final = """\
A daemon reads DATA/powernode.toml or --config, then POWERNODE_<SECTION>_<KEY> from the environment, then its flags; the later wins.
Lists in the environment are written with commas. Durations are seconds, or 90s, 5m, 1h, 7d.
`powernode config show --data DIR` prints every option in force and where it came from."""


def _exit_codes() -> str:
    return "\n".join(f"{int(code)}  {meaning}" for code, meaning in EXIT_MEANINGS.items())


@click.command("help", cls=Command)
@click.argument("words", nargs=-1, metavar="[TOPIC | COMMAND…]")
@json_option
@click.pass_context
def help_(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a topic or a command.

    Topics: exit-codes, connection, secrets, configuration.
    """
    topics = {"exit-codes": _exit_codes(), "connection": _CONNECTION, "secrets": _SECRETS, "configuration": _CONFIGURATION}
    text = topics.get(" ".join(words)) or _of_command(ctx.find_root(), words, tuple(topics))
    if current().as_json:
        emit_json({"topic": " ".join(words), "text": text})
    else:
        say(text)


def _of_command(context: click.Context, words: tuple[str, ...], topics: tuple[str, ...]) -> str:
    for word in words:
        command = context.command
        found = command.get_command(context, word) if isinstance(command, click.Group) else None
        if found is None:
            raise click.UsageError(f"{' '.join(words)!r} is neither a command nor one of the topics {', '.join(topics)}")
        context = click.Context(found, info_name=word, parent=context)
    return context.get_help()
