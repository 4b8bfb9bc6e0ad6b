"""What lies between two hosts, per direction: time on the way, bandwidth, loss, lies of the network, partitions.

Lives here: whether and when something arrives, and how often. Must not live here: what is in it, who may reach whom (see `network`),
or what a stream does about a lost segment beyond being late.

Three kinds of things travel:

* `frame`: a whole request or answer (frame level). Lost means never heard of again on that connection.
* `segment`: a part of a stream (connecting, TLS, socket level). A lost one is sent again, so loss shows as delay; only a cut loses it.
* `datagram`: may be lost, late, twice, out of order, damaged.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Final, Literal, Protocol

import attrs

from runtime.values import Value

Kind = Literal["frame", "segment", "datagram"]
Why = Literal["", "cut", "loss", "queue", "closed", "reset"]
"""`closed`: the connection is over, and nothing comes back; `reset`: the other end says that it knows nothing of it."""

RETRANSMIT_FIRST_S: Final = 0.2
"""When a segment is sent again for the first time; each further time doubles (RFC 6298 with the minimum that is in use)."""
RETRANSMITS_MAX: Final = 8
DUPLICATE_DELAY_MAX_S: Final = 0.05
REORDER_DELAY_MAX_S: Final = 0.25


class Latency(Protocol):
    """How long something is under way, seconds; `longest_s` is what no draw exceeds."""

    @property
    def longest_s(self) -> float: ...

    def draw(self, chance: random.Random) -> float: ...


@attrs.frozen
class Fixed:
    """Always the same."""

    seconds: float

    @property
    def longest_s(self) -> float:
        return self.seconds

    def draw(self, chance: random.Random) -> float:
        return self.seconds


@attrs.frozen
class Uniform:
    """Anything between two bounds, seconds."""

    least_s: float
    most_s: float

    @property
    def longest_s(self) -> float:
        return max(self.least_s, self.most_s)

    def draw(self, chance: random.Random) -> float:
        return self.least_s + (self.most_s - self.least_s) * chance.random()


@attrs.frozen
class LogNormal:
    """Half of all times are below `median_s`; the larger `sigma`, the longer the tail."""

    median_s: float
    sigma: float

    @property
    def longest_s(self) -> float:
        return math.inf

    def draw(self, chance: random.Random) -> float:
        return self.median_s * math.exp(self.sigma * chance.gauss(0.0, 1.0))


@attrs.frozen
class Bimodal:
    """Mostly the one, and by the chance `slow_share` the other."""

    usual: Latency
    slow: Latency
    slow_share: float

    @property
    def longest_s(self) -> float:
        return max(self.usual.longest_s, self.slow.longest_s)

    def draw(self, chance: random.Random) -> float:
        return (self.slow if chance.random() < self.slow_share else self.usual).draw(chance)


@attrs.frozen
class Burst:
    """Loss in bursts (Gilbert 1960): each thing sent may begin a burst, in which everything is lost, or end it."""

    begin: float
    end: float


@attrs.frozen
class Flap:
    """A way that comes and goes by itself: `up_s`, then `down_s`, again and again from `since` on."""

    up_s: float
    down_s: float
    since: float = 0.0

    def down(self, now: float) -> bool:
        """Whether the way is cut at `now`."""
        return now >= self.since and (now - self.since) % (self.up_s + self.down_s) >= self.up_s


class Transit(Value, frozen=True):
    """What becomes of one thing sent.

    Attributes:
        delays_s: after how long each copy arrives; none if it never does.
        corrupted: a bit of it is wrong (datagrams).
        why: if nothing arrives, why.
    """

    delays_s: tuple[float, ...]
    corrupted: bool = False
    why: Why = ""

    @property
    def delay_s(self) -> float | None:
        """When the first copy arrives, or None."""
        return self.delays_s[0] if self.delays_s else None


CUT: Final = Transit((), why="cut")
LOST: Final = Transit((), why="loss")
DROPPED: Final = Transit((), why="queue")
CLOSED: Final = Transit((), why="closed")
RESET: Final = Transit((), why="reset")


@attrs.define
class Link:
    """One direction between two hosts. Its nature comes first and stays; its faults follow, and `heal` ends them.

    Attributes:
        latency, jitter_s: time on the way; up to `jitter_s` comes on top.
        bytes_per_s, queue_bytes_max: bandwidth (None: unlimited) and how much may wait for it. A short queue drops its tail, a long one
            keeps everybody waiting (bufferbloat).
        loss, burst: chances that something is lost, singly and in bursts.
        duplicate, reorder, corrupt: chances, for datagrams.
        short_reads: the chance that a reader gets less of a stream than is there.
        cut, flap: nothing passes.
        stalled_until: what is sent before this moment waits for it.
    """

    latency: Latency = Uniform(0.005, 0.020)
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    queue_bytes_max: float = math.inf
    loss: float = 0.0
    burst: Burst | None = None
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    short_reads: float = 0.0
    cut: bool = False
    flap: Flap | None = None
    stalled_until: float = 0.0
    _busy_until: float = attrs.field(default=0.0, init=False)
    _in_burst: bool = attrs.field(default=False, init=False)

    def is_cut(self, now: float) -> bool:
        """Whether nothing passes at `now`."""
        return self.cut or (self.flap is not None and self.flap.down(now))

    def calm_s(self, now: float) -> float:
        """After how long at most any frame that is sent now has arrived, whatever chance says; infinity if one might not arrive."""
        if (
            self.cut
            or self.flap is not None
            or self.loss
            or self.burst is not None
            or self.bytes_per_s is not None
            or self.stalled_until > now
        ):
            return math.inf
        return self.latency.longest_s + self.jitter_s

    def transit(self, now: float, size: int, kind: Kind, chance: random.Random) -> Transit:
        """What becomes of `size` bytes that are sent at `now`."""
        if self.cut or (self.flap is not None and self.flap.down(now)):
            return CUT
        if not self.loss and self.burst is None and self.bytes_per_s is None:
            return self._arriving(now, 0.0, kind, chance)
        again_s = 0.0
        for attempt in range(RETRANSMITS_MAX):
            why = self._dropped(now + again_s, size, chance)
            if not why:
                return self._arriving(now, again_s, kind, chance)
            if kind == "datagram" or (kind == "frame" and why == "loss"):
                return LOST if why == "loss" else DROPPED
            again_s += RETRANSMIT_FIRST_S * 2**attempt
        return LOST

    def heal(self) -> None:
        """End every fault; the nature of the link stays."""
        self.cut, self.flap, self.stalled_until = False, None, 0.0
        self.loss, self.burst, self._in_burst = 0.0, None, False
        self.duplicate = self.reorder = self.corrupt = self.short_reads = 0.0

    def _dropped(self, now: float, size: int, chance: random.Random) -> Why:
        if self.burst is not None:
            turned = chance.random() < (self.burst.end if self._in_burst else self.burst.begin)
            self._in_burst ^= turned
            if self._in_burst:
                return "loss"
        if self.loss and chance.random() < self.loss:
            return "loss"
        if self.bytes_per_s is None:
            return ""
        starts_at = max(self._busy_until, now)
        if (starts_at - now) * self.bytes_per_s + size > self.queue_bytes_max:
            return "queue"
        self._busy_until = starts_at + size / self.bytes_per_s
        return ""

    def _arriving(self, now: float, again_s: float, kind: Kind, chance: random.Random) -> Transit:
        delay_s = again_s + self.latency.draw(chance)
        if self.jitter_s:
            delay_s += chance.uniform(0.0, self.jitter_s)
        if self.bytes_per_s is not None:
            delay_s += max(0.0, self._busy_until - now - again_s)
        if self.stalled_until > now:
            delay_s += self.stalled_until - now
        if kind != "datagram":
            return Transit((delay_s,))
        if self.reorder and chance.random() < self.reorder:
            delay_s += chance.uniform(0.0, REORDER_DELAY_MAX_S)
        delays_s: tuple[float, ...] = (delay_s,)
        if self.duplicate and chance.random() < self.duplicate:
            delays_s = (delay_s, delay_s + chance.uniform(0.0, DUPLICATE_DELAY_MAX_S))
        return Transit(delays_s, corrupted=bool(self.corrupt) and chance.random() < self.corrupt)


class Links:
    """All links of a world, made on first use."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self._links: dict[tuple[str, str], Link] = {}

    def between(self, source: str, target: str) -> Link:
        """The link from `source` to `target`."""
        link = self._links.get((source, target))
        if link is None:
            link = self._links[(source, target)] = Link()
        return link

    def __len__(self) -> int:
        return len(self._links)

    def items(self) -> Iterator[tuple[tuple[str, str], Link]]:
        """Every link that has been used, with its two ends, in order of first use."""
        return iter(self._links.items())

    def both(self, one: str, other: str, *, oneway: bool = False) -> tuple[Link, ...]:
        """The link from `one` to `other`, and the one back unless `oneway`."""
        there = self.between(one, other)
        return (there,) if oneway else (there, self.between(other, one))

    def partition(self, one: str, other: str, *, oneway: bool = False) -> None:
        """Cut the way from `one` to `other`, and back unless `oneway`."""
        for link in self.both(one, other, oneway=oneway):
            link.cut = True

    def heal(self) -> None:
        """Undo every fault of every link."""
        for link in self._links.values():
            link.heal()
