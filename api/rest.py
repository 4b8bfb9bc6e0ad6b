"""HTTP for operators and everybody, in quart: the REST API, health, the API description.

Lives here: the quart application. Must not live here: any rule about callers or records (`actors.door` decides), or calls of remote
platforms (`api.http`).
"""

from __future__ import annotations

import functools
import logging
from typing import Any, Final, cast

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, RequestTimeout

from actors.door.call import Answer
from actors.door.routes import DOOR_ROUTES, LIVE_PATH, OPENAPI_PATH, READY_PATH, Match, NoMatch, match
from actors.door.shapes import too_large
from actors.limits import BODY_BYTES_MAX
from actors.resource.limits import BATCH_BODY_BYTES_MAX
from api.faces import Faces, ask, unmatched
from api.limits import BODY_DEADLINE_S
from api.transcoding import Scope, Wire, call_of, code_of_status, internal_error, refusal, request_id_of, wire
from runtime.errors import FaultError, OperatorFault
from runtime.values import evolve

log = logging.getLogger("powernode.api")

_BODY_BYTES_MAX: Final = max(route.body_bytes_max for route in DOOR_ROUTES if route.face != "federation")

assert BODY_BYTES_MAX <= _BODY_BYTES_MAX <= BATCH_BODY_BYTES_MAX


class SizedRequest(TrioRequest):
    """A request that gathers no more of its body than its own route takes."""

    def __init__(self, method: str, scheme: str, path: str, *rest: Any, max_content_length: int | None = None, **more: Any) -> None:
        found = match(method, path)
        if isinstance(found, Match):
            max_content_length = found.route.body_bytes_max
        super().__init__(method, scheme, path, *rest, max_content_length=max_content_length, **more)


def rest_app(faces: Faces) -> QuartTrio:
    """The quart application. The door's route table decides about paths, so quart's own stays empty."""
    app = QuartTrio(__name__, static_folder=None)
    app.request_class = SizedRequest
    app.config.update(MAX_CONTENT_LENGTH=_BODY_BYTES_MAX, BODY_TIMEOUT=BODY_DEADLINE_S, PROPAGATE_EXCEPTIONS=False)

    @functools.cache
    def openapi() -> bytes:
        return msgspec.json.encode(faces.openapi())

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
            response = _with_body(response, openapi(), head=scope["method"] == "HEAD")
        return _quart_response(response)

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        return _quart_response(_failure_outside(error, faces))

    return app


async def _rest_answer(faces: Faces, scope: Scope, request_id: str) -> Answer:
    found = match(scope["method"], scope["path"])
    if isinstance(found, NoMatch):
        return unmatched(found, scope["method"], request_id)
    call = call_of(scope, request_id)
    if not found.route.envelope:
        return _own_answer(faces, found, request_id)
    if found.route.body is not None:
        call = evolve(call, body=await _quart_body(found.route.body_bytes_max))
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
    return evolve(refusal(fault, request_id), headers={"upgrade": "websocket"})


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
