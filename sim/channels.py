"""Peer channels at frame level: a kept path through the network on which both ends call each other.

Lives here: the port `OpenChannel`, whole calls and answers on a channel, and how each end notices its end. Must not live here: a rule of
the protocol (the door that answers is the production one), or which of two channels stays and what may travel (`actors.peer.channel`).

The outcomes and times are those of `net.channels`. What proves the listening side there, a signature over keying
material of the connection, needs no imitation: a simulated path cannot be relayed, so a certificate is shown if its key can be opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import attrs
import msgspec

from actors import certificates
from actors.door.call import Answer, Call, Source
from actors.door.channel.handlers import ChannelLeave
from actors.limits import CHANNEL_ANSWER_S, CHANNEL_BODY_BYTES_MAX, CHANNEL_CALLS_IN_FLIGHT_MAX
from actors.peer.channel import CHANNEL_PATH, NEEDS_AN_ADDRESS, Held, Register, ShownLeaf, may_travel, outlived, renewal_gap_s
from actors.peer.messages import ChannelEnded, ChannelOpened
from actors.peer.record import KIND as PEER
from actors.ports import (
    CHANNEL_URL,
    GRANT_BEARER_PURPOSE,
    ChannelOpen,
    ClientIdentity,
    OpenChannel,
    RemoteReply,
    RemoteRequest,
    ServerExpectation,
)
from net.limits import CHANNEL_PING_S, CHANNEL_PONG_S, CHANNEL_RETIRED_S, CHANNEL_SILENCE_MIN_S, CLIENT_HANDSHAKE_S
from net.remote_faults import no_identity, seal_broken, timed_out, unreachable
from net.vault import VaultError
from runtime.actor import Ref
from runtime.errors import Fault, RemoteFault
from runtime.values import evolve
from sim.clock import Timeout
from sim.connections import Connection, Dial
from sim.links import RETRANSMIT_FIRST_S
from sim.network import Direction, Path

if TYPE_CHECKING:
    from sim.world import Host

Done = Callable[[Any], None]

PATH_PREFIX = "/api/v1/system"
FRAME_BYTES = 100
"""A frame without its body."""
UPGRADE_BYTES = 600
PING_BYTES = 6
JSON = {"content-type": "application/json"}


@attrs.define(eq=False)
class End:
    """One end of a channel.

    Attributes:
        source: what the door here is told of the other end.
        identity: the certificate by which this end has proven itself.
        chain: what the listener of the listening end has shown.
        expectation: what that had to meet; None at the listening end.
        outward: the direction in which this end sends.
        heard_at: when something arrived last.
        waiting: calls of this end that are not answered yet, each with what it is told when the channel ends.
    """

    host: Host
    peer_id: str
    source: Source
    url: str
    outward: Direction
    opened_at: float
    heard_at: float
    identity: ClientIdentity | None = None
    chain: tuple[bytes, ...] = ()
    expectation: ServerExpectation | None = None
    ended: bool = False
    serving: int = 0
    incarnation: int = 0
    waiting: dict[int, Callable[[], None]] = attrs.field(factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the process that this end belongs to still runs."""
        return self.host.running and self.host.incarnation == self.incarnation


class SimulatedChannel:
    """One channel: the path that was dialled, and its two ends."""

    def __init__(self, path: Path, dialled: End, listening: End) -> None:
        self.path = path
        self.ends = (dialled, listening)
        self._numbers = 0
        path.on_end(self._reset)

    def other(self, end: End) -> End:
        """The opposite end."""
        return self.ends[1] if end is self.ends[0] else self.ends[0]

    def call(
        self,
        end: End,
        request: RemoteRequest,
        headers: Mapping[str, str],
        body: bytes,
        answered: Callable[[Answer, bytes], None],
        lost: Callable[[], None],
    ) -> int:
        """Send a call from an end; one of `answered` and `lost` is called, or none while nothing is known. Returns its number."""
        self._numbers += 1
        number = self._numbers
        end.waiting[number] = lost
        self._leave(
            end,
            FRAME_BYTES + len(body),
            lambda: self._arrived(end, number, request, headers, body, answered),
            lambda: number in end.waiting,
        )
        return number

    def cut(self, end: End) -> None:
        """End the channel from one end; the other hears of it if the news can pass."""
        if end.ended:
            return
        self._finish(end)
        other, now = self.other(end), end.host.world.timeline.now
        delay_s = self.path.news_s(end.outward, now) if self.path.state == "open" else None
        self.path.close()
        if delay_s is not None:
            end.host.world.timeline.after(delay_s, lambda: self._finish(other))

    def _reset(self) -> None:
        """The connection was reset: each end hears of it when the news has travelled to it."""
        for end in self.ends:
            now = end.host.world.timeline.now
            delay_s = self.path.news_s("back" if end.outward == "out" else "out", now)
            if delay_s is not None:
                end.host.world.timeline.after(delay_s, lambda end=end: self._finish(end))  # type: ignore[misc]

    def _finish(self, end: End) -> None:
        if end.ended or not end.alive:
            return
        end.ended = True
        waiting, end.waiting = list(end.waiting.values()), {}
        for lost in waiting:
            lost()
        channels = end.host.channels
        if channels is not None:
            channels.ended(self, end)

    def _leave(
        self, end: End, size: int, arrived: Callable[[], None], wanted: Callable[[], bool], again_s: float = RETRANSMIT_FIRST_S
    ) -> None:
        """Let a frame travel; what a cut stops or holds back is sent again for as long as anybody waits for it, as a stream would."""
        if not end.alive or end.ended or not wanted():
            return
        timeline = end.host.world.timeline

        def again() -> None:
            self._leave(end, size, arrived, wanted, again_s * 2)

        def landed() -> None:
            if self.path.is_cut(end.outward, timeline.now):
                timeline.after(again_s, again)
            else:
                arrived()

        transit = self.path.transit(end.outward, size, "frame", timeline.now)
        delay_s = transit.delay_s
        if delay_s is not None:
            timeline.after(delay_s, landed)
        elif transit.why == "cut":
            timeline.after(again_s, again)
        elif transit.why == "reset":
            self._finish(end)

    def _arrived(
        self,
        end: End,
        number: int,
        request: RemoteRequest,
        headers: Mapping[str, str],
        body: bytes,
        answered: Callable[[Answer, bytes], None],
    ) -> None:
        there = self.other(end)
        if there.ended or not there.alive:
            return
        here, server = end.host, there.host
        there.heard_at = server.world.timeline.now
        if there.serving >= CHANNEL_CALLS_IN_FLIGHT_MAX:
            self.cut(there)
            return
        there.serving += 1
        server.world.record("call", here.name, server.name, f"{request.method} {request.path}")
        read = server.release.reads(request.path, body)
        path, _, query = request.path.partition("?")
        call = Call(request.method, PATH_PREFIX + path, dict(parse_qsl(query)), headers, read, there.source)

        def decided(answer: Answer) -> None:
            there.serving -= 1
            raw = msgspec.json.encode(server.release.answers(request.path, answer.body))
            server.world.record("answer", server.name, here.name, f"{answer.status} {request.path}")
            self._leave(there, FRAME_BYTES + len(raw), lambda: returned(answer, raw), lambda: True)

        def returned(answer: Answer, raw: bytes) -> None:
            if not end.ended and end.alive and end.waiting.pop(number, None) is not None:
                end.heard_at = here.world.timeline.now
                answered(answer, raw)

        server.handle(call, decided, here.name)

    # --- signs of life -------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Let the dialling end ping, and both ends give up an end that is silent for too long."""
        self._after(self.ends[0], CHANNEL_PING_S, self._ping)
        for end in self.ends:
            self._listen(end)

    def _ping(self) -> None:
        end, now = self.ends[0], self.ends[0].host.world.timeline.now
        quiet_until = end.heard_at + CHANNEL_PING_S
        if now < quiet_until:
            self._after(end, quiet_until - now, self._ping)
        elif self._echoed():
            self._after(end, CHANNEL_PING_S, self._ping)
        else:
            self._after(end, CHANNEL_PONG_S, lambda: self._after(end, CHANNEL_PING_S, self._ping) if self._echoed() else self.cut(end))

    def _echoed(self) -> bool:
        (end, there), now = self.ends, self.ends[0].host.world.timeline.now
        listening = there.alive and not there.ended and there.host.responsive
        if listening and self.path.calm(CHANNEL_PONG_S, now):
            # Most pings of a quiet day: nothing is left to chance.
            there.heard_at = end.heard_at = now
            return True
        out_s = self.path.transit("out", PING_BYTES, "frame", now).delay_s
        if out_s is None or out_s > CHANNEL_PONG_S or not listening:
            return False
        there.heard_at = now
        back_s = self.path.transit("back", PING_BYTES, "frame", now).delay_s
        if back_s is None or out_s + back_s > CHANNEL_PONG_S:
            return False
        end.heard_at = now
        return True

    def _listen(self, end: End) -> None:
        silence_s = max(CHANNEL_SILENCE_MIN_S, 3 * end.host.federation.heartbeat_interval_s)
        left_s = end.heard_at + silence_s - end.host.world.timeline.now
        if left_s <= 0:
            self.cut(end)
        else:
            self._after(end, left_s, lambda: self._listen(end))

    def _after(self, end: End, delay_s: float, step: Callable[[], None]) -> None:
        end.host.world.timeline.after(delay_s, lambda: step() if end.alive and not end.ended else None)


@attrs.frozen
class _Use:
    """A channel as one of its ends uses it."""

    channel: SimulatedChannel
    end: End


class SimulatedChannels:
    """The channels of one incarnation of one host."""

    def __init__(self, host: Host, presented: Callable[[Any], tuple[bytes, ...] | str]) -> None:
        """`presented`: the certificates behind an identity, or why they cannot be shown."""
        self.host = host
        self._presented = presented
        self._incarnation = host.incarnation
        self._register = Register()

    @property
    def alive(self) -> bool:
        """Whether the process that these belong to still runs."""
        return self.host.running and self.host.incarnation == self._incarnation

    # --- calls ---------------------------------------------------------------------------------------------------

    def request(self, request: RemoteRequest, done: Done, otherwise: Callable[[RemoteRequest, Done], None]) -> None:
        """Send a request on the channel, if there is one; `otherwise` takes what has to go over HTTP, with the time that is left."""
        use, timeline = self._usable(request), self.host.world.timeline
        if use is None:
            otherwise(request, done)
            return
        presented = self._presented(request.identity)
        if isinstance(presented, str):
            done(no_identity(presented))
            return
        try:
            headers = self._headers(request)
        except VaultError:
            done(seal_broken("authorization"))
            return
        started, finished = timeline.now, False
        told = self.host.release.sends(request.path, dict(request.body) if request.body is not None else None)
        limit: list[Timeout] = []

        def finish() -> bool:
            nonlocal finished
            first, finished = not finished, True
            limit[0].cancel()
            return first and self.host.running and self.host.incarnation == self._incarnation

        def answered(answer: Answer, raw: bytes) -> None:
            if len(raw) > CHANNEL_BODY_BYTES_MAX:
                lost()
            elif answer.body is not None and answer.body.get("code") == NEEDS_AN_ADDRESS:
                ask_again(RemoteReply(answer.status, msgspec.json.decode(raw), dict(answer.headers), use.end.url, timeline.now - started))
            elif finish():
                body = msgspec.json.decode(raw) if answer.body is not None else {}
                done(RemoteReply(answer.status, body, dict(answer.headers), use.end.url, timeline.now - started))

        def lost() -> None:
            if finish():
                left_s = request.timeout_s - (timeline.now - started)
                if left_s <= 0:
                    done(timed_out(request.timeout_s, [{"url": use.end.url, "reachable": True}]))
                else:
                    otherwise(evolve(request, timeout_s=left_s), done)

        def ask_again(refused: RemoteReply) -> None:
            if finish():
                left_s = request.timeout_s - (timeline.now - started)
                if left_s <= 0:
                    done(refused)
                else:
                    left = evolve(request, timeout_s=left_s)
                    otherwise(left, lambda outcome: done(refused if isinstance(outcome, Fault) else outcome))

        limit.append(timeline.timeout(min(CHANNEL_ANSWER_S, request.timeout_s), lambda: use.channel.cut(use.end)))
        use.channel.call(use.end, request, headers, b"" if told is None else msgspec.json.encode(told), answered, lost)

    def _headers(self, request: RemoteRequest) -> Mapping[str, str]:
        if request.sealed_bearer is None:
            return JSON
        return {**JSON, "authorization": f"Bearer {self.host.vault.open(request.sealed_bearer, GRANT_BEARER_PURPOSE).reveal()}"}

    def tell(self, peer_id: str, path: str, body: bytes, answered: Callable[[int], None], lost: Callable[[], None]) -> bool:
        """Call a peer on its channel and in no other way; False if there is none."""
        held = self._register.held(peer_id)
        use = None if held is None else _use(held)
        if use is None or use.end.ended or not self._proven_still(use.end, use.end.expectation):
            return False
        request = RemoteRequest(
            peer_id=peer_id,
            method="POST",
            path=path,
            body=None,
            urls=(),
            identity=None,
            expectation=ServerExpectation(),
            timeout_s=CHANNEL_ANSWER_S,
        )
        use.channel.call(use.end, request, JSON, body, lambda answer, raw: answered(answer.status), lost)
        return True

    def _usable(self, request: RemoteRequest) -> _Use | None:
        held = self._register.held(request.peer_id)
        plain = not request.sealed_fields and not request.server_must_prove
        if held is None or request.identity is None or not plain or not may_travel(request.method, request.path):
            return None
        use = _use(held)
        if use.end.ended or len(use.end.waiting) >= CHANNEL_CALLS_IN_FLIGHT_MAX:
            return None
        if use.end.identity != request.identity or not self._proven_still(use.end, request.expectation):
            use.channel.cut(use.end)
            return None
        return use

    def _proven_still(self, end: End, expectation: ServerExpectation | None) -> bool:
        """Whether what the other end has shown makes it this peer now."""
        if self.host.door.other_end(end.source) != end.peer_id:
            return False
        if end.expectation is None or expectation is None:
            return True
        return self.host.world.server_checks.unproven(end.chain, expectation, self.host.clock.wall()) is None

    def renew(self) -> None:
        """Our listener shows another certificate: have those peers dial anew, one after the other, that have seen one that is outlived."""
        now_shown, wall = shown_leaf(self.host.server_chain), self.host.clock.wall()
        uses = [_use(held) for held in self._register.all() if not held.ours]
        doomed = [use for use in uses if outlived(shown_leaf(use.end.chain), now_shown, wall)]
        for number, use in enumerate(doomed):
            self.host.world.timeline.after(number * renewal_gap_s(len(doomed)), partial(self._end, use))

    def _end(self, use: _Use) -> None:
        if use.end.alive:
            use.channel.cut(use.end)

    # --- dialling ------------------------------------------------------------------------------------------------

    def open(self, request: OpenChannel, done: Done) -> None:
        """See that there is a channel; see `actors.ports.OpenChannel`."""
        held = self._register.held(request.peer_id)
        if held is not None and not _use(held).end.ended:
            done(ChannelOpen(_use(held).end.url))
            return
        presented = self._presented(request.identity)
        if isinstance(presented, str):
            done(no_identity(presented))
            return
        attempt = _Attempt(self, request, presented, done)
        attempt.limit = self.host.world.timeline.timeout(request.timeout_s, attempt.expire)
        attempt.next_url()

    def use(self, channel: SimulatedChannel, end: End, *, ours: bool, ours_wins: bool) -> None:
        """Have calls travel on a channel, until it ends or another one takes its place."""
        loser = self._register.take(end.peer_id, Held(_Use(channel, end), ours), ours_wins=ours_wins)
        if loser is None or _use(loser).end is not end:
            self.host.engine.tell(Ref(PEER.name, end.peer_id), ChannelOpened(ours))
            self.host._pump_now()
        if loser is not None:
            gone = _use(loser)
            self.host.world.timeline.after(CHANNEL_RETIRED_S, lambda: gone.channel.cut(gone.end) if gone.end.alive else None)

    def ended(self, channel: SimulatedChannel, end: End) -> None:
        """An end of ours has noticed that its channel is over."""
        held = self._register.held(end.peer_id)
        if held is not None and _use(held).end is end and self._register.drop(end.peer_id, held.channel):
            host = self.host
            host.engine.tell(Ref(PEER.name, end.peer_id), ChannelEnded(host.world.timeline.now - end.opened_at))
            host._pump_now()

    def cut(self, peer_id: str) -> None:
        """End the channel with a peer whose peering is paused or over."""
        held = self._register.held(peer_id)
        if held is not None:
            _use(held).channel.cut(_use(held).end)

    def __len__(self) -> int:
        return len(self._register)

    def in_use(self, peer_id: str) -> SimulatedChannel | None:
        """The channel that this platform uses with a peer, for whoever watches; None if there is none or its end is known here."""
        held = self._register.held(peer_id)
        return None if held is None or _use(held).end.ended else _use(held).channel

    def prove(self, identity: Any) -> tuple[bytes, ...] | None:
        """The certificates that this host shows to whoever dialled; None if it cannot."""
        presented = self._presented(identity)
        return None if isinstance(presented, str) or not presented else presented


@attrs.define(eq=False)
class _Attempt:
    """One attempt to have a channel, until its one outcome."""

    channels: SimulatedChannels
    request: OpenChannel
    presented: tuple[bytes, ...]
    done: Done
    probed: list[dict[str, Any]] = attrs.field(factory=list)
    index: int = 0
    finished: bool = False
    limit: Timeout | None = None
    connection: Connection | None = None
    channel: SimulatedChannel | None = None

    def expire(self) -> None:
        """The time limit has come: whoever has taken the connection for a channel meanwhile hears that nobody is there."""
        if self.channel is not None:
            self.channel.cut(self.channel.ends[0])
        elif self.connection is not None:
            self.connection.close()
        self.finish(timed_out(self.request.timeout_s, self.probed))

    def finish(self, outcome: Any) -> None:
        """Hand over the outcome."""
        host = self.channels.host
        if self.finished:
            return
        self.finished = True
        if self.limit is not None:
            self.limit.cancel()
        if host.running and host.channels is self.channels:
            self.done(outcome)

    def next_url(self) -> None:
        """Dial the next URL in order."""
        if self.finished:
            return
        if self.index == len(self.request.urls):
            self.finish(unreachable(self.probed))
            return
        url = self.request.urls[self.index]
        self.index += 1
        self.probed.append({"url": url, "reachable": False})
        limits = self.request.connect_timeout_s, CLIENT_HANDSHAKE_S
        Dial(self.channels.host, url, self.presented, self.request.expectation, *limits, self._opened, self._not_ready).start()

    def _not_ready(self, code: str, reason: str) -> None:
        self.probed[-1].update(error=code, reason=reason)
        self.next_url()

    def _opened(self, connection: Connection) -> None:
        if self.finished:
            connection.close()
            return
        self.connection = connection
        timeline = self.channels.host.world.timeline
        delay_s = connection.path.transit("out", UPGRADE_BYTES, "frame", timeline.now).delay_s
        if delay_s is not None:
            timeline.after(delay_s, lambda: self._asked(connection))

    def _asked(self, connection: Connection) -> None:
        """The upgrade has arrived at the other door."""
        server, here = connection.server, self.channels.host
        if connection.gone or connection.path.is_cut("out", here.world.timeline.now):
            return
        if server.incarnation != connection.server_incarnation or not server.responsive:
            return
        there = server.channels
        path = f"{PATH_PREFIX}{CHANNEL_PATH}"
        server.world.record("call", here.name, server.name, f"GET {CHANNEL_PATH}")
        leave = None if there is None else server.door.open_channel(Call("GET", path, {}, {}, b"", connection.source))
        if there is None or leave is None:
            self._answered(connection, lambda: self.finish(_no_channel("the remote holds none")))
            return
        if isinstance(leave, Answer):
            refusal = leave
            server.world.record("answer", server.name, here.name, f"{refusal.status} {CHANNEL_PATH}")
            reply = RemoteReply(
                refusal.status, msgspec.json.decode(msgspec.json.encode(refusal.body)), {}, self.request.urls[self.index - 1], 0.0
            )

            def refused() -> None:
                connection.close()
                self.finish(reply)

            self._answered(connection, refused)
            return
        certificates = there.prove(leave.identity)
        if certificates is None:
            self._answered(connection, lambda: self.finish(_no_channel("the remote has no identity for us")))
            return
        server.world.record("answer", server.name, here.name, f"101 {CHANNEL_PATH}")
        channel = self.channel = self._made(connection, certificates, leave)
        there.use(channel, channel.ends[1], ours=False, ours_wins=leave.ours_wins)
        self._answered(connection, lambda: self._proven(channel))

    def _made(self, connection: Connection, certificates: tuple[bytes, ...], leave: ChannelLeave) -> SimulatedChannel:
        here, server, now = self.channels.host, connection.server, self.channels.host.world.timeline.now
        url = self.request.urls[self.index - 1]
        address = here.world.network.public_address(server.name)
        seen = Source(address, "tls", certificates, f"{server.name}:channel", channel=True, dialled=True)
        ours = End(here, self.request.peer_id, seen, url, "out", now, now, self.request.identity, incarnation=here.incarnation)
        ours.chain, ours.expectation = connection.chain, self.request.expectation
        known = evolve(connection.source, channel=True)
        theirs = End(server, leave.peer_id, known, CHANNEL_URL, "back", now, now, leave.identity, incarnation=server.incarnation)
        theirs.chain = connection.chain
        return SimulatedChannel(connection.path, ours, theirs)

    def _answered(self, connection: Connection, then: Callable[[], Any]) -> None:
        timeline = self.channels.host.world.timeline
        delay_s = connection.path.transit("back", UPGRADE_BYTES, "frame", timeline.now).delay_s

        def landed() -> None:
            if self.channels.alive and not connection.path.is_cut("back", timeline.now):
                then()

        if delay_s is not None:
            timeline.after(delay_s, landed)

    def _proven(self, channel: SimulatedChannel) -> None:
        """The proof of the other end has come back."""
        end = channel.ends[0]
        if self.finished or self.channels.host.door.other_end(end.source) != self.request.peer_id:
            channel.cut(end)
            self.finish(_no_channel("the certificate of the remote is not that of this peer"))
            return
        self.channels.use(channel, end, ours=True, ours_wins=self.request.ours_wins)
        channel.watch()
        self.finish(ChannelOpen(end.url))


@lru_cache(maxsize=4096)
def shown_leaf(chain: tuple[bytes, ...]) -> ShownLeaf:
    """What a listener shows with this chain."""
    leaf = certificates.parse_leaf(chain[0], name_required=False)
    assert not isinstance(leaf, str)
    return ShownLeaf(certificates.fingerprint(chain[-1]), leaf.not_before, leaf.not_after)


def _use(held: Held) -> _Use:
    assert isinstance(held.channel, _Use)
    return held.channel


def _no_channel(reason: str) -> RemoteFault:
    return RemoteFault("remote_error", "the remote opened no channel", 502, {"reason": reason})
