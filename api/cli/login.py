"""`powernode login` and `powernode logout`.

Lives here: the commands. Must not live here: the session file (see `sessions`), renewal (see `client`).
"""

from __future__ import annotations

import click

from api.cli.application import connected, current
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import emit_json, note, say
from api.cli.secrets_input import read_secret
from api.cli.text import clean


def ask_email(email: str | None) -> str:
    """The email address given, or asked for."""
    if email is not None:
        return email
    if not current().interactive():
        raise Failure("no_terminal", "there is no terminal to ask for the email address; give it as an argument", Exit.USAGE)
    return str(click.prompt("Email", err=True))


@click.command(cls=Command)
@click.argument("email", required=False)
@click.option("--password-file", metavar="FILE", help="File with the password, - for standard input.  [default: asks]")
@connected
def login(email: str | None, password_file: str | None) -> None:
    """Log in as an operator and keep the session.

    The session is kept in your own configuration directory, readable for you alone, and renewed when it is used.
    """
    client = Client(current())
    address = ask_email(email)
    password = read_secret(password_file, "password")

    async def log_in() -> str:
        session, _ = await client.log_in(address, password, keep=True)
        return session.email

    who = client.application.run(log_in)
    if client.application.as_json:
        emit_json({"logged_in": True, "email": who, "url": client.url})
        return
    say(f"logged in as {clean(who)} at {client.url}")


@click.command(cls=Command)
@connected
def logout() -> None:
    """End the stored session."""
    client = Client(current())
    ended = client.application.run(client.log_out)
    if client.application.as_json:
        emit_json({"logged_out": ended, "url": client.url})
        return
    if ended:
        say(f"logged out at {client.url}")
    else:
        note(f"nobody was logged in at {client.url}")
