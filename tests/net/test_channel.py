"""One channel between two ends in memory: calls and answers in both directions, and what it costs to break a rule."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from actors.door.call import Answer, Call, Source
from actors.limits import CHANNEL_CALLS_IN_FLIGHT_MAX, CHANNEL_FRAME_BYTES_MAX, CHANNEL_QUEUE_FRAMES_MAX
from net import channel_proof
from net.channel import (
    ANSWER_TOO_LONG,
    BROKE_PROTOCOL,
    CUT_OFF,
    NO_ANSWER,
    READS_TOO_SLOWLY,
    SILENT,
    TOO_MANY_CALLS,
    CallFrame,
    Channel,
    ChannelLost,
    FrameRefused,
    body_of,
    decode,
    encode,
)
from net.channel_proof import UnprovenError, check, prove
from net.limits import CHANNEL_PING_S, CHANNEL_PONG_S
from net.tls import TlsStream, client_context, server_context
from net.websocket import Spawn, WireClosed
from runtime.values import evolve
from tests.net.certs import Authority
from tests.net.served import INSTANCE

SOURCE = Source("192.0.2.1", "tls", (b"certificate",), "c1", channel=True)
HEARTBEAT = ("POST", "/federation_api/heartbeat")


@attrs.define(eq=False)
class MemoryWire:
    """One end of a WebSocket in memory, on which so many messages may wait for the other end."""

    out: trio.MemorySendChannel[Any]
    arriving: trio.MemoryReceiveChannel[Any]
    closed: tuple[int, str] | None = None
    pings: int = 0
    heard_at: float = attrs.field(factory=trio.current_time)

    def post(self, message: str | bytes) -> bool:
        try:
            self.out.send_nowait(message)
        except trio.WouldBlock:
            return False
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        return True

    def ping(self) -> bool:
        self.pings += 1
        return True

    def on_too_slow(self, call: Callable[[], None]) -> None:
        return

    async def receive(self) -> Any:
        try:
            message = await self.arriving.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise WireClosed from None
        self.heard_at = trio.current_time()
        return message

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.out.close()
        self.arriving.close()


def wires(room: int = CHANNEL_QUEUE_FRAMES_MAX) -> tuple[MemoryWire, MemoryWire]:
    there, here_in = trio.open_memory_channel[Any](room)
    back, there_in = trio.open_memory_channel[Any](room)
    return MemoryWire(there, there_in), MemoryWire(back, here_in)


@attrs.define(eq=False)
class Doors:
    """The doors of both ends, which write down what comes and answer by `decide`, at once or when `release` is called."""

    decide: Callable[[Call], Answer] = lambda call: Answer(200, {"success": True, "data": json.loads(call.body or b"null")})
    calls: list[Call] = attrs.field(factory=list)
    holds: bool = False
    held: list[Callable[[], None]] = attrs.field(factory=list)

    def serve(self, call: Call, done: Callable[[Answer], None]) -> None:
        self.calls.append(call)
        if self.holds:
            self.held.append(lambda: done(self.decide(call)))
        else:
            done(self.decide(call))


def made(wire: MemoryWire, doors: Doors, spawn: Spawn, *, silence_s: float = 1_000.0, dialled: bool = True, **other: Any) -> Channel:
    facts: dict[str, Any] = {"peer_id": "peer", "source": SOURCE, "url": "https://b.example", **other}
    return Channel(wire, serve=doors.serve, spawn=spawn, silence_s=silence_s, dialled=dialled, **facts)


@asynccontextmanager
async def raw_end(
    doors: Doors, silence_s: float = 1_000.0, *, dialled: bool = True, room: int = CHANNEL_QUEUE_FRAMES_MAX
) -> AsyncIterator[tuple[MemoryWire, Channel, list[Any], MemoryWire]]:
    """A channel whose other end is the test itself."""
    endings: list[Any] = []
    test, own = wires(room)
    async with trio.open_nursery() as nursery:
        channel = made(own, doors, nursery.start_soon, silence_s=silence_s, dialled=dialled)

        async def run() -> None:
            endings.append(await channel.run())

        async def watch() -> None:
            while not channel.ended:
                await trio.sleep_until(max(channel.look(trio.current_time()), trio.current_time() + 0.01))

        nursery.start_soon(run)
        nursery.start_soon(watch)
        yield test, channel, endings, own
        nursery.cancel_scope.cancel()


async def test_both_ends_call_and_each_call_carries_what_the_connection_proves() -> None:
    doors, (one, other) = Doors(), wires()
    async with trio.open_nursery() as nursery:
        left = made(one, doors, nursery.start_soon)
        right = made(other, doors, nursery.start_soon, dialled=False, source=evolve(SOURCE, address="192.0.2.2"))
        nursery.start_soon(left.run)
        nursery.start_soon(right.run)
        answers = [await left.exchange(*HEARTBEAT, b'{"n":1}'), await right.exchange(*HEARTBEAT, b'{"n":2}')]
        nothing = await left.exchange("GET", "/federation_api/trust_bundle", b"")
        nursery.cancel_scope.cancel()
    assert [body_of(answer) for answer in answers] == [{"success": True, "data": {"n": 1}}, {"success": True, "data": {"n": 2}}]
    assert nothing.status == 200
    assert [call.source.address for call in doors.calls] == ["192.0.2.2", "192.0.2.1", "192.0.2.2"]
    assert all(call.source.channel and call.source.certificates == (b"certificate",) for call in doors.calls)
    assert {call.path for call in doors.calls} == {"/api/v1/system/federation_api/heartbeat", "/api/v1/system/federation_api/trust_bundle"}


@pytest.mark.parametrize("path", ["/federation_api/accept", "/federation_api/channel", "/platform/peers", "/federation_api/heartbeat?x=1"])
async def test_what_may_not_travel_on_a_channel_never_reaches_the_door(path: str) -> None:
    doors = Doors()
    async with raw_end(doors) as (test, _, _, _):
        test.post(encode(CallFrame(1, "POST", path)))
        answer = json.loads(await test.receive())
    assert (answer["re"], answer["status"], answer["body"]["code"], doors.calls) == (1, 404, "not_found", [])


async def test_a_read_with_a_bearer_comes_to_the_door_with_its_query_apart() -> None:
    doors = Doors()
    async with raw_end(doors) as (test, _, _, _):
        test.post(encode(CallFrame(1, "GET", "/federation_api/resources/NodeModule?limit=5&cursor=x", authorization="Bearer fg-1.2")))
        await test.receive()
    (call,) = doors.calls
    assert (call.path, call.query) == ("/api/v1/system/federation_api/resources/NodeModule", {"limit": "5", "cursor": "x"})
    assert call.headers["authorization"] == "Bearer fg-1.2"


@pytest.mark.parametrize("path", ["?limit=1&limit=2", "?limit", "/%2e%2e/grants", "#x", "?" + "&".join(f"a{n}=1" for n in range(99))])
async def test_a_path_that_says_something_in_two_ways_is_not_found(path: str) -> None:
    doors = Doors()
    async with raw_end(doors) as (test, _, _, _):
        test.post(encode(CallFrame(1, "GET", "/federation_api/resources/NodeModule" + path)))
        assert json.loads(await test.receive())["status"] == 404
    assert doors.calls == []


async def test_an_answer_that_fits_into_no_frame_is_named_and_the_channel_goes_on() -> None:
    doors = Doors(decide=lambda call: Answer(200, {"data": "x" * CHANNEL_FRAME_BYTES_MAX}))
    async with raw_end(doors) as (test, _, endings, _):
        test.post(encode(CallFrame(1, *HEARTBEAT)))
        answer = json.loads(await test.receive())
        assert (answer["status"], answer["body"]["code"], endings) == (507, ANSWER_TOO_LONG, [])


@pytest.mark.parametrize(
    "frame",
    ["", "null", "[]", '{"type":"call"}', '{"type":"other","id":1}', '{"type":"call","id":"1","method":"GET","path":"/"}', "\ud800",
     '{"type":"proof","certificate_pem":"x","signature":"y"}', '{"type":"call","id":1,"method":"POST","path":"/x","body":' + "[" * 100_000],
)  # fmt: skip
async def test_what_is_no_frame_ends_the_channel(frame: str) -> None:
    doors = Doors()
    async with raw_end(doors) as (test, channel, endings, own):
        test.post(frame)
        await trio.testing.wait_all_tasks_blocked()
        assert endings == [BROKE_PROTOCOL]
        assert own.closed == BROKE_PROTOCOL
        assert channel.ended
    assert doors.calls == []


@given(st.text() | st.binary())
def test_any_message_is_a_frame_or_refused(message: str | bytes) -> None:
    try:
        decode(message)
    except FrameRefused:
        return


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(FrameRefused):
        decode('{"type":"call","id":1,"method":"POST","path":"/x","body":"' + "x" * CHANNEL_FRAME_BYTES_MAX + '"}')


async def test_binary_messages_go_to_whoever_wants_them_and_end_the_channel_otherwise() -> None:
    heard: list[bytes] = []
    async with raw_end(Doors()) as (test, channel, endings, _):
        channel.on_bytes = heard.append
        test.post(b"one")
        await trio.testing.wait_all_tasks_blocked()
        assert (heard, endings, channel.send_bytes(b"two"), await test.receive()) == ([b"one"], [], True, b"two")
        channel.on_bytes = None
        test.post(b"three")
        await trio.testing.wait_all_tasks_blocked()
        assert (heard, endings, channel.send_bytes(b"four")) == ([b"one"], [BROKE_PROTOCOL], False)


async def test_who_calls_too_often_at_a_time_loses_the_channel() -> None:
    doors = Doors(holds=True)
    async with raw_end(doors) as (test, _, endings, _):
        for number in range(CHANNEL_CALLS_IN_FLIGHT_MAX):
            test.post(encode(CallFrame(number, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == []
        test.post(encode(CallFrame(99, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == [TOO_MANY_CALLS]
        for late in doors.held:
            late()


async def test_a_decision_that_comes_later_is_answered_under_its_own_number() -> None:
    doors = Doors(holds=True)
    async with raw_end(doors) as (test, _, _, _):
        for number in (5, 6):
            test.post(encode(CallFrame(number, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        doors.held[1]()
        doors.held[0]()
        assert [json.loads(await test.receive())["re"] for _ in range(2)] == [6, 5]


async def test_answers_that_are_not_read_cost_the_channel() -> None:
    async with raw_end(Doors(), room=4) as (test, _, endings, _):
        for number in range(4):
            test.post(encode(CallFrame(number, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == []
        test.post(encode(CallFrame(9, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == [READS_TOO_SLOWLY]


async def test_silence_ends_the_channel_and_every_frame_puts_it_off(autojump_clock: trio.testing.MockClock) -> None:
    doors = Doors()
    async with raw_end(doors, silence_s=100.0, dialled=False) as (test, _, endings, own):
        await trio.sleep(90.0)
        test.post(encode(CallFrame(1, *HEARTBEAT)))
        await test.receive()
        await trio.sleep(90.0)
        assert endings == []
        await trio.sleep(20.0)
        assert (endings, own.pings) == ([SILENT], 0)


async def test_who_dialled_pings_in_a_silence_and_gives_up_an_end_that_does_not_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with raw_end(Doors()) as (test, _, endings, own):
        await trio.sleep(CHANNEL_PING_S - 1.0)
        test.post(encode(CallFrame(1, *HEARTBEAT)))
        await trio.sleep(CHANNEL_PING_S - 1.0)
        assert own.pings == 0
        await trio.sleep(2.0)
        assert own.pings == 1
        own.heard_at = trio.current_time()
        await trio.sleep(CHANNEL_PING_S + CHANNEL_PONG_S - 1.0)
        assert (own.pings, endings) == (2, [])
        await trio.sleep(2.0)
        assert (own.pings, endings) == (2, [NO_ANSWER])


async def test_a_call_on_a_channel_that_ends_is_lost_and_says_so() -> None:
    doors, lost = Doors(), []
    async with raw_end(doors) as (test, channel, endings, _), trio.open_nursery() as nursery:

        async def call() -> None:
            try:
                await channel.exchange(*HEARTBEAT, b"{}")
            except ChannelLost:
                lost.append("waiting")

        nursery.start_soon(call)
        await test.receive()
        channel.cut(CUT_OFF)
        await trio.testing.wait_all_tasks_blocked()
        assert (lost, endings) == (["waiting"], [CUT_OFF])
        with pytest.raises(ChannelLost):
            await channel.exchange(*HEARTBEAT, b"{}")


async def test_an_answer_to_nothing_is_one_that_came_too_late() -> None:
    async with raw_end(Doors()) as (test, channel, endings, _), trio.open_nursery() as nursery:
        test.post('{"type":"answer","re":77,"status":200}')
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await channel.exchange(*HEARTBEAT, b"{}"))

        nursery.start_soon(call)
        asked = json.loads(await test.receive())
        test.post(json.dumps({"type": "answer", "re": asked["id"], "status": 429, "headers": {"retry-after": "3"}, "body": {"code": "x"}}))
        await trio.testing.wait_all_tasks_blocked()
        assert (answers[0].status, answers[0].headers, body_of(answers[0])) == (429, {"retry-after": "3"}, {"code": "x"})
        assert endings == []


async def test_only_headers_that_belong_to_the_caller_travel() -> None:
    doors = Doors(decide=lambda call: Answer(429, None, {"retry-after": "3", "set-cookie": "x", "server": "y"}))
    async with raw_end(doors) as (test, _, _, _):
        test.post(encode(CallFrame(1, *HEARTBEAT)))
        assert json.loads(await test.receive())["headers"] == {"retry-after": "3"}


# --- the proof of the listening side ----------------------------------------------------------------------------------


async def connection(authority: Authority) -> tuple[TlsStream, TlsStream]:
    """Both ends of a TLS connection in memory."""
    near, far = trio.testing.memory_stream_pair()
    leaves = (authority.server(INSTANCE).for_listener,)
    client, server = TlsStream(near, client_context(), server_side=False), TlsStream(far, server_context(leaves), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    return client, server


def binding(stream: TlsStream) -> bytes:
    found = stream.binding(channel_proof.LABEL, channel_proof.BINDING_BYTES)
    assert found is not None
    return found


async def test_a_proof_holds_on_its_own_connection_alone() -> None:
    authority = Authority()
    own, stranger = authority.client(INSTANCE), authority.client(INSTANCE, name="fed:2")
    client, server = await connection(authority)
    other, _ = await connection(authority)
    proof = prove(own.chain_pem.decode(), own.key_pem, binding(server))
    assert binding(client) == binding(server) != binding(other)
    assert check(proof, binding(client)) == (own.certificate.public_bytes(Encoding.DER),)
    with pytest.raises(UnprovenError, match="signature"):
        check(proof, binding(other))
    with pytest.raises(UnprovenError, match="signature"):
        check(changed(proof, certificate_pem=stranger.chain_pem.decode()), binding(client))
    for broken in ({"certificate_pem": "no"}, {"signature": "***"}, {"signature": ""}, {"certificate_pem": "é"}):
        with pytest.raises(UnprovenError):
            check(changed(proof, **broken), binding(client))


def changed(proof: channel_proof.ProofFrame, **changes: str) -> channel_proof.ProofFrame:
    return channel_proof.ProofFrame(**{"certificate_pem": proof.certificate_pem, "signature": proof.signature, **changes})


def test_a_key_of_another_kind_or_none_proves_nothing() -> None:
    with pytest.raises(UnprovenError):
        prove("x", b"not a key", b"0" * 32)
