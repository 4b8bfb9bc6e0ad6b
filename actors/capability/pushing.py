"""Pushing: bringing our own records to a peer that mirrors them, one by one from the cursor on.

Lives here: the steps of that leg. Must not live here: what the peer makes of it (its door, its shelf).

The cursor moves past a record once the peer has acknowledged it. What was acknowledged is noted, so that a record which is deleted, moves
away or ceases to match the filter is withdrawn, and the peer hears of no record that never was to flow.
"""

from __future__ import annotations

from typing import Any, Literal

from actors.capability import filters
from actors.capability.limits import PAGE_RECORDS
from actors.capability.messages import CloseTold, MirrorPut, Proceed
from actors.capability.pulling import Pulling
from actors.capability.record import PUSHED, CapabilityRecord, PushedRecord, pushed_id
from actors.capability.running import Run, advanced, unusable
from actors.door.received_grants import relay
from actors.peer.peer_events import SYNC_PUSHED_ALL
from actors.peer.remote_answers import remote_code
from actors.ports import RemoteReply
from actors.resource import pages, projection
from actors.resource.pages import PageRequest, Place
from actors.resource.record import KIND as RESOURCE
from actors.resource.record import ResourceRecord
from runtime.actor import handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault
from runtime.store.port import Condition, Query

Act = Literal["bring", "withdraw", "pass"]
KEPT = frozenset({"written", "unchanged"})
OUTCOMES = frozenset({"written", "unchanged", "dropped", "overtaken", "at_home"})


class Pushing(Pulling):
    """Handlers of a push."""

    def proceed(self, ctx: Context) -> None:
        assert self.run is not None
        if self.run.leg == "pull":
            self.pull_page(ctx)
        else:
            self.push_next(ctx)

    @handles(Proceed)
    def on_proceed(self, message: Proceed, ctx: Context) -> None:
        if self.run is not None and self.run.id == message.run:
            self.proceed(ctx)

    def push_next(self, ctx: Context) -> None:
        """Bring or withdraw the next record; those that need neither are passed on the way."""
        run = self.run
        assert run is not None
        while True:
            if not run.page and not self._next_page(ctx, run):
                return
            record: ResourceRecord = run.page[0]
            act = self._act(ctx, run, record)
            if act != "pass":
                self._put(ctx, run, record, act)
                return
            self._past(ctx, run, record)

    def _next_page(self, ctx: Context, run: Run) -> bool:
        """Whether there is another page of the catalogue; behind the last one the leg comes to its end."""
        record: CapabilityRecord = ctx.record
        if run.last_page:
            self.keep(ctx, record.push)
            if run.full:
                self._push_closing(ctx, run)
            else:
                self.leg_done(ctx, record.push)
            return False
        cursor = record.push.cursor
        after = Place(cursor.updated_at, cursor.id) if cursor is not None else None
        wanted = PageRequest(account_id=record.account_id, kind=run.kind, limit=PAGE_RECORDS, include_deleted=True, after=after)
        page = pages.read(ctx.engine.store, wanted)
        run.page, run.last_page = list(page.records), page.complete
        return True if run.page else self._next_page(ctx, run)

    def _act(self, ctx: Context, run: Run, record: ResourceRecord) -> Act:
        if record.lives and filters.matches(run.kind, run.filter, record.attributes):
            return "bring"
        return "withdraw" if ctx.row(PUSHED.name, pushed_id(ctx.ref.id, record.id)) is not None else "pass"

    def _put(self, ctx: Context, run: Run, record: ResourceRecord, act: Act) -> None:
        shown = projection.exported(record)
        gone = act == "withdraw"
        body = {
            "epoch": run.epoch,
            "updated_at": shown["updated_at"],
            "etag": shown["etag"],
            "deleted": gone,
            "attributes": {} if gone else shown["attributes"],
            "acknowledge_residency": ctx.record.acknowledge_residency,
        }
        request = self.request(ctx, "PUT", f"/federation_api/resources/{run.kind.kind}/{record.id}/mirror", body)
        if request is not None:
            ctx.call(request, then=MirrorPut, tag=(run.id, record.id))

    @handles(MirrorPut)
    def on_mirror_put(self, message: MirrorPut, ctx: Context) -> None:
        run = self.run
        if run is None or run.leg != "push" or not run.page or (run.id, run.page[0].id) != message.tag:
            return
        reply = message.outcome
        if not isinstance(reply, RemoteReply):
            self.failed(ctx, reply)
            return
        outcome = _outcome(reply)
        if isinstance(outcome, Fault):
            self._put_refused(ctx, reply, outcome)
            return
        record: ResourceRecord = run.page[0]
        known = ctx.row(PUSHED.name, pushed_id(ctx.ref.id, record.id)) is not None
        if outcome in KEPT and not known:
            pushed = PushedRecord(id=pushed_id(ctx.ref.id, record.id), capability_id=ctx.ref.id, resource_id=record.id)
            ctx.put_row(PUSHED.name, pushed)
        elif outcome not in KEPT and known:
            ctx.delete_row(PUSHED.name, pushed_id(ctx.ref.id, record.id))
        run.written += outcome == "written"
        run.dropped += outcome == "dropped"
        self._past(ctx, run, record)
        self.keep(ctx, ctx.record.push)
        self.push_next(ctx)

    def _put_refused(self, ctx: Context, reply: RemoteReply, fault: Fault) -> None:
        if self.refused_bearer(ctx, reply, remote_code(reply)):
            self.push_next(ctx)
        elif reply.status == 429:
            self.pause(ctx, fault)
        else:
            self.failed(ctx, fault)

    def _past(self, ctx: Context, run: Run, record: ResourceRecord) -> None:
        """The peer knows all that it is to know of this record."""
        run.page.pop(0)
        self.keep(ctx, advanced(ctx.record.push, record.updated_at, record.id))

    # --- the end of a full pass ----------------------------------------------------------------------------------

    def _push_closing(self, ctx: Context, run: Run) -> None:
        """Forget what is nowhere any more, and tell the peer that whatever it was not brought since this start is gone."""
        for row in ctx.query(Query(PUSHED.name, ((Condition("capability_id", "=", ctx.ref.id),),))):
            if ctx.row(RESOURCE.name, row.record.resource_id) is None:
                ctx.delete_row(PUSHED.name, row.record.id)
        body = {
            "event_id": ctx.new_id(),
            "kind": SYNC_PUSHED_ALL,
            "effective_at": iso(ctx.wall),
            "payload": {"resource_kind": run.kind.kind, "epoch": run.epoch},
        }
        request = self.request(ctx, "POST", "/federation_api/peer_events", body)
        if request is not None:
            ctx.call(request, then=CloseTold, tag=run.id)

    @handles(CloseTold)
    def on_close_told(self, message: CloseTold, ctx: Context) -> None:
        run = self.run
        if run is None or run.id != message.tag:
            return
        reply = message.outcome
        fault = relay.fault_of(reply) if isinstance(reply, RemoteReply) else reply
        if fault is None:
            self.leg_done(ctx, ctx.record.push)
        elif fault.status == 429:
            self.pause(ctx, fault)
        else:
            self.failed(ctx, fault)


def _outcome(reply: RemoteReply) -> str | Fault:
    """What the peer made of a pushed record, or why nothing."""
    fault = relay.fault_of(reply)
    if fault is not None:
        return fault
    data: Any = reply.body.get("data")
    outcome = data.get("outcome") if isinstance(data, dict) else None
    return outcome if isinstance(outcome, str) and outcome in OUTCOMES else unusable("data.outcome")
