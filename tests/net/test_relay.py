"""Relaying between real sockets on loopback: a hub, a platform behind it, and whoever calls; and what each limit does to whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio

import net.relay
from actors.door.call import Source
from actors.hub.ledger import Counts, HubLimits, Ledger
from actors.hub.record import Terms
from actors.hub.routing import NoRoute, Route
from net.limits import ListenerLimits
from net.listener import Listener, open_public
from net.relay import RELAY_PROTOCOL, HubParts, RelayHub
from net.relayed import RelayedStream
from net.tls import ALPN_CLIENT, TlsFailed, TlsStream, abort, client_context
from runtime.errors import Fault, RemoteFault
from runtime.values import evolve
from tests.net.certs import Authority
from tests.net.served import INSTANCE, PATIENCE_S, ask, echo, read_all, until
from tests.net.test_client_hello import hello_with, server_name

B_NAME = "b.example"
WIDE = HubLimits(
    connections=100,
    connections_per_peer=100,
    connections_per_source=100,
    new_connections_per_peer=1_000,
    new_connections_per_source=1_000,
    rate_bytes=2**30,
    rate_bytes_per_peer=2**30,
)
STRANGER: Fault = RemoteFault("client_certificate_required", "nobody", 401)
REQUEST = b"GET /a-secret-path HTTP/1.1\r\nhost: b.example\r\n\r\n"


@attrs.define(eq=False)
class Net:
    """A hub and `b` behind it.

    Attributes:
        routes: what the hub's operators permit.
        answers: how `b` behaves when it hears of a connection: the status of its answer; None if it has no channel.
        fetches: whether `b` then comes for it.
        told: what was reported for keeping.
        legs: the connections that `b` has fetched.
    """

    hub: RelayHub
    hub_listener: Listener
    b_listener: Listener
    b_authority: Authority
    hub_authority: Authority
    nursery: trio.Nursery
    port: int
    routes: dict[str | None, Route | NoRoute]
    client_of_b: Any
    answers: int | None = 202
    fetches: bool = True
    told: Counter[str] = attrs.field(factory=Counter)
    refused: Counter[str] = attrs.field(factory=Counter)
    announced: list[Mapping[str, Any]] = attrs.field(factory=list)
    legs: list[TlsStream] = attrs.field(factory=list)

    async def announce(self, peer_id: str, body: Mapping[str, Any]) -> int | None:
        assert peer_id == "b"
        self.announced.append(body)
        if self.answers == 202 and self.fetches:
            self.nursery.start_soon(self.fetch, body["token"], body["client_address"])
        return self.answers

    async def dial(self, identity: Any = None) -> TlsStream:
        chosen = identity or self.client_of_b
        context = client_context(chosen.chain_pem, chosen.key_pem)
        leg = TlsStream(await self.tcp(), context, server_side=False, server_name="hub.example", protocols=(RELAY_PROTOCOL,))
        await leg.do_handshake()
        assert leg.protocol == RELAY_PROTOCOL.decode()
        return leg

    async def fetch(self, token: str, client_address: str) -> None:
        leg = await self.dial()
        self.legs.append(leg)
        await leg.send_all(token.encode())
        await self.b_listener.serve_relayed(RelayedStream(leg, client_address, "hub"))

    async def tcp(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def call_b(self, name: str | None = B_NAME, identity: Any = None) -> TlsStream:
        """A connection as any client would make it."""
        context = client_context() if identity is None else client_context(identity.chain_pem, identity.key_pem)
        stream = TlsStream(await self.tcp(), context, server_side=False, server_name=name)
        await stream.do_handshake()
        return stream

    def count(self, peer_id: str, counts: Counts) -> None:
        self.told.update(connections=counts.connections, bytes_to=counts.bytes_to, bytes_from=counts.bytes_from)
        self.refused.update(counts.refused)

    def books(self) -> Counter[str]:
        """What has been refused, by reason, in all."""
        self.hub.tell()
        return self.refused


@asynccontextmanager
async def a_hub(
    limits: HubLimits = WIDE, *, hello_s: float = PATIENCE_S, open_s: float = PATIENCE_S, idle_s: float = PATIENCE_S, app: Any = echo
) -> AsyncIterator[Net]:
    hub_root, b_root = Authority("hub"), Authority("b")
    client_of_b = hub_root.client(INSTANCE)
    made: list[Net] = []
    routes: dict[str | None, Route | NoRoute] = {B_NAME: Route("b", Terms())}

    def other_end(source: Source) -> str | Fault:
        return "b" if source.certificates[:1] == (client_of_b.der,) else "another" if source.certificates else STRANGER

    parts = HubParts(
        route=lambda name: routes.get(name),
        announce=lambda peer_id, body: made[0].announce(peer_id, body),
        other_end=other_end,
        count=lambda peer_id, counts: made[0].count(peer_id, counts),
        token_bytes=lambda count: bytes(range(count)) if not made[0].announced else len(made[0].announced).to_bytes(count),
        hello_s=hello_s,
        open_s=open_s,
        idle_s=idle_s,
    )
    hub = RelayHub(parts, Ledger(limits))
    short = ListenerLimits(grace_s=0.2)
    hub_listener = Listener(echo, (hub_root.server(INSTANCE).for_listener,), limits=short, relay=hub)
    b_listener = Listener(app, (b_root.server(INSTANCE).for_listener,), limits=short)
    public, hidden = await open_public("127.0.0.1", 0), await open_public("127.0.0.1", 0)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(hub_listener.serve, tls=public, stop=stop))
        await nursery.start(partial(b_listener.serve, tls=hidden, stop=stop))
        port = public[0].socket.getsockname()[1]
        made.append(Net(hub, hub_listener, b_listener, b_root, hub_root, nursery, port, routes, client_of_b))
        yield made[0]
        stop.set()
        nursery.cancel_scope.deadline = trio.current_time() + 2.0


async def refused_with(net: Net, words: str, name: str | None = B_NAME) -> None:
    with pytest.raises(TlsFailed, match=words):
        await net.call_b(name)


# --- end to end -----------------------------------------------------------------------------------------------------


async def test_a_client_speaks_mutual_tls_with_the_platform_behind_the_hub_and_not_with_the_hub() -> None:
    async with a_hub() as net:
        client = Authority("a").client(INSTANCE)
        stream = await net.call_b(identity=client)
        assert stream.chain[-1] == net.b_authority.der
        answer = await ask(stream)
        assert (answer["certificates"], answer["address"], answer["face"]) == (2, "127.0.0.1", "tls")
        # A kept connection serves on.
        assert (await ask(stream))["requests"] == 2
        await stream.aclose()
        own = await net.call_b("hub.example")
        assert own.chain[-1] == net.hub_authority.der
        nameless = await net.call_b(None)
        assert nameless.chain[-1] == net.hub_authority.der
        await own.aclose()
        await nameless.aclose()
        await until(lambda: not len(net.hub))
        assert net.books() == {}
        assert net.told["connections"] == 1
        assert min(net.told["bytes_to"], net.told["bytes_from"]) > 500


async def test_what_the_hub_passes_on_is_tls_and_nothing_that_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    passed: dict[str, bytes] = {"to": b"", "from": b""}
    pass_on = net.relay._Pipe._pass

    async def recorded(pipe: Any, direction: str, data: bytes, sink: Any) -> None:
        passed[direction] += data
        await pass_on(pipe, direction, data, sink)  # type: ignore[arg-type]

    monkeypatch.setattr(net.relay._Pipe, "_pass", recorded)
    async with a_hub() as through:
        client = Authority("a").client(INSTANCE)
        stream = await through.call_b(identity=client)
        await stream.send_all(REQUEST)
        answer = await stream.receive_some()
        await stream.aclose()
        await until(lambda: not len(through.hub))
    assert b"a-secret-path" in answer
    for direction, data in passed.items():
        kinds = list(records(data))
        # RFC 8446, section 5.1: what follows the hellos is application data on the outside, whatever it is inside.
        assert set(kinds) <= {20, 22, 23}, kinds
        assert kinds[0] == 22
        assert kinds.count(22) == 1
        for said in (b"a-secret-path", b"HTTP/1.1", b"GET ", client.der, client.der[100:160], through.b_authority.der[100:160]):
            assert said not in data, (direction, said)
    assert B_NAME.encode() in passed["to"], "the one thing that the hub reads"


def records(data: bytes) -> Any:
    """The types of the TLS records that make up the data, all of it."""
    at = 0
    while at < len(data):
        yield data[at]
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
    assert at == len(data)


async def test_much_goes_both_ways_at_once_unharmed_and_each_half_ends_by_itself() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        body = bytes(range(256)) * 2_000
        head = b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, head + body)
            answer = await read_all(stream)
        assert len(answer) > len(body)
        await stream.send_eof()
        await until(lambda: not len(net.hub))
        await stream.aclose()


# --- who is not relayed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words", "reason"),
    [
        ({"answers": None}, "internal error", "no_channel"),
        ({"answers": 403}, "internal error", "peer_refused"),
    ],
)
async def test_a_peer_that_cannot_be_asked_or_refuses_is_not_reached(change: dict[str, Any], words: str, reason: str) -> None:
    async with a_hub() as net:
        for name, value in change.items():
            setattr(net, name, value)
        await refused_with(net, words)
        assert net.books() == {reason: 1}
        await until(lambda: not len(net.hub))


async def test_a_peer_that_never_comes_costs_its_caller_a_moment_and_nothing_else() -> None:
    async with a_hub(open_s=0.05) as net:
        net.fetches = False
        await refused_with(net, "internal error")
        assert net.books() == {"not_fetched": 1}
        # A token outlives its moment by nothing: who comes late is turned away.
        leg = await net.dial()
        await leg.send_all(net.announced[0]["token"].encode())
        assert await read_all(leg) == b""
        leg.abort()


@pytest.mark.parametrize(
    ("route", "words", "reason"),
    [
        (NoRoute("b", "peer_not_in_force"), "unrecognized name", "peer_not_in_force"),
        (NoRoute("b", "name_changed"), "unrecognized name", "name_changed"),
        (Route("b", Terms(sources=("192.0.2.0/24",))), "unrecognized name", "source_not_permitted"),
    ],
)
async def test_a_name_that_leads_nowhere_now_is_refused_by_an_alert(route: Route | NoRoute, words: str, reason: str) -> None:
    async with a_hub() as net:
        net.routes[B_NAME] = route
        await refused_with(net, words)
        assert net.books() == {reason: 1}
        assert net.announced == []


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (evolve(WIDE, connections=2), "too_many_connections"),
        (evolve(WIDE, connections_per_peer=2), "too_many_for_peer"),
        (evolve(WIDE, connections_per_source=2), "too_many_from_source"),
    ],
)
async def test_one_connection_too_many_is_refused_and_the_others_go_on(limits: HubLimits, reason: str) -> None:
    async with a_hub(limits) as net:
        first, second = await net.call_b(), await net.call_b()
        await refused_with(net, "internal error")
        assert net.books() == {reason: 1}
        assert (await ask(first))["requests"] == (await ask(second))["requests"] == 1
        await first.aclose()
        await until(lambda: len(net.hub) == 1)
        third = await net.call_b()
        assert (await ask(third))["requests"] == 1
        for stream in (second, third):
            await stream.aclose()


# --- a token is the peer's, once ------------------------------------------------------------------------------------


async def test_nobody_but_the_peer_fetches_a_connection_and_nobody_twice() -> None:
    async with a_hub() as net:
        net.fetches = False
        async with trio.open_nursery() as nursery:
            calls: list[TlsStream] = []

            async def call() -> None:
                calls.append(await net.call_b())

            nursery.start_soon(call)
            await until(lambda: net.announced)
            token = net.announced[0]["token"]
            thief = await net.dial(net.hub_authority.client("0190c0de-0000-7000-8000-0000000000bb"))
            await thief.send_all(token.encode())
            assert await read_all(thief) == b""
            guesser = await net.dial()
            await guesser.send_all(b"x" * len(token))
            assert await read_all(guesser) == b""
            nursery.start_soon(net.fetch, token, "127.0.0.1")
            await until(lambda: calls)
            again = await net.dial()
            await again.send_all(token.encode())
            assert await read_all(again) == b""
            assert (await ask(calls[0]))["requests"] == 1
            for stream in (*calls, thief, guesser, again):
                stream.abort()
            nursery.cancel_scope.cancel()


async def test_a_leg_without_a_token_is_given_up() -> None:
    async with a_hub(open_s=0.05) as net:
        leg = await net.dial()
        await leg.send_all(b"short")
        assert await read_all(leg) == b""
        leg.abort()


# --- ends -----------------------------------------------------------------------------------------------------------


async def test_cutting_a_peer_ends_what_is_relayed_to_it_at_once() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        await ask(stream)
        net.hub.cut("another")
        await ask(stream)
        net.hub.cut("b")
        await read_all(stream)
        await until(lambda: not len(net.hub) and not net.b_listener.open_connections)
        stream.abort()


async def test_cutting_the_connections_of_a_peer_at_the_hub_takes_its_legs_with_it() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        await ask(stream)
        assert net.hub_listener.cut_peer("b") == 1
        await read_all(stream)
        await until(lambda: not len(net.hub))
        stream.abort()


async def test_a_platform_behind_a_hub_cuts_what_came_through_it() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        await ask(stream)
        assert net.b_listener.cut(lambda source: source.relayed_by == "hub") == 1
        await read_all(stream)
        await until(lambda: not len(net.hub))
        stream.abort()


async def test_the_end_of_the_channel_ends_no_connection_that_was_fetched() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        net.answers = None
        assert (await ask(stream))["requests"] == 1
        await refused_with(net, "internal error")
        assert (await ask(stream))["requests"] == 2
        await stream.aclose()


async def test_either_end_that_vanishes_takes_the_other_with_it() -> None:
    async with a_hub() as net:
        stream = await net.call_b()
        await ask(stream)
        abort(stream.transport)
        await until(lambda: not len(net.hub) and not net.b_listener.open_connections)
        stream = await net.call_b()
        await ask(stream)
        net.legs[-1].abort()
        await read_all(stream)
        await until(lambda: not len(net.hub))
        stream.abort()


async def test_a_connection_on_which_nothing_moves_is_cut() -> None:
    async with a_hub(idle_s=1.0) as net:
        stream = await net.call_b()
        await ask(stream)
        await read_all(stream)
        await until(lambda: not len(net.hub))
        stream.abort()


async def test_who_reads_nothing_holds_the_sender_back_and_is_cut_in_the_end() -> None:
    async def flood(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(4_000):
            await send({"type": "http.response.body", "body": bytes(65_536), "more_body": True})

    async with a_hub(idle_s=1.0, app=flood) as net:
        stream = await net.call_b()
        await stream.send_all(REQUEST)
        await until(lambda: not len(net.hub))
        net.hub.tell()
        # What fits into the buffers of the kernel and of one piece has passed, and not the 256 MiB that were sent.
        assert net.told["bytes_from"] < 64 * 2**20
        stream.abort()


async def test_a_rate_slows_and_never_harms() -> None:
    limits = evolve(WIDE, rate_bytes_per_peer=200_000)
    async with a_hub(limits) as net:
        stream = await net.call_b()
        body = b"x" * 150_000
        started = trio.current_time()
        answer = await ask(stream, b"POST / HTTP/1.1\r\nhost: b\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert answer["body"] == body.decode()
        assert trio.current_time() - started > 0.45
        await stream.aclose()


# --- before anything is known ---------------------------------------------------------------------------------------


async def test_who_says_too_little_too_late_is_closed() -> None:
    async with a_hub(hello_s=0.05) as net:
        stream = await net.tcp()
        await stream.send_all(b"\x16\x03\x01")
        assert await read_all(stream) == b""
        assert net.hub_listener.refused["handshake_timeout"] == 1
        await stream.aclose()


async def test_what_is_no_tls_or_too_large_is_left_to_our_own() -> None:
    async with a_hub() as net:
        for said in (
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(16_380),
        ):
            stream = await net.tcp()
            await stream.send_all(said)
            await read_all(stream)
            await stream.aclose()
        await until(lambda: net.hub_listener.refused["handshake_failed"] == 2)
        assert (net.announced, net.books()) == ([], {})


async def test_a_hello_that_hides_a_name_is_passed_on_whole_by_the_name_that_shows() -> None:
    hidden = (0xFE0D, b"\x00" + bytes(40))
    for name, fetched in ((B_NAME, True), ("front.example", False)):
        async with a_hub() as net:
            net.fetches = False
            hello = hello_with(server_name(name.encode()), hidden)
            stream = await net.tcp()
            await stream.send_all(hello)
            if fetched:
                await until(lambda: len(net.announced) == 1)
                leg = await net.dial()
                await leg.send_all(net.announced[0]["token"].encode())
                seen = b""
                while len(seen) < len(hello):
                    seen += await leg.receive_some()
                assert seen == hello
                abort(leg.transport)
            else:
                # Nobody that we relay to can read it: as a server without keys for it, our own TLS answers the outer hello.
                await read_all(stream)
                assert net.announced == []
            abort(stream)


@pytest.mark.parametrize("direction", ["to", "from"])
@pytest.mark.parametrize("harm", ["flipped", "shortened", "twice", "made up"])
async def test_a_hub_that_tampers_with_what_it_passes_on_ends_the_connection_and_is_never_believed(
    harm: str, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    harms: dict[str, Any] = {
        "flipped": lambda data: data[:-1] + bytes((data[-1] ^ 1,)),
        "shortened": lambda data: data[:5] + data[6:] + b"\x00",
        "twice": lambda data: data + data,
        "made up": lambda data: b"\x17\x03\x03\x00\x20" + bytes(32) + data,
    }
    honest, tampering = net.relay._Pipe._pass, False

    async def tampered(self: Any, way: str, data: bytes, sink: Any) -> None:
        await honest(self, way, harms[harm](data) if tampering and way == direction else data, sink)  # type: ignore[arg-type]

    monkeypatch.setattr(net.relay._Pipe, "_pass", tampered)
    async with a_hub() as joined:
        stream = await joined.call_b()
        assert (await ask(stream, REQUEST))["path"] == "/a-secret-path"
        tampering = True
        with trio.fail_after(PATIENCE_S):
            with suppress(trio.BrokenResourceError):
                await stream.send_all(REQUEST)
            told = await read_all(stream)
        # What is whole may be heard, once; whatever was changed or came again ends the connection instead.
        assert told == b"" or (harm == "twice" and told.count(b"HTTP/1.1 200") == 1), told
        assert not stream.goodbye_heard or direction == "to"
        abort(stream.transport)


async def test_a_client_that_is_slow_about_its_hello_is_relayed_all_the_same() -> None:
    async with a_hub() as net:
        hello = TlsStream(await net.tcp(), client_context(), server_side=False, server_name=B_NAME)
        real = hello.transport

        class Slow:
            """Sends one octet after the other."""

            async def send_all(self, data: bytes) -> None:
                for place in range(len(data)):
                    await real.send_all(data[place : place + 1])

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        hello.transport = Slow()  # type: ignore[assignment]
        await hello.do_handshake()
        assert hello.chain[-1] == net.b_authority.der
        abort(real)


async def test_a_listener_without_a_hub_agrees_on_http_with_who_offers_to_fetch() -> None:
    async with a_hub() as net:
        plain = Listener(echo, (net.hub_authority.server(INSTANCE).for_listener,), limits=ListenerLimits(grace_s=0.2))
        listeners = await open_public("127.0.0.1", 0)
        stop = trio.Event()
        await net.nursery.start(partial(plain.serve, tls=listeners, stop=stop))
        transport = await trio.open_tcp_stream("127.0.0.1", listeners[0].socket.getsockname()[1])
        leg = TlsStream(transport, client_context(), server_side=False, protocols=(RELAY_PROTOCOL, *ALPN_CLIENT))
        await leg.do_handshake()
        assert leg.protocol == "http/1.1"
        leg.abort()
        stop.set()
