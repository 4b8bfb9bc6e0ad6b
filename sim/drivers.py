"""How the handlers of a world are run: all by one loop, or each actor in a trio task of its own. The digest of a run is the same.

Lives here: the choice. Must not live here: what a driver does (see `runtime.trio_driver` and `tasks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from runtime.engine import Engine
from sim.tasks import TaskWorld

DRIVERS: Final = ("step", "task")


@contextmanager
def driven(driver: str) -> Iterator[Callable[[Engine], bool]]:
    """What makes one pass of an engine under a driver, as long as the context lasts."""
    if driver == "step":
        yield Engine.run
    else:
        with TaskWorld() as tasks:
            yield tasks.run
