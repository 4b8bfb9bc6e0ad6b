"""The peer channels of one platform: dialling, taking what others dialled, and choosing between channel and HTTP for each call.

Lives here: the real side of the ports `OpenChannel` and, in front of the HTTP client, `Remote`. Must not live here: when to dial and when
to dial again (the peer's actor decides), frames (`net.channel`), or admission (the door).

A call travels on a channel only if both ends could prove themselves now: our own certificate for the peer is in force, and what the other
end has proven still makes it this peer, its server certificate included if we dialled. What the channel does not answer goes over HTTP,
within the time of the call.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import trio

from actors.door.call import Source
from actors.limits import CHANNEL_ANSWER_S, CHANNEL_QUEUE_FRAMES_MAX
from actors.peer.channel import (
    CHANNEL_PATH,
    NEEDS_AN_ADDRESS,
    PROTOCOL,
    Held,
    Register,
    ShownLeaf,
    may_travel,
    outlived,
    renewal_gap_s,
)
from actors.ports import (
    CHANNEL_URL,
    GRANT_BEARER_PURPOSE,
    OUTBOUND_KEY_PURPOSE,
    ChannelOpen,
    ClientIdentity,
    OpenChannel,
    RemoteReply,
    RemoteRequest,
    ServerExpectation,
)
from actors.urls import url_of
from net import channel_proof
from net.channel import (
    ANSWER_TOO_LONG,
    BROKE_PROTOCOL,
    CUT_OFF,
    GOING_AWAY,
    NO_ANSWER,
    OUTDATED,
    PATH_PREFIX,
    REPLACED,
    AnswerFrame,
    Channel,
    ChannelLost,
    Ending,
    FrameRefused,
    ServeCall,
    Wire,
    body_of,
    decode,
    encode,
)
from net.channel_proof import ProofFrame, UnprovenError
from net.http_client import encode_object
from net.limits import CHANNEL_LOOK_S, CHANNEL_OPEN_S, CHANNEL_RETIRED_S
from net.listener import endpoints_of
from net.remote import NoIdentity, NotReady, RemoteClient, ServerProof
from net.remote_faults import connection_lost, no_identity, seal_broken, timed_out, unreachable
from net.tls import TlsStream
from net.websocket import StreamWire, Upgrade, UpgradeFailed, UpgradeRefused, WireClosed, WireMisused, upgraded
from runtime.errors import Fault, RemoteFault
from runtime.values import Value, evolve

log = logging.getLogger("net.channel")

OpenSealed = Callable[[bytes, str], bytes]
OtherEnd = Callable[[Source], str | Fault]
ToldOfEnd = Callable[[str, float], None]


class ChannelParts(Value, frozen=True, kw_only=True):
    """What channels need of their platform.

    Attributes:
        serve: has the door decide about a call.
        other_end: which peer the door recognises at the other end of a connection now.
        opened: told the peer and whether we dialled, when a channel is in use from now on.
        ended: told the peer and how long the channel was in use, when there is none any more.
        open_sealed: opens our sealed key for the proof.
        silence_s: how long nothing may arrive on a channel.
        wall: seconds since the epoch.
    """

    serve: ServeCall
    other_end: OtherEnd
    opened: Callable[[str, bool], object]
    ended: ToldOfEnd
    open_sealed: OpenSealed
    silence_s: float
    wall: Callable[[], float]


class Channels:
    """Every channel of one platform. `nursery` is where those live that it dialled."""

    def __init__(self, remote: RemoteClient, nursery: trio.Nursery, parts: ChannelParts) -> None:
        self._remote = remote
        self._nursery = nursery
        self._parts = parts
        self._register = Register()
        self._numbers = itertools.count(1)
        self._streams: dict[str, TlsStream] = {}
        self._watch = trio.Event()
        self._closed_to: frozenset[str] = frozenset()
        self._last_body: tuple[Mapping[str, Any] | None, bytes] = (None, b"")

    def __len__(self) -> int:
        return len(self._register)

    def stream(self, connection: str) -> TlsStream | None:
        """The stream of a channel that we dialled, by the number that its `Source` has."""
        return self._streams.get(connection)

    def cut(self, peer_id: str) -> None:
        """End the channel with a peer whose peering is paused or over."""
        held = self._register.held(peer_id)
        if held is not None:
            _channel(held).cut(CUT_OFF)

    def close(self) -> None:
        """End every channel: the platform is stopping.

        From now on nobody is called who had one. What was under way on a channel would otherwise be asked again over HTTP, and every peer
        be dialled anew, all at once and all for nothing.
        """
        self._closed_to = frozenset(_channel(held).peer_id for held in self._register.all())
        for held in self._register.all():
            _channel(held).cut(GOING_AWAY)

    # --- calls ------------------------------------------------------------------------------------------------------

    async def request(self, request: RemoteRequest) -> RemoteReply | Fault:
        """Carry out one exchange, on the channel if there is one, otherwise over HTTP."""
        started = trio.current_time()
        if request.peer_id in self._closed_to:
            return unreachable(())
        channel = self._usable(request)
        if channel is None:
            return await self._remote.request(request)
        try:
            assert request.identity is not None
            self._remote.check_dates(request.identity)
        except NoIdentity as error:
            return no_identity(str(error))
        try:
            authorization = self._authorization(request)
        except Exception:
            # The error may quote what it failed on, so nothing of it travels on.
            return seal_broken("authorization")
        body, reply = self._written(request.body), None
        with trio.move_on_after(min(CHANNEL_ANSWER_S, request.timeout_s)) as waiting, suppress(ChannelLost):
            frame = await channel.exchange(request.method, request.path, body, authorization)
            reply = _reply(frame, channel, trio.current_time() - started)
            if reply is not None and reply.body.get("code") not in (ANSWER_TOO_LONG, NEEDS_AN_ADDRESS):
                return reply
        if waiting.cancelled_caught:
            channel.cut(NO_ANSWER)
        if request.peer_id in self._closed_to:
            return connection_lost([{"url": channel.url, "reachable": True}], GOING_AWAY[1])
        refused = reply if reply is not None and reply.body.get("code") == NEEDS_AN_ADDRESS else None
        left_s = request.timeout_s - (trio.current_time() - started)
        if left_s <= 0:
            return refused or timed_out(request.timeout_s, [{"url": channel.url, "reachable": True}])
        outcome = await self._remote.request(evolve(request, timeout_s=left_s))
        return refused if refused is not None and isinstance(outcome, Fault) else outcome

    async def call(self, peer_id: str, method: str, path: str, body: bytes) -> AnswerFrame | None:
        """Call a peer on its channel and in no other way. None if there is none, or no answer came on it in time."""
        held = self._register.held(peer_id)
        if held is None or _channel(held).ended or not self._proven_still(_channel(held), None):
            return None
        with trio.move_on_after(CHANNEL_ANSWER_S), suppress(ChannelLost):
            return await _channel(held).exchange(method, path, body)
        return None

    def _authorization(self, request: RemoteRequest) -> str:
        if request.sealed_bearer is None:
            return ""
        return f"Bearer {self._parts.open_sealed(request.sealed_bearer, GRANT_BEARER_PURPOSE).decode('ascii')}"

    def _written(self, body: Mapping[str, Any] | None) -> bytes:
        """A body as JSON. One object that goes to many peers one after the other is written once."""
        if body is None:
            return b""
        if self._last_body[0] is not body:
            self._last_body = (body, encode_object(body))
        return self._last_body[1]

    def _usable(self, request: RemoteRequest) -> Channel | None:
        held = self._register.held(request.peer_id)
        plain = not request.sealed_fields and not request.server_must_prove
        if held is None or request.identity is None or not plain or not may_travel(request.method, request.path):
            return None
        channel = _channel(held)
        if channel.ended:
            return None
        if channel.identity != request.identity or not self._proven_still(channel, request.expectation):
            # One that is dialled anew shows the certificates that are in force now.
            channel.cut(OUTDATED)
            return None
        return channel

    def _proven_still(self, channel: Channel, expectation: ServerExpectation | None) -> bool:
        """Whether what the other end has shown makes it this peer now. `expectation`: of a server; None for the one that it has met."""
        if self._parts.other_end(channel.source) != channel.peer_id:
            return False
        if channel.server is not None:
            wanted = channel.server.expectation if expectation is None else expectation
            proof = self._remote.proven_still(channel.server, wanted)
            channel.server = proof or channel.server
            return proof is not None
        return True

    # --- dialling ---------------------------------------------------------------------------------------------------

    async def open(self, request: OpenChannel) -> ChannelOpen | RemoteReply | Fault:
        """See that there is a channel; see `actors.ports.OpenChannel`."""
        if request.peer_id in self._closed_to:
            return unreachable(())
        held = self._register.held(request.peer_id)
        if held is not None and not _channel(held).ended:
            return ChannelOpen(_channel(held).url)
        probed: list[dict[str, Any]] = []
        with trio.move_on_after(request.timeout_s):
            return await self._dial(request, probed)
        return timed_out(request.timeout_s, probed)

    async def _dial(self, request: OpenChannel, probed: list[dict[str, Any]]) -> ChannelOpen | RemoteReply | Fault:
        for url in request.urls:
            entry: dict[str, Any] = {"url": url, "reachable": False}
            probed.append(entry)
            try:
                stream = await self._remote.connect(request, url)
            except NoIdentity as error:
                return no_identity(str(error))
            except NotReady as error:
                entry.update(error=error.code, reason=error.reason)
            else:
                return await self._opened(stream, request, url)
        return unreachable(probed)

    async def _opened(self, stream: TlsStream, request: OpenChannel, url: str) -> ChannelOpen | RemoteReply | Fault:
        """A channel on a connection that we dialled, in use from now on, or what became of the upgrade."""
        kept = False
        try:
            with trio.fail_after(CHANNEL_OPEN_S):
                channel = await self._proven(stream, request, url)
            self._use(channel, ours_wins=request.ours_wins)
            kept = True
            return ChannelOpen(url)
        except UpgradeRefused as refusal:
            return _refusal(refusal, url)
        except (UpgradeFailed, UnprovenError, FrameRefused, WireClosed, WireMisused, trio.TooSlowError) as error:
            reason = str(error) or type(error).__name__
            return RemoteFault("remote_error", "the remote opened no channel", 502, {"url": url, "reason": reason})
        finally:
            if not kept:
                stream.abort()

    async def _proven(self, stream: TlsStream, request: OpenChannel, url: str) -> Channel:
        host = url_of(url).removeprefix("https://")
        websocket = await upgraded(stream, host, PATH_PREFIX + CHANNEL_PATH, PROTOCOL)
        wire = StreamWire(stream, websocket, self._spawn, waiting_max=CHANNEL_QUEUE_FRAMES_MAX)
        proof = decode(await wire.receive())
        binding = stream.binding(channel_proof.LABEL, channel_proof.BINDING_BYTES)
        if not isinstance(proof, ProofFrame) or binding is None:
            raise UnprovenError("the remote has sent no proof, or TLS is older than 1.3")
        certificates = channel_proof.check(proof, binding)
        remote, _ = endpoints_of(stream.transport)
        number = f"d{next(self._numbers)}"
        source = Source(remote[0], "tls", certificates, number, channel=True, dialled=True)
        if self._parts.other_end(source) != request.peer_id:
            raise UnprovenError("the certificate of the remote is not that of this peer")
        self._streams[number] = stream
        server = self._remote.proof(stream, url, request.expectation)
        return self._channel(wire, request.peer_id, source, url, request.identity, server=server)

    def _channel(
        self,
        wire: Wire,
        peer_id: str,
        source: Source,
        url: str,
        identity: ClientIdentity | None,
        *,
        server: ServerProof | None = None,
        shown: ShownLeaf | None = None,
    ) -> Channel:
        serve, silence_s, dialled = self._parts.serve, self._parts.silence_s, url != CHANNEL_URL
        return Channel(
            wire,
            peer_id,
            source,
            url,
            serve,
            self._spawn,
            silence_s=silence_s,
            dialled=dialled,
            identity=identity,
            server=server,
            shown=shown,
        )

    def _spawn(self, function: Callable[[], Awaitable[None]]) -> None:
        # In a pristine context, so that a channel keeps nothing of whoever opened it alive.
        contextvars.Context().run(self._nursery.start_soon, function)

    # --- listening --------------------------------------------------------------------------------------------------

    def proof(self, identity: ClientIdentity, stream: object) -> str | None:
        """The frame that proves us to whoever dialled on `stream`; None if nothing can."""
        binding = stream.binding(channel_proof.LABEL, channel_proof.BINDING_BYTES) if isinstance(stream, TlsStream) else None
        if binding is None:
            return None
        try:
            key_pem = self._parts.open_sealed(identity.sealed_key, OUTBOUND_KEY_PURPOSE)
        except Exception:
            # The error may quote what it failed on, so nothing of it travels on.
            return None
        try:
            return encode(channel_proof.prove(identity.certificate_pem, key_pem, binding))
        except UnprovenError:
            return None

    async def accept(
        self,
        upgrade: Upgrade,
        peer_id: str,
        source: Source,
        proof: str,
        identity: ClientIdentity,
        *,
        ours_wins: bool,
        shown: ShownLeaf | None = None,
    ) -> bool:
        """Have a channel on a connection that a peer has dialled, in use from now on. `identity` is the one that `proof` proves, `shown`
        what our listener has shown on that connection.

        Returns whether there is one.
        """
        try:
            websocket = await upgrade.accept(PROTOCOL)
        except WireClosed:
            return False
        wire = StreamWire(upgrade.stream, websocket, self._spawn, waiting_max=CHANNEL_QUEUE_FRAMES_MAX)
        wire.post(proof)
        channel = self._channel(wire, peer_id, evolve(source, channel=True), CHANNEL_URL, identity, shown=shown)
        self._use(channel, ours_wins=ours_wins, over=upgrade.ended)
        return True

    def renew(self, now_shown: ShownLeaf) -> None:
        """Our listener shows another certificate: have those peers dial anew, one after the other, that have seen one that is outlived."""
        wall = self._parts.wall()
        dialled_here = [_channel(held) for held in self._register.all() if not held.ours]
        doomed = [channel for channel in dialled_here if channel.shown is not None and outlived(channel.shown, now_shown, wall)]
        if doomed:
            log.info("%d channels are dialled anew, since the listener shows another certificate", len(doomed))
            self._spawn(partial(_end_in_turn, doomed))

    # --- use --------------------------------------------------------------------------------------------------------

    def _use(self, channel: Channel, *, ours_wins: bool, over: Callable[[], None] = lambda: None) -> None:
        """Have calls travel on a channel from now on, until it ends or another one takes its place. `over` is called at its end."""
        loser = self._register.take(channel.peer_id, Held(channel, channel.dialled), ours_wins=ours_wins)
        if loser is not None:
            self._spawn(partial(_retire, _channel(loser)))
        # What is kept for calls over HTTP lies idle as long as there is a channel.
        self._remote.forget(channel.peer_id)
        log.info("a channel opened, dialled by %s", "us" if channel.dialled else "the peer", extra={"peer": channel.peer_id})
        self._watch.set()
        if loser is None or loser.channel is not channel:
            self._parts.opened(channel.peer_id, channel.dialled)
        self._spawn(partial(self._carry, channel, over))

    async def _carry(self, channel: Channel, over: Callable[[], None]) -> None:
        ending: Ending | None = CUT_OFF
        try:
            ending = await channel.run()
        finally:
            log.info("a channel ended: %s", "the other end closed it" if ending is None else ending[1], extra={"peer": channel.peer_id})
            self._streams.pop(channel.source.connection_id, None)
            over()
            if self._register.drop(channel.peer_id, channel):
                self._parts.ended(channel.peer_id, trio.current_time() - channel.opened_at)

    async def keep_alive(self) -> None:
        """See to signs of life on every channel, for ever."""
        while True:
            now, self._watch = trio.current_time(), trio.Event()
            next_at = min((_channel(held).look(now) for held in self._register.all()), default=math.inf)
            with trio.CancelScope(deadline=next_at):
                await self._watch.wait()
            await trio.sleep_until(min(next_at, now) + CHANNEL_LOOK_S)


async def _retire(channel: Channel) -> None:
    """Let what is under way on a channel that lost its place finish, for a moment."""
    await trio.sleep(CHANNEL_RETIRED_S)
    channel.cut(REPLACED)


async def _end_in_turn(channels: list[Channel]) -> None:
    for channel in channels:
        channel.cut(OUTDATED)
        await trio.sleep(renewal_gap_s(len(channels)))


def _channel(held: Held) -> Channel:
    assert isinstance(held.channel, Channel)
    return held.channel


def _refusal(error: UpgradeRefused, url: str) -> RemoteReply:
    try:
        body = msgspec.json.decode(error.body or b"{}")
    except (msgspec.DecodeError, RecursionError):
        body = {}
    return RemoteReply(error.status, body if isinstance(body, dict) else {}, {}, url, 0.0)


def _reply(frame: AnswerFrame, channel: Channel, elapsed_s: float) -> RemoteReply | None:
    body = body_of(frame)
    if body is None or not 100 <= frame.status <= 599:
        channel.cut(BROKE_PROTOCOL)
        return None
    return RemoteReply(frame.status, body, frame.headers, channel.url, elapsed_s)
