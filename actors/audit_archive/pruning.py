"""The pruner of an account: gives up the oldest entries of audit chains, and only what stands in the archive as it was shipped.

Lives here: what may be given up, and giving it up. Must not live here: shipping (`actor`), or how entries are removed (the
store).

Nothing is pruned unless `federation.audit_retention` is set. Whole shipments go, the oldest first: verified, read back once more just
before, each of their entries older than the retention, and not holding the last entry of its chain. One shipment is one commit, with an
anchor of what it held, so that a crash leaves a shipment whole or gone.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from actors.audit_archive.messages import ObjectReadBack, Pruned, PruneNow
from actors.audit_archive.record import PRUNED_AT, PRUNING, REFUSED_TOLD_MAX, SHIPMENT, PruningRuns, Refused, ShipmentRecord
from actors.audit_archive.walking import Walk, Walker
from actors.ports import CheckObject, StoredObject
from actors.wall_clock.standing import CLOCK_IN_QUESTION, certain_wall, has_passed
from runtime.actor import handles
from runtime.context import Context
from runtime.errors import OperatorFault

CHANGED: Final = "object_changed"


@attrs.define(eq=False)
class Run(Walk):
    """A run under way; `dry` changes nothing, `limit` is how many shipments it takes at most, `next` the shipment that a chain is at.

    `looked` holds the chains of which nothing more is to be found out, `refused` what was not to be had of them.
    """

    by: str | None = None
    dry: bool = False
    limit: int | None = None
    next: int | None = None
    touched: set[str] = attrs.field(factory=set)
    looked: set[str] = attrs.field(factory=set)
    refused: list[Refused] = attrs.field(factory=list)

    def leave(self) -> None:
        """Be done with the chain at hand."""
        self.looked.add(self.chains.popleft().id)
        self.next = None

    def done(self, more: bool) -> Pruned:
        """What the run has done, or would do."""
        return Pruned(len(self.touched), self.shipments, self.entries, self.failures, more)


class Pruner(Walker):
    """One per account."""

    kind = PRUNING
    at = PRUNED_AT
    runs = PruningRuns
    running: Run | None = None

    def run_due(self, ctx: Context) -> None:
        if not ctx.settings.federation.audit_retention_s or has_passed(ctx, self.record.next_run_at):
            self.begin_walk(ctx, Run())

    @handles(PruneNow)
    def on_prune_now(self, message: PruneNow, ctx: Context) -> None:
        if self.record is None:
            ctx.reply(OperatorFault("not_found", "this account prunes nothing", 404))
        elif not ctx.settings.federation.audit_retention_s:
            ctx.reply(
                OperatorFault("pruning_off", "nothing is pruned unless federation.audit_retention says for how long entries stay", 409)
            )
        elif certain_wall(ctx) == -math.inf:
            ctx.reply(CLOCK_IN_QUESTION)
        elif self.running is not None:
            ctx.reply(OperatorFault("pruning_running", "a run is under way; ask again when it has ended", 409))
        else:
            self.begin_walk(ctx, Run(ctx.defer(), by=message.by, dry=message.dry_run, limit=message.limit))

    def go_on(self, ctx: Context, run: Run) -> None:
        """Have the next shipment that may go read back; a slice of chains at a time, so that others get their turns."""
        if not run.chains and not self.more_chains(ctx, run):
            self._end(ctx, run, more=False)
            return
        while run.chains:
            ripe = self._ripe(ctx, run.chains[0].id, run.next)
            if ripe is None:
                run.leave()
            elif run.limit is not None and run.shipments >= run.limit:
                self._end(ctx, run, more=True)
                return
            else:
                run.current = ripe
                ctx.call(CheckObject(ripe.path), then=ObjectReadBack)
                return
        self.next_chain(ctx)

    def more_chains(self, ctx: Context, run: Walk) -> bool:
        return bool(ctx.settings.federation.audit_retention_s) and super().more_chains(ctx, run)

    def _ripe(self, ctx: Context, chain: str, number: int | None) -> ShipmentRecord | None:
        """The shipment `number` of a chain, or the first one that is not pruned, if it may be; None if nothing of the chain may."""
        pruned = ctx.audit_pruned(chain)
        if number is None:
            holder = None if pruned is None else ctx.row(SHIPMENT.name, pruned.held_by)
            number = 1 if holder is None else holder.record.number + 1
        id = ctx.find(SHIPMENT.name, "number", f"{chain} {number}")
        row = None if id is None else ctx.row(SHIPMENT.name, id)
        head = ctx.audit_head(chain)
        if row is None or head is None:
            return None
        record: ShipmentRecord = row.record
        old = record.period_end < certain_wall(ctx) - ctx.settings.federation.audit_retention_s
        behind = pruned is None or record.first_sequence > pruned.sequence
        return record if record.state == "verified" and old and behind and record.last_sequence < head.sequence else None

    @handles(ObjectReadBack)
    def on_object_read_back(self, message: ObjectReadBack, ctx: Context) -> None:
        run = self.running
        if run is None or run.current is None:
            return
        asked, run.current = run.current, None
        found: StoredObject | None = None if message.fault is not None else message.outcome
        ripe = self._ripe(ctx, asked.chain, run.next)
        if found is None or found.sha256 != asked.sha256:
            self._refused(ctx, run, asked, CHANGED if message.fault is None else message.fault.code)
        elif ripe != asked:
            run.leave()
        else:
            if not run.dry:
                ctx.prune_audit(asked.chain, asked.last_sequence, asked.head_hash, asked.id)
            run.next = asked.number + 1
            run.touched.add(asked.chain)
            run.shipments += 1
            run.entries += asked.entry_count
        self.next_chain(ctx)

    def _refused(self, ctx: Context, run: Run, asked: ShipmentRecord, error: str) -> None:
        if not run.dry:
            ctx.emit("federation.audit.prune_refused", "critical", asked.account_id, federation_peer_id=asked.federation_peer_id,
                     chain=asked.chain, chain_kind=asked.chain_kind, shipment_id=asked.id, error=error)  # fmt: skip
        run.refused.append(Refused(shipment_id=asked.id, chain=asked.chain, chain_kind=asked.chain_kind, number=asked.number, error=error))
        run.failures += 1
        run.error = error
        run.leave()

    def _end(self, ctx: Context, run: Run, more: bool) -> None:
        self.running = None
        done = run.done(more)
        if not run.dry:
            # A run that stopped at its limit leaves the daily one what is left.
            self.ended(ctx, run.error, stays_due=more, refused=self._still_refused(run, more))
            if run.entries:
                facts = {"chains": done.chains, "shipments": done.shipments, "entries": done.entries}
                ctx.audit_in(ctx.settings.identity.instance_id, "audit.pruned", "system" if run.by is None else "user", run.by, **facts)
                ctx.emit("federation.audit.pruned", "low", ctx.ref.id, **facts)
        ctx.answer(run.asked, done)

    def _still_refused(self, run: Run, more: bool) -> tuple[Refused, ...]:
        """What the archive owes after this run; of chains that it has not come to, what it owed before."""
        record: PruningRuns = self.record
        kept = [each for each in record.refused if more and each.chain not in run.looked | run.touched]
        return (*run.refused, *kept)[:REFUSED_TOLD_MAX]
