"""Which rows of other kinds live only as long as a peering, and how their owners hear of its end.

The protocol:

* **Effect comes from the peer's row alone.** A grant, lease, subscription or bridge stores the `peering_epoch` of its peer and is in force
  only while `standing.in_force` says so. So one committed row ends them all at once, however many there are; a suspension likewise pauses
  and a resume restores them, and nobody has to be told of either.
* **Marking comes afterwards.** Rows show what became of them, and secrets held for a peering must go. For that a kind registers a
  `Dependant`: in which phase of the revocation its rows are told, and which of them do not know yet. The peer actor finds those rows by
  index, a slice at a time, sends each owner a `PeeringEnded`, and looks again until none is left. Its next look is a deadline of the
  record, so that the work goes on after any crash.
* **An owner marks its row so that `open` no longer holds**, does so at most once, and ignores the message for a row that is marked or
  belongs to another epoch: the message may come more than once.

Lives here: the declaration and the table. Must not live here: what an owner does with the message.
"""

from __future__ import annotations

from typing import Final

from actors.peer.record import RevocationPhase
from runtime.store.port import Condition, Query
from runtime.values import Value


class Dependant(Value, frozen=True, kw_only=True):
    """Rows of one kind that depend on a peering; the owner of a row is the actor of the same kind and id.

    Attributes:
        kind: the record kind.
        phase: `draining` for what ends with the revocation, `complete` for what migrations under way may still need.
        open: conditions over indexed columns that hold for the rows which do not know of the end.
        peer_column: the indexed column with the peer's id.
    """

    kind: str
    phase: RevocationPhase
    open: tuple[Condition, ...]
    peer_column: str = "federation_peer_id"

    def untold(self, peer_id: str, limit: int) -> Query:
        """The query for rows of this peer whose owners are still to be told."""
        return Query(self.kind, ((Condition(self.peer_column, "=", peer_id), *self.open),), newest_first=False, limit=limit)


DEPENDANTS: Final[list[Dependant]] = []
"""Every kind that depends on peerings, in the order in which its rows are told."""


def kinds_of(phase: RevocationPhase) -> tuple[str, ...]:
    """The kinds whose rows are told in this phase."""
    return tuple(dict.fromkeys(dependant.kind for dependant in DEPENDANTS if dependant.phase == phase))
