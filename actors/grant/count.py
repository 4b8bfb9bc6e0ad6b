"""How many grants of a peer have not ended: a number beside the grants, kept by the writer of the peer's grants.

Lives here: the record, and its actor, which has nothing to do. Must not live here: what ends a grant.

Counting a peer's grants would cost as much as it has; a peer is shown often, and may have a hundred thousand. Grants that came with seats
of services are not in the number: they have other writers, and are as few as the peer's leases.
"""

from __future__ import annotations

from typing import Final

from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord, has_ended
from actors.peer.tally import GRANT_COUNT
from runtime.actor import Actor
from runtime.context import Context
from runtime.store.port import Condition, Kind, Query
from runtime.values import Value, evolve


class GrantCount(Value, frozen=True, kw_only=True):
    """The number of one peer; its id is the peer's. `open`: grants that no end has been noted of, but for those of seats."""

    id: str
    version: int = 1
    account_id: str
    open: int


KIND: Final = Kind(name=GRANT_COUNT, record=GrantCount)


class GrantCountActor(Actor):
    """Stands for the row, which the writer of the peer's grants owns."""

    kind = KIND


def counted(ctx: Context, account_id: str, ends: int, begins: int) -> None:
    """Keep the number: so many grants end in this turn, and so many begin. Counts once where there is no number yet."""
    row = ctx.row(KIND.name, ctx.ref.id)
    if row is None:
        here = Query(GRANT.name, ((Condition("open_peer_id", "=", ctx.ref.id),),))
        former = sum(is_open(each.record) for each in ctx.query(here))
        ctx.put_row(KIND.name, GrantCount(id=ctx.ref.id, account_id=account_id, open=former - ends + begins))
    elif ends != begins:
        record: GrantCount = row.record
        ctx.put_row(KIND.name, evolve(record, version=record.version + 1, open=record.open - ends + begins), record.version)


def is_open(record: GrantRecord | None) -> int:
    """How much a grant adds to the number: 1 or 0."""
    return int(record is not None and record.origin != "service_catalog" and not has_ended(record))
