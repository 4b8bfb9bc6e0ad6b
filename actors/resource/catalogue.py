"""The account's catalogue as one small record: the stamp that orders its writes.

Lives here: the record and its kind. Must not live here: the resources themselves (see `record`).

All writes of an account pass through one actor, so several records change together or not at all, and the stamps of two writes always
tell which came first: whoever follows changes from a stamp misses nothing, even if the clock of the host steps back.
"""

from __future__ import annotations

from typing import Final

from runtime.store.port import Kind
from runtime.values import Value

STAMP_STEP_S: Final = 1e-6
"""Least distance of two stamps; four times what a float can tell apart in this century."""


class Catalogue(Value, frozen=True, kw_only=True):
    """One account's catalogue; its id is the account's.

    Attributes:
        stamp: `updated_at` of the newest write, seconds since the epoch.
    """

    id: str
    version: int = 0
    stamp: float = 0.0


KIND: Final = Kind(name="catalogue", record=Catalogue)


def next_stamp(stamp: float, wall: float) -> float:
    """The stamp of the next write: the time of day, and always later than the one before."""
    return max(wall, stamp + STAMP_STEP_S)
