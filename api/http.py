"""The HTTP faces: one ASGI application for both ports.

Lives here: who gets which path, and the calls of remote platforms. Must not live here: any rule about callers or records; `actors.door`
decides, this transcodes.

Calls of remote platforms are the hot path and go straight from ASGI to the door. The rest of HTTP runs in quart (`api.rest`), which
takes a quarter of a daemon's start to load, so it is loaded after the start or by the first request that needs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from actors.door.call import Answer
from actors.door.routes import EVENTS_PATH, FEDERATION, NoMatch, match
from api.event_stream import deny, follow
from api.faces import Faces, ask, unmatched
from api.transcoding import (
    Disconnected,
    Receive,
    Scope,
    Send,
    call_of,
    read_body,
    refusal,
    request_id_of,
    send_wire,
    source_of,
    wire,
)
from runtime.errors import FaultError
from runtime.values import evolve

_FEDERATION_PREFIX: Final = FEDERATION + "/"

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]


class HttpApp:
    """The ASGI application. `scope["state"]["source"]` must hold an `actors.door.call.Source`."""

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self._rest: AsgiApp | None = None

    def load(self) -> AsgiApp:
        """The application for operators, loaded at the first call. Any thread may load it ahead of the first request."""
        if self._rest is None:
            from api.rest import rest_app

            self._rest = rest_app(self._faces)
        return self._rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: lifespan, http or websocket."""
        if scope["type"] == "http":
            if scope["path"].startswith(_FEDERATION_PREFIX):
                await _serve_federation(self._faces, scope, receive, send)
            else:
                await self.load()(scope, receive, send)
        elif scope["type"] == "websocket":
            await _serve_websocket(self._faces, scope, receive, send)
        else:
            await _serve_lifespan(receive, send)


async def _serve_lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to stop: what must be done then is done by the composition root."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


# --- Remote platforms -----------------------------------------------------------------------------------------------


async def _serve_federation(faces: Faces, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = request_id_of(scope, faces.new_request_id)
    try:
        answer = await _federation_answer(faces, scope, receive, request_id)
    except FaultError as error:
        answer = refusal(error.fault, request_id)
    except Disconnected:
        return
    await send_wire(wire(answer, request_id, scope), send)


async def _federation_answer(faces: Faces, scope: Scope, receive: Receive, request_id: str) -> Answer:
    if source_of(scope).face != "tls":
        return NoMatch().answer(request_id)
    found = match(scope["method"], scope["path"])
    if isinstance(found, NoMatch):
        return unmatched(found, scope["method"], request_id)
    call = call_of(scope, request_id)
    if found.route.body is not None:
        call = evolve(call, body=await read_body(scope, receive, found.route.body_bytes_max))
    return await ask(faces, call)


async def _serve_websocket(faces: Faces, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = request_id_of(scope, faces.new_request_id)
    if scope["path"] == EVENTS_PATH:
        await follow(faces.door, faces.events, request_id, scope, receive, send)
    else:
        await deny(wire(NoMatch().answer(request_id), request_id, scope), scope, send)
