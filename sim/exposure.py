"""What leaves a platform by other ways than its doors: the lines of its log, and what its flight recorder writes to a file.

Lives here: making both as the daemon makes them, and handing them to whoever watches. Must not live here: what they may hold (see
`checkers.secrecy`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from api.flight import LEFT_OUT
from api.logs import LOGGERS, Formatter
from runtime.recording import Disguise, dump

if TYPE_CHECKING:
    from runtime.clock import Clock
    from sim.checkers.watch import Watch
    from sim.world import Host

HOSTS_MAX: Final = 12
"""A recording takes a third as long to write as a run takes; of larger worlds so many platforms are read."""

_KEY: Final = bytes(32)


class _Listener(logging.Handler):
    """Hands each line, as the daemon would write it, to whoever watches, and passes on what would have gone further without it.

    Args:
        passes: from which level on; nothing if None.
    """

    def __init__(self, watch: Watch, formatter: logging.Formatter, passes: int | None) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(formatter)
        self._watch = watch
        self._passes = passes

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.logged(self.format(record))
        if self._passes is not None and record.levelno >= self._passes:
            logging.getLogger().callHandlers(record)


@contextmanager
def listening(watch: Watch, clock: Clock) -> Iterator[None]:
    """As long as the context lasts, whoever watches gets what platforms log from `info` on. Where it goes otherwise does not change."""
    formatter = Formatter(clock, as_json=True)
    undo: list[Callable[[], None]] = []
    for logger in map(logging.getLogger, LOGGERS):
        nested = any(isinstance(handler, _Listener) for handler in logger.handlers)
        listener = _Listener(watch, formatter, None if nested or not logger.propagate else logger.getEffectiveLevel())
        undo.append(partial(_restore, logger, listener, logger.level, logger.propagate))
        logger.addHandler(listener)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for each in undo:
            each()


def _restore(logger: logging.Logger, listener: _Listener, level: int, propagate: bool) -> None:
    logger.removeHandler(listener)
    logger.setLevel(level)
    logger.propagate = propagate


def read_recorders(watch: Watch) -> None:
    """Let whoever watches read what the platforms' flight recorders hold, as the daemon would write it."""
    for host in list(watch.world.hosts.values())[:HOSTS_MAX]:
        if host.running:
            watch.recorded(host, recording(host))


def recording(host: Host) -> str:
    """What the daemon would write to its file now."""
    pin = host.authority.ca_pin
    disguise = Disguise(_KEY, () if pin is None else (f".{pin}",))
    return msgspec.json.encode(dump(host.engine, disguise, without=LEFT_OUT)).decode()
