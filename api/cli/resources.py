"""`powernode resources`: the platform's own catalogue.

Lives here: the commands that look at, change and delete single records. Must not live here: importing (see `resource_import`).
"""

from __future__ import annotations

import json
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.output import ago, emit_json, listing, resource_block, say
from api.cli.record_filters import narrowed, query_of
from runtime.ids import is_uuid

BASE = "/platform/resources"

resources = LazyGroup(
    "resources",
    help="Look after this platform's catalogue. KIND is a name such as NodeModule or node_module; RECORD is an id or a name.",
    lazy={
        "delete": ("api.cli.resources:delete", "Delete a resource and all that it owns."),
        "import": ("api.cli.resource_import:import_", "Create and replace resources from a file."),
        "kinds": ("api.cli.resources:kinds", "List the kinds of resources."),
        "list": ("api.cli.resources:list_", "List the resources of one kind."),
        "remote": ("api.cli.received_grants:remote", "Show resources of a peer."),
        "set": ("api.cli.resources:set_", "Change attributes of a resource."),
        "show": ("api.cli.resources:show", "Show one resource."),
    },
)


def path_of(kind: str, *rest: str) -> str:
    """The path of a kind, or of something below it."""
    return "/".join((BASE, segment(kind), *(segment(part) for part in rest)))


def record_of(data: Any) -> dict[str, Any]:
    """The resource in an answer.

    Raises:
        Failure: there is none.
    """
    record = data.get("resource") if isinstance(data, dict) else None
    if not isinstance(record, dict):
        raise Failure("daemon_error", "the answer holds no resource", Exit.FAILURE)
    return record


def name_attribute(kind: str) -> str:
    """The attribute by which people name a record of this kind.

    Raises:
        Failure: there is no such kind, or its records have no name of their own.
    """
    from actors.inventory.registry import find

    known = find(kind)
    if known is None:
        raise Failure("unknown_resource_kind", f"there is no kind of resource called {kind!r}; see `powernode resources kinds`", Exit.USAGE)
    if len(known.natural_key) != 1:
        raise Failure("id_required", f"a {known.kind} has no name of its own; give its id", Exit.USAGE)
    return known.natural_key[0]


def find_record_id(client: Client, kind: str, name: str, *, path: str | None = None, listed_by: str | None = None) -> str:
    """The id of the record that `name` means.

    Args:
        path: the list to look in; our own catalogue's if not given.
        listed_by: the command that prints that list.

    Raises:
        Failure: there is none.
    """
    if is_uuid(name.lower()):
        return name.lower()
    rows = client.pages(path or path_of(kind), {f"filter[{name_attribute(kind)}]": name}, limit=1)
    if not rows:
        command = listed_by or f"powernode resources list {kind}"
        raise Failure("resource_not_found", f"no {kind} is called {name!r}; `{command}` lists them", Exit.NOT_FOUND)
    return str(rows[0]["id"])


@click.command(cls=Command)
@connected
def kinds() -> None:
    """List the kinds of resources, with how many there are."""
    client = Client(current())
    rows = client.get(BASE).data or []
    columns = ("kind", "alias", "count", "named by", "filterable", "scopes")
    listing(client.application, rows, columns, lambda row, _: [*(row.get(name) for name in columns[:3]), *_lists(row)], empty="no kinds")


def _lists(row: dict[str, Any]) -> list[str]:
    return [", ".join(map(str, row.get(name) or [])) for name in ("natural_key", "filterable", "scopes")]


@click.command("list", cls=Command)
@click.argument("kind")
@narrowed
@click.option("--deleted", is_flag=True, help="Deleted ones too.")
@click.option("--mirrors", is_flag=True, help="Mirrors of peers' records in place of our own, with their freshness.")
@click.option("--peer", metavar="PEER", help="With --mirrors: only those of this home.")
@click.option("--stale", is_flag=True, help="With --mirrors: only those that their home may long have overtaken.")
@connected
def list_(
    kind: str,
    filters: tuple[str, ...],
    since: str | None,
    deleted: bool,
    sort: str | None,
    limit: int | None,
    mirrors: bool,
    peer: str | None,
    stale: bool,
) -> None:
    """List the resources of one kind."""
    if mirrors:
        if filters or since or deleted or sort:
            raise Failure("usage", "mirrors are narrowed by --peer, --stale and --limit only", Exit.USAGE)
        _list_mirrors(kind, peer, stale, limit)
        return
    if peer is not None or stale:
        raise Failure("usage", "--peer and --stale belong to --mirrors; `powernode resources remote` reads at a peer", Exit.USAGE)
    client = Client(current())
    query = query_of(filters, since, sort) | {"include_deleted": "true" if deleted else None}
    rows = client.pages(path_of(kind), query, limit=limit)
    listing(
        client.application,
        rows,
        ("id", "attributes", "version", "updated"),
        lambda row, now: (row.get("id"), _summary(row), row.get("version"), ago(row.get("updated_at"), now)),
        empty="none; `powernode resources import FILE` fills the catalogue",
    )


def _list_mirrors(kind: str, peer: str | None, stale: bool, limit: int | None) -> None:
    from api.cli.peers import resolved

    client, query = Client(current()), {"kind": kind, "stale": "true" if stale else None}
    if peer is not None:
        client, query["peer_id"] = resolved(peer)
    listing(
        client.application,
        client.pages("/platform/mirrors", query, limit=limit),
        ("home", "id there", "attributes", "seen", "state"),
        lambda row, now: (
            row.get("origin_peer_id"),
            row.get("origin_id"),
            _summary(row),
            ago(row.get("observed_at"), now),
            "stale" if row.get("stale") else "fresh",
        ),
        empty="no mirrors; `powernode capabilities add PEER KIND pull` keeps some",
    )


def _summary(row: dict[str, Any]) -> str:
    if row.get("deleted"):
        return "(deleted)"
    attributes = row.get("attributes") or {}
    return " ".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in attributes.items())


@click.command(cls=Command)
@click.argument("kind")
@click.argument("record")
@connected
def show(kind: str, record: str) -> None:
    """Show one resource."""
    client = Client(current())
    _print(client, record_of(client.get(path_of(kind, find_record_id(client, kind, record))).data))


def _print(client: Client, record: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(record)
        return
    resource_block(record)


@click.command("set", cls=Command)
@click.argument("kind")
@click.argument("record")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--if-match", "etag", metavar="ETAG", help="Only if the resource is still at this version.")
@connected
def set_(kind: str, record: str, changes: tuple[str, ...], etag: str | None) -> None:
    """Change attributes of a resource.

    A VALUE that is JSON is read as JSON, as in `tags=["web"]` or `current_version=3`; anything else is text.
    `NAME=null` unsets an attribute.
    """
    attributes: dict[str, Any] = {}
    for text in changes:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise Failure("usage", f"a change is written NAME=VALUE, not {text!r}", Exit.USAGE)
        attributes[name] = _value(kind, name, value)
    client = Client(current())
    path = path_of(kind, find_record_id(client, kind, record))
    _print(client, record_of(client.patch(path, {"attributes": attributes}, etag=etag).data))


def _value(kind: str, name: str, text: str) -> Any:
    """Text stays text where the attribute is one, so that a module may be called 7."""
    from actors.door.shapes import Text
    from actors.inventory.registry import find

    known = find(kind)
    field = known.fields.get(name) if known is not None else None
    if text != "null" and field is not None and isinstance(field.shape, Text):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


@click.command(cls=Command)
@click.argument("kind")
@click.argument("record")
@YES
@connected
def delete(kind: str, record: str, yes: bool) -> None:
    """Delete a resource and all that it owns. Grants for it stay and reach nothing."""
    client = Client(current())
    id = find_record_id(client, kind, record)
    confirm(client, f"Delete the {kind} {record}, and all that it owns?", yes=yes)
    data = client.application.run(client.request, "DELETE", path_of(kind, id)).data
    if client.application.as_json:
        emit_json(data)
    else:
        say(f"deleted, with {data.get('owned_deleted')} that it owned")
