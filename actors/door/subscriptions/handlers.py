"""Operators' calls about subscriptions and catalogues: from bodies to messages of their actors, and back to JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door import cursors
from actors.door.approvals.handlers import let_wait
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.subscription.actor import NOT_FOUND
from actors.subscription.catalogue import KIND as CATALOGUE
from actors.subscription.catalogue import Seen
from actors.subscription.catalogue import to_json as catalogue_to_json
from actors.subscription.messages import Browse, Cancel, Create, NeedsException, Renew, Retry
from actors.subscription.record import KIND, SubscriptionRecord, to_json
from runtime.actor import Ref
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def own_peer(door: Door, request: Request) -> PeerRecord:
    """The platform peer that the path names, in the caller's account.

    Raises:
        FaultError: `peer_not_found`.
    """
    row = door.engine.directory.row(PEER.name, request.parameters["peer_id"])
    if row is None or row.record.account_id != request.account_id or row.record.peer_kind != "platform":
        raise FaultError(OperatorFault("peer_not_found", "there is no such platform peer", 404))
    record: PeerRecord = row.record
    return record


def own_subscription(door: Door, request: Request) -> SubscriptionRecord:
    """The subscription that the path names, in the caller's account.

    Raises:
        FaultError: `subscription_not_found`.
    """
    row = door.engine.directory.row(KIND.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(NOT_FOUND)
    record: SubscriptionRecord = row.record
    return record


def shown(door: Door, record: SubscriptionRecord) -> dict[str, Any]:
    """The form of the operator surface."""
    row = door.engine.directory.row(PEER.name, record.federation_peer_id)
    return to_json(record, row.record if row is not None else None, door.engine.clock.wall())


def browse_catalog(door: Door, request: Request) -> None:
    peer = own_peer(door, request)

    def answered(seen: Seen) -> None:
        data = catalogue_to_json(seen, door.engine.clock.wall())
        fresh = seen.stale_because is None
        complete = seen.catalogue.complete
        request.ok(data, meta={"count": len(data), "complete": complete, "fresh": fresh, "stale_because": seen.stale_because})

    door.relay(request, Ref(CATALOGUE.name, peer.id), Browse(), answered)


def subscribe(door: Door, request: Request) -> None:
    peer, body = own_peer(door, request), request.body
    message = Create(
        account_id=request.account_id,
        by=request.by,
        peer_id=peer.id,
        slug=body["slug"],
        local_hostname=body["local_hostname"],
        ttl_days=body.get("ttl_days"),
        dns_credential_id=body.get("dns_credential_id"),
        acknowledge_residency=body["acknowledge_residency"],
        auto_renew=body["auto_renew"],
        override_residency=body["override_residency"],
        mark=request.mark,
    )

    def answered(outcome: SubscriptionRecord | NeedsException) -> None:
        if isinstance(outcome, NeedsException):
            let_wait(door, request, outcome.asked)
        else:
            request.ok({"subscription": shown(door, outcome)}, status=201)

    door.relay(request, Ref(KIND.name, uuid7(request.wall, door.chance)), message, answered)


def list_subscriptions(door: Door, request: Request) -> None:
    query = request.query
    conditions = [Condition("account_id", "=", request.account_id)]
    if query.get("status"):
        conditions.append(Condition("state", "in", tuple(query["status"])))
    if query.get("peer_id"):
        conditions.append(Condition("federation_peer_id", "=", query["peer_id"]))
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit = query["limit"]
    rows = door.engine.store.query(Query(KIND.name, (tuple(conditions),), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    request.ok([shown(door, record) for record in page], meta={"count": len(page), "next_cursor": following})


def get_subscription(door: Door, request: Request) -> None:
    record = own_subscription(door, request)
    request.ok({"subscription": shown(door, record)}, version=record.version)


def cancel_subscription(door: Door, request: Request) -> None:
    _relayed(door, request, Cancel(by=request.by, reason=request.body.get("reason"), mark=request.mark))


def renew_subscription(door: Door, request: Request) -> None:
    _relayed(door, request, Renew(by=request.by, mark=request.mark))


def retry_subscription(door: Door, request: Request) -> None:
    _relayed(door, request, Retry(by=request.by, mark=request.mark))


def _relayed(door: Door, request: Request, message: Any) -> None:
    record = own_subscription(door, request)
    door.relay(request, Ref(KIND.name, record.id), message, lambda outcome: request.ok({"subscription": shown(door, outcome)}))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "browse_catalog": browse_catalog,
    "subscribe": subscribe,
    "list_subscriptions": list_subscriptions,
    "get_subscription": get_subscription,
    "cancel_subscription": cancel_subscription,
    "renew_subscription": renew_subscription,
    "retry_subscription": retry_subscription,
}
