"""The actors that stand for rows of the destination: one proves receipts and wakes a plan that nobody commits, the other only stands there.

Must not live here: what a row says, which the catalogue decides.
"""

from __future__ import annotations

import base64

from actors.migration.messages import DropStaged, Proof, Prove, Signed
from actors.migration.receipts import PURPOSE
from actors.migration.record import ARRIVAL, STAGED, ArrivalRecord
from actors.migration.steps import canonical
from actors.ports import SignStatement
from actors.resource.catalogue import KIND as CATALOGUE
from actors.rotation.record import signing_root
from actors.wall_clock.standing import has_passed
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.errors import OperatorFault


class ArrivalActor(Actor):
    """One arrival."""

    kind = ARRIVAL
    asked: int = 0

    def holds_work(self) -> bool:
        return self.asked > 0

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        found = current(ctx)
        if found is not None and found.expires_at is not None and has_passed(ctx, found.expires_at):
            ctx.send(Ref(CATALOGUE.name, found.account_id), DropStaged(ctx.ref.id))

    @handles(Prove)
    def on_prove(self, message: Prove, ctx: Context) -> None:
        found = current(ctx)
        if found is None or found.receipt is None:
            ctx.reply(OperatorFault("migration_not_applied", "there is no receipt of this migration", 409))
            return
        self.asked += 1
        receipt = dict(found.receipt)
        ctx.call(SignStatement(PURPOSE, canonical(receipt), signing_root(ctx)), then=Signed, tag=(ctx.defer(), receipt))

    @handles(Signed)
    def on_signed(self, message: Signed, ctx: Context) -> None:
        address, receipt = message.tag
        self.asked = max(0, self.asked - 1)
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        statement = message.outcome
        proof = Proof(receipt=receipt, signature=base64.b64encode(statement.signature).decode(), certificate_pem=statement.certificate_pem)
        ctx.answer(address, proof)


class StagedStepActor(Actor):
    """Stands for the row of a staged step, which the catalogue owns."""

    kind = STAGED


def current(ctx: Context) -> ArrivalRecord | None:
    """The committed row, which another actor writes."""
    row = ctx.row(ARRIVAL.name, ctx.ref.id)
    return row.record if row is not None else None
