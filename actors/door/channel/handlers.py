"""Opening a peer channel at the door: who may, and what the platform needs to prove itself on it.

Lives here: admission of the one who dials, and recognising who is at the other end of a channel. Must not live here: what travels on it,
which comes to the door as ordinary calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from actors.door.admission import recognised
from actors.door.call import Answer, Call, Source, failure
from actors.door.callers import admitted_caller
from actors.door.proxies import as_seen
from actors.door.request import ClosingFaultError, Request
from actors.door.routes import BY_NAME
from actors.peer.channel import ours_wins
from actors.peer.steps import NO_IDENTITY, call_refusal, reachable_identity
from actors.ports import ClientIdentity
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.values import Value

if TYPE_CHECKING:
    from actors.door.door import Door

NO_CHANNELS = OperatorFault("not_found", "this platform holds no channels", 404)
BEHIND_A_PROXY = OperatorFault(
    "channel_behind_proxy", "a proxy ends TLS on the way, so neither end could prove itself on a channel; call over HTTP", 409
)
UPGRADE_REQUIRED = OperatorFault("upgrade_required", "open a WebSocket here", 426)


class ChannelLeave(Value, frozen=True):
    """Leave for a peer to have a channel with us.

    Attributes:
        identity: our certificate for this peer, by which we prove ourselves on the channel.
        ours_wins: see `actors.ports.OpenChannel`.
    """

    peer_id: str
    identity: ClientIdentity
    ours_wins: bool


def leave_for_channel(door: Door, request: Request) -> ChannelLeave:
    """The caller's leave to have a channel.

    Raises:
        FaultError: the refusal.
    """
    if not door.settings.federation.peer_channel:
        raise FaultError(NO_CHANNELS)
    admitted = admitted_caller(door, request, "channels_per_peer")
    if request.call.source.proxy:
        raise FaultError(BEHIND_A_PROXY)
    refusal = call_refusal(admitted.record, request.wall)
    known = reachable_identity(admitted.record)
    if refusal is not None or known is None:
        raise FaultError(NO_IDENTITY)
    wins = ours_wins(door.settings.identity.instance_id, admitted.record.remote_instance_id)
    return ChannelLeave(admitted.record.id, known[0], wins)


def open_channel(door: Door, call: Call, request_id: str) -> ChannelLeave | Answer:
    """The leave, or the refusal to send in place of the upgrade."""
    answers: list[Answer] = []
    clock = door.engine.clock
    seen = as_seen(call, door.proxies, clock.wall())
    if isinstance(seen, Fault):
        return failure(seen, request_id)
    request = Request(BY_NAME["federation_channel"], {}, seen, request_id, clock.now(), clock.wall(), answers.append)
    try:
        return leave_for_channel(door, request)
    except FaultError as error:
        request.fail(error.fault, close=isinstance(error, ClosingFaultError))
        return answers[0]


def other_end(door: Door, source: Source) -> str | Fault:
    """The id of the peer that is at the other end of a connection by what we know now, whatever its status serves."""
    found = recognised(door.engine.directory, source, door.engine.clock.wall())
    return found if isinstance(found, Fault) else found.record.id


def federation_channel(door: Door, request: Request) -> None:
    """A call without an upgrade."""
    leave_for_channel(door, request)
    raise FaultError(UPGRADE_REQUIRED)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"federation_channel": federation_channel}
