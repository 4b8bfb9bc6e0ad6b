"""The commands that make and change a peering: invite, accept, regenerate, cancel, update.

Lives here: these commands. Must not live here: reading of secrets (see `secrets_input`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from api.cli.application import connected, current
from api.cli.approvals import waits
from api.cli.client import Client
from api.cli.failures import Exit, Failure
from api.cli.lazy import Command
from api.cli.option_types import DurationType, EndpointType, PairType
from api.cli.output import ago, emit_json, note, say
from api.cli.peer_names import peer_of, peer_path
from api.cli.peers import print_peer, resolved
from api.cli.secrets_input import looks_secret, read_secret
from api.cli.text import clean
from api.cli.warning_words import warn

_TTL = click.option("--ttl", type=DurationType(), metavar="TIME", help="Lifetime of the invitation, as in 1h or 7d.  [default: 7d]")
_ENDPOINT = click.option(
    "--endpoint",
    "endpoints",
    type=EndpointType(),
    multiple=True,
    metavar="URL[,…]",
    help="Address of the remote; adds scope=, priority=, cidr=, and via= for each hub to be dialled in its place.",
)
_METADATA = click.option("--metadata", type=PairType(), multiple=True, metavar="K=V", help="Note on the peer; may be repeated.")

_ROLE = click.option("--role", metavar="ROLE", help="Our part: symmetric (the default), parent or child.")
_MODE = click.option("--mode", metavar="MODE", help="out_of_band (the default), managed_child, autonomous_peer or cluster_member.")


def _given(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, (), {}, [])}


def _ttl_seconds(ttl: float | None) -> int | None:
    return None if ttl is None else int(ttl)


@click.command(cls=Command)
@click.argument("url")
@_TTL
@_ROLE
@_MODE
@_ENDPOINT
@click.option("--ca-fingerprint", metavar="sha256:…", help="Fingerprint of the remote's CA, learned over another channel.")
@_METADATA
@click.option(
    "--grant-tests",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Planned grants and tests of them (see `grants test --planned`); no invitation is made if one fails.",
)
@connected
def invite(
    url: str,
    ttl: float | None,
    role: str | None,
    mode: str | None,
    endpoints: tuple[Mapping[str, object], ...],
    ca_fingerprint: str | None,
    metadata: tuple[tuple[str, object], ...],
    grant_tests: Path | None,
) -> None:
    """Propose a peering to the platform at URL and print the invitation for its operator.

    Standard output holds the invitation alone, so that it can be piped or sent to a file. Nothing is sent to the remote.
    """
    if not url.lower().startswith("https://"):
        raise click.UsageError("URL must be the https address of the other platform, as in https://platform-b.example.com")
    client = Client(current())
    if grant_tests is not None:
        _check_planned(client, grant_tests)
    body = _given(
        remote_instance_url=url,
        spawn_role=role,
        spawn_mode=mode,
        token_ttl_seconds=_ttl_seconds(ttl),
        endpoints=list(endpoints),
        remote_ca_fingerprint=ca_fingerprint,
        metadata=dict(metadata),
    )
    data = client.post("/platform/peers", body).data
    peer = peer_of(data)
    _hand_over(client, data, str(peer.get("id")), peer.get("acceptance_expires_at"))


def _check_planned(client: Client, file: Path) -> None:
    """Go on only if what is planned for the new peer allows and refuses what its tests say.

    Raises:
        Failure: a test fails.
    """
    from api.cli.grants import test_planned

    told = test_planned(client, file)
    failing = [str(each.get("name")) for each in told.get("outcomes") or () if not each.get("passed")]
    if failing or not told.get("passed"):
        text = f"no invitation was made, because these grant tests fail: {', '.join(map(clean, failing))}"
        raise Failure("grant_test_failed", text, Exit.FAILURE)


@click.command(cls=Command)
@click.argument("peer")
@_TTL
@connected
def regenerate(peer: str, ttl: float | None) -> None:
    """Make a new invitation; the former one stops working at once."""
    client, peer_id = resolved(peer)
    data = client.post(peer_path(peer_id, "acceptance_token"), _given(token_ttl_seconds=_ttl_seconds(ttl))).data
    _hand_over(client, data, peer_id, data.get("acceptance_expires_at"))


def _hand_over(client: Client, data: Mapping[str, Any], peer_id: str, expires_at: object) -> None:
    if client.application.as_json:
        emit_json(data)
        return
    say(clean(data.get("invitation")))
    note("")
    note(f"This is shown once. It works once, and ends {ago(expires_at, client.application.clock.wall())} ({clean(expires_at)}).")
    note("Whoever holds it can pair with this platform: hand it over through a channel that only the other operator reads.")
    note("They run:   powernode peers accept      and paste it at the prompt.")
    note(f"You watch:  powernode peers wait {clean(peer_id)} --for active")
    if data.get("ca_fingerprint"):
        note(f"Our CA, to compare by voice: {clean(data['ca_fingerprint'])}")


@click.command(cls=Command)
@click.argument("source", nargs=-1, metavar="[FILE|-]")
@click.option("--file", "file", metavar="FILE", help="The same as FILE.")
@click.option(
    "--peer", metavar="PEER", help="Accept for a peer that is registered already; the bare token is read instead of an invitation."
)
@click.option("--contract-version", type=click.IntRange(min=1), metavar="N", help="With --peer: insist on this contract version.")
@_ROLE
@_MODE
@connected
def accept(
    source: tuple[str, ...], file: str | None, peer: str | None, contract_version: int | None, role: str | None, mode: str | None
) -> None:
    """Accept the invitation of another platform.

    The invitation is read from FILE, from standard input (-), or asked for. It is a secret, so it is no argument itself. If the other side
    invites as a parent, accept with --role child and its --mode.
    """
    names = (*source, *([] if file is None else [file]))
    if len(names) > 1 and not any(looks_secret(name) for name in names):
        raise click.UsageError("give one file, or - for standard input")
    label = "invitation" if peer is None else "acceptance token"
    found = next((name for name in names if looks_secret(name)), names[0] if names else None)
    if contract_version is not None and peer is None:
        raise click.UsageError("--contract-version goes with --peer; an invitation names its version itself")
    if peer is not None and (role is not None or mode is not None):
        raise click.UsageError("a peer that is registered already has its role and mode; --role and --mode go without --peer")
    if peer is None:
        client = Client(current())
        secret = read_secret(found, label)
        data = client.post("/platform/peers/accept", _given(invitation=secret.reveal(), spawn_role=role, spawn_mode=mode)).data
    else:
        secret = read_secret(found, label)
        client, peer_id = resolved(peer)
        body = _given(acceptance_token=secret.reveal(), contract_version=contract_version)
        data = client.post(peer_path(peer_id, "accept"), body).data
    _accepted(client, data)


def _accepted(client: Client, data: Any) -> None:
    peer = peer_of(data)
    if client.application.as_json:
        emit_json(data)
        return
    say(f"{clean(peer.get('remote_instance_url'))} is {clean(peer.get('status'))} as peer {clean(peer.get('id'))}")
    for warning in data.get("warnings") or []:
        warn(warning)
    if peer.get("status") != "active":
        note(f"The first heartbeat makes it active: powernode peers wait {clean(peer.get('id'))} --for active")


@click.command(cls=Command)
@click.argument("peer")
@click.option("--reason", metavar="TEXT", help="For the audit trail.")
@connected
def cancel(peer: str, reason: str | None) -> None:
    """Withdraw a proposal; its token stops working at once."""
    client, peer_id = resolved(peer)
    found = peer_of(client.post(peer_path(peer_id, "cancel"), _given(reason=reason)).data)
    if client.application.as_json:
        emit_json(found)
        return
    say(f"the proposal to {clean(found.get('remote_instance_url'))} is withdrawn")


@click.command(cls=Command)
@click.argument("peer")
@_METADATA
@_ENDPOINT
@click.option("--no-endpoints", is_flag=True, help="Forget all endpoints; the platform's URL remains.")
@click.option("--expires-at", metavar="TIME", help="Hard end of the peering, ISO-8601 with zone; never for none.")
@click.option("--overlay-only/--not-overlay-only", default=None, help="Whether the peer may use overlay services only.")
@click.option("--residency", metavar="TAG", help="Where the operators say that the peer keeps data; - clears it.")
@click.option("--if-match", metavar="ETAG", help="Refuse unless the peer still has this ETag.  [default: as read just before]")
@connected
def update(
    peer: str,
    metadata: tuple[tuple[str, object], ...],
    endpoints: tuple[Mapping[str, object], ...],
    no_endpoints: bool,
    expires_at: str | None,
    overlay_only: bool | None,
    residency: str | None,
    if_match: str | None,
) -> None:
    """Change what operators decide about a peer.

    --endpoint replaces the whole list; --metadata is merged key by key. If somebody else changes the peer meanwhile, nothing is done.
    --residency waits for approval, and is given by itself.
    """
    body = _given(
        metadata=dict(metadata), endpoints=list(endpoints), expires_at=expires_at, overlay_only=overlay_only, data_residency=residency
    )
    if no_endpoints:
        if endpoints:
            raise click.UsageError("--no-endpoints and --endpoint exclude each other")
        body["endpoints"] = []
    if expires_at == "never":
        body["expires_at"] = None
    if residency == "-":
        body["data_residency"] = None
    if not body:
        raise click.UsageError("nothing to change; see --help for what can be")
    if "data_residency" in body and len(body) > 1:
        raise click.UsageError("--residency waits for approval, and is given by itself")
    client, peer_id = resolved(peer)
    etag = if_match or client.get(peer_path(peer_id)).headers.get("etag")
    if etag is None:
        raise Failure("daemon_error", "the daemon gave no ETag, so a safe update is not possible", Exit.FAILURE)
    data = client.patch(peer_path(peer_id), body, etag=etag).data
    waiting = waits(data)
    if waiting is None:
        print_peer(client, peer_of(data))
    elif client.application.as_json:
        emit_json(data)
    else:
        say(waiting)
