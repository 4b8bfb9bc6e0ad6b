"""Calls of a scenario that no operator makes: of peers beside what their own platforms say, and of whoever attacks.

Lives here: what the stage has to know of such a call to tell how it was answered. Must not live here: what is sent (see `sim.attacks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from actors.door.call import Answer
from sim.world import Host, Reply


@attrs.define(eq=False)
class StrangersCall:
    """One call, or one after the other; the answer to the last of them counts. The stage polls it like an operator's call.

    Attributes:
        host: whose door it is.
        answers: fills as time passes.
        count: how many answers there will be.
    """

    name: str | None
    host: Host
    request: tuple[str, str, Any]
    answers: Sequence[Answer]
    count: int
    incarnation: int
    hands_to: str | None = None
    code: str | None = None

    @property
    def waiting(self) -> bool:
        """Nobody waits: who attacks may be left without an answer."""
        return False

    def poll(self) -> Reply | None:
        """The last answer, once."""
        if self.code is not None or len(self.answers) < self.count:
            return None
        last = self.answers[-1]
        body = last.body or {}
        self.code = "ok" if last.status < 400 else str(body.get("code"))
        return Reply(last.status, body)
