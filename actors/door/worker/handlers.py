"""What a worker starts: runs over the platform's own account, as its own timers would start them.

Lives here: one function per route. Must not live here: the worker's authentication (the door's), or what a run does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.audit_archive.messages import ShipNow
from actors.audit_archive.record import ARCHIVE
from actors.door.capabilities.handlers import sweep
from actors.limits import PEERS_SWEPT_MAX
from actors.peer.messages import SweepNow
from actors.peer.projection import status_conditions
from actors.peer.record import KIND as PEER
from runtime.actor import Ref
from runtime.clock import iso
from runtime.store.port import Condition, Query
from runtime.values import as_dict

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def worker_heartbeat_sweep(door: Door, request: Request) -> None:
    """Ask every peer whose silence is too long, by what is stored, to look at its evidence; it alone decides."""
    mine = (Condition("account_id", "=", door.settings.identity.account_id), Condition("peer_kind", "=", "platform"))
    active = Condition("status", "=", "active")
    swept = door.engine.store.count(Query(PEER.name, ((*mine, active),)))
    silent = tuple(
        (*mine, *alternative)
        for alternative in status_conditions(("degraded",), request.wall, door.settings.federation.stale_after_s)
        if active in alternative
    )
    never = (*mine, active, Condition("last_heartbeat_at", "null"))
    rows = door.engine.store.query(Query(PEER.name, (*silent, never), newest_first=False, limit=PEERS_SWEPT_MAX))
    degraded: list[str] = []
    left = len(rows)

    def finish() -> None:
        request.ok({"swept": swept, "degraded_ids": sorted(degraded), "ran_at": iso(request.wall)})

    def one(peer_id: str) -> Callable[[Any], None]:
        def done(outcome: Any) -> None:
            nonlocal left
            left -= 1
            if outcome is True:
                degraded.append(peer_id)
            if left == 0:
                finish()

        return done

    if not rows:
        finish()
    for row in rows:
        door.engine.ask(Ref(PEER.name, row.record.id), SweepNow(), door.deadline_s, one(row.record.id))


def worker_audit_shipment(door: Door, request: Request) -> None:
    archive = Ref(ARCHIVE.name, door.settings.identity.account_id)
    door.relay(request, archive, ShipNow(None), lambda outcome: request.ok(as_dict(outcome)))


def worker_capability_auto_sync(door: Door, request: Request) -> None:
    sweep(door, request, (Condition("account_id", "=", door.settings.identity.account_id),))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "worker_heartbeat_sweep": worker_heartbeat_sweep,
    "worker_audit_shipment": worker_audit_shipment,
    "worker_capability_auto_sync": worker_capability_auto_sync,
}
