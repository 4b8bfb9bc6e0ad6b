"""The archivist of an account: ships what is old enough of every audit chain, and believes nothing that it has not read back.

Lives here: what a run does with a chain. Must not live here: which chain is next (`walking`), the bytes of a shipment (`record`), or the
archive itself (a port).

A run looks at one chain after the other, whatever it tells of: a revoked peer's last entries are shipped too. What is chosen is saved
before it is written, so that a crash at any point leaves a shipment that the next run takes up; the same object is then written again.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from actors.audit_archive.chains import Chain, ChainKind
from actors.audit_archive.lifecycle import Trigger, transition
from actors.audit_archive.messages import ObjectChecked, ObjectStored, ShipNow, Shipped
from actors.audit_archive.record import ARCHIVE, SHIPMENT, SHIPPED_AT, ShipmentRecord, latest_shipment, object_bytes, renamed, shipment
from actors.audit_archive.walking import Walk, Walker
from actors.limits import SHIPMENT_ENTRIES_MAX
from actors.ports import CheckObject, StoredObject, StoreObject
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import OperatorFault
from runtime.store.port import AuditEntry
from runtime.values import evolve

CHANGED: Final = "object_changed"
SPOILT: Final = frozenset({CHANGED, "object_exists"})
"""Why a shipment failed whose name is taken by something else."""


@attrs.define(eq=False)
class Run(Walk):
    """A run under way; `swept` counts the chains that have been dealt with, `swept_peers` those of peers."""

    swept: int = 0
    swept_peers: int = 0

    def sweep(self, kind: ChainKind) -> None:
        """One chain more has been dealt with."""
        self.swept += 1
        self.swept_peers += kind == "peer"


class Archivist(Walker):
    """One per account."""

    kind = ARCHIVE
    at = SHIPPED_AT
    running: Run | None = None

    def run_due(self, ctx: Context) -> None:
        self.begin_walk(ctx, Run())

    @handles(ShipNow)
    def on_ship_now(self, message: ShipNow, ctx: Context) -> None:
        if self.record is None:
            ctx.reply(OperatorFault("not_found", "this account ships nothing", 404))
        elif self.running is not None:
            ctx.reply(OperatorFault("shipment_running", "a run is under way; ask again when it has ended", 409))
        else:
            self.begin_walk(ctx, Run(ctx.defer()))

    def go_on(self, ctx: Context, run: Run) -> None:
        """Take the next chain that has something to ship; a slice of chains at a time, so that others get their turns."""
        if not run.chains and not self.more_chains(ctx, run):
            self._end(ctx, run)
            return
        while run.chains:
            chain = run.chains.popleft()
            if self._ship(ctx, run, chain):
                return
            run.sweep(chain.kind)
        self.next_chain(ctx)

    def _ship(self, ctx: Context, run: Run, chain: Chain) -> bool:
        """Begin with what of the chain is to be shipped; False if there is nothing."""
        former = latest_shipment(ctx.query, chain.id)
        if former is not None and former.state != "verified":
            attempts = former.attempts + 1
            # What stands in the archive by the former name is not ours to write over, and not what was shipped.
            path = renamed(former.path, attempts) if former.error in SPOILT else former.path
            again = evolve(_stepped(former, "tried_again"), version=former.version + 1, attempts=attempts, error=None, path=path)
            content = object_bytes(again, ctx.audit_entries(chain.id, again.first_sequence - 1, again.entry_count))
            self._write(ctx, run, again, former.version, content)
            return True
        entries = self._ripe(ctx, chain.id, 0 if former is None else former.last_sequence)
        if not entries:
            return False
        made, content = shipment(ctx.new_id(), ctx.ref.id, chain, entries, former, ctx.wall, ctx.ledger_head())
        self._write(ctx, run, evolve(made, version=1), None, content)
        return True

    def _ripe(self, ctx: Context, chain: str, after: int) -> list[AuditEntry]:
        """The entries behind `after` that are old enough, as far as they follow each other."""
        boundary = ctx.wall - ctx.settings.federation.audit_boundary_s
        found = ctx.audit_entries(chain, after, SHIPMENT_ENTRIES_MAX)
        young = next((index for index, entry in enumerate(found) if entry.at >= boundary), len(found))
        return found[:young]

    def _write(self, ctx: Context, run: Run, record: ShipmentRecord, version: int | None, content: bytes) -> None:
        run.current = record
        ctx.put_row(SHIPMENT.name, record, version)
        ctx.call(StoreObject(record.path, content), then=ObjectStored)

    @handles(ObjectStored)
    def on_object_stored(self, message: ObjectStored, ctx: Context) -> None:
        run = self.running
        if run is None or run.current is None:
            return
        if message.fault is not None:
            self._broke(ctx, run, message.fault.code)
            return
        run.current = self._step(ctx, run.current, "stored")
        ctx.call(CheckObject(run.current.path), then=ObjectChecked)

    @handles(ObjectChecked)
    def on_object_checked(self, message: ObjectChecked, ctx: Context) -> None:
        run = self.running
        if run is None or run.current is None:
            return
        found: StoredObject | None = None if message.fault is not None else message.outcome
        if found is None or found.sha256 != run.current.sha256:
            self._broke(ctx, run, CHANGED if message.fault is None else message.fault.code)
            return
        done = self._step(ctx, run.current, "read_back", shipped_at=ctx.wall)
        run.shipments += 1
        run.entries += done.entry_count
        run.current = None
        # There may be more of the same chain.
        run.chains.appendleft(Chain(done.chain, done.chain_kind))
        self.next_chain(ctx)

    def _broke(self, ctx: Context, run: Run, error: str) -> None:
        assert run.current is not None
        failed = self._step(ctx, run.current, "broke", error=error)
        ctx.emit("federation.audit.seal_failed", "critical", failed.account_id, federation_peer_id=failed.federation_peer_id,
                 chain=failed.chain, chain_kind=failed.chain_kind, shipment_id=failed.id, error=error)  # fmt: skip
        run.failures += 1
        run.sweep(failed.chain_kind)
        run.error = error
        run.current = None
        self.next_chain(ctx)

    def _step(self, ctx: Context, record: ShipmentRecord, trigger: Trigger, **changes: Any) -> ShipmentRecord:
        changed = evolve(_stepped(record, trigger), version=record.version + 1, **changes)
        ctx.put_row(SHIPMENT.name, changed, record.version)
        return changed

    def _end(self, ctx: Context, run: Run) -> None:
        self.running = None
        self.ended(ctx, run.error)
        ctx.answer(run.asked, Shipped(run.swept_peers, run.shipments, run.entries, run.failures, run.swept))


class ShipmentRow(Actor):
    """Stands for the row of a shipment, which the archivist owns."""

    kind = SHIPMENT


def _stepped(record: ShipmentRecord, trigger: Trigger) -> ShipmentRecord:
    state = transition(record.state, trigger)
    assert state is not None, (record.state, trigger)
    return evolve(record, state=state)
