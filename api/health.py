"""Readiness: whether the platform can serve calls now. Liveness needs nothing but an answer, so it is not here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from runtime.clock import Clock
from runtime.engine import Engine
from runtime.store.port import Store

EARLIEST_SANE_WALL: Final = 1_767_225_600.0
"""2026-01-01: a host that believes to live before this release has no clock to judge certificates and tokens by."""


class Readiness:
    """The checks behind `/health/ready`: the store takes writes, the clock is sane, our certificates are valid, actors run."""

    def __init__(self, engine: Engine, clock: Clock, store: Callable[[], Store], certificates_end: Callable[[], Iterable[float]]) -> None:
        self._engine = engine
        self._clock = clock
        self._store = store
        self._certificates_end = certificates_end

    def checks(self) -> Mapping[str, bool]:
        wall = self._clock.wall()
        return {
            "actors_running": self._engine.halted is None,
            "certificates_valid": wall < min(self._certificates_end()),
            "clock_sane": wall > EARLIEST_SANE_WALL,
            "store_writable": self._engine.halted is None and self._store().writable(),
        }
