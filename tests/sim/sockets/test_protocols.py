"""What travels over simulated sockets: TLS 1.3 with client certificates, HTTP/2, a WebSocket, certificates that end in virtual time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import h2.events
import pytest
import trio
import trio_websocket
from OpenSSL import SSL

import sim.sockets.host
from actors.settings import FederationSettings
from net.tls import TlsStream, client_context
from sim.scenario.load import parse
from sim.scenario.run import run
from sim.sockets.host import SocketHost
from sim.sockets.tcp import Process
from sim.world import World
from tests.support.http2_client import Http2Client

ROOT = Path(__file__).parent.parent.parent.parent


class Visited:
    """One platform at socket level, and somebody else's machine."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed, scheduler_seed=seed)
        self.world.network.add("visitor", lambda: "listening")
        self.host = SocketHost(self.world, "a", FederationSettings())
        self.world.hosts["a"] = self.host
        self.host.start()
        self.host.sign_in()
        self.visitor: Process = self.host.level.process("visitor", "visitor")

    def run(self, function: Callable[[], Awaitable[Any]]) -> Any:
        return self.host.level.loop.run(self.host.level.sockets.as_process, self.visitor, function)

    async def tls(self, protocol: bytes) -> TlsStream:
        context = client_context()
        context.set_alpn_protos([protocol])
        stream = TlsStream(await trio.open_tcp_stream("a.example.com", 443), context, server_side=False, server_name="a.example.com")
        await stream.do_handshake()
        return stream


@pytest.fixture
def visited() -> Iterator[Visited]:
    found = Visited()
    yield found
    found.world.close()


async def many_requests(visited: Visited, count: int) -> list[str]:
    """HTTP/2 over TLS, several requests at a time; the statuses."""
    stream = await visited.tls(b"h2")
    assert (stream.protocol, stream._tls.get_protocol_version()) == ("h2", SSL.TLS1_3_VERSION)
    client = Http2Client(stream)
    statuses: list[str] = []
    for _ in range(count):
        opened = {await client.open(path) for path in ("/health/live", "/openapi.json", "/api/v1/nowhere", "/health/ready")}
        for event in await client.until_ended(opened):
            if isinstance(event, h2.events.ResponseReceived):
                statuses += [value for name, value in event.headers if name == ":status"]
    await stream.aclose()
    return statuses


def http2_digest(seed: int) -> str:
    """Everything that travelled, with times and lengths."""
    visited = Visited(seed)
    visited.world.links.between("visitor", "a").loss = 0.05
    try:
        statuses = visited.run(lambda: many_requests(visited, 10))
        whole = hashlib.blake2b(repr(statuses).encode(), digest_size=16)
        for frame in visited.world.frames:
            whole.update(f"{frame.at:.9f} {frame.kind} {frame.source} {frame.target} {frame.what}\n".encode())
        return f"{len(statuses)} {len(visited.world.frames)} {whole.hexdigest()}"
    finally:
        visited.world.close()


def elsewhere(seed: int, hash_seed: int) -> str:
    """The digest that another process gets."""
    program = f"from tests.sim.sockets.test_protocols import http2_digest; print(http2_digest({seed}))"
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=ROOT
    ).stdout.strip()  # fmt: skip


def test_http2_over_tls_is_the_same_octet_for_octet_in_other_processes() -> None:
    here = http2_digest(3)
    assert here.startswith("40 ")
    assert elsewhere(3, 1 if os.environ.get("PYTHONHASHSEED") != "1" else 2) == here
    assert http2_digest(4) != here


@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_http2_over_tls_is_the_same_in_ten_processes() -> None:
    assert len({elsewhere(5, hash_seed) for hash_seed in range(10)}) == 1


def test_a_websocket_follows_events_over_tls(visited: Visited) -> None:
    async def follow() -> list[str]:
        kinds: list[str] = []
        headers = [("authorization", f"Bearer {visited.host.token}")]
        stream = await visited.tls(b"http/1.1")
        async with trio.open_nursery() as nursery:
            websocket = await trio_websocket.wrap_client_stream(
                nursery,
                stream,
                "a.example.com",
                "/api/v1/events?cursor=0",
                extra_headers=headers,
            )
            body = {"remote_instance_url": "https://b.example.com"}
            visited.host.send("POST", "/api/v1/system/platform/peers", body)
            while "federation.peer.proposed" not in kinds:
                kinds.append(json.loads(await websocket.get_message())["kind"])
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await websocket.get_message()
            assert closed.value.reason.code == 1008, "the operator's session ends in virtual time"
            nursery.cancel_scope.cancel()
        return kinds

    assert "federation.peer.proposed" in visited.run(follow)
    assert visited.world.timeline.now > 600, "pings kept it open until then"


LEAF_ENDS = """
name = "a certificate of the listener ends"
description = "The listener's certificates end after an hour and are made anew after a day."
world = { for = "25h" }
platform = [
    { name = "a", peer_channel = false, heartbeat_interval = "10m", stale_after = "40m" },
    { name = "b", peer_channel = false, heartbeat_interval = "10m", stale_after = "40m" },
]
at = [
    { t = 1, do = "propose", on = "a", peer = "b" },
    { t = 10, do = "accept_invitation", on = "b", peer = "a" },
    { t = "55m", do = "heartbeat", on = "b", peer = "a", name = "before" },
    { t = "3h", do = "heartbeat", on = "b", peer = "a", name = "after" },
    { t = "24h50m", do = "heartbeat", on = "b", peer = "a", name = "renewed" },
]
expect = [
    { that = "code", call = "before", is = "ok" },
    { that = "code", call = "after", is = "server_identity_unverified" },
    { that = "code", call = "renewed", is = "ok" },
    { that = "eventually", on = "b", peer = "a", is = "degraded", t = "1h", within = "2h" },
    { that = "status", on = "b", peer = "a", is = "active" },
    { that = "status", on = "a", peer = "b", is = "active" },
]
"""


def test_a_certificate_of_a_listener_ends_and_is_made_anew_in_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim.sockets.host, "LISTENER_LEAF_LIFETIME_S", 3600.0)
    scenario = parse(LEAF_ENDS.replace("world = {", 'world = { level = "sockets",'), "leaf.toml")
    result = run(scenario)
    assert result.passed, (result.failures, result.last)


CLIENT_ENDS = """
name = "a client certificate ends"
description = "b's clock stands still in the past, so that it goes on showing a certificate that has ended for a."
world = { for = "4h", level = "sockets" }
platform = [
    { name = "a", cert_ttl = "1h", cert_auto_renew = false, heartbeat_interval = "10m" },
    { name = "b", cert_ttl = "1h", cert_auto_renew = false, heartbeat_interval = "10m" },
]
at = [
    { t = 1, do = "propose", on = "a", peer = "b" },
    { t = 10, do = "accept_invitation", on = "b", peer = "a" },
    { t = "30m", do = "heartbeat", on = "b", peer = "a", name = "before" },
    { t = "31m", do = "clock_step", on = "b", by = "-3h" },
    { t = "3h", do = "heartbeat", on = "b", peer = "a", name = "after" },
]
expect = [{ that = "code", call = "before", is = "ok" }, { that = "code", call = "after", is = "CODE" }]
"""


@pytest.mark.parametrize("level", ["frames", "sockets"])
def test_a_client_certificate_ends_for_the_server_that_it_is_shown_to(level: str) -> None:
    text = CLIENT_ENDS.replace("CODE", "remote_rejected").replace('"sockets"', f'"{level}"')
    result = run(parse(text, "client.toml"))
    assert result.passed, (result.failures, result.last)
