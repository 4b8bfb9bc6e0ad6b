"""One peer channel: calls and answers in both directions as JSON frames on a WebSocket.

Lives here: frames, matching answers to calls, and the bounds of what one channel may cost. Must not live here: how the WebSocket came about
(`net.channels` dials, `api.channel` listens), who may call (the door judges every frame), or which channel is used (`net.channels`).

A frame is one text message:

    {"type":"call","id":7,"method":"POST","path":"/federation_api/heartbeat","body":{…}}
    {"type":"answer","re":7,"status":200,"headers":{},"body":{…}}

Each end numbers its own calls. Nothing is buffered without bound: what the other end does not read in time costs it the channel, and so
does calling more often at a time than is allowed. A lost channel loses no call, since every call is kept by whoever made it.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import msgspec
import trio

from actors.door.call import Answer, Call, Source
from actors.limits import CHANNEL_CALLS_IN_FLIGHT_MAX, CHANNEL_FRAME_BYTES_MAX, CHANNEL_QUEUE_FRAMES_MAX
from actors.peer.channel import CHANNEL_CALLS
from actors.ports import ClientIdentity
from net.channel_proof import ProofFrame
from net.limits import CHANNEL_CLOSE_S, CHANNEL_SEND_S

log = logging.getLogger("net.channel")

PATH_PREFIX: Final = "/api/v1/system"
_CALL_HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json"}
_TOLD_HEADERS: Final = frozenset({"retry-after", "x-federation-warning", "x-request-id"})

ServeCall = Callable[[Call], Awaitable[Answer]]

Ending = tuple[int, str]
GOING_AWAY: Final[Ending] = (1001, "the platform is stopping")
BROKE_PROTOCOL: Final[Ending] = (1002, "a frame could not be read")
TOO_MANY_CALLS: Final[Ending] = (1008, "too many calls at a time")
NO_ANSWER: Final[Ending] = (1011, "a call was not answered in time")
READS_TOO_SLOWLY: Final[Ending] = (1013, "frames were not read in time")
SILENT: Final[Ending] = (1013, "nothing was heard for too long")
OUTDATED: Final[Ending] = (4000, "a certificate has been renewed or has lost its force")
REPLACED: Final[Ending] = (4001, "another channel is in use")
CUT_OFF: Final[Ending] = (4003, "the peering is paused or over")


class CallFrame(msgspec.Struct, frozen=True, tag="call", tag_field="type", omit_defaults=True):
    """A call; `id` is its number, `body` a JSON object or absent."""

    id: int
    method: str
    path: str
    body: msgspec.Raw = msgspec.Raw(b"null")


class AnswerFrame(msgspec.Struct, frozen=True, tag="answer", tag_field="type", omit_defaults=True):
    """The answer to the call with the number `re`."""

    re: int
    status: int
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")


_DECODER: Final = msgspec.json.Decoder(CallFrame | AnswerFrame | ProofFrame)
_ENCODER: Final = msgspec.json.Encoder()


class WireClosed(Exception):
    """The WebSocket has ended."""


class ChannelLost(Exception):
    """The channel has ended before the answer; whether the call had an effect is unknown."""


class FrameRefused(Exception):
    """What arrived is no frame."""


class Wire(Protocol):
    """A WebSocket, from either end."""

    async def send(self, text: str) -> None:
        """Send one message.

        Raises:
            WireClosed
        """
        ...

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WireClosed
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, if that is possible."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


def decode(message: str | bytes) -> CallFrame | AnswerFrame | ProofFrame:
    """A frame.

    Raises:
        FrameRefused
    """
    try:
        if len(message) > CHANNEL_FRAME_BYTES_MAX:
            raise FrameRefused("too large")
        found: CallFrame | AnswerFrame | ProofFrame = _DECODER.decode(message)
        return found
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise FrameRefused("not a frame") from None


def encode(frame: CallFrame | AnswerFrame | ProofFrame) -> str:
    """A frame as text. A body goes in as it is, so that one that is meant for many is encoded once."""
    return _ENCODER.encode(frame).decode()


class Channel:
    """One channel in use. All methods belong to trio's thread.

    Attributes:
        source: what the door is told of the other end with every call.
        url: where it was dialled, or `actors.ports.CHANNEL_URL`.
        identity: the certificate by which we have proven ourselves on it.
        opened_at: by trio's clock.
    """

    def __init__(
        self,
        wire: Wire,
        peer_id: str,
        source: Source,
        url: str,
        serve: ServeCall,
        *,
        silence_s: float,
        identity: ClientIdentity | None = None,
    ) -> None:
        """
        Args:
            serve: has the door decide about a call.
            silence_s: how long nothing may arrive.
        """
        self.peer_id = peer_id
        self.source = source
        self.url = url
        self.identity = identity
        self.opened_at = trio.current_time()
        self._wire = wire
        self._serve = serve
        self._silence_s = silence_s
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}
        self._serving = 0
        self._out, self._queued = trio.open_memory_channel[str](CHANNEL_QUEUE_FRAMES_MAX)
        self._scope = trio.CancelScope()
        self._ending: Ending = GOING_AWAY
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether it takes no call any more."""
        return self._ended

    @property
    def busy(self) -> bool:
        """Whether a call in either direction is under way."""
        return bool(self._waiting) or self._serving > 0

    async def run(self) -> Ending | None:
        """Carry calls and answers until the channel ends. How we ended it; None if the other end did."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read(nursery)
                    nursery.cancel_scope.cancel()
        finally:
            self._end()
            if self._scope.cancel_called:
                with trio.move_on_after(CHANNEL_CLOSE_S, shield=True):
                    await self._wire.close(*self._ending)
            self._wire.abort()
        return self._ending if self._scope.cancel_called else None

    def cut(self, ending: Ending) -> None:
        """End the channel now; calls under way are lost. Safe more than once."""
        if not self._ended:
            self._ending = ending
            self._end()
        self._scope.cancel()

    async def exchange(self, method: str, path: str, body: bytes) -> AnswerFrame:
        """Call the other end; `body` is JSON.

        Raises:
            ChannelLost: it ended before the answer.
        """
        if self._ended or len(self._waiting) >= CHANNEL_CALLS_IN_FLIGHT_MAX:
            raise ChannelLost
        number = next(self._numbers)
        waiting = self._waiting[number] = _Waiting()
        try:
            self._enqueue(CallFrame(number, method, path, msgspec.Raw(body or b"null")))
            await waiting.done.wait()
        finally:
            self._waiting.pop(number, None)
        if waiting.answer is None:
            raise ChannelLost
        return waiting.answer

    def _end(self) -> None:
        self._ended = True
        for waiting in self._waiting.values():
            waiting.done.set()

    def _enqueue(self, frame: CallFrame | AnswerFrame) -> None:
        try:
            self._out.send_nowait(encode(frame))
        except trio.WouldBlock:
            self.cut(READS_TOO_SLOWLY)

    async def _write(self) -> None:
        async for text in self._queued:
            with trio.move_on_after(CHANNEL_SEND_S) as sending:
                try:
                    await self._wire.send(text)
                except WireClosed:
                    # The reader hears of it, too.
                    self._end()
                    return
            if sending.cancelled_caught:
                self.cut(READS_TOO_SLOWLY)

    async def _read(self, nursery: trio.Nursery) -> None:
        while True:
            with trio.move_on_after(self._silence_s) as silence:
                try:
                    message = await self._wire.receive()
                except WireClosed:
                    return
            if silence.cancelled_caught:
                self.cut(SILENT)
                return
            try:
                frame = decode(message)
            except FrameRefused:
                self.cut(BROKE_PROTOCOL)
                return
            if isinstance(frame, AnswerFrame):
                waiting = self._waiting.get(frame.re)
                if waiting is not None:
                    # An answer to nothing is one that came too late.
                    waiting.answer = frame
                    waiting.done.set()
            elif isinstance(frame, CallFrame):
                if self._serving >= CHANNEL_CALLS_IN_FLIGHT_MAX:
                    self.cut(TOO_MANY_CALLS)
                    return
                self._serving += 1
                nursery.start_soon(self._answer, frame)
            else:
                self.cut(BROKE_PROTOCOL)
                return

    async def _answer(self, frame: CallFrame) -> None:
        try:
            if (frame.method, frame.path) not in CHANNEL_CALLS:
                answer = Answer(404, {"success": False, "error": "there is nothing here", "code": "not_found", "details": {}})
            else:
                raw = bytes(frame.body)
                body = b"" if raw == b"null" else raw
                answer = await self._serve(Call(frame.method, PATH_PREFIX + frame.path, {}, _CALL_HEADERS, body, self.source))
        finally:
            self._serving -= 1
        try:
            raw = msgspec.json.encode(answer.body)
        except (TypeError, ValueError, RecursionError):
            log.exception("an answer cannot be written as JSON")
            answer, raw = Answer(500, {}), b"{}"
        if not self._ended:
            told = {name: value for name, value in answer.headers.items() if name in _TOLD_HEADERS}
            self._enqueue(AnswerFrame(frame.id, answer.status, told, msgspec.Raw(raw)))
            if answer.close:
                self.cut(CUT_OFF)


@attrs.define(eq=False)
class _Waiting:
    """A call of ours that is not answered yet."""

    done: trio.Event = attrs.field(factory=trio.Event)
    answer: AnswerFrame | None = None


def body_of(frame: AnswerFrame) -> Mapping[str, Any] | None:
    """The body of an answer, which must be an object; None if it is not."""
    try:
        found = msgspec.json.decode(frame.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if found is None:
        return {}
    return found if isinstance(found, dict) else None
