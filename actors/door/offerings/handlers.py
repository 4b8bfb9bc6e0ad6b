"""Operators' calls about offerings: from bodies to messages of the offering's actor, and back to JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.approval.categories import OFFERING_CUTOFF
from actors.approval.limits import SUMMARY_CHARS_MAX
from actors.approval.messages import AskApproval
from actors.door import cursors
from actors.door.approvals.handlers import let_wait
from actors.grant.axes import AXES
from actors.offering.actor import live_leases, step_fault
from actors.offering.lifecycle import Trigger
from actors.offering.messages import Create, Step, Update
from actors.offering.record import KIND, LEASE, OfferingRecord, lease_to_json, slug_key, to_json
from actors.offering.seats import OFFERING_NOT_FOUND
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request


def own_offering(door: Door, request: Request) -> OfferingRecord:
    """The offering that the path names, in the caller's account.

    Raises:
        FaultError: `offering_not_found`, also for one of another account.
    """
    row = door.engine.directory.row(KIND.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(OFFERING_NOT_FOUND)
    record: OfferingRecord = row.record
    return record


def shown(door: Door, record: OfferingRecord) -> dict[str, Any]:
    """The form of the operator surface, with how many seats are taken."""
    return to_json(record, door.engine.store.count(live_leases(record.id)))


def list_offerings(door: Door, request: Request) -> None:
    conditions = [Condition("account_id", "=", request.account_id)]
    if request.query.get("status"):
        conditions.append(Condition("status", "in", tuple(request.query["status"])))
    _listed(door, request, Query(KIND.name, (tuple(conditions),)), functools.partial(shown, door))


def list_leases(door: Door, request: Request) -> None:
    conditions = [Condition("offering_id", "=", own_offering(door, request).id)]
    if request.query.get("state"):
        conditions.append(Condition("state", "in", tuple(request.query["state"])))
    _listed(door, request, Query(LEASE.name, (tuple(conditions),)), lease_to_json)


def _listed(door: Door, request: Request, query: Query, show: Callable[[Any], dict[str, Any]]) -> None:
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    rows = door.engine.store.query(Query(query.kind, query.any_of, after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    request.ok([show(record) for record in page], meta={"count": len(page), "next_cursor": following})


def get_offering(door: Door, request: Request) -> None:
    record = own_offering(door, request)
    request.ok({"offering": shown(door, record)}, version=record.version)


def fields_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the record that a body names."""
    fields = {name: value for name, value in body.items() if name not in ("default_axes", "visibility")}
    if "default_axes" in body:
        fields |= {name: body["default_axes"][name] for name in AXES}
    if "visibility" in body:
        fields["visible_to"] = body["visibility"]
    return fields


def create_offering(door: Door, request: Request) -> None:
    message = Create(account_id=request.account_id, by=request.by, fields=fields_of(request.body), mark=request.mark)

    def refused(fault: Fault) -> Fault:
        if fault.code != "offering_exists":
            return fault
        existing = door.engine.directory.find(KIND.name, "slug", slug_key(request.account_id, request.body["slug"]))
        return OperatorFault("offering_exists", "there is an offering with this slug already", 409, {"offering_id": existing})

    def answered(outcome: OfferingRecord) -> None:
        request.ok({"offering": shown(door, outcome)}, status=201)

    door.relay(request, Ref(KIND.name, uuid7(request.wall, door.chance)), message, answered, refused=refused)


def update_offering(door: Door, request: Request) -> None:
    record = own_offering(door, request)
    expected = request.expected_version()
    _relayed(door, request, record.id, Update(by=request.by, changes=fields_of(request.body), expected_version=expected, mark=request.mark))


def step_offering(door: Door, request: Request, *, trigger: Trigger) -> None:
    record = own_offering(door, request)
    expected = request.expected_version()
    _relayed(door, request, record.id, Step(by=request.by, trigger=trigger, expected_version=expected, mark=request.mark))


def retire_offering(door: Door, request: Request) -> None:
    if request.body["immediate"]:
        _ask_to_cut_off(door, request)
    else:
        step_offering(door, request, trigger="retire")


def _ask_to_cut_off(door: Door, request: Request) -> None:
    """Let the end of every subscriber's access wait for approval.

    Raises:
        FaultError: `offering_not_found`, `offering_retired` or `version_conflict`.
    """
    record = own_offering(door, request)
    fault = step_fault(record, "retire", request.expected_version())
    if fault is not None:
        raise FaultError(fault)
    asked = AskApproval(
        account_id=record.account_id,
        action_category=OFFERING_CUTOFF,
        requested_by=request.by,
        origin="rest",
        federation_peer_id=None,
        subject_kind=KIND.name,
        subject_id=record.id,
        summary=f"End the offering {record.slug} and the access of every subscriber at once"[:SUMMARY_CHARS_MAX],
        impact="Every seat and its grant end with the approval, without the thirty days' notice. A retired offering does not come back.",
        plan={"status": record.status, "live_leases": door.engine.store.count(live_leases(record.id))},
        params={"offering_id": record.id, "slug": record.slug, "immediate": True},
        mark=request.mark,
    )
    let_wait(door, request, asked)


def _relayed(door: Door, request: Request, id: str, message: Any) -> None:
    def answered(outcome: OfferingRecord) -> None:
        request.ok({"offering": shown(door, outcome)}, version=outcome.version)

    door.relay(request, Ref(KIND.name, id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_offerings": list_offerings,
    "get_offering": get_offering,
    "create_offering": create_offering,
    "update_offering": update_offering,
    "delete_offering": functools.partial(step_offering, trigger="retire"),
    "activate_offering": functools.partial(step_offering, trigger="activate"),
    "deprecate_offering": functools.partial(step_offering, trigger="deprecate"),
    "retire_offering": retire_offering,
    "list_leases": list_leases,
}
