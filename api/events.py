"""The event hub: what the platform's log of events gains, handed to any number of followers.

Lives here: following the log from any cursor, without gap or repeat and without a buffer per follower. Must not live here: WebSockets,
authentication, or the making of events.

A follower is a position in the log. It takes what lies behind its position: from the short memory that all followers share (each event is
encoded once), else from the store. So a slow follower costs no memory, and there is no moment at which replay turns into live delivery
and an event could be lost or doubled. A follower that had caught up and then falls far behind is told so and dropped: it reads too slowly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Protocol

import msgspec
import trio

from api.limits import EVENTS_BEHIND_MAX, EVENTS_KEPT, EVENTS_PER_READ, EVENTS_PER_TURN, SUBSCRIBERS_MAX
from runtime.clock import iso
from runtime.store.port import Event
from runtime.values import Value


class EventLog(Protocol):
    """The part of the store that the hub reads; committed events only."""

    def events(self, after: int, limit: int) -> list[Event]:
        """Events with a cursor greater than `after`, ascending."""
        ...

    def last_cursor(self) -> int:
        """The highest cursor ever assigned, 0 if none."""
        ...


class Frame(Value, frozen=True):
    """One event as it goes over the wire: a JSON object with cursor, kind, severity, at and payload."""

    cursor: int
    account_id: str | None
    text: str


class TooSlow(Exception):
    """The follower had caught up and fell too far behind since."""


class TooManySubscribers(Exception):
    """No further follower is taken."""


def encode(event: Event) -> Frame:
    """The frame of an event; `at` in ISO-8601."""
    told = {"cursor": event.cursor, "kind": event.kind, "severity": event.severity, "at": iso(event.at), "payload": event.payload}
    return Frame(event.cursor, event.account_id, msgspec.json.encode(told).decode())


class EventHub:
    """Fans events out. All methods belong to trio's thread."""

    def __init__(self, log: EventLog, *, kept: int = EVENTS_KEPT, behind_max: int = EVENTS_BEHIND_MAX) -> None:
        """
        Args:
            log: where history is read from.
            kept: events kept in memory for all followers together.
            behind_max: events by which a follower that had caught up may fall behind.
        """
        self._log = log
        self._kept = kept
        self._behind_max = behind_max
        self._recent: deque[Frame] = deque()
        self._last = log.last_cursor()
        self._news = trio.lowlevel.ParkingLot()
        self._subscribers = 0
        self._closed = False

    @property
    def last_cursor(self) -> int:
        """The newest event that the hub was told of."""
        return self._last

    @property
    def subscribers(self) -> int:
        """How many follow now."""
        return self._subscribers

    def publish(self, events: Sequence[Event]) -> None:
        """Tell of committed events, in the order of their cursors. Call it after the commit, never before.

        Events that were told already are skipped. If some were never told, followers find them in the log.
        """
        for event in events:
            if event.cursor <= self._last:
                continue
            if event.cursor != self._last + 1:
                self._recent.clear()
            self._recent.append(encode(event))
            self._last = event.cursor
            if len(self._recent) > self._kept:
                self._recent.popleft()
        self._news.unpark_all()

    def close(self) -> None:
        """End every subscription; new ones end at once."""
        self._closed = True
        self._news.unpark_all()

    def subscribe(self, after: int | None = None, account_id: str | None = None) -> Subscription:
        """Follow from behind the event `after`, or from now on if that is None. Use the result as a context manager.

        Args:
            account_id: leave out events of other accounts; None for all of them.

        Raises:
            ValueError: `after` lies in the future, so it was not seen on this platform.
            TooManySubscribers: try again later.
        """
        newest = max(self._last, self._log.last_cursor())
        if after is not None and not 0 <= after <= newest:
            raise ValueError(f"the newest event is {newest}")
        if self._subscribers >= SUBSCRIBERS_MAX:
            raise TooManySubscribers
        return Subscription(self, newest if after is None else after, account_id)

    def _read(self, position: int) -> list[Frame]:
        """What lies behind `position`, at most one turn's worth; empty if nothing does."""
        if self._recent and position >= self._recent[0].cursor - 1:
            start = position - self._recent[0].cursor + 1
            return list(islice(self._recent, start, start + EVENTS_PER_TURN))
        if position >= self._last:
            return []
        history = [encode(event) for event in self._log.events(position, EVENTS_PER_READ)]
        return history or list(islice(self._recent, EVENTS_PER_TURN))


class Subscription:
    """One follower's place in the log."""

    def __init__(self, hub: EventHub, position: int, account_id: str | None) -> None:
        self._hub = hub
        self._position = position
        self._account_id = account_id
        self._caught_up = False
        self._open = False

    def __enter__(self) -> Subscription:
        self._open = True
        self._hub._subscribers += 1
        return self

    def __exit__(self, *exception: object) -> None:
        if self._open:
            self._open = False
            self._hub._subscribers -= 1

    @property
    def position(self) -> int:
        """The cursor of the newest event handed over or left out."""
        return self._position

    async def next(self) -> Sequence[Frame]:
        """The next events, at least one, in order. Cancelling it loses none.

        Raises:
            TooSlow: see the class of that name.
            trio.EndOfChannel: the hub was closed.
        """
        hub = self._hub
        await trio.lowlevel.checkpoint()
        while True:
            if hub._closed:
                raise trio.EndOfChannel
            if self._caught_up and hub._last - self._position > hub._behind_max:
                raise TooSlow
            frames = hub._read(self._position)
            if not frames:
                self._caught_up = True
                await hub._news.park()
                continue
            self._position = frames[-1].cursor
            self._caught_up = self._caught_up or self._position >= hub._last
            wanted = [frame for frame in frames if self._account_id is None or frame.account_id in (None, self._account_id)]
            if wanted:
                return wanted
            await trio.lowlevel.checkpoint()
