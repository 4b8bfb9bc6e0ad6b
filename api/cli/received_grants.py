"""`powernode grants received|receive|forget` and `powernode resources remote`: the holder's side of grants.

Lives here: the commands about grants that peers gave us, and the reading of a peer's resources with them. Must not live here: grants that
we give (see `grants`), or a bearer on any output.
"""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.output import ago, block, emit_json, listing, resource_block, say
from api.cli.peer_names import peer_path
from api.cli.peers import resolved
from api.cli.record_filters import narrowed, query_of
from api.cli.resources import find_record_id
from api.cli.secrets_input import read_secret
from api.cli.text import clean

ID_CHARS = 36


@click.command(cls=Command)
@click.argument("peer")
@connected
def received(peer: str) -> None:
    """List the grants that a peer gave us, newest first. Their bearers are never shown."""
    client, peer_id = resolved(peer)
    rows = client.get(peer_path(peer_id, "received_grants")).data or []
    listing(
        client.application,
        rows,
        ("id", "kind", "one resource", "scopes", "state", "usable", "source", "received", "expires"),
        lambda row, now: (
            row.get("id"),
            row.get("resource_kind"),
            row.get("resource_id"),
            ",".join(row.get("permission_scopes") or ()),
            row.get("state"),
            "yes" if row.get("usable") else "no",
            row.get("source"),
            ago(row.get("received_at"), now),
            row.get("expires_at"),
        ),
        empty="no grants of this peer; its operator issues one, and `powernode grants receive PEER` keeps it",
    )


@click.command(cls=Command)
@click.argument("peer")
@click.argument("source", required=False, metavar="[-]")
@click.option("--file", type=click.Path(), metavar="FILE", help="Read the bearer from a file.")
@connected
def receive(peer: str, source: str | None, file: str | None) -> None:
    """Keep the bearer of a grant that a peer gave us, sealed.

    It is asked for at the terminal, read from standard input with -, or from --file; never given as an argument. The peer is asked first
    whether it is good.
    """
    if source is not None and file is not None:
        raise click.UsageError("give either - or --file")
    secret = read_secret(file if file is not None else source, "bearer")
    client, peer_id = resolved(peer)
    record = client.post(peer_path(peer_id, "received_grants"), {"bearer_token": secret.reveal()}).data["received_grant"]
    _print(client, record)


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@YES
@connected
def forget(peer: str, grant: str, yes: bool) -> None:
    """Destroy the bearer of a grant that a peer gave us. GRANT is our id of it, or the issuer's, or the beginning of one."""
    client, peer_id = resolved(peer)
    found = _held_id(client, peer_id, grant)
    confirm(client, f"Destroy the bearer {found}? The grant itself stays until its issuer revokes it.", yes=yes)
    data = client.application.run(client.request, "DELETE", f"{peer_path(peer_id, 'received_grants')}/{segment(found)}").data
    if client.application.as_json:
        emit_json(data)
    else:
        say("forgotten")


@click.command(cls=Command)
@click.argument("peer")
@click.argument("grant")
@connected
def check(peer: str, grant: str) -> None:
    """Present the bearer of a grant that a peer gave us, and say what the peer makes of it. GRANT is as with `grants forget`.

    Ends with code 1 if the peer does not serve a call under it.
    """
    client, peer_id = resolved(peer)
    found = _held_id(client, peer_id, grant)
    data = client.post(f"{peer_path(peer_id, 'received_grants')}/{segment(found)}/check").data
    record = data.get("received_grant") or {}
    if client.application.as_json:
        emit_json(data)
    else:
        kinds = ", ".join(clean(kind) for kind in data.get("kinds") or ()) or "no kind of resource"
        opens = f"good: it opens {kinds}" if data.get("served") else f"refused by the peer: {clean(data.get('remote_code'))}"
        say(f"{clean(record.get('resource_kind'))} ({clean(','.join(record.get('permission_scopes') or ()))}), {opens}")
    if not data.get("served"):
        click.get_current_context().exit(int(Exit.FAILURE))


def _held_id(client: Client, peer_id: str, name: str) -> str:
    """The id of the held grant that `name` means.

    Raises:
        Failure: none or more than one.
    """
    rows = client.get(peer_path(peer_id, "received_grants")).data or []
    exact = [row for row in rows if len(name) == ID_CHARS and name in (row.get("id"), row.get("grant_id"))]
    found = exact or [row for row in rows if name and any(str(row.get(key)).startswith(name) for key in ("id", "grant_id"))]
    if len(found) != 1:
        many = "more than one received grant begins" if found else "no received grant begins"
        raise Failure("not_found", f"{many} with {clean(name)}; `powernode grants received PEER` lists them", Exit.NOT_FOUND)
    if found[0].get("source") == "subscription":
        text = f"this grant came with a seat; `powernode services cancel {clean(found[0]['id'])}` gives both back"
        raise Failure("grant_of_subscription", text, Exit.CONFLICT)
    return str(found[0]["id"])


def _print(client: Client, record: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(record)
    else:
        block(record.items())


@click.command(cls=Command)
@click.argument("peer")
@click.argument("kind")
@click.argument("record", required=False, metavar="[RECORD]")
@narrowed
@connected
def remote(
    peer: str, kind: str, record: str | None, filters: tuple[str, ...], since: str | None, sort: str | None, limit: int | None
) -> None:
    """Show resources of a peer, read from it now with the best grant that it gave us. RECORD is an id or a name."""
    client, peer_id = resolved(peer)
    path = f"{peer_path(peer_id, 'remote_resources')}/{segment(kind)}"
    if record is not None:
        if filters or since or sort or limit:
            raise click.UsageError("options narrow a list; one record is named by its id or name alone")
        id = find_record_id(client, kind, record, path=path, listed_by=f"powernode resources remote PEER {kind}")
        _print_one(client, client.get(f"{path}/{segment(id)}").data["resource"])
        return
    rows = client.pages(path, query_of(filters, since, sort), limit=limit)
    listing(
        client.application,
        rows,
        ("id", "attributes", "updated"),
        lambda row, now: (row.get("id"), _summary(row), ago(row.get("updated_at"), now)),
        empty="the peer shows none",
    )


def _summary(row: dict[str, Any]) -> str:
    return " ".join(f"{clean(name)}={clean(value)}" for name, value in (row.get("attributes") or {}).items() if value is not None)


def _print_one(client: Client, record: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(record)
        return
    resource_block(record)
