"""The flight recorder of a running daemon as a file in its data folder.

Lives here: when the file is written, and where. Must not live here: what an entry is (`runtime.recording`), or reading the file (the
simulator).

The rings of the recorder are in memory, so that recording costs next to nothing. They reach the file when somebody asks by SIGUSR1, soon
after a handler has raised, and at a regular stop. A process that is killed leaves what was written before, and its log: events and audit
entries.
"""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Any, Final

import msgspec
import trio

from api.limits import FLIGHT_WRITE_S
from runtime.engine import Engine
from runtime.random import Randomness
from runtime.recording import Disguise, dump
from runtime.services import Service

log = logging.getLogger("powernode.daemon")

FLIGHT_NAME: Final = "flight.json"
KEY_BYTES: Final = 32
LOOK_EVERY_S: Final = 5.0
"""How often the daemon looks whether a handler has raised since."""
LEFT_OUT: Final = ("operator", "governance", "remembered_answer")
"""Kinds of actors that are not written: what they hold is private to operators, or only derived from others."""


class FlightFile:
    """Writes the recorder of one engine to one file."""

    def __init__(self, path: Path, engine: Engine, randomness: Randomness) -> None:
        self.path = path
        self._engine = engine
        self._randomness = randomness
        self._crashes = 0
        self._writing = False

    async def write(self) -> None:
        """Replace the file by what the recorder holds now. Readable for the owner of the platform alone.

        A disk that fails, or does not answer for `FLIGHT_WRITE_S`, costs the file and nothing else. No call waits for it.
        """
        if self._writing:
            log.warning("the flight recorder is not written: the disk has not taken the last one yet")
            return
        data = self._taken()
        self._writing = True
        with trio.move_on_after(FLIGHT_WRITE_S) as limit:
            # Not the thread limit of the store and the ports: a disk that hangs must not hold their places.
            await trio.to_thread.run_sync(self._replace, data, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
        if limit.cancelled_caught:
            log.warning("the flight recorder is not written: the disk has not taken it within %.0f s", FLIGHT_WRITE_S)

    def _taken(self) -> bytes:
        pin = self._engine.settings.identity.ca_pin
        disguise = Disguise(self._randomness.token_bytes(KEY_BYTES), () if pin is None else (f".{pin}",))
        return msgspec.json.encode(dump(self._engine, disguise, without=LEFT_OUT))

    def _replace(self, data: bytes) -> None:
        try:
            self._put(data)
        except OSError as error:
            log.warning("the flight recorder is not written: %s", error.strerror or type(error).__name__)
        finally:
            self._writing = False

    def _put(self, data: bytes) -> None:
        part = self.path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    async def run(self, service: Service) -> None:
        """Write whenever somebody asks, and soon after each crash of a handler."""
        with trio.open_signal_receiver(signal.SIGUSR1) as asked:
            service.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._look)
                async for _ in asked:
                    await self.write()

    async def _look(self) -> Any:
        while True:
            await trio.sleep(LOOK_EVERY_S)
            crashes = self._engine.counters["crashes"]
            if crashes != self._crashes:
                self._crashes = crashes
                await self.write()
