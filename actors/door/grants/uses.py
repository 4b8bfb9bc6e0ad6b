"""What grants were used for lately, gathered before their rows hear of it.

Lives here: counting. Must not live here: what a use means for a grant (`actors.grant.actor`).

The first use after a pause is told at once; those that follow within the window are told together. A crash loses what is gathered, which
is less than what the row itself may lose.
"""

from __future__ import annotations

import attrs

from actors.grant.messages import Used
from actors.grant.record import KIND as GRANT
from actors.limits import GRANT_USES_GATHERED_S
from runtime.actor import Ref
from runtime.engine import Engine


@attrs.define
class _Tally:
    """Uses that the row has not heard of; `source` and `at` are of the newest."""

    source: str
    bare: bool
    at: float
    times: int = 0


@attrs.define(eq=False)
class Uses:
    """Uses of all grants of one platform."""

    engine: Engine
    _open: dict[str, _Tally] = attrs.field(factory=dict, init=False, repr=False)
    _resets: int = attrs.field(default=0, init=False, repr=False)

    def note(self, grant_id: str, source: str, wall: float, *, bare: bool) -> None:
        """A call was served under this grant at `wall`; `source` is the key of where it came from."""
        if self._resets != self.engine.resets:
            # The engine has forgotten the window's end together with everything else that was volatile.
            self._resets = self.engine.resets
            self._open.clear()
        tally = self._open.get(grant_id)
        if tally is not None:
            tally.times += 1
            tally.source, tally.at = source, wall
            return
        if not self._open:
            self.engine.after(GRANT_USES_GATHERED_S, self._tell)
        self._open[grant_id] = _Tally(source, bare, wall)
        self.engine.tell(Ref(GRANT.name, grant_id), Used(source, bare, wall))

    def _tell(self) -> None:
        """The window is over: grants that were used again stay in the next one."""
        again = {}
        for grant_id, tally in self._open.items():
            if tally.times:
                self.engine.tell(Ref(GRANT.name, grant_id), Used(tally.source, tally.bare, tally.at, tally.times))
                tally.times = 0
                again[grant_id] = tally
        self._open = again
        if again:
            self.engine.after(GRANT_USES_GATHERED_S, self._tell)
