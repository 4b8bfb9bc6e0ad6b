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
    BROKE_PROTOCOL,
    CUT_OFF,
    READS_TOO_SLOWLY,
    SILENT,
    TOO_MANY_CALLS,
    CallFrame,
    Channel,
    ChannelLost,
    FrameRefused,
    WireClosed,
    body_of,
    decode,
    encode,
)
from net.channel_proof import UnprovenError, check, prove
from net.tls import TlsStream, client_context, server_context
from tests.net.certs import Authority
from tests.net.served import INSTANCE

SOURCE = Source("192.0.2.1", "tls", (b"certificate",), "c1", channel=True)
HEARTBEAT = ("POST", "/federation_api/heartbeat")


@attrs.define(eq=False)
class MemoryWire:
    """One end of a WebSocket in memory. `reads`: whether the other end takes what is sent."""

    out: trio.MemorySendChannel[str]
    arriving: trio.MemoryReceiveChannel[str]
    closed: tuple[int, str] | None = None

    async def send(self, text: str) -> None:
        try:
            await self.out.send(text)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise WireClosed from None

    async def receive(self) -> str:
        try:
            return await self.arriving.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise WireClosed from None

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    def abort(self) -> None:
        self.out.close()
        self.arriving.close()


def wires() -> tuple[MemoryWire, MemoryWire]:
    there, here_in = trio.open_memory_channel[str](0)
    back, there_in = trio.open_memory_channel[str](0)
    return MemoryWire(there, there_in), MemoryWire(back, here_in)


@attrs.define(eq=False)
class Doors:
    """The doors of both ends, which write down what comes and answer by `decide`."""

    decide: Callable[[Call], Answer] = lambda call: Answer(200, {"success": True, "data": json.loads(call.body or b"null")})
    calls: list[Call] = attrs.field(factory=list)
    held: trio.Event | None = None

    async def serve(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.held is not None:
            await self.held.wait()
        return self.decide(call)


@asynccontextmanager
async def raw_end(doors: Doors, silence_s: float = 1_000.0) -> AsyncIterator[tuple[MemoryWire, Channel, list[Any], MemoryWire]]:
    """A channel whose other end is the test itself."""
    test, own = wires()
    channel, endings = Channel(own, "peer", SOURCE, "https://b.example", doors.serve, silence_s=silence_s), []

    async def run() -> None:
        endings.append(await channel.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield test, channel, endings, own
        nursery.cancel_scope.cancel()


async def test_both_ends_call_and_each_call_carries_what_the_connection_proves() -> None:
    doors, (one, other) = Doors(), wires()
    left = Channel(one, "b", SOURCE, "https://b.example", doors.serve, silence_s=1_000.0)
    right = Channel(other, "a", attrs.evolve(SOURCE, address="192.0.2.2"), "channel:", doors.serve, silence_s=1_000.0)
    async with trio.open_nursery() as nursery:
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
        await test.send(encode(CallFrame(1, "POST", path)))
        answer = json.loads(await test.receive())
    assert (answer["re"], answer["status"], answer["body"]["code"], doors.calls) == (1, 404, "not_found", [])


@pytest.mark.parametrize(
    "frame",
    ["", "null", "[]", '{"type":"call"}', '{"type":"other","id":1}', '{"type":"call","id":"1","method":"GET","path":"/"}', "\ud800",
     '{"type":"proof","certificate_pem":"x","signature":"y"}', '{"type":"call","id":1,"method":"POST","path":"/x","body":' + "[" * 100_000],
)  # fmt: skip
async def test_what_is_no_frame_ends_the_channel(frame: str) -> None:
    doors = Doors()
    async with raw_end(doors) as (test, channel, endings, own):
        await test.send(frame)
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


async def test_who_calls_too_often_at_a_time_loses_the_channel() -> None:
    doors = Doors(held=trio.Event())
    async with raw_end(doors) as (test, _, endings, _):
        for number in range(CHANNEL_CALLS_IN_FLIGHT_MAX):
            await test.send(encode(CallFrame(number, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == []
        await test.send(encode(CallFrame(99, *HEARTBEAT)))
        await trio.testing.wait_all_tasks_blocked()
        assert endings == [TOO_MANY_CALLS]


async def test_who_does_not_read_loses_the_channel_and_the_queue_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    doors = Doors()
    async with raw_end(doors) as (test, _, endings, _):
        started = trio.current_time()
        for number in range(CHANNEL_QUEUE_FRAMES_MAX // 4):
            await test.send(encode(CallFrame(number, *HEARTBEAT)))
        while not endings:
            await trio.sleep(0.5)
        assert endings == [READS_TOO_SLOWLY]
        assert trio.current_time() - started < 10.0


async def test_silence_ends_the_channel_and_every_frame_puts_it_off(autojump_clock: trio.testing.MockClock) -> None:
    doors = Doors()
    async with raw_end(doors, silence_s=100.0) as (test, _, endings, _):
        await trio.sleep(90.0)
        await test.send(encode(CallFrame(1, *HEARTBEAT)))
        await test.receive()
        await trio.sleep(90.0)
        assert endings == []
        await trio.sleep(20.0)
        assert endings == [SILENT]


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
        await test.send('{"type":"answer","re":77,"status":200}')
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await channel.exchange(*HEARTBEAT, b"{}"))

        nursery.start_soon(call)
        asked = json.loads(await test.receive())
        await test.send(
            json.dumps({"type": "answer", "re": asked["id"], "status": 429, "headers": {"retry-after": "3"}, "body": {"code": "x"}})
        )
        await trio.testing.wait_all_tasks_blocked()
        assert (answers[0].status, answers[0].headers, body_of(answers[0])) == (429, {"retry-after": "3"}, {"code": "x"})
        assert endings == []


async def test_only_headers_that_belong_to_the_caller_travel() -> None:
    doors = Doors(decide=lambda call: Answer(429, None, {"retry-after": "3", "set-cookie": "x", "server": "y"}))
    async with raw_end(doors) as (test, _, _, _):
        await test.send(encode(CallFrame(1, *HEARTBEAT)))
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
