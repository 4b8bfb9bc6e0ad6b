"""Calls that leave on a channel or not: which of two answers counts when a call has to be made twice."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import trio
import trio.testing

from actors.ports import ClientIdentity, RemoteReply, RemoteRequest, ServerExpectation
from net.channel import AnswerFrame
from net.channels import Channels

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
        request = RemoteRequest(
            peer_id="p", method="GET", path="/x", urls=("https://b.example",), body=None, identity=ClientIdentity("pem", b""),
            expectation=ServerExpectation(), connect_timeout_s=1.0, timeout_s=LIMIT_S,
        )  # fmt: skip
        return await channels.request(request)


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
