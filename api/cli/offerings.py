"""`powernode offerings`: what this platform offers to peers, and who has a seat."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.approvals import waits
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command, LazyGroup
from api.cli.option_types import term_option
from api.cli.output import ago, block, emit_json, listing, say
from api.cli.text import clean
from runtime.ids import is_uuid

BASE = "/federation/service_offerings"

offerings = LazyGroup(
    "offerings",
    help="Offer services to peers. OFFERING is an id or a slug.",
    lazy={
        "activate": ("api.cli.offerings:activate", "Show an offering to peers and take subscribers."),
        "create": ("api.cli.offerings:create", "Draft an offering."),
        "deprecate": ("api.cli.offerings:deprecate", "Take no new subscribers."),
        "leases": ("api.cli.offerings:leases", "List who has, or had, a seat."),
        "list": ("api.cli.offerings:list_", "List what is offered."),
        "retire": ("api.cli.offerings:retire", "Withdraw an offering for good."),
        "set": ("api.cli.offerings:set_", "Change fields of an offering."),
        "show": ("api.cli.offerings:show", "Show one offering."),
    },
)


def part_of(data: Any, name: str) -> dict[str, Any]:
    """The named object in an answer.

    Raises:
        Failure: there is none.
    """
    found = data.get(name) if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise Failure("daemon_error", f"the answer holds no {name}", Exit.FAILURE)
    return found


def resolved_offering(client: Client, name: str) -> str:
    """The id of the offering that `name` means.

    Raises:
        Failure: there is none.
    """
    if is_uuid(name.lower()):
        return name.lower()
    for row in client.pages(BASE):
        if row.get("slug") == name:
            return str(row["id"])
    raise Failure("offering_not_found", f"there is no offering {name!r}; see `powernode offerings list`", Exit.FAILURE)


def path_of(id: str, *rest: str) -> str:
    """The path of an offering, or of something below it."""
    return "/".join((BASE, segment(id), *rest))


@click.command("list", cls=Command)
@connected
def list_() -> None:
    """List what is offered, newest first."""
    client = Client(current())
    rows = client.pages(BASE)
    listing(
        client.application,
        rows,
        ("slug", "name", "protocol", "status", "seats", "id"),
        lambda row, _: (
            row.get("slug"),
            row.get("name"),
            row.get("protocol"),
            row.get("status"),
            f"{row.get('live_leases')}/{row.get('max_subscribers') or 'any'}",
            row.get("id"),
        ),
        empty="nothing is offered; `powernode offerings create SLUG` drafts an offering",
    )


@click.command(cls=Command)
@click.argument("offering")
@connected
def show(offering: str) -> None:
    """Show one offering."""
    client = Client(current())
    _print(client, part_of(client.get(path_of(resolved_offering(client, offering))).data, "offering"))


@click.command(cls=Command)
@click.argument("slug")
@click.option("--name", required=True, metavar="TEXT", help="For people.")
@click.option("--protocol", required=True, type=click.Choice(["https", "http", "tcp", "tls"]), help="What subscribers speak to it.")
@click.option("--backend", required=True, metavar="HOST:PORT", help="Where it is served; only subscribers are told.")
@click.option("--vip", metavar="ID", help="A virtual address of the catalogue, which goes before the host.")
@click.option("--server-name", metavar="NAME", help="Name in the certificate of a TLS backend; its host when absent.")
@click.option("--anchor", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="CA certificate of a TLS backend (PEM).")
@click.option("--seats", type=int, help="How many may subscribe; any number when absent.")
@click.option("--residency-sensitive", is_flag=True, help="Ask the rules about data residency before a peer gets a seat.")
@term_option("Term of a subscription, as in 7d.  [default: 30d]")
@connected
def create(
    slug: str,
    name: str,
    protocol: str,
    backend: str,
    vip: str | None,
    server_name: str | None,
    anchor: Path | None,
    seats: int | None,
    residency_sensitive: bool,
    ttl_days: int | None,
) -> None:
    """Draft an offering; `activate` shows it to peers."""
    client = Client(current())
    host, _, port = backend.rpartition(":")
    if not host or not port.isdigit():
        raise Failure("backend_invalid", "--backend takes HOST:PORT, such as 10.7.0.9:8443 or [fd00::9]:8443", Exit.USAGE)
    body = {
        "slug": slug,
        "name": name,
        "protocol": protocol,
        "backend_host": host.strip("[]"),
        "backend_port": int(port),
        "backend_vip_id": vip,
        "backend_server_name": server_name,
        "backend_anchor_pem": anchor.read_text("utf-8") if anchor is not None else None,
        "max_subscribers": seats,
        **({"residency_sensitive": True} if residency_sensitive else {}),
        **({"default_grant_ttl_days": ttl_days} if ttl_days is not None else {}),
    }
    _print(client, part_of(client.post(BASE, body).data, "offering"))


@click.command("set", cls=Command)
@click.argument("offering")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD=VALUE...")
@connected
def set_(offering: str, fields: tuple[str, ...]) -> None:
    """Change fields of an offering. A value is JSON, or else text: `max_subscribers=5 name=Wiki`."""
    client = Client(current())
    body: dict[str, Any] = {}
    for each in fields:
        name, equals, text = each.partition("=")
        if not equals:
            raise Failure("usage", f"{each!r} is not FIELD=VALUE", Exit.USAGE)
        try:
            body[name] = json.loads(text)
        except ValueError:
            body[name] = text
    _print(client, part_of(client.patch(path_of(resolved_offering(client, offering)), body).data, "offering"))


@click.command(cls=Command)
@click.argument("offering")
@connected
def activate(offering: str) -> None:
    """Show an offering to peers and take subscribers."""
    _step(offering, "activate", {})


@click.command(cls=Command)
@click.argument("offering")
@connected
def deprecate(offering: str) -> None:
    """Take no new subscribers; those who have a seat are served and may renew."""
    _step(offering, "deprecate", {})


@click.command(cls=Command)
@click.argument("offering")
@click.option("--immediate", is_flag=True, help="End the access of every subscriber at once, not in thirty days; waits for approval.")
@YES
@connected
def retire(offering: str, immediate: bool, yes: bool) -> None:
    """Withdraw an offering for good. Subscribers hear of it and keep their access for thirty days.

    --immediate waits for approval: nothing is done before.
    """
    question = "Ask to end this offering and the access of every subscriber at once?" if immediate else "Withdraw this offering for good?"
    confirm(Client(current()), question, yes=yes)
    _step(offering, "retire", {"immediate": immediate})


@click.command(cls=Command)
@click.argument("offering")
@connected
def leases(offering: str) -> None:
    """List who has, or had, a seat, newest first."""
    client = Client(current())
    rows = client.pages(path_of(resolved_offering(client, offering), "leases"))
    listing(
        client.application,
        rows,
        ("peer", "host", "state", "since", "expires"),
        lambda row, now: (
            row.get("federation_peer_id"),
            row.get("local_hostname"),
            row.get("state"),
            ago(row.get("created_at"), now),
            row.get("expires_at"),
        ),
        empty="nobody has subscribed",
    )


def _step(offering: str, trigger: str, body: dict[str, Any]) -> None:
    client = Client(current())
    data = client.post(path_of(resolved_offering(client, offering), trigger), body).data
    waiting = waits(data)
    found = data if waiting is not None else part_of(data, "offering")
    if client.application.as_json:
        emit_json(found)
    elif waiting is not None:
        say(waiting)
    else:
        ends = found.get("access_ends_at")
        say(f"the offering is {clean(found.get('status'))}" + (f"; access ends at {clean(ends)}" if ends else ""))


def _print(client: Client, offering: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(offering)
    else:
        block(offering.items())
