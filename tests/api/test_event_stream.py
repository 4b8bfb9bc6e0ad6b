"""The event stream over a WebSocket: who is let in, what they see, and why they are cut."""

from __future__ import annotations

import json

import attrs
import pytest
import trio
import trio.testing

from actors.door.call import Answer, Call, failure
from api.event_stream import READS_TOO_SLOWLY, SESSION_ENDED, SHUTTING_DOWN
from api.events import EventHub
from api.faces import Faces
from api.http import HttpApp
from api.limits import SESSION_RECHECK_S
from runtime.errors import OperatorFault
from runtime.store.port import Event
from tests.support.asgi import WebSocket

EVENTS = "/api/v1/events"
JWT = "eyJh.eyJz.c2ln"
BEARER = ("Authorization", f"Bearer {JWT}")


class Log:
    def __init__(self, count: int) -> None:
        self.rows: list[Event] = []
        self.commit(count)

    def commit(self, count: int) -> list[Event]:
        first = len(self.rows) + 1
        new = [Event(n, "federation.peer.active", "low", 0.0, None, {"federation_peer_id": "p"}) for n in range(first, first + count)]
        self.rows += new
        return new

    def events(self, after: int, limit: int) -> list[Event]:
        return self.rows[after : after + limit]

    def last_cursor(self) -> int:
        return len(self.rows)


@attrs.define
class Session:
    ends_at: float
    account_id: str | None = None
    revoked: bool = False

    def remaining_s(self) -> float:
        return 0.0 if self.revoked else self.ends_at - trio.current_time()


@attrs.define
class StreamDoor:
    """Knows one token; everybody else is turned away."""

    session: Session | None = None
    calls: list[Call] = attrs.field(factory=list)

    def handle(self, call: Call, done: object) -> None:
        raise AssertionError("a WebSocket is no call")

    def authorize_stream(self, call: Call) -> Session | Answer:
        self.calls.append(call)
        if call.headers.get("authorization") != f"Bearer {JWT}":
            return failure(OperatorFault("unauthenticated", "sign in", 401), call.headers["x-request-id"])
        self.session = self.session or Session(trio.current_time() + 900)
        return self.session


class Healthy:
    def checks(self) -> dict[str, bool]:
        return {}


@attrs.define
class World:
    log: Log
    door: StreamDoor
    hub: EventHub
    app: HttpApp


@pytest.fixture
def world() -> World:
    log, door = Log(5), StreamDoor()
    hub = EventHub(log, behind_max=1_024)
    return World(log, door, hub, HttpApp(Faces(door=door, events=hub, health=Healthy(), openapi=dict, new_request_id=lambda: "made")))


async def opened(websocket: WebSocket) -> str | None:
    message = await websocket.next()
    assert message["type"] == "websocket.accept", message
    subprotocol: str | None = message["subprotocol"]
    return subprotocol


async def cursors(websocket: WebSocket, count: int) -> list[int]:
    return [json.loads((await websocket.next())["text"])["cursor"] for _ in range(count)]


async def closed(websocket: WebSocket) -> tuple[int, str]:
    message = await websocket.next()
    assert message["type"] == "websocket.close", message
    return message["code"], message["reason"]


async def test_history_then_news_over_the_wire(world: World, nursery: trio.Nursery) -> None:
    client = WebSocket(f"{EVENTS}?cursor=2", [BEARER])
    nursery.start_soon(client.run, world.app)
    assert await opened(client) is None
    assert await cursors(client, 3) == [3, 4, 5]
    world.hub.publish(world.log.commit(2))
    assert await cursors(client, 1) == [6]
    message = await client.next()
    assert json.loads(message["text"]) == {
        "cursor": 7,
        "kind": "federation.peer.active",
        "severity": "low",
        "at": "1970-01-01T00:00:00.000Z",
        "payload": {"federation_peer_id": "p"},
    }
    client.leave()


async def test_leaving_frees_the_place(world: World, autojump_clock: trio.testing.MockClock) -> None:
    client = WebSocket(EVENTS, [BEARER])
    with trio.fail_after(5):
        async with trio.open_nursery() as serving:
            serving.start_soon(client.run, world.app)
            await opened(client)
            assert world.hub.subscribers == 1
            client.leave()
    assert world.hub.subscribers == 0


async def test_a_browser_brings_its_token_as_a_subprotocol(world: World, nursery: trio.Nursery) -> None:
    client = WebSocket(EVENTS, subprotocols=["powernode.events.v1", f"powernode.bearer.{JWT}"])
    nursery.start_soon(client.run, world.app)
    assert await opened(client) == "powernode.events.v1"
    client.leave()


@pytest.mark.parametrize(
    ("path", "headers", "subprotocols", "status", "code"),
    [
        (EVENTS, [], [], 401, "unauthenticated"),
        (EVENTS, [("Authorization", "Bearer wrong")], [], 401, "unauthenticated"),
        (f"{EVENTS}?access_token={JWT}", [], [], 401, "unauthenticated"),
        (f"{EVENTS}?access_token={JWT}", [BEARER], [], 400, "invalid_parameter"),
        (EVENTS, [], [f"powernode.bearer.{JWT}"], 400, "invalid_parameter"),
        (EVENTS, [], ["powernode.events.v1", "powernode.bearer.not a token"], 400, "invalid_parameter"),
        (EVENTS, [], ["powernode.events.v1", f"powernode.bearer.{JWT}", f"powernode.bearer.{JWT}"], 400, "invalid_parameter"),
        (EVENTS, [BEARER], ["powernode.events.v1", f"powernode.bearer.{JWT}"], 400, "invalid_parameter"),
        (f"{EVENTS}?cursor=6", [BEARER], [], 400, "invalid_parameter"),
        (f"{EVENTS}?cursor=-1", [BEARER], [], 400, "invalid_parameter"),
        (f"{EVENTS}?cursor=x", [BEARER], [], 400, "invalid_parameter"),
        (f"{EVENTS}?cursor=1&cursor=2", [BEARER], [], 400, "invalid_parameter"),
        ("/api/v1/elsewhere", [BEARER], [], 404, "not_found"),
    ],
)
async def test_refusals_are_http_answers_before_the_upgrade(
    world: World, path: str, headers: list[tuple[str, str]], subprotocols: list[str], status: int, code: str
) -> None:
    client = WebSocket(path, headers, subprotocols)
    await client.run(world.app)
    reply = await client.reply()
    assert (reply.status, reply.json["code"]) == (status, code)
    assert reply.headers["cache-control"] == "no-store"
    assert JWT not in reply.body.decode()
    assert world.hub.subscribers == 0


async def test_the_stream_ends_with_its_token(world: World, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    world.door.session = Session(trio.current_time() + 62.0)
    client = WebSocket(EVENTS, [BEARER])
    nursery.start_soon(client.run, world.app)
    await opened(client)
    began = trio.current_time()
    assert await closed(client) == SESSION_ENDED
    assert trio.current_time() - began == pytest.approx(62.0)


async def test_the_stream_ends_soon_after_its_session(world: World, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    session = world.door.session = Session(trio.current_time() + 900.0)
    client = WebSocket(EVENTS, [BEARER])
    nursery.start_soon(client.run, world.app)
    await opened(client)
    await trio.sleep(12)
    session.revoked = True
    world.hub.publish(world.log.commit(0))
    began = trio.current_time()
    assert await closed(client) == SESSION_ENDED
    assert trio.current_time() - began <= SESSION_RECHECK_S


async def test_a_client_that_talks_is_cut(world: World, nursery: trio.Nursery) -> None:
    client = WebSocket(EVENTS, [BEARER])
    nursery.start_soon(client.run, world.app)
    await opened(client)
    client.say("hello")
    code, _ = await closed(client)
    assert code == 1003


async def test_a_client_that_does_not_read_is_cut_without_holding_others_up(
    world: World, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    slow, quick = WebSocket(EVENTS, [BEARER], room=1), WebSocket(EVENTS, [BEARER])
    async with trio.open_nursery() as serving:
        serving.start_soon(slow.run, world.app)
        nursery.start_soon(quick.run, world.app)
        await opened(quick)
        await trio.testing.wait_all_tasks_blocked()
        world.hub.publish(world.log.commit(10))
        assert await cursors(quick, 10) == list(range(6, 16))
        began = trio.current_time()
    # Its task has ended although nobody ever read the close frame.
    assert trio.current_time() - began <= 15
    assert world.hub.subscribers == 1
    quick.leave()


async def test_a_slow_client_that_reads_again_hears_why_it_was_cut(
    world: World, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = WebSocket(EVENTS, [BEARER], room=2)
    nursery.start_soon(client.run, world.app)
    await opened(client)
    await trio.testing.wait_all_tasks_blocked()
    world.hub.publish(world.log.commit(10))
    await trio.sleep(11)
    assert await cursors(client, 2) == [6, 7]
    assert await closed(client) == READS_TOO_SLOWLY


async def test_stopping_tells_everybody(world: World, nursery: trio.Nursery) -> None:
    client = WebSocket(EVENTS, [BEARER])
    nursery.start_soon(client.run, world.app)
    await opened(client)
    await trio.testing.wait_all_tasks_blocked()
    world.hub.close()
    assert await closed(client) == SHUTTING_DOWN
