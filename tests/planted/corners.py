"""Faults where no other one is planted: in the parts of production that no plant had touched before.

Lives here: one function per fault, as in `faults`. They were chosen by which packages none of the others patches (findings, bridges, rules
about versions, operators, offerings, held grants, the contract), and not by what the checkers look at.
"""

from __future__ import annotations

from typing import Any

import actors.bridge.lifecycle
import actors.door.door
import actors.door.federation
import actors.governance.actor
import actors.peer.minting
import actors.received_grant.actor
import actors.resource.actor
from actors.door.door import Door
from actors.offering.seats import Seats
from actors.operator.actor import OperatorActor
from actors.operator.messages import UpdateOperator
from runtime.values import evolve
from tests.planted.registry import Patch, plant


@plant("findings-come-and-go")
def findings_stay_open(patch: Patch) -> None:
    """A finding whose cause is gone stays open."""
    former = actors.governance.actor.merge

    def merge(stored: Any, fresh: Any, wall: float) -> Any:
        found = former(stored, fresh, wall)
        return tuple(evolve(each, resolved_at=None) for each in found)

    patch.setattr(actors.governance.actor, "merge", merge)


@plant("bridges-that-are-never-used")
def bridge_lives_again(patch: Patch) -> None:
    """A bridge that was revoked can be activated again."""
    patch.setitem(actors.bridge.lifecycle.TRANSITIONS, ("revoked", "activate"), "active")


@plant("bridge-follows-its-peer")
def bridge_over_a_pause(patch: Patch) -> None:
    """A bridge counts as carrying traffic whatever its peer is."""
    patch.setattr(actors.bridge.lifecycle, "CARRYING", frozenset({"accepted", "enrolled", "active", "degraded", "suspended"}))


@plant("approved-by-somebody-else")
def session_outlives_its_operator(patch: Patch) -> None:
    """Whoever is signed in stays so, though meanwhile let in no more."""
    patch.setattr(actors.door.door, "session_valid", lambda record, claims, wall: None)


@plant("approved-by-somebody-else")
def disabled_in_name_only(patch: Patch) -> None:
    """An operator who is disabled may go on signing in."""
    former = OperatorActor.handlers[UpdateOperator]

    def update(actor: Any, message: Any, ctx: Any) -> None:
        changes = {name: value for name, value in message.changes.items() if name != "disabled"}
        former(actor, evolve(message, changes=changes), ctx)

    patch.setitem(OperatorActor.handlers, UpdateOperator, update)


@plant("versions-that-do-not-fit")
def rules_about_versions_ignored(patch: Patch) -> None:
    """What operators have decided about a pair of versions changes nothing at the door."""
    patch.setattr(Door, "schema_rules", lambda door, account_id: ())


@plant("offering-takes-no-more")
def deprecated_offering_takes_more(patch: Patch) -> None:
    """An offering that takes no new subscribers takes them."""
    former = Seats.seat_fault

    def seat_fault(actor: Any, ctx: Any, peer: Any, hostname: str) -> Any:
        record = actor.record
        if record is None or record.status != "deprecated":
            return former(actor, ctx, peer, hostname)
        actor.record = evolve(record, status="active")
        try:
            return former(actor, ctx, peer, hostname)
        finally:
            actor.record = record

    patch.setattr(Seats, "seat_fault", seat_fault)


@plant("restored-and-not-read-yet")
def nobody_waits_for_answers(patch: Patch) -> None:
    """After a restore peers are served although they have not said yet what has moved to them."""
    patch.setattr(Door, "refuse_while_in_question", lambda door, account_id: None)


@plant("deleted-with-its-parts")
def parts_outlive_the_whole(patch: Patch) -> None:
    """What a resource owns stays when the resource is deleted."""
    former = actors.resource.actor.owned_by
    patch.setattr(actors.resource.actor, "owned_by", lambda id, *, limit: former("00000000-0000-7000-8000-000000000000", limit=limit))


@plant("grants-are-archived")
def held_grants_never_forgotten(patch: Patch) -> None:
    """A bearer whose grant has ended is kept for ever."""
    patch.setattr(actors.received_grant.actor, "gone_at", lambda record: float("inf"))


@plant("flawed-accepts")
def any_contract_will_do(patch: Patch) -> None:
    """An accept under a contract that is not ours is taken."""
    patch.setattr(actors.door.federation, "contract_fault", lambda message: None)
    patch.setattr(actors.peer.minting, "contract_fault", lambda message: None)
