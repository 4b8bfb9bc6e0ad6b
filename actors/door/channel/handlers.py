"""Opening a peer channel at the door: who may, and what the platform needs to prove itself on it.

Lives here: admission of the one who dials, and recognising who is at the other end of a channel. Must not live here: what travels on it,
which comes to the door as ordinary calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from actors.door.admission import recognise
from actors.door.call import Answer, Call, Source
from actors.door.federation import admitted_peer
from actors.door.request import Request
from actors.door.routes import BY_NAME
from actors.peer.channel import ours_wins
from actors.peer.steps import NO_IDENTITY, call_refusal, reachable_identity
from actors.ports import ClientIdentity
from runtime.errors import Fault, OperatorFault

if TYPE_CHECKING:
    from actors.door.door import Door

NO_CHANNELS = OperatorFault("not_found", "this platform holds no channels", 404)
UPGRADE_REQUIRED = OperatorFault("upgrade_required", "open a WebSocket here", 426)


@attrs.frozen
class ChannelLeave:
    """Leave for a peer to have a channel with us.

    Attributes:
        identity: our certificate for this peer, by which we prove ourselves on the channel.
        ours_wins: see `actors.ports.OpenChannel`.
    """

    peer_id: str
    identity: ClientIdentity
    ours_wins: bool


def leave_for_channel(door: Door, request: Request) -> ChannelLeave | None:
    """Whether the caller may have a channel; None if it was refused."""
    if not door.settings.federation.peer_channel:
        request.fail(NO_CHANNELS)
        return None
    admitted = admitted_peer(door, request, "channels_per_peer")
    if admitted is None:
        return None
    refusal = call_refusal(admitted.record, request.wall)
    known = reachable_identity(admitted.record)
    if refusal is not None or known is None:
        request.fail(NO_IDENTITY)
        return None
    wins = ours_wins(door.settings.identity.instance_id, admitted.record.remote_instance_id)
    return ChannelLeave(admitted.record.id, known[0], wins)


def open_channel(door: Door, call: Call, request_id: str) -> ChannelLeave | Answer:
    """The leave, or the refusal to send in place of the upgrade."""
    answers: list[Answer] = []
    clock = door.engine.clock
    request = Request(BY_NAME["federation_channel"], {}, call, request_id, clock.now(), clock.wall(), answers.append)
    leave = leave_for_channel(door, request)
    return answers[0] if leave is None else leave


def other_end(door: Door, source: Source) -> str | Fault:
    """The id of the peer that is at the other end of a connection by what we know now, whatever its status serves."""
    found = recognise(door.engine.directory, source, door.engine.clock.wall())
    return found if isinstance(found, Fault) else found.record.id


def federation_channel(door: Door, request: Request) -> None:
    """A call without an upgrade."""
    if leave_for_channel(door, request) is not None:
        request.fail(UPGRADE_REQUIRED)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"federation_channel": federation_channel}
