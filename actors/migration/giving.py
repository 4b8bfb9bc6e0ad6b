"""The catalogue at the source of a migration: holding records, letting go of them, and leaving word where they went.

Lives here: three handlers, each of which may be asked twice. Must not live here: when to do which (the migration's own actor).
"""

from __future__ import annotations

from actors.homecoming.record import IN_QUESTION, in_question
from actors.migration.messages import Depart, Departed, Freeze, Frozen, Release, Released
from actors.migration.record import MIGRATION
from actors.resource.plan import Committed, lock_of
from actors.resource.record import KIND, Moved, ResourceRecord
from actors.resource.writing import Writing
from runtime.actor import Ref, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve


class Giving(Writing):
    """Handlers of the source."""

    @handles(Freeze)
    def on_freeze(self, message: Freeze, ctx: Context) -> None:
        committed = Committed(ctx.ref.id, ctx.query)
        committed.load(message.ids)
        records = [committed.record(id) for id in message.ids]
        fault = next((fault for record in records if (fault := freeze_fault(record, ctx.ref.id, message.migration_id)) is not None), None)
        if fault is None and not message.claimed and in_question(ctx.ref.id, ctx):
            fault = IN_QUESTION
        if fault is None:
            free = [record for record in records if record is not None and record.frozen_by is None]
            self.store(ctx, [(evolve(record, frozen_by=message.migration_id), record) for record in free])
        ctx.send(Ref(MIGRATION.name, message.migration_id), Frozen(fault=fault))

    @handles(Release)
    def on_release(self, message: Release, ctx: Context) -> None:
        self.store(ctx, [(evolve(record, frozen_by=None), record) for record in held(ctx, message.migration_id)])
        ctx.send(Ref(MIGRATION.name, message.migration_id), Released())

    @handles(Depart)
    def on_depart(self, message: Depart, ctx: Context) -> None:
        moved = Moved(message.peer_id, message.instance_id, message.migration_id)
        self.store(
            ctx,
            [
                (evolve(record, attributes={}, deleted_at=ctx.wall, moved=moved, frozen_by=None), record)
                for record in held(ctx, message.migration_id)
            ],
        )
        ctx.send(Ref(MIGRATION.name, message.migration_id), Departed())


def held(ctx: Context, migration_id: str) -> list[ResourceRecord]:
    """The records that a migration holds."""
    rows = ctx.query(Query(KIND.name, ((Condition("frozen_by", "=", migration_id),),), newest_first=False))
    return [row.record for row in rows if row.record.account_id == ctx.ref.id]


def freeze_fault(record: ResourceRecord | None, account_id: str, migration_id: str) -> Fault | None:
    """Why a record cannot be held for this migration, or None."""
    if record is None or not record.lives or record.account_id != account_id:
        return OperatorFault("resource_not_found", "a record of the plan is not here any more", 404)
    if record.frozen_by == migration_id:
        return None
    locked = lock_of(record)
    return OperatorFault(*locked, details={"resource_id": record.id}) if locked is not None else None
