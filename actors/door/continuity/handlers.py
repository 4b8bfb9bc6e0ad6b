"""Frozen trust at the door: what is shown, what operators decide, and what is refused meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors.continuity.messages import Decide
from actors.continuity.record import KIND, ContinuityRecord, frozen_by
from actors.door.request import Request
from runtime.actor import Ref
from runtime.clock import iso_or_none
from runtime.errors import FaultError, InternalFault, OperatorFault

if TYPE_CHECKING:
    from actors.door.door import Door

FROZEN_HERE: Final = OperatorFault(
    "trust_frozen", "this platform may run on an earlier copy of its data; `powernode trust show` says why and how to go on", 409
)
FROZEN_THERE: Final = InternalFault("trust_frozen", "this platform opens and serves nothing until its operators have looked at it", 503)


def _record(door: Door) -> ContinuityRecord | None:
    row = door.engine.directory.row(KIND.name, door.settings.identity.instance_id)
    return row.record if row is not None else None


def refuse_while_frozen(door: Door, fault: OperatorFault | InternalFault) -> None:
    """Let nothing pass while trust is frozen.

    Raises:
        FaultError: it is.
    """
    if frozen_by(_record(door), door.settings.identity) is not None:
        raise FaultError(fault)


def _shown(door: Door, record: ContinuityRecord | None) -> dict[str, Any]:
    identity = door.settings.identity
    known = record if record is not None else ContinuityRecord(id=identity.instance_id)
    cause = frozen_by(record, identity)
    return {
        "frozen": cause is not None,
        "cause": cause,
        "frozen_at": iso_or_none(known.frozen_at),
        "closing": known.closing is not None,
        "boot_epoch": identity.boot_epoch,
        "claimed_epoch": known.claimed_epoch,
        "claimants": list(known.claimants),
        "decided_at": iso_or_none(known.decided_at),
        "decision": known.decision,
        "restart_needed": known.decision == "restored" and known.claimed_epoch > identity.boot_epoch,
    }


def get_continuity(door: Door, request: Request) -> None:
    request.ok(_shown(door, _record(door)))


def unfreeze_trust(door: Door, request: Request) -> None:
    body = request.body
    message = Decide(
        by=request.by,
        decision=body["decision"],
        keep_peerings=bool(body.get("keep_peerings")),
        keep_grants=bool(body.get("keep_grants")),
    )
    ref = Ref(KIND.name, door.settings.identity.instance_id)
    door.relay(request, ref, message, lambda outcome: request.ok(_shown(door, outcome.record)))


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {"get_continuity": get_continuity, "unfreeze_trust": unfreeze_trust}
