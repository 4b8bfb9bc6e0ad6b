"""Many real platforms in one process, each with its own folder, ports and operator: the far sides that a hub pairs with.

Run as `python -m tests.bench.platforms FOLDER COUNT [SETTINGS]`, where the settings are lines of the section `[federation]`.
Each platform prints its own ready line; the process runs until it is ended.
Composed by `api.daemon` like any other, except that the process, not each platform, hears signals.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

from api import daemon
from api.configuration import load
from tests.support.daemons import CONFIGURATION


class Silence:
    """Signals that never come."""

    def __aiter__(self) -> Silence:
        return self

    async def __anext__(self) -> Any:
        await trio.sleep_forever()


@contextlib.contextmanager
def no_signals() -> Iterator[Silence]:
    yield Silence()


class FarPlatform(daemon.Platform):
    """Says to this process, too, that it is ready."""

    ready: trio.Event

    def _announce(self, *args: Any) -> None:
        super()._announce(*args)
        self.ready.set()


async def run_all(folder: Path, count: int, more: str = "") -> None:
    """Start one after the other, so that each has the processor to itself, and never return."""
    async with trio.open_nursery() as nursery:
        for number in range(count):
            data = folder / f"far-{number}"
            data.mkdir(mode=0o700)
            file = folder / f"far-{number}.toml"
            file.write_text(CONFIGURATION.format(tls_port=0, operator_port=0, more=more))
            platform = FarPlatform(load(data=data, file=file, environment={}, flags={}), announce_as_json=True)
            platform.ready = trio.Event()
            nursery.start_soon(platform.run)
            await platform.ready.wait()


daemon.open_signals = no_signals

if __name__ == "__main__":
    trio.run(run_all, Path(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:]))
