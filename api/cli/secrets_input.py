"""How secrets come in: from a prompt, from standard input, or from a file; never as an argument.

Arguments are readable by every user of the machine (`ps`) and stay in the shell's history.
Lives here: reading. Must not live here: what the secret is for.
"""

from __future__ import annotations

import re

import click

from api.cli.application import current, read_secret_file
from api.cli.failures import Exit, Failure
from runtime.secret import Secret

_INVITATION = re.compile(r"pn\d+\.")
_BEARER = re.compile(r"fg-[0-9a-fA-F]{8}-")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}(?:\.[A-Za-z0-9_-]{22})?")


def looks_secret(argument: str) -> bool:
    """Whether an argument is an invitation, a token or the bearer of a grant rather than the name of a file."""
    return any(pattern.match(argument) is not None for pattern in (_INVITATION, _BEARER)) or _TOKEN.fullmatch(argument) is not None


def read_secret(source: str | None, label: str, *, confirm: bool = False) -> Secret:
    """A secret from `source`: a file, `-` for standard input, or None to ask at the terminal.

    Raises:
        Failure: an argument that is the secret itself, nothing to read, or nobody to ask. Never repeats the argument.
    """
    if source is not None:
        if looks_secret(source):
            raise Failure(
                "secret_in_argument",
                f"the {label} itself was given as an argument, where `ps` and the shell's history show it; "
                "pipe it in with -, name a file, or leave the argument away to be asked. Have it made anew: it is no longer secret",
                Exit.USAGE,
            )
        return Secret(read_secret_file(source, label))
    if not current().interactive():
        raise Failure("no_terminal", f"there is no terminal to ask for the {label}; give a file, or - to read standard input", Exit.USAGE)
    return Secret(click.prompt(label[0].upper() + label[1:], hide_input=True, confirmation_prompt=confirm, err=True).strip())
