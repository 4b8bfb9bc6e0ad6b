"""What a platform tells its peers of where it is reached, with the hubs that its operators have chosen.

Lives here: the list that heartbeats, accepts and invitations carry. Must not live here: what becomes of a list at those who are told, which
treat it as the word of a stranger (`actors.peer.endpoints`).

Only the platform itself announces how it is reached, and only through hubs that its own operators use. A hub announces nobody.
"""

from __future__ import annotations

from typing import Any, Final

from actors.hub.record import KIND
from actors.limits import ENDPOINT_HUBS_MAX, ENDPOINTS_MAX
from actors.peer import standing
from actors.peer.endpoints import DEFAULT_PRIORITY, DEFAULT_SCOPE
from actors.peer.record import KIND as PEER
from actors.urls import host_of
from runtime.context import Context
from runtime.store.port import Condition, Query

PERMITTED: Final = Query(KIND.name, ((Condition("relayed", "=", "permitted"),),))


def announced_hubs(ctx: Context) -> tuple[str, ...]:
    """The URLs of the hubs through which we are reached, the one that has been used longest first.

    A hub is told of itself, too: calls that do not travel on the channel reach us by its own port.
    """
    rows = ctx.kept_query(PERMITTED)
    if not rows:
        return ()
    own = ctx.settings.identity.url
    chosen = sorted((row.record.relayed_since or 0.0, row.record.id) for row in rows if row.record.announced)
    urls: dict[str, None] = {}
    for _, hub_id in chosen:
        consents, peer = ctx.row(KIND.name, hub_id), ctx.row(PEER.name, hub_id)
        if consents is None or peer is None or not peer.record.remote_instance_url:
            continue
        named = host_of(peer.record.remote_instance_url) != host_of(own)
        if named and standing.in_force(peer.record, consents.record.peering_epoch, ctx.wall):
            urls[peer.record.remote_instance_url] = None
    return tuple(urls)[:ENDPOINT_HUBS_MAX]


def announced_endpoints(ctx: Context) -> list[dict[str, Any]]:
    """What peers are told of our endpoints: those of the settings, and our own URL by way of our hubs."""
    declared = [dict(endpoint) for endpoint in ctx.settings.federation.advertised_endpoints]
    hubs, own = announced_hubs(ctx), ctx.settings.identity.url
    if not hubs:
        return declared
    # One entry for one URL. Whoever is told tries the hubs in its place, and the URL itself after all others.
    ours = next((endpoint for endpoint in declared if endpoint["url"] == own), None)
    through = {"scope": DEFAULT_SCOPE, "priority": DEFAULT_PRIORITY, **(ours or {"url": own}), "via": list(hubs)}
    others = [endpoint for endpoint in declared if endpoint is not ours]
    return [through, *others][:ENDPOINTS_MAX]
