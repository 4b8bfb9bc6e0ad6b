"""Transcoding: what the door is told, what goes over the wire, and what is refused before the door hears of it.

The door here only records calls and repeats a prepared answer; its rules have their own tests.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from actors import limits
from actors.door.call import Answer, Call, failure, success
from actors.door.openapi import document
from actors.door.routes import FEDERATION, SYSTEM
from api.events import EventHub
from api.faces import Faces
from api.http import HttpApp
from api.limits import BODY_DEADLINE_S, QUERY_BYTES_MAX
from runtime.errors import OperatorFault
from runtime.secret import Secret
from runtime.store.port import Event
from tests.support.asgi import Face, request, request_counting, scope_of

PEERS = f"{SYSTEM}/platform/peers"
HEARTBEAT = f"{FEDERATION}/heartbeat"
JSON = ("content-type", "application/json")


@attrs.define
class RecordingDoor:
    """Records calls and gives `answer`, at once or never."""

    answer: Answer | None = attrs.field(factory=lambda: success({"ok": True}))
    calls: list[Call] = attrs.field(factory=list)
    raises: Exception | None = None
    pending: list[Callable[[Answer], None]] = attrs.field(factory=list)

    def handle(self, call: Call, done: Callable[[Answer], None]) -> None:
        self.calls.append(call)
        if self.raises is not None:
            raise self.raises
        if self.answer is None:
            self.pending.append(done)
        else:
            done(self.answer)

    def authorize_stream(self, call: Call) -> Answer:
        return failure(OperatorFault("unauthenticated", "sign in", 401), call.headers["x-request-id"])


class NoEvents:
    def events(self, after: int, limit: int) -> list[Event]:
        return []

    def last_cursor(self) -> int:
        return 0


@attrs.define
class Checks:
    result: Mapping[str, bool] = attrs.field(factory=lambda: {"store": True, "authority": True})

    def checks(self) -> Mapping[str, bool]:
        return self.result


@pytest.fixture
def door() -> RecordingDoor:
    return RecordingDoor()


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
def app(door: RecordingDoor, checks: Checks) -> HttpApp:
    numbers = itertools.count(1)
    return HttpApp(
        Faces(
            door=door,
            events=EventHub(NoEvents()),
            health=checks,
            openapi=lambda: document("1.2.3"),
            new_request_id=lambda: f"made-{next(numbers)}",
        )
    )


async def test_the_token_of_a_worker_reaches_the_door_once(app: HttpApp, door: RecordingDoor) -> None:
    path = f"{SYSTEM}/worker_api/federation/heartbeat_sweep"
    assert (await request(app, "POST", path, headers=[("X-Worker-Token", " secret ")])).status == 200
    assert door.calls[0].headers["x-worker-token"] == "secret"
    twice = await request(app, "POST", path, headers=[("X-Worker-Token", "one"), ("X-Worker-Token", "two")])
    assert (twice.status, len(door.calls)) == (400, 1)


async def test_lines_of_a_header_of_proxies_are_one_list(app: HttpApp, door: RecordingDoor) -> None:
    headers = [("X-Forwarded-For", "10.0.0.1"), ("Client-Cert", ":AAAA:"), ("X-Forwarded-For", " 10.0.0.2"), ("Client-Cert", ":AAAB:")]
    assert (await request(app, "GET", PEERS, headers=headers)).status == 200
    heard = {name: door.calls[0].headers[name] for name in ("x-forwarded-for", "client-cert")}
    # The nearest proxy is the right-most, and two certificates are none.
    assert heard == {"x-forwarded-for": "10.0.0.1, 10.0.0.2", "client-cert": ":AAAA:, :AAAB:"}


async def test_a_call_carries_what_the_door_reads_and_nothing_else(app: HttpApp, door: RecordingDoor) -> None:
    headers = [
        ("Authorization", "Bearer abc"),
        ("Idempotency-Key", "k1"),
        ("If-Match", '"3"'),
        JSON,
        ("X-Request-Id", "mine"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "10.0.0.1"),
        ("X-Real-Ip", "10.0.0.2"),
    ]
    reply = await request(app, "POST", PEERS, headers=headers, chunks=[b'{"a":', b"1}"])
    (call,) = door.calls
    assert (call.method, call.path, call.query, call.body) == ("POST", PEERS, {}, b'{"a":1}')
    assert call.headers == {
        "authorization": "Bearer abc",
        "idempotency-key": "k1",
        "if-match": '"3"',
        "content-type": "application/json",
        "x-request-id": "mine",
        # Of a trusted proxy they count, of anybody else they tell of attempts to forge a context.
        "x-forwarded-for": "10.0.0.1",
    }
    assert (call.source.address, call.source.face) == ("192.0.2.1", "tls")
    assert (reply.status, reply.json, reply.headers["x-request-id"]) == (200, {"success": True, "data": {"ok": True}}, "mine")


@pytest.mark.parametrize("path", [f"{PEERS}?status=active,degraded&limit=3&cursor=a%2Bb", f"{FEDERATION}/trust_bundle?x=%C3%A9"])
async def test_a_query_is_decoded_once(app: HttpApp, door: RecordingDoor, path: str) -> None:
    await request(app, "GET", path)
    expected = {"x": "é"} if "trust" in path else {"status": "active,degraded", "limit": "3", "cursor": "a+b"}
    assert door.calls[0].query == expected


@pytest.mark.parametrize("sent", ["", "has space", "x" * 65, 'quote"'])
async def test_a_strange_request_id_is_replaced(app: HttpApp, door: RecordingDoor, sent: str) -> None:
    reply = await request(app, "GET", PEERS, headers=[("X-Request-Id", sent)])
    assert reply.headers["x-request-id"] == "made-1" == door.calls[0].headers["x-request-id"]


@pytest.mark.parametrize("path", [PEERS, HEARTBEAT])
async def test_status_headers_and_body_of_an_answer_go_out(app: HttpApp, door: RecordingDoor, path: str) -> None:
    fault = OperatorFault("rate_limited", "slow down", 429, {"n": 1}, retry_after_s=2.1)
    door.answer = failure(fault, "r", headers={"etag": '"7"', "content-length": "0", "x-request-id": "forged"})
    reply = await request(app, "POST", path, headers=[JSON], chunks=[b"{}"])
    assert reply.status == 429
    assert (reply.headers["retry-after"], reply.headers["etag"]) == ("3", '"7"')
    assert reply.headers["x-request-id"] == "made-1"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert reply.json["code"] == "rate_limited"


@pytest.mark.parametrize("path", [PEERS, f"{FEDERATION}/trust_bundle", "/health/live", "/nowhere"])
async def test_every_response_is_private_and_says_nothing_of_the_server(app: HttpApp, path: str) -> None:
    headers = (await request(app, "GET", path)).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["content-type"] == "application/json"
    assert not {"server", "x-powered-by", "via", "set-cookie"} & headers.keys()


async def test_strict_transport_is_demanded_on_the_tls_port_only(app: HttpApp) -> None:
    assert "strict-transport-security" in (await request(app, "GET", PEERS)).headers
    assert "strict-transport-security" not in (await request(app, "GET", PEERS, face="loopback")).headers


async def test_head_is_get_without_its_body(app: HttpApp, door: RecordingDoor) -> None:
    full = await request(app, "GET", PEERS)
    head = await request(app, "HEAD", PEERS)
    assert [call.method for call in door.calls] == ["GET", "GET"]
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == full.headers["content-length"] == str(len(full.body))


@pytest.mark.parametrize(("path", "allow"), [(PEERS, "GET, HEAD, POST, OPTIONS"), (HEARTBEAT, "POST, OPTIONS")])
async def test_options_tells_the_methods_and_other_methods_are_not_allowed(
    app: HttpApp, door: RecordingDoor, path: str, allow: str
) -> None:
    told = await request(app, "OPTIONS", path)
    assert (told.status, told.body, told.headers["allow"]) == (204, b"", allow)
    assert "content-type" not in told.headers
    assert "access-control-allow-origin" not in told.headers
    for method in ("PUT", "TRACE", "PROPFIND", "CONNECT"):
        reply = await request(app, method, path)
        assert (reply.status, reply.json["code"], reply.headers["allow"]) == (405, "method_not_allowed", allow)
    assert door.calls == []


@pytest.mark.parametrize(
    "path", ["/", "//", "/nowhere", f"{PEERS}/", f"/{PEERS}", f"{FEDERATION}/", f"{FEDERATION}/nowhere", f"{FEDERATION}//accept"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
async def test_unknown_paths_answer_in_json(app: HttpApp, door: RecordingDoor, path: str, method: str) -> None:
    reply = await request(app, method, path)
    assert (reply.status, reply.json["code"]) == (404, "not_found")
    assert door.calls == []


@pytest.mark.parametrize("face", ["tls", "loopback"])
async def test_remote_platforms_are_served_on_the_tls_port_only(app: HttpApp, door: RecordingDoor, face: Face) -> None:
    reply = await request(app, "POST", HEARTBEAT, headers=[JSON], chunks=[b"{}"], face=face)
    assert reply.status == (200 if face == "tls" else 404)
    assert len(door.calls) == (1 if face == "tls" else 0)


async def test_operators_are_served_on_both(app: HttpApp, door: RecordingDoor) -> None:
    assert (await request(app, "GET", PEERS, face="loopback")).status == 200
    assert door.calls[0].source.face == "loopback"


async def test_an_escaped_path_is_not_unescaped_into_another(app: HttpApp, door: RecordingDoor) -> None:
    escaped = f"{SYSTEM}/platform%2Fpeers"
    assert (await request(app, "GET", escaped, decoded_path=PEERS)).status == 404
    assert (await request(app, "POST", f"{FEDERATION}/%61ccept", decoded_path=f"{FEDERATION}/accept")).status == 404
    assert door.calls == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"{PEERS}?status=active&status=revoked", []),
        (f"{PEERS}?x=%FF", []),
        (f"{PEERS}?x={'y' * QUERY_BYTES_MAX}", []),
        (f"{PEERS}?{'&'.join(f'a{n}=1' for n in range(40))}", []),
        (PEERS, [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]),
        (f"{FEDERATION}/trust_bundle", [("X-Federation-Subject", "a"), ("X-Federation-Subject", "b")]),
    ],
)
async def test_what_is_said_in_two_ways_is_refused(app: HttpApp, door: RecordingDoor, path: str, headers: list[tuple[str, str]]) -> None:
    reply = await request(app, "GET", path, headers=headers)
    assert (reply.status, reply.json["code"]) == (400, "invalid_parameter")
    assert door.calls == []


@pytest.mark.parametrize(
    ("path", "bytes_max"),
    [(PEERS, limits.BODY_BYTES_MAX), (HEARTBEAT, limits.BODY_BYTES_MAX), (f"{FEDERATION}/accept", limits.ACCEPT_BODY_BYTES_MAX)],
)
async def test_a_body_of_the_limit_passes_and_one_byte_more_does_not(app: HttpApp, door: RecordingDoor, path: str, bytes_max: int) -> None:
    half = b"x" * (bytes_max // 2)
    assert (await request(app, "POST", path, headers=[JSON], chunks=[half, half])).status == 200
    assert len(door.calls[0].body) == bytes_max
    reply = await request(app, "POST", path, headers=[JSON], chunks=[half, half, b"x"])
    assert (reply.status, reply.json["code"], reply.json["details"]) == (413, "body_too_large", {"bytes_max": bytes_max})
    assert reply.headers["connection"] == "close"
    assert len(door.calls) == 1


@pytest.mark.parametrize("path", [PEERS, HEARTBEAT])
async def test_a_large_body_is_not_gathered(app: HttpApp, path: str) -> None:
    chunk = b"x" * 16_384
    reply, taken = await request_counting(app, "POST", path, headers=[JSON], chunks=[chunk] * 1_000)
    assert reply.status == 413
    assert taken < 20
    declared = [JSON, ("content-length", str(10**9))]
    reply, taken = await request_counting(app, "POST", path, headers=declared, chunks=[b"x"], ends=False)
    assert reply.status == 413
    assert taken <= 1


async def test_connection_close_is_not_sent_over_http_2(app: HttpApp) -> None:
    reply = await request(app, "POST", HEARTBEAT, chunks=[b"x" * 70_000], http_version="2")
    assert reply.status == 413
    assert "connection" not in reply.headers


@pytest.mark.parametrize("path", [PEERS, HEARTBEAT])
async def test_a_body_that_never_ends_is_given_up(
    app: HttpApp, door: RecordingDoor, path: str, autojump_clock: trio.testing.MockClock
) -> None:
    began = trio.current_time()
    reply = await request(app, "POST", path, headers=[JSON], chunks=[b"{"], ends=False)
    assert (reply.status, reply.json["code"]) == (408, "request_timeout")
    assert trio.current_time() - began == pytest.approx(BODY_DEADLINE_S)
    assert door.calls == []


@pytest.mark.parametrize("path", [PEERS, HEARTBEAT])
async def test_a_door_that_does_not_answer_gives_504_and_its_late_answer_is_dropped(
    app: HttpApp, door: RecordingDoor, path: str, autojump_clock: trio.testing.MockClock
) -> None:
    door.answer = None
    reply = await request(app, "POST", path, headers=[JSON], chunks=[b"{}"])
    assert (reply.status, reply.json["code"]) == (504, "deadline_exceeded")
    door.pending[0](success({}))


async def test_an_answer_that_comes_later_is_waited_for(
    app: HttpApp, door: RecordingDoor, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    door.answer = None

    async def answer_later() -> None:
        await trio.sleep(40)
        door.pending[0](success({"late": True}))

    nursery.start_soon(answer_later)
    assert (await request(app, "GET", PEERS)).json["data"] == {"late": True}


@pytest.mark.parametrize("path", [PEERS, HEARTBEAT])
async def test_a_bug_in_the_door_tells_no_details(app: HttpApp, door: RecordingDoor, path: str, caplog: pytest.LogCaptureFixture) -> None:
    door.raises = RuntimeError("secret internals")
    reply = await request(app, "POST", path, headers=[JSON, ("x-request-id", "r9")], chunks=[b"{}"])
    assert (reply.status, reply.json["code"], reply.json["request_id"]) == (500, "internal_error", "r9")
    assert b"secret" not in reply.body
    assert "r9" in caplog.text


async def test_a_secret_in_an_answer_does_not_leave(app: HttpApp, door: RecordingDoor) -> None:
    door.answer = success({"token": Secret("hunter2")})
    reply = await request(app, "GET", PEERS)
    assert (reply.status, reply.json["code"]) == (500, "internal_error")
    assert b"hunter2" not in reply.body


async def test_304_has_neither_body_nor_length(app: HttpApp, door: RecordingDoor) -> None:
    door.answer = Answer(304, None, {"etag": '"1"'})
    reply = await request(app, "GET", PEERS, headers=[("If-None-Match", '"1"')])
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, b"", '"1"')
    assert "content-length" not in reply.headers


async def test_health(app: HttpApp, checks: Checks, door: RecordingDoor) -> None:
    live = await request(app, "GET", "/health/live", face="loopback")
    ready = await request(app, "GET", "/health/ready")
    assert (live.status, live.json) == (200, {"status": "live"})
    assert (ready.status, ready.json) == (200, {"status": "ready", "checks": {"authority": True, "store": True}})
    checks.result = {"store": False, "authority": True}
    not_ready = await request(app, "GET", "/health/ready")
    assert (not_ready.status, not_ready.json["status"], not_ready.json["checks"]["store"]) == (503, "not_ready", False)
    assert (await request(app, "GET", "/health/live")).status == 200
    assert door.calls == []


async def test_the_description_is_served_whole(app: HttpApp) -> None:
    reply = await request(app, "GET", "/api/openapi.json")
    assert reply.status == 200
    assert reply.json == json.loads(json.dumps(document("1.2.3")))
    head = await request(app, "HEAD", "/api/openapi.json")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(reply.body)))


async def test_the_event_stream_asks_for_an_upgrade(app: HttpApp, door: RecordingDoor) -> None:
    reply = await request(app, "GET", "/api/v1/events")
    assert (reply.status, reply.json["code"], reply.headers["upgrade"]) == (426, "upgrade_required", "websocket")


@pytest.mark.parametrize("host", ["", "bad host", "a:99999999", "[::1", "\u00e9", "x" * 5_000])
async def test_a_strange_host_header_changes_nothing(app: HttpApp, door: RecordingDoor, host: str) -> None:
    assert (await request(app, "GET", PEERS, headers=[("Host", host)])).status == 200


async def test_a_client_that_leaves_before_its_body_ends_is_not_answered(app: HttpApp, door: RecordingDoor) -> None:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError("there is nobody to answer")

    await app(scope_of("http", HEARTBEAT, [JSON], "tls", method="POST"), receive, send)
    assert door.calls == []
