"""Pulling: reading the home's list from the cursor on, page by page, and keeping mirrors of it.

Lives here: the steps of that leg. Must not live here: what a mirror is (`actors.mirror`), or the reading of single values (`relay`).

The peer is asked for every record of the kind and the filter is applied here: of a record that ceases to match a filter over there, nobody
would ever hear. The cursor moves past a page once the shelf has kept all of it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from actors.capability import filters
from actors.capability.limits import OVERLAP_S, PAGE_RECORDS, PAGES_MAX
from actors.capability.messages import PageRead
from actors.capability.record import CapabilityRecord
from actors.capability.running import Run, Running, advanced, unusable
from actors.door.received_grants import relay
from actors.limits import RESOURCES_REPLY_BYTES_MAX
from actors.mirror.limits import MIRRORS_PER_PEER_MAX
from actors.mirror.messages import Keep, Kept, Sweep
from actors.mirror.reading import Told, attributes_of
from actors.mirror.record import SHELF, Moment
from actors.mirror.shelf import FULL
from actors.peer.remote_answers import remote_code
from actors.ports import RemoteReply
from actors.problems import Problem
from runtime.actor import Ref, handles
from runtime.clock import iso, parse_iso
from runtime.context import Context
from runtime.errors import Fault, FaultError
from runtime.values import evolve

BEGIN_ANEW = frozenset({"cursor_invalid", "cursor_foreign"})
"""Refusals of a page's cursor: the grant changed or the cursor grew old, and the pass goes on from its own."""


class Pulling(Running):
    """Handlers of a pull."""

    def pull_page(self, ctx: Context) -> None:
        """Ask for the next page."""
        run, record = self.run, ctx.record
        assert run is not None
        query: dict[str, str] = {"include_deleted": "true", "limit": str(PAGE_RECORDS)}
        cursor = record.pull.cursor
        if run.following is not None:
            query["cursor"] = run.following
            query |= _since(run)
        else:
            run.since = iso(max(0.0, cursor.updated_at - OVERLAP_S)) if cursor is not None else None
            query |= _since(run)
        request = self.request(ctx, "GET", f"/federation_api/resources/{run.kind.kind}?{urlencode(query)}")
        if request is not None:
            ctx.call(evolve(request, reply_bytes_max=RESOURCES_REPLY_BYTES_MAX), then=PageRead, tag=run.id)

    @handles(PageRead)
    def on_page_read(self, message: PageRead, ctx: Context) -> None:
        run = self.run
        if run is None or run.id != message.tag:
            return
        reply = message.outcome
        if isinstance(reply, RemoteReply) and reply.status != 200:
            self._page_refused(ctx, run, reply)
            return
        told = self._told(ctx, run, reply) if isinstance(reply, RemoteReply) else reply
        if isinstance(told, Fault):
            self.failed(ctx, told)
            return
        record: CapabilityRecord = ctx.record
        keep = Keep(
            account_id=record.account_id,
            peering_epoch=run.peering_epoch,
            capability_id=record.id,
            kind=run.kind.kind,
            run=run.id,
            told=told,
        )
        run.page = list(told)
        run.seen.update(each.origin_id for each in told if each.attributes is not None)
        if len(run.seen) > MIRRORS_PER_PEER_MAX:
            self.failed(ctx, FULL)
        elif told:
            ctx.send(Ref(SHELF.name, record.federation_peer_id), keep)
        else:
            self._page_kept(ctx, run)

    def _page_refused(self, ctx: Context, run: Run, reply: RemoteReply) -> None:
        code = remote_code(reply)
        fault = relay.fault_of(reply)
        assert fault is not None
        if self.refused_bearer(ctx, reply, code) or (code in BEGIN_ANEW and run.following is not None):
            run.following = None
            self.pull_page(ctx)
        elif reply.status == 429:
            self.pause(ctx, fault)
        else:
            self.failed(ctx, fault)

    def _told(self, ctx: Context, run: Run, reply: RemoteReply) -> tuple[Told, ...] | Fault:
        """The page as the shelf takes it, or why it cannot be used."""
        try:
            records, meta = relay.read_list(reply, run.kind.kind)
        except FaultError as error:
            return error.fault
        told = []
        for place, each in enumerate(records):
            one = told_of(run, each, f"data[{place}].attributes")
            if isinstance(one, Fault):
                return one
            told.append(one)
        following = meta["next_cursor"]
        run.pages += 1
        if following is not None and (following == run.following or run.pages >= PAGES_MAX):
            return unusable("meta.next_cursor")
        run.following, run.last_page = following, following is None
        return tuple(told)

    @handles(Kept)
    def on_kept(self, message: Kept, ctx: Context) -> None:
        run = self.run
        if run is None or run.id != message.run or run.leg != "pull":
            return
        if message.fault is not None:
            self.failed(ctx, message.fault)
            return
        run.written += message.written
        run.dropped += message.dropped
        self._page_kept(ctx, run)

    def _page_kept(self, ctx: Context, run: Run) -> None:
        """All of the page is kept here: the cursor moves past it."""
        record: CapabilityRecord = ctx.record
        progress = record.pull
        if run.sweeping or (run.last_page and not run.full):
            self.leg_done(ctx, _past(progress, run))
            return
        self.keep(ctx, _past(progress, run))
        if not run.last_page:
            self.pull_page(ctx)
            return
        run.sweeping = True
        run.page = []
        sweep = Sweep(capability_id=record.id, kind=run.kind.kind, run=run.id, seen=frozenset(run.seen), before=run.began_at)
        ctx.send(Ref(SHELF.name, record.federation_peer_id), sweep)


def _past(progress: Any, run: Run) -> Any:
    if not run.page:
        return progress
    last: Told = run.page[-1]
    return advanced(progress, last.moment.updated_at, last.origin_id)


def _since(run: Run) -> dict[str, str]:
    return {} if run.since is None else {"updated_since": run.since}


def told_of(run: Run, exported: dict[str, Any], path: str) -> Told | Fault:
    """One record of a page as the shelf takes it: gone, too, if the filter does not let it flow."""
    attributes = None
    if not exported["deleted"]:
        problems: list[Problem] = []
        attributes = attributes_of(run.kind, exported["attributes"], problems, path)
        if attributes is None:
            return unusable(problems[0].field if problems else path)
        if not filters.matches(run.kind, run.filter, attributes):
            attributes = None
    moment = Moment(run.epoch, parse_iso(exported["updated_at"]))
    return Told(origin_id=exported["id"], etag=exported["etag"], moment=moment, attributes=attributes)
