"""Between ASGI messages and the door's values.

Lives here: making a `Call` of a request, and an HTTP response of an `Answer`. Must not live here: any decision about the caller.

What a `Call` cannot express is refused here, before the door: repeated headers or parameters, escaped path segments, bodies beyond
the limit.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import trio

from actors.door.call import Answer, Call, Source, failure
from actors.door.proxies import CLAIMS
from actors.door.shapes import too_large
from api.limits import BODY_DEADLINE_S, QUERY_BYTES_MAX, QUERY_FIELDS_MAX, REQUEST_ID_CHARS_MAX
from runtime.errors import Fault, FaultError, InternalFault, OperatorFault
from runtime.values import Value

log = logging.getLogger("powernode.api")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

_READ_HEADERS: Final = frozenset(
    {
        b"authorization",
        b"idempotency-key",
        b"if-match",
        b"if-none-match",
        b"content-type",
        b"x-federation-subject",
        b"x-request-id",
        b"x-worker-token",
    }
)
_PROXY_HEADERS: Final = frozenset(name.encode() for name in CLAIMS)
"""Of a trusted proxy they count, of anybody else they are only noticed; which of both, the door knows. Lines of one name are one list."""
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_CHARS_MAX}}}")
_COMMON_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
_TLS_HEADERS: Final = ((b"strict-transport-security", b"max-age=31536000"),)
_STANDING_HEADERS: Final = {
    (tls, body): (_COMMON_HEADERS if body else _COMMON_HEADERS[1:]) + (_TLS_HEADERS if tls else ())
    for tls in (False, True)
    for body in (False, True)
}
"""By whether TLS is spoken and whether there is a body."""
_NOT_SENT_BY_DOOR: Final = frozenset({"content-length", "transfer-encoding", "connection", "x-request-id"})
_BODILESS: Final = frozenset({204, 304})


class Wire(Value, frozen=True):
    """A response ready to send; header names in lower case, `content-length` among them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def source_of(scope: Scope) -> Source:
    """Who the connection says is calling; put into the scope by our listener."""
    source = scope["state"]["source"]
    assert isinstance(source, Source)
    return source


def request_id_of(scope: Scope, make: Callable[[], str]) -> str:
    """The caller's `X-Request-Id` if it is short and harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = value.decode("latin-1")
            if _REQUEST_ID.fullmatch(text):
                return str(text)
            break
    return make()


def call_of(scope: Scope, request_id: str, body: bytes = b"", *, method: str | None = None) -> Call:
    """The call in an ASGI scope. HEAD becomes GET.

    Raises:
        FaultError: `invalid_parameter` (400) or `not_found` (404): the request says something in two ways.
    """
    if b"%" in (scope.get("raw_path") or b"").partition(b"?")[0]:
        raise FaultError(OperatorFault("not_found", "there is nothing here", 404))
    headers = _single_headers(scope["headers"])
    headers["x-request-id"] = request_id
    query = parse_query(scope["query_string"]) if scope["query_string"] else {}
    spoken = method or scope["method"]
    return Call("GET" if spoken == "HEAD" else spoken, scope["path"], query, headers, body, source_of(scope))


def _single_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    out: dict[str, str] = {}
    for raw, value in pairs:
        if raw not in _READ_HEADERS:
            if raw in _PROXY_HEADERS:
                name, text = raw.decode(), value.decode("latin-1").strip()
                out[name] = f"{out[name]}, {text}" if name in out else text
            continue
        name = raw.decode()
        if name in out:
            raise FaultError(OperatorFault("invalid_parameter", f"the header {name} is repeated", 400, {"problems": []}))
        out[name] = value.decode("latin-1").strip()
    return out


def parse_query(query: bytes) -> dict[str, str]:
    """The parameters of a query string in UTF-8, each at most once.

    Raises:
        FaultError: `invalid_parameter` (400).
    """
    try:
        if len(query) > QUERY_BYTES_MAX:
            raise ValueError
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX, errors="strict")
    except ValueError:
        raise FaultError(OperatorFault("invalid_parameter", "the query string cannot be read", 400, {"problems": []})) from None
    out = dict(pairs)
    if len(out) < len(pairs):
        raise FaultError(OperatorFault("invalid_parameter", "a parameter of the query string is repeated", 400, {"problems": []}))
    return out


def declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The Content-Length, or None if there is none; the server has checked its form."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 20 else None
    return None


class Disconnected(Exception):
    """The client left before its request was complete."""


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """The whole body, holding at most `bytes_max` and one chunk at any time.

    Raises:
        FaultError: `body_too_large` (413), before reading if the length is declared; `request_timeout` (408).
        Disconnected: nobody is there to answer.
    """
    if (declared_length(scope["headers"]) or 0) > bytes_max:
        raise FaultError(too_large(bytes_max))
    with trio.move_on_after(BODY_DEADLINE_S):
        return await _gather(receive, bytes_max)
    raise FaultError(OperatorFault("request_timeout", f"the body did not arrive within {BODY_DEADLINE_S:.0f} s", 408))


async def _gather(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise FaultError(too_large(bytes_max))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def wire(answer: Answer, request_id: str, scope: Scope) -> Wire:
    """The response of an answer. One that cannot be written as JSON becomes a 500: nothing half-made or secret leaves."""
    try:
        body = b"" if answer.body is None else msgspec.json.encode(answer.body)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        log.exception("the answer to request %s cannot be written as JSON", request_id)
        answer = internal_error(request_id)
        body = msgspec.json.encode(answer.body)
    if answer.status in _BODILESS:
        body = b""
    headers = [(b"x-request-id", request_id.encode("latin-1")), *_STANDING_HEADERS[source_of(scope).face == "tls", bool(body)]]
    for name, value in answer.headers.items():
        lower = name.lower()
        if lower not in _NOT_SENT_BY_DOOR:
            headers.append((lower.encode("latin-1"), value.encode("latin-1")))
    if answer.close and scope.get("http_version", "1.1").startswith("1"):
        headers.append((b"connection", b"close"))
    if answer.status not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    return Wire(answer.status, headers, b"" if scope.get("method") == "HEAD" else body)


async def send_wire(response: Wire, send: Send) -> None:
    """Send a whole response over ASGI."""
    await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


def refusal(fault: Fault, request_id: str) -> Answer:
    """The answer of a face that refuses by itself. A refused body may still be on its way, so the connection is not used again."""
    return failure(fault, request_id, close=fault.status in (408, 413))


def internal_error(request_id: str) -> Answer:
    """A bug of ours, told without its details."""
    message = f"something went wrong here; the log knows it as request {request_id}"
    return failure(InternalFault("internal_error", message, 500), request_id)


def code_of_status(status: int) -> str:
    """A stable word for an HTTP status that a library decided on."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
