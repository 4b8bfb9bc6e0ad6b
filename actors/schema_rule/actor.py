"""The actor of one decision about a pair of platform versions."""

from __future__ import annotations

from actors.idempotency.record import remember
from actors.schema_rule.messages import Create, Delete, Update
from actors.schema_rule.record import KIND, SchemaRule, to_json
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

EDITABLE = frozenset({"status", "notes", "blocked_kinds"})


class SchemaRuleActor(Actor):
    """One decision."""

    kind = KIND

    @handles(Create)
    def on_create(self, message: Create, ctx: Context) -> None:
        if self.record is not None:
            ctx.reply(OperatorFault("schema_compatibility_exists", "there is a decision with this id already", 409))
            return
        ctx.save(
            SchemaRule(
                id=ctx.ref.id,
                account_id=message.account_id,
                local_version=message.local_version,
                remote_version=message.remote_version,
                status=message.status,
                notes=message.notes,
                blocked_kinds=message.blocked_kinds,
                created_at=ctx.wall,
                updated_at=ctx.wall,
            )
        )
        remember(ctx, message.mark, 201, {"schema_compatibility": to_json(ctx.record)})
        ctx.reply(ctx.record)

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        if fault is not None:
            ctx.reply(fault)
            return
        foreign = sorted(message.changes.keys() - EDITABLE)
        if foreign:
            ctx.reply(OperatorFault("field_not_editable", f"{foreign[0]} cannot be changed", 422, {"field": foreign[0]}))
            return
        changes = {name: value or "" if name == "notes" else value for name, value in message.changes.items()}
        ctx.save(evolve(self.record, updated_at=ctx.wall, **changes))
        remember(ctx, message.mark, 200, {"schema_compatibility": to_json(ctx.record)})
        ctx.reply(ctx.record)

    @handles(Delete)
    def on_delete(self, message: Delete, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        if fault is not None:
            ctx.reply(fault)
        else:
            former = self.record
            ctx.remove()
            remember(ctx, message.mark, 200, {"id": former.id, "deleted": True})
            ctx.reply(former)

    def _fault(self, expected_version: int | None) -> Fault | None:
        if self.record is None:
            return OperatorFault("not_found", "there is no such decision", 404)
        if expected_version is not None and expected_version != self.record.version:
            return OperatorFault("version_conflict", "the decision has changed since; read it again", 409)
        return None
