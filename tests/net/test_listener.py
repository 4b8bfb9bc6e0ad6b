"""The listener: faces, sources, protocols, limits, cutting, stopping."""

from __future__ import annotations

import socket
import ssl
import struct
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import pytest
import trio
import trio_websocket
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from actors.door.call import Source
from net.limits import ListenerLimits
from net.listener import Listener, open_loopback, open_public
from net.tls import ListenerLeaf, TlsStream, client_context, server_context
from tests.net.certs import Authority
from tests.net.served import INSTANCE, PATIENCE_S, ask, descriptors, echo, read_all, read_head, serving, until
from tests.support.daemons import reserved_port
from tests.support.engines import ManualClock
from tests.support.http2_client import Http2Client

GET = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"


def test_the_plain_port_binds_loopback_only() -> None:
    async def attempt(host: str) -> None:
        with pytest.raises(ValueError, match="address"):
            await open_loopback(host, 0)

    for host in ("0.0.0.0", "192.0.2.1", "::", "localhost", "", "::ffff:127.0.0.1", "10.0.0.1"):
        trio.run(attempt, host)


async def test_faces_and_certificates_reach_the_application() -> None:
    async with serving() as served:
        client = served.authority.client(INSTANCE)
        plain, anonymous, known = await served.plain(), await served.tls(), await served.tls(client.chain_pem, client.key_pem)
        answers = [await ask(stream) for stream in (plain, anonymous, known)]
        assert [(a["face"], a["certificates"], a["address"]) for a in answers] == [
            ("loopback", 0, "127.0.0.1"),
            ("tls", 0, "127.0.0.1"),
            ("tls", 2, "127.0.0.1"),
        ]
        assert len({a["connection"] for a in answers}) == 3
        assert (await ask(known))["requests"] == 2, "one scratch for one connection"
        for stream in (plain, anonymous, known):
            await stream.aclose()


async def test_the_application_sees_the_chain_octet_for_octet() -> None:
    seen: list[Source] = []

    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] != "lifespan":
            seen.append(scope["state"]["source"])
        await echo(scope, receive, send)

    async with serving(app) as served:
        stranger = Authority("somebody else")
        client = stranger.client(INSTANCE, days=-5)
        stream = await served.tls(client.chain_pem, client.key_pem)
        await ask(stream)
        await stream.aclose()
    assert seen[0].certificates == (client.der, stranger.der), "an unknown and expired certificate is carried, not judged"


async def test_peers_are_shown_ed25519_and_browsers_p256() -> None:
    async with serving() as served:
        stream = await served.tls()
        assert isinstance(x509.load_der_x509_certificate(stream.chain[0]).public_key(), ed25519.Ed25519PublicKey)
        assert stream.chain[-1] == served.authority.der
        await stream.aclose()

        browser = client_context()
        from OpenSSL import SSL

        SSL._lib.SSL_CTX_set1_sigalgs_list(browser._context, b"ECDSA+SHA256:RSA-PSS+SHA256")
        stream = TlsStream(await served.tcp(), browser, server_side=False)
        await stream.do_handshake()
        assert isinstance(x509.load_der_x509_certificate(stream.chain[0]).public_key(), ec.EllipticCurvePublicKey)
        assert stream.chain[-1] == served.authority.der
        await stream.aclose()


async def test_new_leaves_are_used_by_the_next_connection() -> None:
    async with serving() as served:
        old, other = await served.tls(), Authority("renewed")
        served.listener.use_leaves((other.server(INSTANCE).for_listener,))
        new = await served.tls()
        assert (old.chain[-1], new.chain[-1]) == (served.authority.der, other.der)
        assert (await ask(old))["http"] == "1.1"
        with pytest.raises(ValueError, match="private key"):
            served.listener.use_leaves((ListenerLeaf(other.server().chain_pem, served.authority.server().key_pem),))
        last = await served.tls()
        assert last.chain[-1] == other.der, "a bad certificate must not replace a good one"
        for stream in (old, new, last):
            await stream.aclose()


@pytest.mark.parametrize("count", [0, 2])
def test_unusable_leaves_are_refused(count: int) -> None:
    root = Authority()
    with pytest.raises(ValueError, match="certificate"):
        server_context([root.server().for_listener] * count)


def _stdlib(version: ssl.TLSVersion, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    context.set_alpn_protocols(list(alpn))
    return context


def _sessions(port: int, version: ssl.TLSVersion) -> tuple[str | None, bool]:
    """The version agreed on, and whether a second handshake resumed the first one's session."""
    context = _stdlib(version, "http/1.1")
    with socket.create_connection(("127.0.0.1", port)) as tcp, context.wrap_socket(tcp) as first:
        first.sendall(GET)
        first.recv(65_536)
        session, name = first.session, first.version()
    with socket.create_connection(("127.0.0.1", port)) as tcp, context.wrap_socket(tcp, session=session) as second:
        second.sendall(GET)
        second.recv(65_536)
        return name, bool(second.session_reused)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_tls_is_at_least_1_2_and_never_resumes_a_session() -> None:
    async with serving() as served:
        for version, name in ((ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")):
            assert await trio.to_thread.run_sync(_sessions, served.port, version) == (name, False)
        old = _stdlib(ssl.TLSVersion.TLSv1_3)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(trio.BrokenResourceError):
            await trio.SSLStream(await served.tcp(), old).do_handshake()
        await until(lambda: served.listener.refused["handshake_failed"] == 1)


async def _http2(served: object) -> Http2Client:
    stream = trio.SSLStream(await served.tcp(), _stdlib(ssl.TLSVersion.TLSv1_3, "h2"), https_compatible=True)
    await stream.do_handshake()
    assert stream.selected_alpn_protocol() == "h2"
    return Http2Client(stream)


async def test_http2_serves_many_requests_at_once() -> None:
    async with serving() as served:
        client = await _http2(served)
        ids = {await client.open(f"/{number}") for number in range(20)}
        events = await client.until_ended(ids)
        bodies = b"".join(event.data for event in events if isinstance(event, h2.events.DataReceived))
        assert bodies.count(b'"http": "2"') == 20
        await trio.aclose_forcefully(client.stream)


async def test_http2_body_after_an_early_answer_harms_nothing() -> None:
    async with serving() as served:
        client = await _http2(served)
        early = await client.open("/early", "POST", end=False)
        await client.until_ended({early})
        for _ in range(3):
            client.h2.send_data(early, b"x" * 10_000)
        await client.flush()
        after = await client.open("/after")
        events = await client.until_ended({after})
        assert any(isinstance(event, h2.events.DataReceived) and b"/after" in event.data for event in events)
        assert not served.listener.refused
        await trio.aclose_forcefully(client.stream)


async def test_http2_ends_in_order_after_its_last_request() -> None:
    limits = ListenerLimits(requests_per_connection=3, http2_resets=3)
    async with serving(limits=limits) as served:
        client = await _http2(served)
        ids = {await client.open(f"/{number}") for number in range(5)}
        events = await client.until_ended(ids)
        while not isinstance(events[-1], h2.events.ConnectionTerminated):
            events += await client.events()
        answered = {event.stream_id for event in events if isinstance(event, h2.events.StreamEnded)}
        refused = {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
        assert (len(answered), len(refused)) == (3, 2), "those not taken are refused so that the client may repeat them elsewhere"
        await trio.aclose_forcefully(client.stream)


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_http2_a_client_that_leaves_releases_a_blocked_handler(how: str) -> None:
    ended = trio.Event()

    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "lifespan":
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x" * 50_000, "more_body": True})
        finally:
            ended.set()

    async with serving(app) as served:
        client = await _http2(served)
        stream_id = await client.open()
        await client.events()
        if how == "reset":
            client.h2.reset_stream(stream_id)
            await client.flush()
        else:
            await trio.aclose_forcefully(client.stream)
        with trio.fail_after(PATIENCE_S):
            await ended.wait()
        await trio.aclose_forcefully(client.stream)


async def test_http2_an_answer_that_breaks_off_is_reset() -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ValueError("bug")

    async with serving(app) as served:
        client = await _http2(served)
        events = await client.until_ended({await client.open()})
        assert any(isinstance(event, h2.events.StreamReset) for event in events)
        assert not any(isinstance(event, h2.events.StreamEnded) for event in events)
        await trio.aclose_forcefully(client.stream)


async def test_http1_ends_after_its_last_request() -> None:
    async with serving(limits=ListenerLimits(requests_per_connection=2, http2_resets=2)) as served:
        stream = await served.tls()
        await ask(stream)
        await ask(stream)
        head, _ = GET, await stream.send_all(GET)
        answer = await read_all(stream)
        assert b"connection: close" in answer.lower() or answer == b"", head
        await stream.aclose()


async def test_websocket_over_tls_with_a_client_certificate(tmp_path) -> None:
    async with serving() as served:
        client = served.authority.client(INSTANCE)
        (tmp_path / "chain.pem").write_bytes(client.chain_pem)
        (tmp_path / "key.pem").write_bytes(client.key_pem)
        context = _stdlib(ssl.TLSVersion.TLSv1_3, "http/1.1")
        context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
        url = f"wss://127.0.0.1:{served.port}/events"
        async with trio_websocket.open_websocket_url(url, ssl_context=context) as websocket:
            assert await websocket.get_message() == "2"
            await websocket.send_message("häuser")
            assert await websocket.get_message() == "häuser"
        assert not served.listener.refused


async def test_a_websocket_message_beyond_the_limit_is_refused() -> None:
    async with serving(limits=ListenerLimits(websocket_message_bytes=1_000, linger_s=0.1)) as served:
        async with trio_websocket.open_websocket_url(f"ws://127.0.0.1:{served.plain_port}/", ssl_context=None) as websocket:
            await websocket.get_message()
            await websocket.send_message("x" * 2_000)
            with pytest.raises(trio_websocket.ConnectionClosed) as closed:
                await websocket.get_message()
            assert closed.value.reason.code == 1009
        assert served.listener.refused["websocket_message_too_large"] == 1
        await until(lambda: served.listener.open_connections == 0)


async def test_cut_closes_the_connections_of_one_peer_only() -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/as/"):
            scope["state"]["source"].verified["peer_id"] = scope["path"][4:]
        await echo(scope, receive, send)

    async with serving(app) as served:
        first, second, busy = await served.tls(), await served.tls(), await served.tls()
        await ask(first, b"GET /as/a HTTP/1.1\r\nhost: t\r\n\r\n")
        await ask(second, b"GET /as/b HTTP/1.1\r\nhost: t\r\n\r\n")
        await ask(busy, b"GET /as/a HTTP/1.1\r\nhost: t\r\n\r\n")
        await busy.send_all(b"GET /hang HTTP/1.1\r\nhost: t\r\n\r\n")
        assert served.listener.cut_peer("a") == 2
        assert (await read_all(first), await read_all(busy)) == (b"", b"")
        assert (await ask(second))["requests"] == 2
        await until(lambda: served.listener.open_connections == 1)
        assert served.listener.cut_peer("a") == 0
        for stream in (first, second, busy):
            await stream.aclose()


async def test_a_graceful_stop_finishes_what_was_begun() -> None:
    release = trio.Event()
    entered = trio.Event()

    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http" and scope["path"] == "/slow":
            entered.set()
            await release.wait()
        await echo(scope, receive, send)

    async with trio.open_nursery() as nursery:
        async with serving(app, limits=ListenerLimits(grace_s=5.0)) as served:
            idle, slow = await served.tls(), await served.tls()
            await ask(idle)
            await slow.send_all(b"GET /slow HTTP/1.1\r\nhost: t\r\n\r\n")
            await entered.wait()
            served.stop.set()
            assert await read_all(idle) == b"", "an idle connection is closed at once"
            with pytest.raises(OSError):
                await served.tcp()
            release.set()
            head, _ = await read_head(slow)
            assert head.startswith(b"HTTP/1.1 200")
            await slow.aclose()
            await idle.aclose()
        nursery.cancel_scope.cancel()


async def test_a_stop_does_not_wait_longer_than_its_grace() -> None:
    async with serving(limits=ListenerLimits(grace_s=0.05)) as served:
        stream = await served.plain()
        await stream.send_all(b"GET /hang HTTP/1.1\r\nhost: t\r\n\r\n")
        await until(lambda: served.listener.open_connections == 1)
        stopped = trio.current_time()
    assert trio.current_time() - stopped < 3.0
    await stream.aclose()


async def test_connections_are_limited_in_total_and_per_source() -> None:
    for limits, reason in (
        (ListenerLimits(connections=2, connections_per_source=2), "too_many_connections"),
        (ListenerLimits(connections=9, connections_per_source=2), "too_many_from_source"),
    ):
        async with serving(limits=limits) as served:
            streams = [await served.plain(), await served.plain()]
            for stream in streams:
                await ask(stream)
            third = await served.plain()
            assert await read_all(third) == b""
            assert served.listener.refused == {reason: 1}
            await streams[0].aclose()
            await until(lambda: served.listener.open_connections == 1)
            fourth = await served.plain()
            await ask(fourth)
            for stream in (third, fourth, streams[1]):
                await stream.aclose()


async def test_connections_that_carry_calls_of_many_count_among_all_of_them_only() -> None:
    def for_many(source: Source) -> bool:
        return bool(source.certificates)

    async with serving(limits=ListenerLimits(connections=5, connections_per_source=2), for_many=for_many) as served:
        proxy = served.authority.client(INSTANCE)
        streams: list[trio.abc.Stream] = [await served.tls(proxy.chain_pem, proxy.key_pem) for _ in range(3)]
        streams += [await served.plain(), await served.plain()]
        for stream in streams:
            await ask(stream)
        refused = await served.plain()
        assert await read_all(refused) == b""
        assert served.listener.refused == {"too_many_connections": 1}
        await streams[0].aclose()
        await until(lambda: served.listener.open_connections == 4)
        another = await served.plain()
        assert await read_all(another) == b""
        assert served.listener.refused == {"too_many_connections": 1, "too_many_from_source": 1}
        for stream in (refused, another, *streams[1:]):
            await stream.aclose()


@pytest.mark.parametrize(
    ("request_bytes", "limits", "reason"),
    [
        (b"", ListenerLimits(header_s=0.05), "no_request"),
        # What is sent has to be there before the time is over, on a slow machine, too.
        (b"GET / HT", ListenerLimits(header_s=1.0), "slow_headers"),
        (b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 9\r\n\r\nab", ListenerLimits(body_s=0.05), "slow_body"),
    ],
    ids=["no request", "slow headers", "slow body"],
)
async def test_slow_clients_are_let_go(request_bytes: bytes, limits: ListenerLimits, reason: str) -> None:
    async with serving(limits=limits) as served:
        stream = await served.tls()
        if request_bytes:
            await stream.send_all(request_bytes)
        await read_all(stream)
        await until(lambda: served.listener.refused[reason] == 1)
        await stream.aclose()


async def test_a_slow_handshake_is_let_go() -> None:
    async with serving(limits=ListenerLimits(handshake_s=0.05)) as served:
        stream = await served.tcp()
        assert await read_all(stream) == b""
        assert served.listener.refused == {"handshake_timeout": 1}
        await stream.aclose()


async def test_a_client_that_does_not_read_is_let_go() -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "lifespan":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    async with serving(app, limits=ListenerLimits(send_s=0.1)) as served:
        stream = await served.tls()
        await stream.send_all(GET)
        await until(lambda: served.listener.refused["slow_reader"] == 1)
        await until(lambda: served.listener.open_connections == 0)
        await stream.aclose()


async def test_an_idle_connection_is_closed_without_being_called_refused() -> None:
    async with serving(limits=ListenerLimits(header_s=1.0, keep_alive_s=1.5)) as served:
        stream = await served.tls()
        await ask(stream)
        assert await read_all(stream) == b""
        assert not served.listener.refused
        await stream.aclose()


async def test_a_large_body_is_refused_before_and_while_it_comes() -> None:
    limits = ListenerLimits(body_bytes=200_000, linger_bytes=1_000_000)
    async with serving(limits=limits) as served:
        announced = await served.plain()
        await announced.send_all(b"POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000000\r\n\r\n")
        assert (await read_all(announced)).startswith(b"HTTP/1.1 413")
        streamed = await served.plain()
        await streamed.send_all(b"POST / HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n")
        with suppress(trio.BrokenResourceError), trio.fail_after(PATIENCE_S):
            while True:
                await streamed.send_all(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        assert served.listener.refused["body_too_large"] == 2
        await announced.aclose()
        await streamed.aclose()


async def test_a_body_that_nobody_reads_makes_the_client_wait() -> None:
    read_now = trio.Event()

    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http":
            await read_now.wait()
        await echo(scope, receive, send)

    size, piece = 40_000_000, b"x" * 100_000
    async with serving(app, limits=ListenerLimits(body_bytes=size)) as served:
        stream = await served.plain()
        await stream.send_all(b"POST /early HTTP/1.1\r\nhost: t\r\ncontent-length: %d\r\n\r\n" % size)
        sent = 0
        with trio.move_on_after(0.3) as waiting:
            for _ in range(size // len(piece)):
                await stream.send_all(piece)
                sent += len(piece)
        assert waiting.cancelled_caught, "what fits into the kernel's buffers and ours is far less than the body"
        read_now.set()
        assert (await read_head(stream))[0].startswith(b"HTTP/1.1 200"), "the answer comes although the body is stuck"
        await stream.aclose()


async def test_an_early_answer_survives_the_rest_of_the_body() -> None:
    async with serving() as served:
        stream = await served.plain()
        await stream.send_all(b"POST /early HTTP/1.1\r\nhost: t\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000)
        head, body = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 200")
        await stream.send_all(b"x" * 300_000)
        await read_all(stream)
        assert b"/early" in body
        await stream.aclose()
        await until(lambda: served.listener.open_connections == 0)


async def test_an_application_error_is_a_500_and_leaves_the_listener_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        if scope["type"] == "http" and scope["path"] == "/bug":
            raise KeyError("bug")
        await echo(scope, receive, send)

    async with serving(app) as served:
        stream = await served.plain()
        await stream.send_all(b"GET /bug HTTP/1.1\r\nhost: t\r\n\r\n")
        head, _ = await read_head(stream)
        assert head.startswith(b"HTTP/1.1 500")
        assert "/bug" in caplog.text
        other = await served.plain()
        assert (await ask(other))["path"] == "/"
        await stream.aclose()
        await other.aclose()


async def test_a_reset_connection_is_forgotten() -> None:
    async with serving() as served:
        before = descriptors()
        stream = await served.tls()
        await ask(stream)
        raw = stream.transport.socket
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()
        await until(lambda: served.listener.open_connections == 0)
        assert descriptors() <= before


def test_limits_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="must not exceed"):
        ListenerLimits(connections=5, connections_per_source=6)
    with pytest.raises(ValueError, match="greater than zero"):
        ListenerLimits(header_s=0)
    with pytest.raises(ValueError, match="window"):
        ListenerLimits(buffered_body_bytes=1_000)


async def test_a_tls_port_needs_certificates() -> None:
    with pytest.raises(ValueError, match="certificates"):
        await Listener(echo).serve(tls=await open_loopback("127.0.0.1", 0), stop=trio.Event())


async def test_the_date_of_answers_comes_from_the_clock_of_the_platform() -> None:
    async with serving(clock=ManualClock()) as served:
        stream = await served.plain()
        await stream.send_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        head, _ = await read_head(stream)
        assert b"date: Fri, 15 Jan 2027 08:00:00 GMT" in head


def _speaks_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as tried:
            tried.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not _speaks_ipv6(), reason="this machine has no IPv6")
async def test_every_address_is_that_of_both_families() -> None:
    with reserved_port() as held:
        port = held.getsockname()[1]
        opened = await open_public("::", port)
        try:
            for host in ("127.0.0.1", "::1"):
                await (await trio.open_tcp_stream(host, port)).aclose()
        finally:
            for listener in opened:
                await listener.aclose()
