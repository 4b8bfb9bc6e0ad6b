"""Peer channels that other platforms dial: `GET /api/v1/system/federation_api/channel` as a WebSocket, straight on ASGI.

Lives here: the upgrade. Must not live here: who may have a channel (the door), or what
travels on it (`net.channel`).
"""

from __future__ import annotations

from typing import Protocol

from actors.door.call import Answer, Call, Source
from actors.door.channel.handlers import NO_CHANNELS, ChannelLeave
from actors.peer.channel import PROTOCOL
from actors.peer.steps import NO_IDENTITY
from actors.ports import ClientIdentity
from api.event_stream import deny
from api.transcoding import Receive, Scope, Send, call_of, refusal, source_of, wire
from runtime.errors import FaultError, OperatorFault

WRONG_PROTOCOL = OperatorFault("upgrade_required", f"offer the subprotocol {PROTOCOL}", 426)


class ChannelDoor(Protocol):
    """The part of the door that decides about channels."""

    def open_channel(self, call: Call) -> ChannelLeave | Answer:
        """Leave for a peer to have a channel, or the refusal to send instead."""
        ...


class ChannelDesk(Protocol):
    """Where a channel goes once it is open."""

    def prove(self, identity: ClientIdentity, source: Source) -> str | None:
        """The first message, which proves this platform on the connection `source`; None if nothing can."""
        ...

    async def accept(self, receive: Receive, send: Send, source: Source, leave: ChannelLeave, proof: str) -> None:
        """Use the channel until it ends."""
        ...


async def hold(door: ChannelDoor, desk: ChannelDesk, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket to its end."""
    source = source_of(scope)
    try:
        if source.face != "tls":
            raise FaultError(NO_CHANNELS)
        leave = door.open_channel(call_of(scope, request_id, method="GET"))
        if isinstance(leave, Answer):
            await deny(wire(leave, request_id, scope), scope, send)
            return
        if PROTOCOL not in scope.get("subprotocols", ()):
            raise FaultError(WRONG_PROTOCOL)
        proof = desk.prove(leave.identity, source)
        if proof is None:
            raise FaultError(NO_IDENTITY)
    except FaultError as error:
        await deny(wire(refusal(error.fault, request_id), request_id, scope), scope, send)
        return
    await receive()
    await send({"type": "websocket.accept", "subprotocol": PROTOCOL, "headers": []})
    await desk.accept(receive, send, source, leave, proof)
