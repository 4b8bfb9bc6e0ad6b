"""The faces behind the real listener on a loopback port: the upgrade, its refusal and its end as a WebSocket client sees them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, open_websocket_url

from api.events import EventHub
from api.faces import Faces
from api.http import HttpApp
from net.listener import Listener, open_loopback
from tests.api.test_event_stream import EVENTS, JWT, Healthy, Log, StreamDoor
from tests.support.daemons import PATIENCE_S

pytestmark = pytest.mark.e2e


@asynccontextmanager
async def served(app: HttpApp) -> AsyncIterator[str]:
    listeners = await open_loopback("127.0.0.1", 0)
    stop = trio.Event()
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(Listener(app).serve, loopback=listeners, stop=stop))
            yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


def app_of(log: Log) -> tuple[HttpApp, EventHub]:
    hub = EventHub(log)
    return HttpApp(Faces(door=StreamDoor(), events=hub, health=Healthy(), openapi=dict, new_request_id=lambda: "made")), hub


async def test_a_refusal_reaches_the_client_as_json() -> None:
    app, _ = app_of(Log(0))
    async with served(app) as base:
        with pytest.raises(ConnectionRejected) as caught:
            async with open_websocket_url(base + EVENTS):
                pass
    assert (caught.value.status_code, json.loads(caught.value.body)["code"]) == (401, "unauthenticated")


async def test_events_and_the_reason_of_the_end_reach_the_client() -> None:
    log = Log(3)
    app, hub = app_of(log)
    async with served(app) as base:
        offered = ["powernode.events.v1", f"powernode.bearer.{JWT}"]
        async with open_websocket_url(f"{base}{EVENTS}?cursor=1", subprotocols=offered) as client:
            assert client.subprotocol == "powernode.events.v1"
            seen = [json.loads(await client.get_message())["cursor"] for _ in range(2)]
            hub.publish(log.commit(1))
            seen.append(json.loads(await client.get_message())["cursor"])
            hub.close()
            with pytest.raises(ConnectionClosed) as caught:
                await client.get_message()
    assert seen == [2, 3, 4]
    assert (caught.value.reason.code, caught.value.reason.reason) == (1001, "the platform is stopping")
