"""Rate limits: pure token buckets and a block list, both in tables that cannot grow.

Lives here: counting. Must not live here: which call is counted under which key, and reading a clock: `now` is monotonic seconds from the
caller.

A bucket is kept as one number, the time at which it will be full again (the virtual scheduling form of the generic cell rate algorithm,
ITU-T I.371). A bucket that is full says no more than no bucket at all, so only full ones are ever dropped: flooding the table with new
keys cannot give a spent key its tokens back. When no bucket can be dropped, new keys share a fixed number of overflow buckets, which
makes newcomers wait and touches nobody else.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
from collections import OrderedDict
from typing import Final

import attrs

from actors.settings import Limit

BUCKETS_MAX: Final = 65_536
OVERFLOW_BUCKETS: Final = 1_024
DROP_TRIES: Final = 8
TRACKED_SOURCES_MAX: Final = 8_192
SOURCE_PREFIX_BITS: Final = 64
SOURCE_KEYS: Final = 4_096
"""Addresses whose keys are remembered."""

assert OVERFLOW_BUCKETS < BUCKETS_MAX


@functools.lru_cache(SOURCE_KEYS)
def source_key(address: str) -> str:
    """What counts as one source: an IPv4 address, or the /64 of an IPv6 address, since one host usually owns all of that.

    An IPv4 address in its IPv6 form is that IPv4 address. Text that is no address is its own source.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed) >> 64 << 64, SOURCE_PREFIX_BITS)))


@attrs.define(eq=False)
class RateLimits:
    """Token buckets by key. A key must always be used with the same limit, so let it begin with the limit's name.

    Attributes:
        salt: secret bytes that decide which newcomers share an overflow bucket, so that nobody can aim at another.
        buckets_max: most keys remembered one by one.
    """

    salt: bytes = attrs.field(repr=False)
    buckets_max: int = BUCKETS_MAX
    _full_at: OrderedDict[str, float] = attrs.field(factory=OrderedDict, init=False, repr=False)
    _overflow: dict[int, float] = attrs.field(factory=dict, init=False, repr=False)

    def take(self, key: str, limit: Limit, now: float) -> float | None:
        """Take one token: None if there was one, else the seconds until there will be. A refusal costs nothing.

        In any stretch of t seconds a key is granted at most `burst + t * rate / per_s` tokens.
        """
        slot = None
        known = self._full_at.get(key)
        if known is None and not self._has_room(now):
            slot = self._slot(key)
        full_at = known if known is not None else self._overflow.get(self._slot(key) if slot is None else slot, now)
        interval_s = limit.per_s / limit.rate
        after = max(full_at, now) + interval_s
        wait_s = after - now - limit.burst * interval_s
        # The margin forgives rounding: without it a token due exactly now would be refused for a few nanoseconds.
        if wait_s > interval_s * 1e-9:
            return wait_s
        if slot is None:
            self._full_at[key] = after
            self._full_at.move_to_end(key)
        else:
            self._overflow[slot] = after
        return None

    def __len__(self) -> int:
        return len(self._full_at) + len(self._overflow)

    def _has_room(self, now: float) -> bool:
        """Make room for one key by dropping full buckets, the longest unused first."""
        for _ in range(DROP_TRIES):
            if len(self._full_at) < self.buckets_max:
                return True
            key, full_at = self._full_at.popitem(last=False)
            if full_at > now:
                self._full_at[key] = full_at
        return len(self._full_at) < self.buckets_max

    def _slot(self, key: str) -> int:
        # A key that comes back from the overflow starts with what its shared bucket has left, never with a fresh one.
        digest = hashlib.blake2b(key.encode(), digest_size=8, key=self.salt[:64]).digest()
        return int.from_bytes(digest, "big") % OVERFLOW_BUCKETS


@attrs.define
class _Failures:
    """Failures of one source in a row, and until when it is blocked (monotonic seconds)."""

    count: int
    last_at: float
    blocked_until: float = 0.0


@attrs.define(eq=False)
class Blocks:
    """Sources that failed several times in a row, kept out for a while.

    Attributes:
        after: failures in a row that block.
        for_s: seconds of a block, and seconds after which an unfinished row of failures is forgotten.
        sources_max: most sources remembered. Blocked ones are never forgotten to make room for others.
    """

    after: int
    for_s: float
    sources_max: int = TRACKED_SOURCES_MAX
    _sources: OrderedDict[str, _Failures] = attrs.field(factory=OrderedDict, init=False, repr=False)

    def blocked_for(self, source: str, now: float) -> float | None:
        """Seconds until the source may try again, or None if it may now."""
        known = self._sources.get(source)
        if known is None or known.blocked_until <= now:
            return None
        return known.blocked_until - now

    def failed(self, source: str, now: float) -> bool:
        """Note a failure; whether the source is blocked from now on."""
        known = self._sources.get(source)
        if known is None or known.last_at + self.for_s <= now:
            if known is None and not self._make_room(now):
                return False
            known = self._sources[source] = _Failures(0, now)
        known.count += 1
        known.last_at = now
        self._sources.move_to_end(source)
        if known.count < self.after:
            return False
        known.count, known.blocked_until = 0, now + self.for_s
        return True

    def succeeded(self, source: str) -> None:
        """Note a success: the row of failures is broken."""
        self._sources.pop(source, None)

    def __len__(self) -> int:
        return len(self._sources)

    def _make_room(self, now: float) -> bool:
        for _ in range(DROP_TRIES):
            if len(self._sources) < self.sources_max:
                return True
            source, oldest = self._sources.popitem(last=False)
            if oldest.blocked_until > now:
                self._sources[source] = oldest
        return len(self._sources) < self.sources_max
