"""The HTTP client: exchanges, kept connections under cancellation, and the command line's request."""

from __future__ import annotations

import gc
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from cryptography.x509.verification import Store

from net.http_client import (
    ConnectionLost,
    ConnectionPool,
    ExchangeFailed,
    HttpClientConnection,
    NotJson,
    TimedOut,
    Unreachable,
    Untrusted,
    request_json,
)
from net.server_identity import verify_public
from tests.net.certs import NOW, Authority
from tests.net.served import PATIENCE_S, descriptors, echo, serving, until
from tests.support.daemons import reserved_port


class FixedClock:
    """Wall time at which the certificates of these tests are valid."""

    def now(self) -> float:
        return trio.current_time()

    def wall(self) -> float:
        return NOW


@asynccontextmanager
async def answering(*answers: bytes, close: bool = False) -> AsyncIterator[Callable[[], object]]:
    """A plain server that gives each connection these answers, one for each time it is spoken to; yields a connector."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            for answer in answers:
                if await stream.receive_some(65_536):
                    await stream.send_all(answer)
            if not close:
                while await stream.receive_some(65_536):
                    pass
        except trio.BrokenResourceError:
            pass
        finally:
            await trio.aclose_forcefully(stream)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

    async def connect() -> HttpClientConnection:
        return HttpClientConnection(await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1]), "test")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield connect
        nursery.cancel_scope.cancel()


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", "connection_lost"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}", "connection_lost"),
        (b"HTTP/1.1 200", "connection_lost"),
        (b"hello\r\n\r\n", "not_http"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}", "not_http"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "not_http"),
        (b"HTTP/1.1 103 Hints\r\n\r\n" * 50, "not_http"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, "not_http"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2_000, "reply_too_large"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2_000, "reply_too_large"),
    ],
)
async def test_unusable_answers(answer: bytes, expected: str) -> None:
    async with answering(answer, close=True) as connect:
        connection = await connect()
        with pytest.raises(ExchangeFailed, match=expected) as failed:
            await connection.exchange("GET", "/", reply_bytes_max=1_000)
        if isinstance(failed.value, ConnectionLost):
            assert failed.value.answer_begun == bool(answer)
        connection.close()


async def test_a_connection_is_kept_and_reused() -> None:
    async with answering(OK, OK, OK) as connect:
        pool = ConnectionPool()
        for turn in range(3):
            async with pool.connection("key", connect) as connection:
                assert connection.reused == (turn > 0)
                await connection.exchange("GET", "/", reply_bytes_max=1_000)
        assert pool.idle_connections == 1
        async with pool.connection("other", connect) as connection:
            assert not connection.reused
            await connection.exchange("GET", "/", reply_bytes_max=1_000)
        pool.close()
        assert pool.idle_connections == 0


@pytest.mark.parametrize("junk", [b"HTTP/1.1 200 OK\r\n\r\n", b""])
async def test_a_kept_connection_that_spoke_or_ended_is_not_reused(junk: bytes) -> None:
    async with answering(OK + junk, close=not junk) as connect:
        pool = ConnectionPool()
        async with pool.connection("key", connect) as connection:
            await connection.exchange("GET", "/", reply_bytes_max=1_000)
        await until(lambda: not connection.usable())
        async with pool.connection("key", connect) as other:
            assert other is not connection
        pool.close()


async def test_connections_beyond_the_limits_are_dropped_oldest_first() -> None:
    async with answering(OK) as connect:
        pool = ConnectionPool(idle_max=2)
        connections = []
        for key in range(4):
            async with pool.connection(key, connect) as connection:
                await connection.exchange("GET", "/", reply_bytes_max=1_000)
                connections.append(connection)
        assert pool.idle_connections == 2
        assert [connection.usable() for connection in connections] == [False, False, True, True]
        assert pool.forget(lambda key: key == 3) == 1
        assert not connections[3].usable()
        pool.close()


async def test_forgetting_spares_the_exchange_under_way() -> None:
    async with answering(OK) as connect:
        pool = ConnectionPool()
        async with pool.connection("key", connect) as connection:
            pool.forget(lambda _: True)
            assert (await connection.exchange("GET", "/", reply_bytes_max=1_000)).status == 200
        assert (pool.idle_connections, pool.busy_connections) == (0, 0)


async def test_cancellation_leaves_the_pool_intact() -> None:
    chance = random.Random(11)

    async with serving() as served:

        async def connect() -> HttpClientConnection:
            return HttpClientConnection(await served.tls(), "test")

        pool = ConnectionPool(per_key=4)
        cancelled = 0

        async def worker(own: random.Random) -> None:
            nonlocal cancelled
            for _ in range(20):
                with trio.move_on_after(own.choice((0.0, 0.0005, 0.002, 0.005, 0.02))) as scope:
                    async with pool.connection("key", connect) as connection:
                        path = own.choice(("/a", "/hang", "/b"))
                        reply = await connection.exchange("GET", path, reply_bytes_max=10_000)
                        assert json.loads(reply.body)["path"] == path, "never somebody else's answer"
                cancelled += scope.cancelled_caught

        gc.collect()
        before = descriptors()
        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(worker, random.Random(chance.random()))
        assert cancelled > 50
        assert pool.busy_connections == 0
        assert pool.idle_connections <= 4
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for _ in range(8):
                    nursery.start_soon(_one, pool, connect)
        pool.close()
        await until(lambda: served.listener.open_connections == 0)
        assert descriptors() == before


async def _one(pool: ConnectionPool, connect: Callable[[], object]) -> None:
    async with pool.connection("key", connect) as connection:
        assert (await connection.exchange("GET", "/", reply_bytes_max=10_000)).status == 200


# --- the command line's request -------------------------------------------------------------------------------------


async def test_request_json_over_loopback_and_tls() -> None:
    async with serving() as served:
        url = f"http://127.0.0.1:{served.plain_port}/x?y=1"
        reply = await request_json("POST", url, body={"ä": 1}, headers={"authorization": "Bearer x"})
        assert (reply.status, reply.body["path"], reply.body["face"]) == (200, "/x", "loopback")
        assert json.loads(reply.body["body"].encode("latin-1")) == {"ä": 1}
        ca_pem = served.authority.pem.encode()
        for host in ("127.0.0.1", "localhost"):
            reply = await request_json("GET", f"https://{host}:{served.port}/", ca_pem=ca_pem, clock=FixedClock())
            assert reply.body["face"] == "tls"


async def test_request_json_trusts_nobody_else() -> None:
    async with serving() as served:
        url = f"{served.url}/"
        with pytest.raises(Untrusted, match="did not prove"):
            await request_json("GET", url, ca_pem=Authority().pem.encode(), clock=FixedClock())
        with pytest.raises(Untrusted):
            await request_json("GET", url, clock=FixedClock())
        with pytest.raises(Untrusted, match="ca_unreadable"):
            await request_json("GET", url, ca_pem=b"nonsense", clock=FixedClock())
        with pytest.raises(Untrusted, match="use https"):
            await request_json("GET", "http://192.0.2.1/")
        assert not served.listener.accepted["loopback"]


async def test_request_json_says_what_went_wrong() -> None:
    async with serving() as served:
        base = f"http://127.0.0.1:{served.plain_port}"
        with pytest.raises(TimedOut):
            await request_json("GET", f"{base}/hang", timeout_s=0.05)
    with reserved_port() as held, pytest.raises(Unreachable):
        await request_json("GET", f"http://127.0.0.1:{held.getsockname()[1]}")
    with pytest.raises(ValueError, match="absolute"):
        await request_json("GET", "ftp://127.0.0.1/")


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b'{"a": NaN}', b"\xff", b"[" * 100_000, b""])
async def test_request_json_refuses_what_is_no_object(content: bytes) -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": content})

    async with serving(app) as served:
        with pytest.raises(NotJson):
            await request_json("GET", f"http://127.0.0.1:{served.plain_port}/")


def test_public_pki_matches_the_host_and_the_dates() -> None:
    root = Authority(p256=True)
    leaf = root.server(hosts=("platform.example", "8.8.8.8"), p256=True)
    roots = Store([root.certificate])
    chain = (leaf.der,)
    assert verify_public(chain, "platform.example", now=NOW, roots=roots) is None
    assert verify_public(chain, "8.8.8.8", now=NOW, roots=roots) is None
    assert verify_public(chain, "other.example", now=NOW, roots=roots) == "not_publicly_trusted"
    assert verify_public(chain, "platform.example", now=NOW + 100 * 86_400, roots=roots) == "not_publicly_trusted"
    assert verify_public(chain, "platform.example", now=NOW) == "not_publicly_trusted"
    assert verify_public((b"junk",), "platform.example", now=NOW, roots=roots) == "unreadable"
    assert verify_public((), "platform.example", now=NOW, roots=roots) == "chain_empty"
