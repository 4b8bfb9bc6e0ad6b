"""The life of a shipment, as a table. Pure.

A shipment is verified when what stands in the archive has been read back and is what was shipped. Only then may anything rely on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

State = Literal["pending", "sealed", "verified", "failed"]
Trigger = Literal["stored", "read_back", "broke", "tried_again"]

STATES: Final[Mapping[State, str]] = {
    "pending": "chosen; not yet known to stand in the archive",
    "sealed": "written to the archive",
    "verified": "read back from the archive, and what was shipped",
    "failed": "not written, or found missing or changed; tried again with the next run",
}

TRANSITIONS: Final[Mapping[tuple[State, Trigger], State]] = {
    ("pending", "stored"): "sealed",
    ("pending", "broke"): "failed",
    ("sealed", "read_back"): "verified",
    ("sealed", "broke"): "failed",
    ("failed", "tried_again"): "pending",
    # A run that was cut off by a crash is taken up where it can be: the object is written again, which changes nothing.
    ("pending", "tried_again"): "pending",
    ("sealed", "tried_again"): "pending",
}


def transition(state: State, trigger: Trigger) -> State | None:
    """The state that `trigger` leads to, or None if there is no such transition."""
    return TRANSITIONS.get((state, trigger))
