"""Pausing, resuming and ending a peering at the door: from bodies to the peer actor's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.door.admission import check_status
from actors.door.callers import admitted_caller
from actors.door.peers import own_row, relay_shown
from actors.door.request import Request
from actors.peer.messages import Emancipate, HearEvent, ResumePeering, Revoke, Suspend
from actors.peer.peer_events import EVENT_KINDS, PeerEvent
from actors.peer.record import KIND
from runtime.actor import Ref
from runtime.errors import FaultError

if TYPE_CHECKING:
    from actors.door.door import Door


def suspend_peer(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, Suspend(request.by, request.body.get("reason"), request.mark))


def resume_peer(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, ResumePeering(request.by, request.body.get("reason"), request.mark))


def revoke_peer(door: Door, request: Request) -> None:
    row = own_row(door, request)
    message = Revoke(request.by, request.body.get("reason"), bool(request.body.get("immediate")), request.mark)
    relay_shown(door, request, row.record.id, message)


def emancipate(door: Door, request: Request) -> None:
    row = own_row(door, request)
    relay_shown(door, request, row.record.id, Emancipate(request.by, request.body.get("reason"), request.mark))


def federation_peer_events(door: Door, request: Request) -> None:
    """Hear an event of a peer. Only the end of the peering is heard in a pause as well."""
    admitted = admitted_caller(door, request, "peer_events_per_peer", "last_word")
    body = door.read_body(request)
    kind = EVENT_KINDS.get(body["kind"])
    fault = check_status(admitted.record, kind.family if kind is not None else "heartbeat", request.wall)
    if fault is not None:
        raise FaultError(fault)
    event = PeerEvent(
        id=body["event_id"],
        kind=body["kind"],
        reason=body.get("reason"),
        effective_at=body.get("effective_at"),
        payload=body.get("payload") or {},
    )
    door.relay(request, Ref(KIND.name, admitted.record.id), HearEvent(event), request.ok)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "suspend_peer": suspend_peer,
    "resume_peer": resume_peer,
    "revoke_peer": revoke_peer,
    "emancipate": emancipate,
    "federation_peer_events": federation_peer_events,
}
