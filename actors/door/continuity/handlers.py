"""Frozen trust at the door: what is shown, what operators decide, and what is refused meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from actors.continuity.messages import Decide
from actors.continuity.record import KIND, ContinuityRecord, frozen_by, shown
from actors.door.request import Request
from runtime.actor import Ref
from runtime.errors import FaultError, InternalFault, OperatorFault

if TYPE_CHECKING:
    from actors.door.door import Door

FROZEN_HERE: Final = OperatorFault(
    "trust_frozen", "this platform may run on an earlier copy of its data; `powernode trust show` says why and how to go on", 409
)
FROZEN_THERE: Final = InternalFault("trust_frozen", "this platform opens and serves nothing until its operators have looked at it", 503)


def _record(door: Door) -> ContinuityRecord | None:
    def read() -> ContinuityRecord | None:
        row = door.engine.directory.row(KIND.name, door.settings.identity.instance_id)
        return row.record if row is not None else None

    # Every call of a peer asks, and most platforms have no such row.
    return door.remembered(KIND.name, door.settings.identity.instance_id, read)


def refuse_while_frozen(door: Door, fault: OperatorFault | InternalFault) -> None:
    """Let nothing pass while trust is frozen.

    Raises:
        FaultError: it is.
    """
    if frozen_by(_record(door), door.settings.identity) is not None:
        raise FaultError(fault)


def get_continuity(door: Door, request: Request) -> None:
    request.ok(shown(_record(door), door.settings.identity))


def unfreeze_trust(door: Door, request: Request) -> None:
    body = request.body
    message = Decide(
        by=request.by,
        decision=body["decision"],
        keep_peerings=bool(body.get("keep_peerings")),
        keep_grants=bool(body.get("keep_grants")),
        mark=request.mark,
    )
    ref = Ref(KIND.name, door.settings.identity.instance_id)
    door.relay(request, ref, message, lambda outcome: request.ok(shown(outcome.record, door.settings.identity)))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"get_continuity": get_continuity, "unfreeze_trust": unfreeze_trust}
