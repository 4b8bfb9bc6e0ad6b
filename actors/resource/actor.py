"""The catalogue's actor, through which every write of an account's resources passes, and the small one that ends tombstones.

Lives here: one handler per message. Must not live here: what a batch comes to (`plan`), or a rule about one kind (`actors.inventory`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.homecoming.record import IN_QUESTION, in_question
from actors.idempotency.record import remember
from actors.inventory.registry import REGISTRY
from actors.migration.receiving import Receiving
from actors.problems import refusal
from actors.resource import projection
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.limits import OWNED_MAX
from actors.resource.messages import Delete, Deleted, Draft, Forget, Update, Write, Written
from actors.resource.plan import Committed, Plan, lock_of
from actors.resource.record import KIND, ResourceRecord, owned_by
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

NOT_FOUND = OperatorFault("resource_not_found", "there is no such resource", 404)


def moved_fault(record: ResourceRecord) -> OperatorFault:
    """The refusal of an act on a record that lives elsewhere now."""
    assert record.moved is not None
    details = {"moved_to": record.moved.instance_id}
    return OperatorFault("resource_moved", "this resource has moved to another platform", 410, details)


class CatalogueActor(Receiving):
    """One account's catalogue; the single writer of its resources."""

    kind = CATALOGUE

    @handles(Write)
    def on_write(self, message: Write, ctx: Context) -> None:
        plan = Plan(Committed(message.account_id, ctx.query), ctx.new_id, message.new_only)
        plan.add_all(message.drafts)
        if message.dry_run:
            places = sorted(plan.outcomes) if not plan.problems else ()
            ctx.reply(Written(tuple(plan.outcomes[place] for place in places), (), tuple(plan.problems)))
            return
        if plan.problems:
            ctx.reply(refusal(plan.problems))
            return
        if any(write.former is not None for write in plan.writes) and self._in_question(ctx):
            ctx.reply(IN_QUESTION)
            return
        written = {record.id: record for record in self.store(ctx, [(write.record, write.former) for write in plan.writes])}
        outcomes = tuple(plan.outcomes[place] for place in range(len(message.drafts)))
        records = tuple(written.get(id) or plan.committed.record(id) for id, _ in outcomes)
        answer = Written(outcomes, tuple(record for record in records if record is not None))
        data = projection.written(answer) if len(message.drafts) > 1 or not message.new_only else projection.one(answer.records[0])
        remember(ctx, message.mark, 201 if message.new_only else 200, data)
        ctx.reply(answer)

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        committed = Committed(message.account_id, ctx.query)
        former = committed.record(message.id)
        fault = write_fault(former, message) or (IN_QUESTION if self._in_question(ctx) else None)
        if fault is not None or former is None:
            ctx.reply(fault)
            return
        merged = {name: value for name, value in {**former.attributes, **message.changes}.items() if value is not None}
        plan = Plan(committed, ctx.new_id)
        changed = {name: value for name, value in merged.items() if former.attributes.get(name) != value}
        kept = {name: value for name, value in merged.items() if name not in changed}
        kind = REGISTRY.kinds[former.kind]
        resolved = plan.resolve(kind, Draft(path="", kind=former.kind, id=former.id, attributes=changed))
        if resolved is not None:
            plan.add_all((Draft(path="resource", kind=former.kind, id=former.id, attributes=in_order(kind.fields, {**kept, **resolved})),))
        if plan.problems:
            ctx.reply(refusal(plan.problems))
            return
        stored = self.store(ctx, [(write.record, write.former) for write in plan.writes])
        record = stored[0] if stored else former
        remember(ctx, message.mark, 200, projection.one(record))
        ctx.reply(record)

    @handles(Delete)
    def on_delete(self, message: Delete, ctx: Context) -> None:
        former = Committed(message.account_id, ctx.query).record(message.id)
        fault = write_fault(former, message) or (IN_QUESTION if self._in_question(ctx) else None)
        if fault is not None or former is None:
            ctx.reply(fault)
            return
        owned = [row.record for row in ctx.query(owned_by(former.id, limit=OWNED_MAX + 1)) if row.record.lives]
        fault = deletion_fault(owned)
        if fault is not None:
            ctx.reply(fault)
            return
        ended = [(tombstone(record, ctx.wall), record) for record in (former, *owned)]
        stored = self.store(ctx, ended)
        remember(ctx, message.mark, 200, projection.deleted(stored))
        ctx.reply(Deleted(tuple(stored)))

    def _in_question(self, ctx: Context) -> bool:
        """Whether records of an earlier copy may have moved since, so that none of them may be changed."""
        return in_question(ctx.ref.id, ctx)

    @handles(Forget)
    def on_forget(self, message: Forget, ctx: Context) -> None:
        record = Committed(ctx.ref.id, ctx.query).record(message.id)
        due = KIND.due(record) if record is not None else None
        if record is not None and record.account_id == ctx.ref.id and due is not None and due <= ctx.wall:
            ctx.delete_row(KIND.name, record.id)


class ResourceActor(Actor):
    """One record, woken only when its tombstone may be forgotten; the catalogue decides and does it."""

    kind = KIND

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        due = KIND.due(self.record) if self.record is not None else None
        if self.record is not None and due is not None and has_passed(ctx, due):
            ctx.send(Ref(CATALOGUE.name, self.record.account_id), Forget(ctx.ref.id))


def write_fault(record: ResourceRecord | None, message: Update | Delete) -> Fault | None:
    """Why this record cannot be changed as asked, or None."""
    if record is None or (record.account_id, record.kind) != (message.account_id, message.kind):
        return NOT_FOUND
    if record.moved is not None:
        return moved_fault(record)
    if not record.lives:
        return NOT_FOUND
    locked = lock_of(record)
    if locked is not None:
        return OperatorFault(*locked)
    if message.expected_version is not None and message.expected_version != record.version:
        return OperatorFault("version_conflict", "the resource has changed since; read it again", 409, {"version": record.version})
    return None


def deletion_fault(owned: list[ResourceRecord]) -> Fault | None:
    """Why a record cannot be deleted together with the records that it owns, or None."""
    if len(owned) > OWNED_MAX:
        text = f"the resource owns more than {OWNED_MAX} others; delete some of them first"
        return OperatorFault("resource_owns_too_many", text, 409)
    for child in owned:
        locked = lock_of(child)
        if locked is not None:
            code, text, status = locked
            return OperatorFault(code, text, status, {"resource_id": child.id, "resource_kind": child.kind})
    return None


def tombstone(record: ResourceRecord, wall: float) -> ResourceRecord:
    """What remains of a deleted record."""
    return evolve(record, attributes={}, deleted_at=wall, frozen_by=None, incoming=False)


def in_order(fields: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes in the order of their declaration, so that equal ones are stored as equal text."""
    return {name: attributes[name] for name in fields if name in attributes}
