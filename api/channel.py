"""Peer channels that other platforms dial: `GET /api/v1/system/federation_api/channel` over TLS, as a WebSocket.

Lives here: the answer to whoever asks for one. Must not live here: who may have a channel (the door), the WebSocket (`net.websocket`), or
what travels on it (`net.channel`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from actors.door.call import Answer, Call
from actors.door.channel.handlers import ChannelLeave
from actors.peer.channel import PROTOCOL
from actors.peer.steps import NO_IDENTITY
from actors.ports import ClientIdentity
from api.transcoding import Scope, call_of, refusal, request_id_of, wire
from runtime.errors import FaultError, OperatorFault
from runtime.values import Value

FULL = OperatorFault("channels_full", "this platform holds as many channels as it can; call it without one", 503)
WRONG_PROTOCOL = OperatorFault("upgrade_required", f"offer the subprotocol {PROTOCOL}", 426)


class ChannelDoor(Protocol):
    """The part of the door that decides about channels."""

    def open_channel(self, call: Call) -> ChannelLeave | Answer:
        """Leave for a peer to have a channel, or the refusal to send instead."""
        ...


class Upgrade(Protocol):
    """The request on our listener; see `net.websocket.Upgrade`."""

    scope: Scope

    def malformed(self) -> tuple[int, list[tuple[bytes, bytes]]] | None:
        """Why no WebSocket can come of it, as status and headers."""
        ...

    async def refuse(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer without becoming a WebSocket."""
        ...


Prove = Callable[[ClientIdentity], str | None]
"""The first message, which proves this platform on the connection; None if nothing can."""


class Admitted(Value, frozen=True):
    """A peer that is to have a channel now; see `ChannelLeave`. `proof` is the first message."""

    peer_id: str
    identity: ClientIdentity
    ours_wins: bool
    proof: str


async def admitted(door: ChannelDoor, prove: Prove, new_request_id: Callable[[], str], upgrade: Upgrade, *, full: bool) -> Admitted | None:
    """Whoever may have a channel; everybody else has been refused, and this is None then. `full`: there is no room for another."""
    request_id = request_id_of(upgrade.scope, new_request_id)
    found = _judged(door, prove, request_id, upgrade)
    if full and isinstance(found, Admitted):
        found = refusal(FULL, request_id)
    if isinstance(found, Admitted):
        malformed = upgrade.malformed()
        if malformed is None:
            return found
        await upgrade.refuse(malformed[0], [*malformed[1], (b"content-length", b"0")], b"")
        return None
    answer = wire(found, request_id, upgrade.scope)
    await upgrade.refuse(answer.status, answer.headers, answer.body)
    return None


def _judged(door: ChannelDoor, prove: Prove, request_id: str, upgrade: Upgrade) -> Admitted | Answer:
    try:
        leave = door.open_channel(call_of(upgrade.scope, request_id, method="GET"))
        if isinstance(leave, Answer):
            return leave
        if PROTOCOL not in upgrade.scope["subprotocols"]:
            return refusal(WRONG_PROTOCOL, request_id)
        proof = prove(leave.identity)
    except FaultError as error:
        return refusal(error.fault, request_id)
    return refusal(NO_IDENTITY, request_id) if proof is None else Admitted(leave.peer_id, leave.identity, leave.ours_wins, proof)
