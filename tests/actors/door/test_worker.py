"""What the scheduler of another program may start: with its token alone, and nothing but that."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from actors.audit_archive.record import ARCHIVE
from actors.door.call import Answer, Call, Source
from actors.door.routes import ROUTES
from actors.periodic.messages import Begin
from runtime.actor import Ref
from runtime.values import evolve
from sim.world import Host, World
from tests.support.grants import PEERS, Peers, pair

BASE = "/api/v1/system/worker_api/federation"
TOKEN = "a-token-of-a-scheduler-0123456789"
RUNS = ("heartbeat_sweep", "audit_shipment", "capability_auto_sync")


@pytest.fixture
def two() -> Peers:
    world = World("worker")
    two = pair(world, world.platform("a").sign_in(), world.platform("b").sign_in())
    given(two.a)
    two.a.engine.tell(Ref(ARCHIVE.name, two.a.account_id), Begin(two.a.account_id))
    world.run_for(1.0)
    return two


def given(host: Host, token: str | None = TOKEN) -> None:
    """The platform is started with this token of a worker."""
    digest = None if token is None else hashlib.sha256(token.encode()).hexdigest()
    host.door.settings = evolve(host.door.settings, worker_token_digest=digest)


def call(
    host: Host, path: str, token: str | None = None, *, method: str = "POST", source: Source | None = None, bearer: str | None = None
) -> Answer:
    answers: list[Answer] = []
    shown = {} if token is None else {"x-worker-token": token}
    shown |= {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    host.door.handle(Call(method, path, {}, shown, b"", source or Source("127.0.0.1", "loopback")), answers.append)
    assert host.world.run_until(lambda: bool(answers), 60.0)
    return answers[0]


def code(answer: Answer) -> tuple[int, str]:
    assert answer.body is not None
    return answer.status, answer.body["code"]


@pytest.mark.parametrize("run", RUNS)
def test_its_token_starts_a_run_on_either_port(two: Peers, run: str) -> None:
    for source in (Source("127.0.0.1", "loopback"), Source("192.0.2.9", "tls")):
        answer = call(two.a, f"{BASE}/{run}", TOKEN, source=source)
        assert answer.status == 200, answer.body


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("shown", [None, "", TOKEN[:-1], TOKEN + "0", TOKEN.upper(), hashlib.sha256(TOKEN.encode()).hexdigest()])
def test_without_its_token_nothing_is_started(two: Peers, run: str, shown: str | None) -> None:
    assert code(call(two.a, f"{BASE}/{run}", shown)) == (401, "worker_token_invalid")
    operator = two.a.call("POST", f"{BASE}/{run}")
    assert operator is not None
    assert (operator.status, operator.body["code"]) == (401, "worker_token_invalid")


@pytest.mark.parametrize("shown", [None, "", TOKEN, "-" * 64])
def test_a_platform_without_a_worker_starts_nothing(two: Peers, shown: str | None) -> None:
    given(two.a, None)
    for run in RUNS:
        assert code(call(two.a, f"{BASE}/{run}", shown)) == (401, "worker_token_invalid")


def test_its_token_opens_nothing_else(two: Peers) -> None:
    for route in ROUTES:
        if route.face == "operator" and not route.parameter_names and not route.websocket:
            answer = call(two.a, route.path, TOKEN, method=route.method, bearer=TOKEN)
            assert code(answer) == (401, "unauthenticated"), route.name
    relayed = Source("127.0.0.1", "tls", relayed_by=two.b_at_a)
    assert code(call(two.a, f"{BASE}/heartbeat_sweep", TOKEN, source=relayed)) == (404, "not_found")


def swept(two: Peers) -> dict[str, Any]:
    answer = call(two.a, f"{BASE}/heartbeat_sweep", TOKEN)
    assert answer.status == 200, answer.body
    assert answer.body is not None
    return dict(answer.body["data"])


def test_a_sweep_degrades_the_silent_and_them_alone(two: Peers) -> None:
    assert (swept(two)["swept"], swept(two)["degraded_ids"]) == (1, [])
    stale_after_s = two.a.door.settings.federation.stale_after_s
    # Only the wall clock moves: the peer has had no look of its own yet.
    two.a.clock.offset_s += stale_after_s + 1.0
    told = swept(two)
    assert (told["swept"], told["degraded_ids"]) == (1, [two.b_at_a])
    row = two.a.engine.directory.row("peer", two.b_at_a)
    assert row is not None
    assert (row.record.status, row.record.status_reason) == ("degraded", f"heartbeat stale (>{stale_after_s:.0f}s)")
    assert [event.kind for event in two.a.store.events(0, 10_000)].count("federation.peer.heartbeat_stale") == 1
    again = swept(two)
    assert (again["swept"], again["degraded_ids"]) == (0, [])
    two.world.run_for(120.0)
    row = two.a.engine.directory.row("peer", two.b_at_a)
    assert row is not None
    assert row.record.status == "active"


def test_a_run_tells_what_it_has_done(two: Peers) -> None:
    body = {"resource_kind": "NodeModule", "direction": "pull_remote_to_local"}
    assert two.ask("POST", f"{PEERS}/{two.b_at_a}/capabilities", body).status == 201
    synced = call(two.a, f"{BASE}/capability_auto_sync", TOKEN)
    assert synced.body is not None
    assert {name: synced.body["data"][name] for name in ("swept", "synced", "failed")} == {"swept": 1, "synced": 0, "failed": 1}
    assert synced.body["data"]["failures"][0]["code"] == "no_received_grant"
    shipped = call(two.a, f"{BASE}/audit_shipment", TOKEN)
    assert shipped.body is not None
    assert shipped.body["data"].keys() == {"swept_peers", "swept_chains", "shipped", "entries", "failures"}
    assert TOKEN not in json.dumps([shipped.body, synced.body])
