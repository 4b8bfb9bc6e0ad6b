"""Operators' calls about migrations: from bodies to messages, and back to JSON."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.approval.messages import AskApproval
from actors.door import cursors
from actors.door.approvals.handlers import let_wait
from actors.door.migrations import federation
from actors.inventory.registry import find
from actors.migration.actor import decidable_step, step_facts
from actors.migration.messages import Act, NeedsException, Plan, Proof, Prove, Resolve, ResolveArrival, SetStep
from actors.migration.record import ARRIVAL, MIGRATION, ArrivalRecord, MigrationRecord, shown, shown_arrival
from actors.migration.steps import Header
from actors.resource.catalogue import KIND as CATALOGUE
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

NOT_FOUND = OperatorFault("migration_not_found", "there is no such migration here", 404)


def list_migrations(door: Door, request: Request) -> None:
    arrived = request.query["side"] == "destination"
    conditions = [Condition("account_id", "=", request.account_id)]
    if request.query.get("status"):
        conditions.append(Condition("verdict" if arrived else "status", "in", tuple(request.query["status"])))
    if request.query.get("operation"):
        conditions.append(Condition("operation", "=", request.query["operation"]))
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    rows = door.engine.store.query(Query((ARRIVAL if arrived else MIGRATION).name, (tuple(conditions),), after_id=after, limit=limit + 1))
    page = [row.record for row in rows[:limit]]
    following = cursors.encode(page[-1].id) if len(rows) > limit else None
    data = [shown_arrival(record, whole=False) if arrived else shown(record, whole=False) for record in page]
    request.ok(data, meta={"count": len(page), "next_cursor": following})


def get_migration(door: Door, request: Request) -> None:
    id = request.parameters["id"]
    row = door.engine.directory.row(MIGRATION.name, id)
    if row is not None and row.record.account_id == request.account_id:
        request.ok({"migration": shown(row.record)}, version=row.record.version)
        return
    arrived = door.engine.directory.row(ARRIVAL.name, id)
    if arrived is None or arrived.record.account_id != request.account_id:
        raise FaultError(NOT_FOUND)
    request.ok({"migration": shown_arrival(arrived.record)}, version=arrived.record.version)


def get_migration_receipt(door: Door, request: Request) -> None:
    id = request.parameters["id"]
    left = door.engine.directory.row(MIGRATION.name, id)
    if left is not None and left.record.account_id == request.account_id:
        if left.record.receipt is None:
            raise FaultError(OperatorFault("migration_not_applied", "the destination has sent no receipt of this migration", 409))
        request.ok(dict(left.record.receipt))
        return
    arrived = door.engine.directory.row(ARRIVAL.name, id)
    if arrived is None or arrived.record.account_id != request.account_id:
        raise FaultError(NOT_FOUND)

    def proven(outcome: Proof) -> None:
        told = {"receipt": dict(outcome.receipt), "signature": outcome.signature, "certificate_pem": outcome.certificate_pem}
        request.ok(told)

    door.relay(request, Ref(ARRIVAL.name, arrived.record.id), Prove(), proven)


def plan_migration(door: Door, request: Request) -> None:
    body = request.body
    kind = find(body["root_resource_kind"])
    if kind is None or not kind.catalogued:
        raise FaultError(OperatorFault("unknown_resource_kind", "there is no such kind of resource here", 422))
    message = Plan(
        account_id=request.account_id,
        by=request.by,
        header=Header(operation=body["operation"], root_resource_kind=kind.kind, root_resource_id=body["root_resource_id"]),
        destination_peer_id=body["destination_peer_id"],
        bearer=body.get("bearer"),
        dry_run=body["dry_run"],
        acknowledge_residency=body["acknowledge_residency"],
        override_residency=body["override_residency"],
        mark=request.mark,
    )

    def answered(outcome: MigrationRecord | NeedsException) -> None:
        if isinstance(outcome, NeedsException):
            let_wait(door, request, outcome.asked)
        else:
            request.ok({"migration": shown(outcome)}, status=201, version=outcome.version)

    door.relay(request, Ref(MIGRATION.name, uuid7(request.wall, door.chance)), message, answered)


def act_on_migration(door: Door, request: Request, *, act: str) -> None:
    acknowledged = bool(request.body.get("acknowledge_residency", False))
    message = Act(
        by=request.by, act=act, acknowledge_residency=acknowledged, expected_version=request.expected_version(), mark=request.mark
    )
    _shown(door, request, _own(door, request), message)


def set_migration_step(door: Door, request: Request) -> None:
    if request.body["conflict_policy"] == "overwrite" and _asks_to_overwrite(door, request):
        return
    message = SetStep(
        by=request.by,
        order=int(request.parameters["order"]),
        policy=request.body["conflict_policy"],
        expected_version=request.expected_version(),
        mark=request.mark,
    )
    _shown(door, request, _own(door, request), message)


def resolve_migration(door: Door, request: Request) -> None:
    id, keep, word = request.parameters["id"], request.body["outcome"] == "keep", request.body["word"]
    arrived = door.engine.directory.row(ARRIVAL.name, id)
    if door.engine.directory.row(MIGRATION.name, id) is None and arrived is not None and arrived.record.account_id == request.account_id:
        message = ResolveArrival(arrival_id=id, by=request.by, keep=keep, word=word, mark=request.mark)

        def answered(outcome: ArrivalRecord) -> None:
            request.ok({"migration": shown_arrival(outcome)}, version=outcome.version)

        door.relay(request, Ref(CATALOGUE.name, request.account_id), message, answered)
        return
    receipt = request.body.get("receipt")
    resolve = Resolve(by=request.by, keep=keep, word=word, receipt=receipt, expected_version=request.expected_version(), mark=request.mark)
    _shown(door, request, _own(door, request), resolve)


def _asks_to_overwrite(door: Door, request: Request) -> bool:
    """Let the request to overwrite a record of the destination wait for approval; False if that was approved before."""
    row = door.engine.directory.row(MIGRATION.name, _own(door, request))
    assert row is not None
    record: MigrationRecord = row.record
    expected = request.expected_version()
    if expected is not None and expected != record.version:
        text = "the migration has changed since; read it again"
        raise FaultError(OperatorFault("version_conflict", text, 409, {"version": record.version}))
    step = decidable_step(record, int(request.parameters["order"]))
    if isinstance(step, Fault):
        raise FaultError(step)
    if step.conflict_policy == "overwrite":
        return False
    met = next((dict(entry) for entry in reversed(record.conflict_log) if entry.get("step") == step.order), None)
    asked = AskApproval(
        account_id=record.account_id,
        action_category="system.migration_overwrite",
        requested_by=request.by,
        origin="rest",
        federation_peer_id=record.destination_peer_id,
        subject_kind=MIGRATION.name,
        subject_id=record.id,
        summary=f"Overwrite a {step.kind} of the peer {record.destination_peer_id} with ours",
        impact="The destination's record keeps its id and loses its attributes to ours when the migration is applied.",
        plan={"migration_id": record.id, "meets": met},
        params={"migration_id": record.id, "order": step.order, **step_facts(step)},
        mark=request.mark,
    )
    let_wait(door, request, asked)
    return True


def _own(door: Door, request: Request) -> str:
    id = request.parameters["id"]
    row = door.engine.directory.row(MIGRATION.name, id)
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(NOT_FOUND)
    return id


def _shown(door: Door, request: Request, id: str, message: Any) -> None:
    def answered(outcome: MigrationRecord) -> None:
        request.ok({"migration": shown(outcome)}, version=outcome.version)

    door.relay(request, Ref(MIGRATION.name, id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_migrations": list_migrations,
    "get_migration": get_migration,
    "get_migration_receipt": get_migration_receipt,
    "plan_migration": plan_migration,
    "set_migration_step": set_migration_step,
    "resolve_migration": resolve_migration,
    **{f"{act}_migration": functools.partial(act_on_migration, act=act) for act in ("validate", "apply", "cancel", "retry")},
    **federation.HANDLERS,
}
