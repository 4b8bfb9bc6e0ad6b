"""Where a connection that arrives at our port belongs: to us, or to a peer that is reached through us.

Lives here: the decision, from a server name and committed rows. Must not live here: a connection, or what it may cost (see `ledger`).
"""

from __future__ import annotations

from actors.hub.record import KIND, HubRecord, Terms, missing_setting
from actors.peer import standing
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerEvidence, PeerRecord
from actors.settings import Settings
from actors.urls import host_of
from runtime.directory import Directory
from runtime.store.port import Condition, Query, Store
from runtime.values import Value


class Route(Value, frozen=True):
    """The connection is the peer's, on these terms."""

    peer_id: str
    terms: Terms


class NoRoute(Value, frozen=True):
    """The name is that of a peer which is not reached now; `reason` is a stable word for counting."""

    peer_id: str
    reason: str


def route_for(directory: Directory, store: Store, settings: Settings, server_name: str | None, wall: float) -> Route | NoRoute | None:
    """Where a connection with this server name goes; None means that it is ours.

    A name is relayed only if operators have permitted it, the peering under which they did is in force, and it still is the host of that
    very peer's URL. A name that was permitted once leads nowhere: our own certificate would look to its callers like somebody who stands
    in the peer's place. Everything else is left to our own TLS, which shows who we are and nobody else.
    """
    if server_name is None or not settings.federation.hub_enabled or server_name == host_of(settings.identity.url):
        return None
    found = directory.find(KIND.name, "server_name", server_name)
    row = directory.row(KIND.name, found) if found is not None else None
    if row is None or row.record.relaying != "permitted":
        former = store.query(Query(KIND.name, ((Condition("server_name", "=", server_name),),), newest_first=True, limit=1))
        return NoRoute(former[0].record.id, "withdrawn") if former else None
    record: HubRecord = row.record
    peer = directory.row(PEER.name, record.id)
    if peer is None or not standing.in_force(peer.record, record.peering_epoch, wall):
        return NoRoute(record.id, "peer_not_in_force")
    if server_name_of(peer.record) != server_name:
        return NoRoute(record.id, "name_changed")
    return Route(record.id, record.terms)


def obstacles(
    record: HubRecord, peer: PeerRecord | None, evidence: PeerEvidence | None, settings: Settings, wall: float
) -> tuple[str, ...]:
    """What is in the way of relaying that operators here have permitted, as far as this side can tell: settings, or words of the books.

    The other side's consent is not among it: nobody is told of it but by a connection that is not relayed.
    """
    if "permitted" not in (record.relaying, record.relayed):
        return ()
    setting = missing_setting(record, settings)
    found = [] if setting is None else [setting]
    if peer is None or not standing.in_force(peer, record.peering_epoch, wall):
        found.append("peer_not_in_force")
    elif record.relaying == "permitted" and server_name_of(peer) != record.server_name:
        found.append("name_changed")
    seen = evidence or PeerEvidence()
    if seen.channel_since is None or seen.channel_epoch != settings.identity.boot_epoch:
        found.append("no_channel")
    return tuple(found)


def hands_over(directory: Directory, hub_id: str, wall: float) -> bool:
    """Whether connections that this peer hands over are served now: operators have chosen it as our hub, in a peering in force."""
    row, peer = directory.row(KIND.name, hub_id), directory.row(PEER.name, hub_id)
    if row is None or peer is None or row.record.relayed != "permitted":
        return False
    return standing.in_force(peer.record, row.record.peering_epoch, wall)


def server_name_of(peer: PeerRecord) -> str | None:
    """The name by which TLS asks for this peer: the host of its URL. An address is never asked for by name (RFC 6066, section 3)."""
    host = host_of(peer.remote_instance_url) if peer.remote_instance_url else ""
    return host if host and not host.replace(".", "").isdigit() and ":" not in host else None
