"""Two simulated platforms that are peers, of which `a` offers services and `b` subscribes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from actors.door.call import Answer
from sim.world import World
from tests.support.grants import Peers, call_as, pair

OFFERINGS = "/api/v1/system/federation/service_offerings"
WIKI: Mapping[str, Any] = {
    "slug": "wiki",
    "name": "Wiki",
    "protocol": "http",
    "backend_host": "10.7.0.9",
    "backend_port": 8080,
    "max_subscribers": 1,
}
KEY = "0190c0de-0000-7000-8000-0000000000{:02x}"


def quiet_peers(seed: int | str = 1, a: Mapping[str, Any] | None = None, b: Mapping[str, Any] | None = None) -> Peers:
    """Two peers that seldom speak by themselves, so that weeks cost little; `a` and `b` are settings of one of them."""
    world = World(seed)
    quiet = {"heartbeat_interval_s": 86_400.0, "stale_after_s": 10 * 86_400.0}
    provider = world.platform("a", **{**quiet, **(a or {})}).sign_in()
    subscriber = world.platform("b", **{**quiet, **(b or {})}).sign_in()
    return pair(world, provider, subscriber)


def offer(two: Peers, *, active: bool = True, **changes: Any) -> dict[str, Any]:
    """An offering of `a`, as its operators see it."""
    drafted = two.ask("POST", OFFERINGS, {**WIKI, **changes})
    assert drafted.status == 201, drafted.body
    offering: dict[str, Any] = drafted.data["offering"]
    return step(two, offering["id"], "activate") if active else offering


def step(two: Peers, id: str, trigger: str, **body: Any) -> dict[str, Any]:
    """The offering after a step of its operators."""
    reply = two.ask("POST", f"{OFFERINGS}/{id}/{trigger}", body)
    assert reply.status == 200, reply.body
    return dict(reply.data["offering"])


def by_hand(two: Peers, method: str, path: str, body: Any = None) -> Answer:
    """A call of `b` at the federation API of `a`, under its certificate."""
    raw = b"" if body is None else json.dumps(body).encode()
    return call_as(two.b, two.a_at_b, two.a, path, None, method=method, body=raw)


def subscribe(two: Peers, key: int = 1, **changes: Any) -> Answer:
    """`b` asks for a seat as its daemon would."""
    body = {"slug": "wiki", "local_hostname": "wiki.b.example", "idempotency_key": KEY.format(key), **changes}
    return by_hand(two, "POST", "/subscriptions", body)


def data(answer: Answer) -> Any:
    assert answer.body is not None
    assert answer.status < 300, answer.body
    return answer.body["data"]
