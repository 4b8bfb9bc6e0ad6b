"""Wall-clock deadlines of records, in memory: one for each record that has one.

Lives here: finding what is due. Must not live here: clocks, timers or messages (see `engine`). There may be a million deadlines, nearly
all of them far away, so that only those of the current stretch of time stand in a heap; the others are bare ids in coarse buckets.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping
from typing import Final

from runtime.actor import Ref
from runtime.limits import WALL_STEP_S

BUCKET_S: Final = 256.0
NEVER: Final = 1e15
"""Seconds since the epoch from which a deadline counts as none (thirty million years)."""

_STALE_MIN: Final = 1_024


def has_come(at: float | None, wall: float, put_off_s: float) -> bool:
    """Whether it is time to look again at `at` (seconds since the epoch), a moment that is never set further ahead than `put_off_s`.

    It is, too, if the moment is further away than that: then it was set by a clock that was ahead and has been put right since.
    """
    return at is not None and not wall < at <= wall + put_off_s + WALL_STEP_S


class Deadlines:
    """At most one deadline per record; setting it again moves it."""

    def __init__(self) -> None:
        self._at: dict[str, dict[str, float]] = {}
        self._near: list[tuple[float, Ref]] = []
        self._far: dict[tuple[float, str], list[str]] = {}
        self._far_order: list[tuple[float, str]] = []
        self._opened = -math.inf
        self._entries = 0
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def get(self, ref: Ref) -> float | None:
        """The deadline of `ref`, or None."""
        return self._at.get(ref.kind, {}).get(ref.id)

    def set(self, ref: Ref, at: float | None) -> None:
        """Make `at` (seconds since the epoch; None for none) the deadline of `ref`."""
        of_kind = self._at.setdefault(ref.kind, {})
        former = of_kind.get(ref.id)
        if at is None or not at < NEVER:
            if former is not None:
                del of_kind[ref.id]
                self._live -= 1
            return
        if former == at:
            return
        self._live += former is None
        of_kind[ref.id] = at
        self._file(ref, at)
        if self._entries > 2 * self._live + _STALE_MIN:
            self._rebuild()

    def doubtful(self, wall: float, put_off_s: Mapping[str, float]) -> list[Ref]:
        """Records whose deadline is further ahead than looks of their kind are put off; other kinds have dates of their own."""
        found: list[Ref] = []
        for kind, longest_s in sorted(put_off_s.items()):
            far = wall + longest_s + WALL_STEP_S
            found += [Ref(kind, id) for id, at in self._at.get(kind, {}).items() if at > far]
        return found

    def earliest(self) -> float:
        """No deadline lies before this moment; infinity if there is none at all."""
        near = self._near
        while near and self.get(near[0][1]) != near[0][0]:
            heapq.heappop(near)
            self._entries -= 1
        if near:
            return near[0][0]
        return self._far_order[0][0] * BUCKET_S if self._far_order else math.inf

    def due(self, wall: float, limit: int) -> list[Ref]:
        """At most `limit` records whose deadline is at or before `wall`, earliest first. They are forgotten until set anew."""
        while self._far_order and self._far_order[0][0] * BUCKET_S <= wall:
            self._open(*heapq.heappop(self._far_order))
        found: list[Ref] = []
        while len(found) < limit and self.earliest() <= wall and self._near:
            ref = heapq.heappop(self._near)[1]
            self._entries -= 1
            self.set(ref, None)
            found.append(ref)
        return found

    def _file(self, ref: Ref, at: float) -> None:
        self._entries += 1
        bucket = at // BUCKET_S
        if bucket <= self._opened:
            heapq.heappush(self._near, (at, ref))
            return
        key = (bucket, ref.kind)
        ids = self._far.get(key)
        if ids is None:
            ids = self._far[key] = []
            heapq.heappush(self._far_order, key)
        ids.append(ref.id)

    def _open(self, bucket: float, kind: str) -> None:
        self._opened = bucket
        of_kind = self._at[kind]
        ids = self._far.pop((bucket, kind))
        self._entries -= len(ids)
        for id in dict.fromkeys(ids):
            at = of_kind.get(id)
            if at is not None and at // BUCKET_S == bucket:
                heapq.heappush(self._near, (at, Ref(kind, id)))
                self._entries += 1

    def _rebuild(self) -> None:
        """Drop the entries of deadlines that have moved, before they outnumber the others."""
        self._near, self._far, self._far_order, self._entries = [], {}, [], 0
        for kind, of_kind in self._at.items():
            for id, at in of_kind.items():
                self._file(Ref(kind, id), at)
