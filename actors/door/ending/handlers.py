"""Pausing, resuming and ending a peering at the door: from bodies to the peer actor's messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.door.peers import own_row, relay_shown
from actors.door.request import Request
from actors.peer.messages import ResumePeering, Revoke, Suspend

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


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "suspend_peer": suspend_peer,
    "resume_peer": resume_peer,
    "revoke_peer": revoke_peer,
}
