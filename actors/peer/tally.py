"""How much has been given to a peer, for its JSON: looked up, never counted one by one.

Lives here: the lookups. Must not live here: the keeping of the numbers (the writer of the rows keeps them).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from runtime.engine import Engine

GRANT_COUNT: Final = "grant_count"
LEASE: Final = "subscription_lease"
BRIDGE: Final = "bridge"
NOTHING: Final[Mapping[str, int]] = {"grants_count": 0, "bridges_count": 0}


def tally(engine: Engine, peer_id: str) -> Mapping[str, int]:
    """The grants of a peer that have not ended, by the number that their writer keeps and by its seats, and its bridges; both are few."""
    row = engine.directory.row(GRANT_COUNT, peer_id)
    seats = engine.store.count(Query(LEASE, ((Condition("live_peer_id", "=", peer_id),),)))
    bridges = engine.store.count(Query(BRIDGE, ((Condition("open_peer_id", "=", peer_id),),)))
    return {"grants_count": seats + (row.record.open if row is not None else 0), "bridges_count": bridges}
