"""Calls that leave on a channel or not: which of two answers counts when a call has to be made twice."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import trio
import trio.testing

from actors.door.call import Source
from actors.peer.channel import Held
from actors.ports import ClientIdentity, OpenChannel, RemoteReply, RemoteRequest, ServerExpectation
from net.channel import AnswerFrame, Channel
from net.channels import Channels
from runtime.errors import Fault

LIMIT_S = 3.0


class Refusing:
    """A channel whose other end refuses for want of an address, and takes its time over it."""

    url = "https://b.example"

    def __init__(self, clock: trio.testing.MockClock, taken_s: float) -> None:
        self.clock, self.taken_s = clock, taken_s

    async def exchange(self, *sent: Any) -> AnswerFrame:
        self.clock.jump(self.taken_s)
        return AnswerFrame(1, 403, {}, msgspec.Raw(b'{"success": false, "code": "axis_denied"}'))


class Http:
    """The other way, which answers."""

    def __init__(self) -> None:
        self.left_s: list[float] = []

    def check_dates(self, identity: Any) -> None:
        """They are good."""

    async def request(self, request: RemoteRequest) -> RemoteReply:
        self.left_s.append(request.timeout_s)
        return RemoteReply(200, {"success": True}, {}, "https://b.example", 0.1)


async def answer(clock: trio.testing.MockClock, taken_s: float, http: Http) -> Any:

    class One(Channels):
        def _usable(self, request: RemoteRequest) -> Any:
            return Refusing(clock, taken_s)

    async with trio.open_nursery() as nursery:
        channels = One(cast("Any", http), nursery, cast("Any", None))
        return await channels.request(asked())


def asked() -> RemoteRequest:
    return RemoteRequest(
        peer_id="p", method="GET", path="/x", urls=("https://b.example",), body=None, identity=ClientIdentity("pem", b""),
        expectation=ServerExpectation(), connect_timeout_s=1.0, timeout_s=LIMIT_S,
    )  # fmt: skip


async def test_a_refusal_that_leaves_no_time_for_another_way_is_the_answer(mock_clock: trio.testing.MockClock) -> None:
    http = Http()
    found = await answer(mock_clock, LIMIT_S, http)
    assert isinstance(found, RemoteReply)
    assert (found.status, found.body["code"], http.left_s) == (403, "axis_denied", [])


async def test_with_time_left_the_other_way_answers(mock_clock: trio.testing.MockClock) -> None:
    http = Http()
    found = await answer(mock_clock, 1.0, http)
    assert isinstance(found, RemoteReply)
    assert (found.status, http.left_s) == (200, [LIMIT_S - 1.0])


class SilentWire:
    """A WebSocket whose other end takes everything and says nothing."""

    heard_at = 0.0

    def on_too_slow(self, call: Any) -> None:
        """It never is."""

    def post(self, message: str | bytes) -> bool:
        return True

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Nothing is open."""


async def test_at_a_stop_no_call_is_made_again_and_no_peer_dialled_anew(autojump_clock: trio.testing.MockClock) -> None:
    http = Http()

    class One(Channels):
        def _usable(self, request: RemoteRequest) -> Any:
            held = self._register.held(request.peer_id)
            return None if held is None or cast("Channel", held.channel).ended else held.channel

    found: list[Any] = []
    async with trio.open_nursery() as nursery:
        channels = One(cast("Any", http), nursery, cast("Any", None))
        source = Source("192.0.2.1", "tls", channel=True)
        spawn: Any = nursery.start_soon
        channel = Channel(
            cast("Any", SilentWire()), "p", source, "https://b.example", cast("Any", None), spawn, silence_s=60.0, dialled=True
        )
        channels._register.take("p", Held(channel, True), ours_wins=True)

        async def call() -> None:
            found.append(await channels.request(asked()))

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        channels.close()
        await trio.testing.wait_all_tasks_blocked()
        found.append(await channels.request(asked()))
        found.append(
            await channels.open(OpenChannel("p", ("https://b.example",), ClientIdentity("pem", b""), ServerExpectation(), True, LIMIT_S))
        )
    assert all(isinstance(each, Fault) for each in found)
    assert [each.code for each in found] == ["remote_unreachable"] * 3
    assert [each.details["request_sent"] for each in found] == [True, False, False]
    assert http.left_s == []
