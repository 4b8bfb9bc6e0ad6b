"""The notes of what was pushed; written by their capability."""

from __future__ import annotations

from actors.capability.record import PUSHED
from runtime.actor import Actor


class PushedRecordActor(Actor):
    """One note. It has nothing to do: its capability writes it."""

    kind = PUSHED
