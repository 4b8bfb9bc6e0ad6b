"""The HTTP faces: one ASGI application for both ports.

Lives here: who gets which path, waiting for the door, and the calls that need no door (health, the API description, the event stream).
Must not live here: any rule about callers or records; `actors.door` decides, this transcodes.

Calls of remote platforms are the hot path and go straight from ASGI to the door. The rest of HTTP runs in quart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast

import attrs
import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout

from actors.door.call import Answer, Call
from actors.door.routes import DOOR_ROUTES, EVENTS_PATH, FEDERATION, LIVE_PATH, OPENAPI_PATH, READY_PATH, Match, NoMatch, match
from actors.door.shapes import too_large
from actors.limits import ACCEPT_BODY_BYTES_MAX, BODY_BYTES_MAX
from api.event_stream import EventDoor, deny, follow
from api.events import EventHub
from api.limits import ANSWER_DEADLINE_S, BODY_DEADLINE_S
from api.transcoding import (
    Disconnected,
    Receive,
    Scope,
    Send,
    Wire,
    call_of,
    code_of_status,
    internal_error,
    read_body,
    refusal,
    request_id_of,
    send_wire,
    source_of,
    wire,
)
from runtime.errors import FaultError, InternalFault, OperatorFault

log = logging.getLogger("powernode.api")

_FEDERATION_PREFIX: Final = FEDERATION + "/"
_OPERATOR_BODY_BYTES_MAX: Final = max(route.body_bytes_max for route in DOOR_ROUTES if route.face != "federation")

assert BODY_BYTES_MAX <= _OPERATOR_BODY_BYTES_MAX <= ACCEPT_BODY_BYTES_MAX


class Door(EventDoor, Protocol):
    """What the faces need of the door."""

    def handle(self, call: Call, done: Callable[[Answer], None]) -> None:
        """Decide about `call`. `done` is called exactly once, in trio's thread, possibly before this returns."""
        ...


class Health(Protocol):
    """What readiness asks. Names and verdicts are public, so they tell nothing else."""

    def checks(self) -> Mapping[str, bool]:
        """Each thing that must work before calls can be served, by name."""
        ...


@attrs.frozen(kw_only=True)
class Faces:
    """What the HTTP application is made of.

    Attributes:
        door: decides about every call.
        events: what the event stream follows.
        health: what readiness asks.
        openapi: the API description as an object; written to JSON once.
        new_request_id: makes an id for a request that brings none.
        answer_deadline_s: how long a face waits for the door.
    """

    door: Door
    events: EventHub
    health: Health
    openapi: Mapping[str, Any]
    new_request_id: Callable[[], str]
    answer_deadline_s: float = ANSWER_DEADLINE_S


class HttpApp:
    """The ASGI application. `scope["state"]["source"]` must hold an `actors.door.call.Source`."""

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self._rest = _rest_app(faces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope: lifespan, http or websocket."""
        if scope["type"] == "http":
            if scope["path"].startswith(_FEDERATION_PREFIX):
                await _serve_federation(self._faces, scope, receive, send)
                return
        elif scope["type"] == "websocket":
            await _serve_websocket(self._faces, scope, receive, send)
            return
        await self._rest(scope, receive, send)  # type: ignore[arg-type]


# --- Waiting for the door -------------------------------------------------------------------------------------------


async def ask(faces: Faces, call: Call) -> Answer:
    """The door's answer, or a 504 if it takes too long; its late answer is dropped."""
    answers: list[Answer] = []
    answered: trio.Event | None = None

    def done(answer: Answer) -> None:
        answers.append(answer)
        if answered is not None:
            answered.set()

    request_id = call.headers["x-request-id"]
    try:
        faces.door.handle(call, done)
    except Exception:
        log.exception("the door failed on request %s", request_id)
        return internal_error(request_id)
    if not answers:
        answered = trio.Event()
        with trio.move_on_after(faces.answer_deadline_s):
            await answered.wait()
    if answers:
        return answers[0]
    fault = InternalFault("deadline_exceeded", "there was no answer in time; the outcome is unknown, so look before repeating", 504)
    return refusal(fault, request_id)


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
        return _unmatched(found, scope["method"], request_id)
    call = call_of(scope, request_id)
    if found.route.body is not None:
        call = attrs.evolve(call, body=await read_body(scope, receive, found.route.body_bytes_max))
    return await ask(faces, call)


def _unmatched(found: NoMatch, method: str, request_id: str) -> Answer:
    if method == "OPTIONS" and found.allow:
        return Answer(204, None, {"allow": ", ".join(found.allow)})
    return found.answer(request_id)


async def _serve_websocket(faces: Faces, scope: Scope, receive: Receive, send: Send) -> None:
    request_id = request_id_of(scope, faces.new_request_id)
    if scope["path"] == EVENTS_PATH:
        await follow(faces.door, faces.events, request_id, scope, receive, send)
    else:
        await deny(wire(NoMatch().answer(request_id), request_id, scope), scope, send)


# --- Operators and everybody ----------------------------------------------------------------------------------------


def _rest_app(faces: Faces) -> QuartTrio:
    """The quart application. The door's route table decides about paths, so quart's own stays empty."""
    app = QuartTrio(__name__, static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=_OPERATOR_BODY_BYTES_MAX, BODY_TIMEOUT=BODY_DEADLINE_S, PROPAGATE_EXCEPTIONS=False)
    openapi = msgspec.json.encode(faces.openapi)

    @app.before_request
    async def every_request() -> Response:
        scope: Scope = request.scope
        request_id = request_id_of(scope, faces.new_request_id)
        try:
            answer = await _rest_answer(faces, scope, request_id)
        except FaultError as error:
            answer = refusal(error.fault, request_id)
        response = wire(answer, request_id, scope)
        if scope["path"] == OPENAPI_PATH and response.status == 200:
            response = _with_body(response, openapi, head=scope["method"] == "HEAD")
        return _quart_response(response)

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        return _quart_response(_failure_outside(error, faces))

    return app


async def _rest_answer(faces: Faces, scope: Scope, request_id: str) -> Answer:
    found = match(scope["method"], scope["path"])
    if isinstance(found, NoMatch):
        return _unmatched(found, scope["method"], request_id)
    call = call_of(scope, request_id)
    if not found.route.envelope:
        return _own_answer(faces, found, request_id)
    if found.route.body is not None:
        call = attrs.evolve(call, body=await _quart_body(found.route.body_bytes_max))
    return await ask(faces, call)


async def _quart_body(bytes_max: int) -> bytes:
    try:
        body = cast(bytes, await request.get_data(as_text=False))
    except RequestEntityTooLarge:
        raise FaultError(too_large(bytes_max)) from None
    except RequestTimeout:
        raise FaultError(OperatorFault("request_timeout", f"the body did not arrive within {BODY_DEADLINE_S:.0f} s", 408)) from None
    if len(body) > bytes_max:
        raise FaultError(too_large(bytes_max))
    return body


def _own_answer(faces: Faces, found: Match, request_id: str) -> Answer:
    path = found.route.path
    if path == LIVE_PATH:
        return Answer(200, {"status": "live"})
    if path == READY_PATH:
        checks = dict(sorted(faces.health.checks().items()))
        ready = all(checks.values())
        return Answer(200 if ready else 503, {"status": "ready" if ready else "not_ready", "checks": checks})
    if path == OPENAPI_PATH:
        return Answer(200, {})
    fault = OperatorFault("upgrade_required", "open a WebSocket here", 426)
    return attrs.evolve(refusal(fault, request_id), headers={"upgrade": "websocket"})


def _with_body(response: Wire, body: bytes, *, head: bool) -> Wire:
    headers = [pair for pair in response.headers if pair[0] != b"content-length"]
    return Wire(response.status, [*headers, (b"content-length", str(len(body)).encode())], b"" if head else body)


def _quart_response(response: Wire) -> Response:
    out = Response(response.body, response.status)
    out.headers.clear()
    for name, value in response.headers:
        out.headers.add(name.decode("latin-1"), value.decode("latin-1"))
    return out


def _failure_outside(error: Exception, faces: Faces) -> Wire:
    """The response to what quart refused before us, or to a bug of ours."""
    scope: Scope = request.scope
    request_id = request_id_of(scope, faces.new_request_id)
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        fault = OperatorFault(code_of_status(error.code), "the request cannot be served as it is", error.code)
        return wire(refusal(fault, request_id), request_id, scope)
    log.error("request %s failed", request_id, exc_info=error)
    return wire(internal_error(request_id), request_id, scope)
