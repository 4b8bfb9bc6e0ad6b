"""`powernode operators`: the people who may operate this platform.

Lives here: the commands. Must not live here: what a permission allows.
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.login import ask_email
from api.cli.output import ago, block, emit_json, listing, note, say
from api.cli.secrets_input import read_secret
from api.cli.text import clean
from runtime.ids import is_uuid

operators = LazyGroup(
    "operators",
    help="Manage the people who may operate this platform. OPERATOR is an email address or an id.",
    lazy={
        "add": ("api.cli.operators:add", "Create an operator."),
        "disable": ("api.cli.operators:disable", "Lock an operator out and end their sessions."),
        "enable": ("api.cli.operators:enable", "Let an operator in again who was locked out."),
        "list": ("api.cli.operators:list_", "List operators."),
        "passwd": ("api.cli.operators:passwd", "Set the password of an operator and end their sessions."),
        "show": ("api.cli.operators:show", "Show one operator."),
        "token": ("api.cli.operators:token", "Print an access token, for scripts that use the API directly."),
    },
)


def _one(data: Any) -> dict[str, Any]:
    operator = data.get("operator") if isinstance(data, dict) else None
    if not isinstance(operator, dict):
        raise Failure("daemon_error", "the answer holds no operator", Exit.FAILURE)
    return operator


def _find(client: Client, name: str) -> str:
    if is_uuid(name.lower()):
        return name.lower()
    for row in client.pages("/operators"):
        if str(row.get("email")).lower() == name.lower():
            return str(row["id"])
    raise Failure("not_found", f"no operator has the email address {name!r}", Exit.NOT_FOUND)


def _print(client: Client, operator: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(operator)
    else:
        block(operator.items())


@click.command("list", cls=Command)
@connected
def list_() -> None:
    """List operators."""
    client = Client(current())
    rows = client.pages("/operators")
    listing(
        client.application,
        rows,
        ("id", "email", "name", "disabled", "created", "permissions"),
        lambda row, now: (
            row.get("id"),
            row.get("email"),
            row.get("name"),
            "yes" if row.get("disabled") else "no",
            ago(row.get("created_at"), now),
            ", ".join(str(permission) for permission in row.get("permissions") or []),
        ),
        empty="no operators",
    )


@click.command(cls=Command)
@click.argument("operator")
@connected
def show(operator: str) -> None:
    """Show one operator."""
    client = Client(current())
    _print(client, _one(client.get(f"/operators/{segment(_find(client, operator))}").data))


@click.command(cls=Command)
@click.argument("email")
@click.option("--name", metavar="NAME", help="Name to show.  [default: the email address up to the @]")
@click.option("--permission", "permissions", multiple=True, metavar="PERMISSION", help="As in system.peers.read; may be repeated.")
@click.option("--all-permissions", is_flag=True, help="Everything that an operator may be allowed.")
@click.option("--password-file", metavar="FILE", help="File with the password, - for standard input.  [default: asks]")
@connected
def add(email: str, name: str | None, permissions: tuple[str, ...], all_permissions: bool, password_file: str | None) -> None:
    """Create an operator."""
    client = Client(current())
    if all_permissions:
        from actors.operator.permissions import PERMISSIONS

        permissions = tuple(PERMISSIONS)
    password = read_secret(password_file, "password", confirm=True)
    body = {
        "email": email,
        "name": name or email.partition("@")[0],
        "password": password.reveal(),
        "permissions": list(permissions),
    }
    _print(client, _one(client.post("/operators", body).data))
    if not permissions:
        note("this operator may log in, and nothing else; give permissions with --permission")


@click.command(cls=Command)
@click.argument("operator")
@click.option("--enable", is_flag=True, help="The same as `powernode operators enable`.")
@connected
def disable(operator: str, enable: bool) -> None:
    """Lock an operator out and end their sessions."""
    _set_disabled(operator, not enable)


@click.command(cls=Command)
@click.argument("operator")
@connected
def enable(operator: str) -> None:
    """Let an operator in again who was locked out."""
    _set_disabled(operator, False)


def _set_disabled(operator: str, disabled: bool) -> None:
    client = Client(current())
    _print(client, _one(client.patch(f"/operators/{segment(_find(client, operator))}", {"disabled": disabled}).data))


@click.command(cls=Command)
@click.argument("operator")
@click.option("--password-file", metavar="FILE", help="File with the new password, - for standard input.  [default: asks]")
@connected
def passwd(operator: str, password_file: str | None) -> None:
    """Set the password of an operator and end their sessions."""
    client = Client(current())
    operator_id = _find(client, operator)
    password = read_secret(password_file, "new password", confirm=True)
    found = _one(client.patch(f"/operators/{segment(operator_id)}", {"password": password.reveal()}).data)
    if client.application.as_json:
        emit_json(found)
        return
    say(f"{clean(found.get('email'))} has a new password and has to log in again")


@click.command(cls=Command)
@click.argument("email", required=False)
@click.option("--password-file", metavar="FILE", help="File with the password, - for standard input.  [default: asks]")
@connected
def token(email: str | None, password_file: str | None) -> None:
    """Print an access token, for scripts that use the API directly.

    With EMAIL somebody logs in for this token alone; without, it is that of the stored session. It ends after some minutes.
    """
    client = Client(current())
    if email is None and password_file is None:
        secret = client.application.run(client.bearer)
    else:
        address, password = ask_email(email), read_secret(password_file, "password")

        async def log_in() -> Any:
            session, _ = await client.log_in(address, password, keep=False)
            return session.access_token

        secret = client.application.run(log_in)
    if client.application.as_json:
        emit_json({"access_token": secret.reveal()})
    else:
        say(secret.reveal())
