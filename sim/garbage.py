"""How often Python looks for garbage while a world lives.

Lives here: that alone. Whoever lets a world run does so within `seldom_collected`; `scenario.run` does it for every scenario.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

THRESHOLD: Final = (300_000, 5, 10)
"""While a world lives nearly all of it is in use: looking as often as Python does by itself costs a tenth of a run, a large one more."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let Python look for circles of garbage seldom, and afterwards as before."""
    former = gc.get_threshold()
    gc.set_threshold(*THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*former)
