"""The hub at the door: operators' consents, and what a hub tells us.

Lives here: translation between bodies and the messages of the consents' actor, and the choice of the peer for a server name. Must not live
here: a rule that the actor does not check, or a connection (`net.relay`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door.call import success
from actors.door.callers import admitted_caller
from actors.door.hub.bodies import LIMIT_NAMES
from actors.door.peers import own_row
from actors.hub import routing
from actors.hub.actor import terms_of
from actors.hub.lifecycle import Side, Trigger
from actors.hub.messages import Consent, HandOver
from actors.hub.record import KIND, HubRecord, Relayed, Terms, never, to_json
from actors.limits import HUB_LISTED_MAX
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.urls import host_of
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, OperatorFault, RemoteFault
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

FOREIGN = RemoteFault("server_name_foreign", "this is not the name of this platform", 422)


def get_hub(door: Door, request: Request) -> None:
    settings = door.settings.federation
    own = Condition("account_id", "=", request.account_id)
    chosen = tuple((own, Condition(side, "!=", "never")) for side in ("relaying", "relayed"))
    rows = door.engine.store.query(Query(KIND.name, chosen, limit=HUB_LISTED_MAX + 1))
    listed = [door.engine.directory.freshest(KIND.name, row) for row in rows[:HUB_LISTED_MAX]]
    request.ok(
        {
            "enabled": settings.hub_enabled,
            "own_name": host_of(door.settings.identity.url),
            "limits": {name: getattr(settings, f"hub_{name}") for name in LIMIT_NAMES},
            "denied": list(settings.hub_denied_sources),
            "peers": [_shown(door, row.record, row.evidence, request.wall) for row in listed],
            "truncated": len(rows) > HUB_LISTED_MAX,
        }
    )


def get_peer_hub(door: Door, request: Request) -> None:
    peer: PeerRecord = own_row(door, request).record
    row = door.engine.directory.row(KIND.name, peer.id)
    record = never(peer.id, peer.account_id, peer.peering_epoch, peer.created_at) if row is None else row.record
    evidence = None if row is None else row.evidence
    request.ok({"hub": _shown(door, record, evidence, request.wall)}, version=record.version)


def _shown(door: Door, record: HubRecord, evidence: Relayed | None, wall: float) -> dict[str, Any]:
    """The consents, with what is in the way of them now."""
    row = door.engine.directory.row(PEER.name, record.id)
    peer, seen = (None, None) if row is None else (row.record, row.evidence)
    obstacles = routing.obstacles(record, peer, seen, door.settings, wall)
    return {**to_json(record, evidence, door.settings.identity.boot_epoch), "in_the_way": list(obstacles)}


def _consent(door: Door, request: Request, side: Side, trigger: Trigger) -> None:
    peer: PeerRecord = own_row(door, request).record
    message = Consent(
        account_id=request.account_id,
        by=request.by,
        side=side,
        trigger=trigger,
        terms=terms_of(request.body) if (side, trigger) == ("relaying", "permit") else Terms(),
        announced=request.body.get("announce", True),
        reason=request.body.get("reason"),
        expected_version=request.expected_version(),
        mark=request.mark,
    )

    def answered(outcome: HubRecord) -> None:
        row = door.engine.directory.row(KIND.name, outcome.id)
        evidence = row.evidence if row is not None else None
        request.ok({"hub": to_json(outcome, evidence, door.settings.identity.boot_epoch)}, version=outcome.version)

    door.relay(request, Ref(KIND.name, peer.id), message, answered, refused=_in_words)


def _in_words(fault: Fault) -> Fault:
    if fault.code != "server_name_taken":
        return fault
    text = "another peer is reached under the host of this peer's URL already; withdraw that permission, or give the peer another URL"
    return OperatorFault(fault.code, text, 409)


def permit_relaying(door: Door, request: Request) -> None:
    _consent(door, request, "relaying", "permit")


def withdraw_relaying(door: Door, request: Request) -> None:
    _consent(door, request, "relaying", "withdraw")


def use_hub(door: Door, request: Request) -> None:
    _consent(door, request, "relayed", "permit")


def leave_hub(door: Door, request: Request) -> None:
    _consent(door, request, "relayed", "withdraw")


def federation_relayed(door: Door, request: Request) -> None:
    """Hear that a hub of ours holds a connection for us. Nothing is said of it that would be believed, except that it is there."""
    admitted = admitted_caller(door, request, "relayed_per_peer", "exchange")
    body = door.read_body(request)
    if body["server_name"] != host_of(door.settings.identity.url):
        raise FaultError(FOREIGN)
    message = HandOver(token=body["token"], client_address=_address(body["client_address"]))

    def answered(_: object) -> None:
        request.answer(success({"accepted": True}, status=202))

    door.relay(request, Ref(KIND.name, admitted.record.id), message, answered)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise FaultError(OperatorFault("invalid_parameter", "client_address must be an address", 400)) from None


def route_for(door: Door, server_name: str | None) -> routing.Route | routing.NoRoute | None:
    """Where a connection that asks our port for this name goes; see `actors.hub.routing`."""
    return routing.route_for(door.engine.directory, door.engine.store, door.settings, server_name, door.engine.clock.wall())


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "get_hub": get_hub,
    "get_peer_hub": get_peer_hub,
    "permit_relaying": permit_relaying,
    "withdraw_relaying": withdraw_relaying,
    "use_hub": use_hub,
    "leave_hub": leave_hub,
    "federation_relayed": federation_relayed,
}
