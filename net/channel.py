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

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import attrs
import msgspec
import trio

from actors.door.call import Answer, Call, Source
from actors.limits import CHANNEL_BODY_BYTES_MAX, CHANNEL_CALLS_IN_FLIGHT_MAX, CHANNEL_FRAME_BYTES_MAX
from actors.peer.channel import ShownLeaf, may_travel
from actors.ports import ClientIdentity
from net.channel_proof import ProofFrame
from net.limits import CHANNEL_PING_S, CHANNEL_PONG_S, QUERY_FIELDS_MAX
from net.remote import ServerProof
from net.websocket import Spawn, WireClosed, WireMisused

log = logging.getLogger("net.channel")

PATH_PREFIX: Final = "/api/v1/system"
_CALL_HEADERS: Final[Mapping[str, str]] = {"content-type": "application/json"}
NOTHING_HERE: Final = Answer(404, {"success": False, "error": "there is nothing here", "code": "not_found", "details": {}})
ANSWER_TOO_LONG: Final = "answer_too_long"
TOO_LONG: Final = Answer(
    507, {"success": False, "error": "this answer fits into no frame; ask over HTTP, or for less", "code": ANSWER_TOO_LONG, "details": {}}
)
_TOLD_HEADERS: Final = frozenset({"retry-after", "x-federation-warning", "x-request-id"})

ServeCall = Callable[[Call, Callable[[Answer], None]], None]
"""Has the door decide about a call; what it answers is told once, now or later."""

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
    """A call; `id` is its number, `body` a JSON object or absent, `authorization` the bearer of a grant where one is presented."""

    id: int
    method: str
    path: str
    body: msgspec.Raw = msgspec.Raw(b"null")
    authorization: str = ""


class AnswerFrame(msgspec.Struct, frozen=True, tag="answer", tag_field="type", omit_defaults=True):
    """The answer to the call with the number `re`."""

    re: int
    status: int
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"null")


Frame = CallFrame | AnswerFrame | ProofFrame
_DECODER: Final = msgspec.json.Decoder(Frame)
_ENCODER: Final = msgspec.json.Encoder()


class ChannelLost(Exception):
    """The channel has ended before the answer; whether the call had an effect is unknown."""


class FrameRefused(Exception):
    """What arrived is no frame."""


class Wire(Protocol):
    """A WebSocket, from either end (see `net.websocket`).

    Attributes:
        heard_at: when anything arrived last, by trio's clock.
    """

    heard_at: float

    def post(self, message: str | bytes) -> bool:
        """Send a message as soon as possible; False if too many wait already, and then it is not sent."""
        ...

    def ping(self) -> bool:
        """Ask for a sign of life; False as above."""
        ...

    def on_too_slow(self, call: Callable[[], None]) -> None:
        """Have `call` called when the other end does not take in time what we send."""
        ...

    async def receive(self) -> str | bytes:
        """The next message.

        Raises:
            WireClosed
            WireMisused
        """
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, if that is possible within a moment."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


def decode(message: str | bytes) -> Frame:
    """A frame.

    Raises:
        FrameRefused
    """
    try:
        if isinstance(message, bytes):
            raise FrameRefused("binary")
        if len(message) > CHANNEL_FRAME_BYTES_MAX:
            raise FrameRefused("too large")
        found: Frame = _DECODER.decode(message)
        return found
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise FrameRefused("not a frame") from None


def encode(frame: Frame) -> str:
    """A frame as text. A body goes in as it is, so that one that is meant for many is encoded once."""
    return _ENCODER.encode(frame).decode()


class Channel:
    """One channel in use. All methods belong to trio's thread.

    There is one task for each channel, its reader: answers to the other end's calls are sent by whoever decides about them, and signs of
    life are looked for by one task for all channels (`look`).

    Attributes:
        source: what the door is told of the other end with every call.
        url: where it was dialled, or `actors.ports.CHANNEL_URL`.
        dialled: whether we dialled it, and so are the one who pings.
        identity: the certificate by which we have proven ourselves on it.
        server: what the listener at the other end has shown; None if the other end dialled.
        shown: what our listener has shown; None if we dialled.
        opened_at: by trio's clock.
        on_bytes: told of every binary message, which is no frame; without it one ends the channel.
    """

    __slots__ = (
        "_ended",
        "_ending",
        "_number",
        "_pinged_at",
        "_serve",
        "_serving",
        "_silence_s",
        "_spawn",
        "_waiting",
        "_wire",
        "dialled",
        "identity",
        "on_bytes",
        "opened_at",
        "peer_id",
        "server",
        "shown",
        "source",
        "url",
    )  # fmt: skip

    def __init__(
        self,
        wire: Wire,
        peer_id: str,
        source: Source,
        url: str,
        serve: ServeCall,
        spawn: Spawn,
        *,
        silence_s: float,
        dialled: bool,
        identity: ClientIdentity | None = None,
        server: ServerProof | None = None,
        shown: ShownLeaf | None = None,
    ) -> None:
        """
        Args:
            serve: has the door decide about a call.
            spawn: starts a task that may outlive the caller.
            silence_s: how long nothing may arrive.
        """
        self.peer_id = peer_id
        self.source = source
        self.url = url
        self.dialled = dialled
        self.identity = identity
        self.server = server
        self.shown = shown
        self.on_bytes: Callable[[bytes], None] | None = None
        self.opened_at = trio.current_time()
        self._wire = wire
        self._serve = serve
        self._spawn = spawn
        self._silence_s = silence_s
        self._number = 0
        self._waiting: dict[int, _Waiting] = {}
        self._serving = 0
        self._pinged_at = -math.inf
        self._ending: Ending | None = None
        self._ended = False
        wire.on_too_slow(lambda: self.cut(READS_TOO_SLOWLY))

    @property
    def ended(self) -> bool:
        """Whether it takes no call any more."""
        return self._ended

    async def run(self) -> Ending | None:
        """Carry calls and answers until the channel ends. How we ended it; None if the other end did."""
        try:
            while True:
                try:
                    self._hear(await self._wire.receive())
                except WireClosed:
                    return self._ending
                except (WireMisused, FrameRefused):
                    self._ending = self._ending or BROKE_PROTOCOL
                    self._end()
                    await self._wire.close(*self._ending)
                    return self._ending
        finally:
            self._end()
            self._wire.abort()

    def cut(self, ending: Ending) -> None:
        """End the channel now; calls under way are lost. Safe more than once."""
        if not self._ended:
            self._ending = ending
            self._end()
            self._spawn(self._say_goodbye)

    async def _say_goodbye(self) -> None:
        assert self._ending is not None
        try:
            await self._wire.close(*self._ending)
        finally:
            # The reader wakes up by this, and the channel is over.
            self._wire.abort()

    def look(self, now: float) -> float:
        """See to signs of life; returns when to look again, by trio's clock."""
        heard_at = self._wire.heard_at
        pinged = self._pinged_at > heard_at
        if now >= heard_at + self._silence_s:
            self.cut(SILENT)
        elif self.dialled and pinged and now >= self._pinged_at + CHANNEL_PONG_S:
            self.cut(NO_ANSWER)
        elif self.dialled and not pinged and now >= heard_at + CHANNEL_PING_S:
            self._pinged_at, pinged = now, True
            self._send(self._wire.ping())
        silent_at = heard_at + self._silence_s
        if not self.dialled:
            return silent_at
        return min(silent_at, self._pinged_at + CHANNEL_PONG_S if pinged else heard_at + CHANNEL_PING_S)

    def send_bytes(self, message: bytes) -> bool:
        """Send a binary message. False if it was not sent: the channel has ended, or too much waits already."""
        return not self._ended and self._wire.post(message)

    async def exchange(self, method: str, path: str, body: bytes, authorization: str = "") -> AnswerFrame:
        """Call the other end; `body` is JSON.

        Raises:
            ChannelLost: it ended before the answer.
        """
        if self._ended or len(self._waiting) >= CHANNEL_CALLS_IN_FLIGHT_MAX:
            raise ChannelLost
        self._number += 1
        number = self._number
        waiting = self._waiting[number] = _Waiting()
        try:
            self._send(self._wire.post(encode(CallFrame(number, method, path, msgspec.Raw(body or b"null"), authorization))))
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

    def _send(self, taken: bool) -> None:
        if not taken:
            self.cut(READS_TOO_SLOWLY)

    def _hear(self, message: str | bytes) -> None:
        if self._ended:
            return
        if isinstance(message, bytes) and self.on_bytes is not None:
            self.on_bytes(message)
        else:
            self._take(decode(message))

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, AnswerFrame):
            waiting = self._waiting.get(frame.re)
            if waiting is not None:
                # An answer to nothing is one that came too late.
                waiting.answer = frame
                waiting.done.set()
        elif not isinstance(frame, CallFrame):
            self.cut(BROKE_PROTOCOL)
        elif self._serving >= CHANNEL_CALLS_IN_FLIGHT_MAX:
            self.cut(TOO_MANY_CALLS)
        else:
            self._decide(frame)

    def _decide(self, frame: CallFrame) -> None:
        query = query_of(frame.path) if may_travel(frame.method, frame.path) else None
        if query is None:
            self._answer(frame.id, NOTHING_HERE)
            return
        headers = {**_CALL_HEADERS, "authorization": frame.authorization} if frame.authorization else _CALL_HEADERS
        self._serving += 1
        raw = bytes(frame.body)
        body = b"" if raw == b"null" else raw

        def decided(answer: Answer) -> None:
            self._serving -= 1
            self._answer(frame.id, answer)

        path = PATH_PREFIX + frame.path.partition("?")[0]
        self._serve(Call(frame.method, path, query, headers, body, self.source), decided)

    def _answer(self, number: int, answer: Answer) -> None:
        if self._ended:
            return
        try:
            raw = msgspec.json.encode(answer.body)
        except (TypeError, ValueError, RecursionError):
            log.exception("an answer cannot be written as JSON")
            answer, raw = Answer(500, {}), b"{}"
        if len(raw) > CHANNEL_BODY_BYTES_MAX:
            answer, raw = TOO_LONG, msgspec.json.encode(TOO_LONG.body)
        told = {name: value for name, value in answer.headers.items() if name in _TOLD_HEADERS}
        self._send(self._wire.post(encode(AnswerFrame(number, answer.status, told, msgspec.Raw(raw)))))
        if answer.close:
            self.cut(CUT_OFF)


@attrs.define(eq=False)
class _Waiting:
    """A call of ours that is not answered yet."""

    done: trio.Event = attrs.field(factory=trio.Event)
    answer: AnswerFrame | None = None


def query_of(path: str) -> dict[str, str] | None:
    """The parameters in a path, each at most once; None if they cannot be read so, or the path is not plain."""
    plain, _, query = path.partition("?")
    if "%" in plain or "#" in path:
        return None
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=QUERY_FIELDS_MAX, errors="strict")
    except ValueError:
        return None
    found = dict(pairs)
    return found if len(found) == len(pairs) else None


def body_of(frame: AnswerFrame) -> Mapping[str, Any] | None:
    """The body of an answer, which must be an object; None if it is not."""
    try:
        found = msgspec.json.decode(frame.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
    if found is None:
        return {}
    return found if isinstance(found, dict) else None
