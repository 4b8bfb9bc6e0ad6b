"""One question to one peer: which of our records have moved to it since the copy was made that we run on.

Lives here: the record, and the question whether the catalogue can be trusted now; pure but for the rows. Must not live here: the asking.

A restored copy holds records that may have moved since. Until trust is unfrozen, and then until every peer has answered, nobody knows
which, so no record that was in the copy is changed or moved, and none is shown to a peer: not even to one that has answered, because what
it asks for may live at another by now. What a peer claims is held, and never given up on its word alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from actors.continuity.record import frozen_now
from runtime.context import Context
from runtime.errors import InternalFault, OperatorFault
from runtime.store.port import Condition, Kind, Query, Row

ASK_EVERY_S: Final = 60.0
CLAIMS_PAGE: Final = 100
CLAIMED_IDS_MAX: Final = 5_000

IN_QUESTION: Final = OperatorFault(
    "resource_in_question", "this platform runs on an earlier copy; whether the resource has moved since is not known yet", 423
)
"""To operators who would change or move something."""
IN_QUESTION_THERE: Final = InternalFault(
    "resource_in_question", "this platform runs on an earlier copy and does not know yet which of its resources have moved since", 503
)
"""To peers who would read something."""


@attrs.frozen(kw_only=True)
class HomecomingRecord:
    """The question to one peer, whose id it has. Times are seconds since the epoch.

    Attributes:
        epoch: the decision that the copy was restored, after which it is asked.
        after: claims up to this migration are held.
        claimed: how many of our records the peer says have moved to it.
        answered_at: when the last claim was held; None while the question is open.
    """

    id: str
    version: int = 0
    account_id: str
    epoch: int
    after: str | None = None
    claimed: int = 0
    answered_at: float | None = None
    look_at: float | None = None


KIND: Final = Kind(
    name="homecoming",
    record=HomecomingRecord,
    columns={"account_id": "text", "open": "integer"},
    project=lambda record: {"account_id": record.account_id, "open": int(record.answered_at is None)},
    due=lambda record: record.look_at,
    put_off_s=ASK_EVERY_S,
)


def unanswered(account_id: str, query: Callable[[Query], list[Row]]) -> tuple[str, ...]:
    """The peers that have not said yet what has moved to them."""
    mine = (Condition("account_id", "=", account_id), Condition("open", "=", 1))
    return tuple(row.record.id for row in query(Query(KIND.name, (mine,))))


def in_question(account_id: str, ctx: Context) -> bool:
    """Whether records of the account may have moved without this copy knowing."""
    return frozen_now(ctx) or bool(unanswered(account_id, ctx.query))
