"""`powernode services`: what peers offer, and what this platform subscribes to."""

from __future__ import annotations

from typing import Any

import click

from api.cli.application import connected, current
from api.cli.approvals import waits
from api.cli.client import Client, segment
from api.cli.confirming import YES, confirm
from api.cli.lazy import Command, LazyGroup
from api.cli.offerings import part_of
from api.cli.option_types import term_option
from api.cli.output import block, emit_json, listing, note, say
from api.cli.peers import resolved
from api.cli.text import clean

BASE = "/federation/service_subscriptions"

services = LazyGroup(
    "services",
    help="Use services of peers. PEER is an id, the beginning of one, a URL or a host; SUBSCRIPTION is an id.",
    lazy={
        "cancel": ("api.cli.services:cancel", "End a subscription for good."),
        "catalog": ("api.cli.services:catalog", "Browse what a peer offers."),
        "list": ("api.cli.services:list_", "List subscriptions."),
        "renew": ("api.cli.services:renew", "Get a further term now."),
        "retry": ("api.cli.services:retry", "Try what a pending subscription waits for now."),
        "show": ("api.cli.services:show", "Show one subscription."),
        "subscribe": ("api.cli.services:subscribe", "Subscribe to a service of a peer."),
    },
)


@click.command(cls=Command)
@click.argument("peer")
@connected
def catalog(peer: str) -> None:
    """Browse what a peer offers. While it is away, what was seen last is shown with its age."""
    client, peer_id = resolved(peer)
    answer = client.get(f"/federation/peers/{segment(peer_id)}/catalog")
    listing(
        client.application,
        answer.data,
        ("slug", "name", "protocol", "status", "open", "seen"),
        lambda row, _: (
            row.get("slug"),
            row.get("name"),
            row.get("protocol"),
            row.get("status"),
            "yes" if row.get("accepting_new_subscriptions") else "no",
            "now" if row.get("fresh") else f"{row.get('age_seconds')} s ago; the peer is away",
        ),
        empty="the peer offers nothing to this platform",
    )
    if answer.meta.get("complete") is False:
        note("the peer offers more than is fetched; what is not shown here can be subscribed to by its slug")


@click.command(cls=Command)
@click.argument("peer")
@click.argument("slug")
@click.option("--host", required=True, metavar="NAME", help="A DNS name, or localhost:<port> for a forward on this machine alone.")
@term_option("Term, as in 7d.  [default: as the provider offers]")
@click.option("--acknowledge-residency", is_flag=True, help="Say that data may cross a boundary by using the service.")
@click.option("--override-residency", is_flag=True, help="If our rules refuse it, ask for an exception; waits for approval.")
@click.option("--no-renewal", is_flag=True, help="Let it end with its term; `renew` goes on with it.")
@connected
def subscribe(
    peer: str, slug: str, host: str, ttl_days: int | None, acknowledge_residency: bool, override_residency: bool, no_renewal: bool
) -> None:
    """Subscribe to a service of a peer and route a host name to it."""
    client, peer_id = resolved(peer)
    body: dict[str, Any] = {"slug": slug, "local_hostname": host, "ttl_days": ttl_days}
    body |= {"acknowledge_residency": True} if acknowledge_residency else {}
    body |= {"override_residency": True} if override_residency else {}
    body |= {"auto_renew": False} if no_renewal else {}
    data = client.post(f"/federation/peers/{segment(peer_id)}/subscriptions", body).data
    waiting = waits(data)
    if waiting is None:
        _told(client, part_of(data, "subscription"))
    elif client.application.as_json:
        emit_json(data)
    else:
        say(waiting)


@click.command("list", cls=Command)
@connected
def list_() -> None:
    """List subscriptions, newest first."""
    client = Client(current())
    rows = client.pages(BASE)
    listing(
        client.application,
        rows,
        ("host", "service", "status", "why", "expires", "id"),
        lambda row, _: (row.get("local_hostname"), row.get("slug"), row.get("status"), _why(row), row.get("expires_at"), row.get("id")),
        empty="no subscriptions; `powernode services catalog PEER` shows what a peer offers",
    )


@click.command(cls=Command)
@click.argument("subscription")
@connected
def show(subscription: str) -> None:
    """Show one subscription."""
    client = Client(current())
    found = part_of(client.get(f"{BASE}/{segment(subscription)}").data, "subscription")
    if client.application.as_json:
        emit_json(found)
    else:
        block(found.items())


@click.command(cls=Command)
@click.argument("subscription")
@click.option("--reason", metavar="TEXT", help="Kept with the subscription.")
@YES
@connected
def cancel(subscription: str, reason: str | None, yes: bool) -> None:
    """End a subscription for good. Traffic stops at once; the provider is told as often as it takes."""
    confirm(Client(current()), "End this subscription for good?", yes=yes)
    _step(subscription, "cancel", {"reason": reason} if reason else {})


@click.command(cls=Command)
@click.argument("subscription")
@connected
def renew(subscription: str) -> None:
    """Get a further term now; it happens by itself from seven days before the end on."""
    _step(subscription, "renew", {})


@click.command(cls=Command)
@click.argument("subscription")
@connected
def retry(subscription: str) -> None:
    """Try what a pending subscription waits for now."""
    _step(subscription, "retry", {})


def _step(subscription: str, trigger: str, body: dict[str, Any]) -> None:
    client = Client(current())
    _told(client, part_of(client.post(f"{BASE}/{segment(subscription)}/{trigger}", body).data, "subscription"))


def _why(row: dict[str, Any]) -> Any:
    return row.get("pending_reason") or row.get("suspension_reason") or row.get("cancellation_reason")


def _told(client: Client, found: dict[str, Any]) -> None:
    if client.application.as_json:
        emit_json(found)
        return
    why = _why(found)
    say(f"{clean(found.get('local_hostname'))} is {clean(found.get('status'))}" + (f": {clean(why)}" if why else ""))
    say(f"subscription {clean(found.get('id'))}")
    if found.get("status") != "pending":
        return
    # What only an operator can change does not become good by waiting.
    if str(why).startswith("certificate_"):
        host = clean(found.get("local_hostname"))
        note(f"bring a certificate for {host} to the folder of proxy.certificates, or set proxy.certificate_resolver")
    note(f"the next try is at {clean(found.get('next_try_at'))}; at once: powernode services retry {clean(found.get('id'))}")
