"""What was decided lately about grant-gated calls, so that an operator can ask why.

Lives here: a bounded log in memory, by correlation id. Must not live here: durable records (the audit chain holds refusals and first uses).
A restart forgets it: what explains a call is the state of that moment, which no later state can stand in for.
"""

from __future__ import annotations

from collections import OrderedDict

import attrs

from actors.grant.chain import Ask
from actors.limits import GRANT_DECISIONS_REMEMBERED
from runtime.values import Value


class Decision(Value, frozen=True, gc=False):
    """One call as it was judged; the verdict follows from `ask` by the chain.

    Attributes:
        request_id: correlation id, as the caller heard it.
        peer_id: whose certificate was presented; None where no row was found for it.
        route: name of the route.
    """

    request_id: str
    peer_id: str | None
    route: str
    ask: Ask


@attrs.define(eq=False)
class Decisions:
    """The newest decisions. A caller may choose its correlation ids, so one peer's ids never hide another's."""

    limit: int = GRANT_DECISIONS_REMEMBERED
    _kept: OrderedDict[tuple[str | None, str], Decision] = attrs.field(factory=OrderedDict, init=False, repr=False)

    def keep(self, decision: Decision) -> None:
        """Remember a decision; of two under one id the newer stays."""
        key = (decision.peer_id, decision.request_id)
        self._kept[key] = decision
        self._kept.move_to_end(key)
        if len(self._kept) > self.limit:
            self._kept.popitem(last=False)

    def find(self, peer_id: str, request_id: str) -> Decision | None:
        """The decision about a call of this peer, else about one of this id that showed no certificate of any peer."""
        return self._kept.get((peer_id, request_id)) or self._kept.get((None, request_id))

    def __len__(self) -> int:
        return len(self._kept)
