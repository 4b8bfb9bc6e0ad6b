"""The event stream: `GET /api/v1/events` as a WebSocket, straight on ASGI.

Lives here: the conversation on one WebSocket. Must not live here: where events come from (`api.events`), or who may follow (the door).

quart is not used here: when our close frame has timed out it sends one of its own, and a client that does not read would hold that
for ever.

A refusal is an HTTP answer before the upgrade. After it, the close code says why: 1001 shutting down, 1003 the client sent something,
1008 the session ended, 1013 the client reads too slowly. A client goes on with `cursor=` the last event it saw.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

import attrs
import trio

from actors.door.bodies import EVENT_FILTERS
from actors.door.call import Answer, Call
from actors.door.shapes import read_query
from api.events import EventHub, Frame, Subscription, TooManySubscribers, TooSlow
from api.limits import SESSION_RECHECK_S, STREAM_CLOSE_S, STREAM_SEND_S
from api.transcoding import Receive, Scope, Send, Wire, call_of, refusal, wire
from runtime.errors import FaultError, OperatorFault, unavailable
from runtime.values import evolve

PROTOCOL: Final = "powernode.events.v1"
BEARER_PREFIX: Final = "powernode.bearer."
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

SHUTTING_DOWN: Final = (1001, "the platform is stopping")
CLIENT_SPOKE: Final = (1003, "nothing is to be sent on this stream")
SESSION_ENDED: Final = (1008, "the session ended")
READS_TOO_SLOWLY: Final = (1013, "events were not read in time")

Ending = tuple[int, str]


class StreamSession(Protocol):
    """Leave to follow events, which may end at any moment."""

    @property
    def account_id(self) -> str | None:
        """Whose events are shown; None for those of every account."""
        ...

    def remaining_s(self) -> float:
        """Seconds until the leave ends; 0 or less as soon as the session was ended, the operator disabled, or the token expired."""
        ...


class EventDoor(Protocol):
    """The part of the door that the event stream asks."""

    def authorize_stream(self, call: Call) -> StreamSession | Answer:
        """Leave to follow events (permission `system.peers.read`), or the refusal to send instead."""
        ...


async def follow(door: EventDoor, hub: EventHub, request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket to its end."""
    try:
        offered = _offered(scope.get("subprotocols", ()))
        call = _call_of_upgrade(scope, request_id, offered)
        session = door.authorize_stream(call)
        if isinstance(session, Answer):
            await deny(wire(session, request_id, scope), scope, send)
            return
        subscription = _subscribe(hub, call, session)
    except FaultError as error:
        await deny(wire(refusal(error.fault, request_id), request_id, scope), scope, send)
        return
    with subscription:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL if offered.events else None, "headers": []})
        ending = await _converse(subscription, session, receive, send)
    if ending is not None:
        # A client that does not read will not read the close frame either.
        with trio.move_on_after(STREAM_CLOSE_S):
            await send({"type": "websocket.close", "code": ending[0], "reason": ending[1]})


@attrs.frozen
class _Offered:
    """What the client offered as subprotocols: ours, and a token in place of a header that browsers cannot set."""

    events: bool
    token: str | None = attrs.field(repr=False)


def _offered(subprotocols: Sequence[str]) -> _Offered:
    tokens = [text.removeprefix(BEARER_PREFIX) for text in subprotocols if text.startswith(BEARER_PREFIX)]
    if not tokens:
        return _Offered(PROTOCOL in subprotocols, None)
    if len(tokens) > 1 or PROTOCOL not in subprotocols or _JWT.fullmatch(tokens[0]) is None:
        raise FaultError(OperatorFault("invalid_parameter", f"offer {PROTOCOL} and one token as {BEARER_PREFIX}<token>", 400))
    return _Offered(True, tokens[0])


def _call_of_upgrade(scope: Scope, request_id: str, offered: _Offered) -> Call:
    call = call_of(scope, request_id, method="GET")
    if offered.token is None:
        return call
    if "authorization" in call.headers:
        raise FaultError(OperatorFault("invalid_parameter", "send the token either as a header or as a subprotocol", 400))
    return evolve(call, headers={**call.headers, "authorization": f"Bearer {offered.token}"})


def _subscribe(hub: EventHub, call: Call, session: StreamSession) -> Subscription:
    after = read_query(EVENT_FILTERS, call.query).get("cursor")
    try:
        return hub.subscribe(after, session.account_id)
    except ValueError as error:
        problem = {"field": "cursor", "code": "invalid_parameter", "message": str(error)}
        raise FaultError(OperatorFault("invalid_parameter", f"cursor: {error}", 400, {"problems": [problem]})) from None
    except TooManySubscribers:
        raise FaultError(unavailable("a place at the event stream")) from None


async def _converse(subscription: Subscription, session: StreamSession, receive: Receive, send: Send) -> Ending | None:
    """How the conversation ended; None if the client left."""
    endings: list[Ending | None] = []
    async with trio.open_nursery() as nursery:

        async def until(side: Callable[[], Awaitable[Ending | None]]) -> None:
            endings.append(await side())
            nursery.cancel_scope.cancel()

        nursery.start_soon(until, lambda: _listen(receive))
        nursery.start_soon(until, lambda: _tell(subscription, session, send))
    return endings[0]


async def _listen(receive: Receive) -> Ending | None:
    """Wait for the client to leave, or to send something, which it has no reason to do."""
    message = await receive()
    return None if message["type"] == "websocket.disconnect" else CLIENT_SPOKE


async def _tell(subscription: Subscription, session: StreamSession, send: Send) -> Ending:
    while True:
        left_s = session.remaining_s()
        if left_s <= 0:
            return SESSION_ENDED
        frames: Sequence[Frame] = ()
        try:
            with trio.move_on_after(min(left_s, SESSION_RECHECK_S)):
                frames = await subscription.next()
        except TooSlow:
            return READS_TOO_SLOWLY
        except trio.EndOfChannel:
            return SHUTTING_DOWN
        for frame in frames:
            with trio.move_on_after(STREAM_SEND_S) as sending:
                await send({"type": "websocket.send", "text": frame.text, "bytes": None})
            if sending.cancelled_caught:
                return READS_TOO_SLOWLY


async def deny(response: Wire, scope: Scope, send: Send) -> None:
    """Refuse a WebSocket by an HTTP response, where the server can, else by closing it unopened (which clients see as 403)."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "websocket.http.response.body", "body": response.body, "more_body": False})
