"""The only door to time.

Lives here: the `Clock` protocol, its production side, and the two pure conversions between wall seconds and ISO-8601 text.
Must not live here: sleeping or scheduling (see `timers`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol


class Clock(Protocol):
    """Time as one host sees it."""

    def now(self) -> float:
        """Monotonic seconds from an arbitrary origin; for durations."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch as this host believes; for deadlines of tokens, certificates and leases."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


@lru_cache(maxsize=4_096)
def iso(wall: float) -> str:
    """`wall` (seconds since the epoch) as ISO-8601 UTC with milliseconds and `Z`."""
    return iso_once(wall)


def iso_once(wall: float) -> str:
    """As `iso`, for an instant that nobody will ask for again, so that it pushes no other out of memory."""
    whole = int(wall)
    microseconds = round((wall - whole) * 1e6)
    if not 0 <= microseconds < 1_000_000:
        carried, microseconds = divmod(microseconds, 1_000_000)
        whole += carried
    return f"{_iso_second(whole)}.{microseconds // 1000:03}Z"


@lru_cache(maxsize=1_024)
def _iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat(timespec="seconds").removesuffix("+00:00")


def iso_or_none(wall: float | None) -> str | None:
    """`iso`, keeping None."""
    return None if wall is None else iso(wall)


def parse_iso(text: str) -> float:
    """Seconds since the epoch of an ISO-8601 instant that names its zone.

    Raises:
        ValueError: not an instant, or one without a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("an instant needs a zone, for example a trailing Z")
    return moment.timestamp()
