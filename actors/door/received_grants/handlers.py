"""Calls about grants that peers gave us: from bodies to messages of the held grant, and back to JSON.

Lives here: one function per route. Must not live here: the judgement of calls that come in (`actors.door.grants`), which never looks at
what this folder keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors.door import cursors, shapes
from actors.door.grants.authorise import admitted_peer, presented
from actors.door.grants.handlers import own_peer
from actors.door.received_grants import relay
from actors.door.request import Request
from actors.door.route import GRANT_REFUSALS
from actors.grant import lifecycle, projection, standing, tokens
from actors.grant.chain import Ask, holds
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from actors.limits import RECEIVED_GRANTS_TRIED_MAX
from actors.peer.record import PeerRecord
from actors.ports import RemoteReply
from actors.received_grant.actor import NOT_FOUND
from actors.received_grant.messages import Call, Deliver, Forget, Receive
from actors.received_grant.record import KIND, ReceivedGrantRecord, fitting, held_key, of_peer, row_id, to_json
from actors.received_grant.remote_answers import BEARER_OVER, parse_facts
from actors.subscription.record import held_grant, with_grant
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door

LIMIT: Final = "grants_per_peer"


# --- operators ------------------------------------------------------------------------------------------------------


def list_received_grants(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    rows = door.engine.store.query(of_peer(peer.id))
    seats = (held_grant(row.record, peer, request.wall) for row in door.engine.store.query(with_grant(peer.id)))
    page = [*(to_json(row.record, peer, request.wall) for row in rows), *(seat for seat in seats if seat is not None)]
    request.ok(page, meta={"count": len(page), "next_cursor": None})


def receive_grant(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    message = Receive(account_id=request.account_id, peer_id=peer.id, bearer=request.body["bearer_token"], by=request.by, mark=request.mark)

    def answered(outcome: ReceivedGrantRecord) -> None:
        request.ok({"received_grant": to_json(outcome, peer, door.engine.clock.wall())}, status=201)

    named = tokens.parse(message.bearer.reveal())
    door.relay(request, _ref(door, peer, named.grant_id if named is not None else None), message, answered)


def _ref(door: Door, peer: PeerRecord, grant_id: str | None) -> Ref:
    """The actor of a grant of a peer, known or not; whoever brings what is no bearer is told so by any."""
    if grant_id is None:
        return Ref(KIND.name, uuid7(door.engine.clock.wall(), door.chance))
    return Ref(KIND.name, door.engine.directory.find(KIND.name, "held", held_key(peer.id, grant_id)) or row_id(peer.id, grant_id))


def forget_grant(door: Door, request: Request) -> None:
    record = own_received_grant(door, request)

    def answered(outcome: ReceivedGrantRecord) -> None:
        request.ok({"id": outcome.id, "forgotten": True})

    message = Forget(by=request.by, expected_version=request.expected_version(), mark=request.mark)
    door.relay(request, Ref(KIND.name, record.id), message, answered)


def check_received_grant(door: Door, request: Request) -> None:
    """Present a bearer that we hold, and say what the issuer makes of it."""
    peer, record = own_peer(door, request), own_received_grant(door, request)
    if record.sealed_bearer is None and record.refused_code is None:
        raise FaultError(OperatorFault("no_received_grant", "the bearer of this grant has not come yet", 409, {"status": peer.status}))

    def say(code: str | None, kinds: list[str]) -> None:
        now = door.engine.directory.row(KIND.name, record.id)
        shown = to_json(now.record if now is not None else record, peer, door.engine.clock.wall())
        request.ok({"received_grant": shown, "served": code is None, "remote_code": code, "kinds": kinds})

    def answered(reply: RemoteReply) -> None:
        fault = relay.fault_of(reply)
        code = fault.details.get("remote_code") if fault is not None else None
        if fault is None:
            say(None, relay.read_kinds(reply))
        elif code in GRANT_REFUSALS.get(reply.status, ()):
            say(str(code), [])
        else:
            raise FaultError(fault)

    if record.refused_code is not None:
        # What the issuer has refused for good is never presented again.
        say(record.refused_code, [])
    else:
        door.relay(request, Ref(KIND.name, record.id), Call("/federation_api/resources"), answered)


def own_received_grant(door: Door, request: Request) -> ReceivedGrantRecord:
    """The held grant that the path names, of the peer that it names.

    Raises:
        FaultError: `peer_not_found` or `not_found`.
    """
    peer = own_peer(door, request)
    row = door.engine.directory.row(KIND.name, request.parameters["received_grant_id"])
    if row is None or row.record.federation_peer_id != peer.id:
        raise FaultError(NOT_FOUND)
    record: ReceivedGrantRecord = row.record
    return record


# --- reading a peer's resources -------------------------------------------------------------------------------------


def list_remote_resources(door: Door, request: Request) -> None:
    kind = relay.canonical(request.parameters["kind"])

    def served(reply: RemoteReply, used: ReceivedGrantRecord) -> None:
        data, meta = relay.read_list(reply, kind)
        told = {"count": len(data), **meta, "received_grant_id": used.id}
        request.ok(data, meta=told)

    _read(door, request, kind, None, served)


def get_remote_resource(door: Door, request: Request) -> None:
    kind = relay.canonical(request.parameters["kind"])

    def served(reply: RemoteReply, used: ReceivedGrantRecord) -> None:
        record = relay.read_record(reply.body.get("data"), kind)
        if record["id"] != request.parameters["resource_id"]:
            raise FaultError(relay.another_record())
        request.ok({"resource": record, "received_grant_id": used.id})

    _read(door, request, kind, request.parameters["resource_id"], served)


def _read(
    door: Door,
    request: Request,
    kind: str,
    resource_id: str | None,
    served: Callable[[RemoteReply, ReceivedGrantRecord], None],
) -> None:
    """Read from the peer with the bearer that fits best; if the issuer says that it has ended, a few others are tried."""
    peer = own_peer(door, request)
    path = relay.path_of(kind, resource_id, request.call.query)
    rows = door.engine.store.query(of_peer(peer.id))
    left = fitting([row.record for row in rows], peer, kind, resource_id, "read", request.wall)[:RECEIVED_GRANTS_TRIED_MAX]
    if not left:
        raise FaultError(_none_fits(peer, kind, resource_id))

    def ask_next() -> None:
        used = left.pop(0)

        def answered(reply: RemoteReply) -> None:
            fault = relay.fault_of(reply)
            if fault is None:
                served(reply, used)
            elif reply.status == 401 and fault.details.get("remote_code") in BEARER_OVER and left:
                ask_next()
            else:
                raise FaultError(fault)

        door.relay(request, Ref(KIND.name, used.id), Call(path), answered)

    ask_next()


def _none_fits(peer: PeerRecord, kind: str, resource_id: str | None) -> Fault:
    text = "we hold no grant of this peer that could serve this call now; ask its operator for one"
    return OperatorFault("no_received_grant", text, 409, {"status": peer.status, "resource_kind": kind, "resource_id": resource_id})


# --- peers ----------------------------------------------------------------------------------------------------------


def federation_grants(door: Door, request: Request) -> None:
    """The caller's own grants: what it may know of them, and whether the bearer that it sent along is that of the grant."""
    peer = admitted_peer(door, request, LIMIT)
    query = shapes.read_query(request.route.query, request.call.query, unknown="ignore")
    bearer = presented(request.call.headers.get("authorization"))
    if query.get("grant_id") is not None:
        row = door.engine.directory.row(GRANT.name, query["grant_id"])
        records = [row.record] if row is not None and row.record.federation_peer_id == peer.id else []
        following = None
    else:
        after = cursors.decode(query["cursor"]) if query.get("cursor") else None
        wanted = Query(GRANT.name, ((Condition("peer_id", "=", peer.id),),), newest_first=True, after_id=after, limit=query["limit"] + 1)
        rows = door.engine.store.query(wanted)
        records = [row.record for row in rows[: query["limit"]]]
        following = cursors.encode(records[-1].id) if len(rows) > query["limit"] else None
    data = [_to_holder(record, peer, bearer, request.wall) for record in records if lifecycle.state(record, request.wall) != "archived"]
    request.ok(data, meta={"count": len(data), "next_cursor": following})


def _to_holder(record: GrantRecord, peer: PeerRecord, bearer: Any, wall: float) -> dict[str, Any]:
    mine = isinstance(bearer, Bearer) and bearer.grant_id == record.id
    fits = holds(Ask(wall, standing.facts(peer), bearer, record, "read")) if mine else None
    return {**projection.to_holder(record, peer, wall), "presented": fits}


def federation_grant_delivery(door: Door, request: Request) -> None:
    """Take a bearer from its issuer."""
    peer = admitted_peer(door, request, LIMIT)
    body = door.read_body(request)
    facts = parse_facts({**body["grant"], **_as_sent(body["grant"])})
    if isinstance(facts, str):
        raise FaultError(OperatorFault("invalid_parameter", f"grant.{facts}: cannot be used", 400, {"field": f"grant.{facts}"}))
    message = Deliver(account_id=peer.account_id, peer_id=peer.id, facts=facts, bearer=body["bearer_token"])

    def answered(outcome: ReceivedGrantRecord) -> None:
        request.ok({"grant_id": outcome.grant_id, "acknowledged": True})

    door.relay(request, _ref(door, peer, facts.grant_id), message, answered)


def _as_sent(grant: Mapping[str, Any]) -> dict[str, str]:
    """Times as text again: the shape has read them."""
    return {name: iso(grant[name]) for name in ("issued_at", "expires_at")}


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_received_grants": list_received_grants,
    "receive_grant": receive_grant,
    "forget_grant": forget_grant,
    "check_received_grant": check_received_grant,
    "list_remote_resources": list_remote_resources,
    "get_remote_resource": get_remote_resource,
    "federation_grants": federation_grants,
    "federation_grant_delivery": federation_grant_delivery,
}
