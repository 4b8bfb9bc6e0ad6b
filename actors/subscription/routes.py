"""The actor of an account's routes: the one who asks for the proxy's configuration to be written.

Lives here: when it is written, and what stands in it: a function of the committed subscriptions and their peers. Must not live here: the
form of a file (`actors.proxy_document`). All is written anew after a start, so that nothing depends on a message that a crash has lost.
"""

from __future__ import annotations

from typing import Final

from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import frozen_by
from actors.peer.record import KIND as PEER
from actors.ports import WriteRoutes
from actors.subscription.messages import Rewrite, Routed, Written
from actors.subscription.record import KIND as SUBSCRIPTION
from actors.subscription.record import SubscriptionRecord, route_of, wants_route
from actors.subscription.steps import ROUTES_KIND
from runtime.actor import Actor, Ref, Resume, handles
from runtime.context import Context
from runtime.store.port import Condition, Kind, Query
from runtime.values import Value

AGAIN_FIRST_S: Final = 1.0
AGAIN_LAST_S: Final = 60.0


class ProxyRoutes(Value, frozen=True, kw_only=True):
    """That an account has, or once had, routes; its id is the account's."""

    id: str
    version: int = 0


KIND: Final = Kind(name=ROUTES_KIND, record=ProxyRoutes, resume=lambda record: True)


class ProxyRoutesActor(Actor):
    """One account. `waiting` are subscriptions that want to hear of the next writing; `again` says that something has changed meanwhile."""

    kind = KIND

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.busy = False
        self.again = False
        self.failures = 0

    @handles(Rewrite)
    def on_rewrite(self, message: Rewrite, ctx: Context) -> None:
        if message.waiting is not None:
            self.waiting.add(message.waiting)
        if self.record is None:
            if not self._wanted(ctx):
                # An account without subscriptions has no file.
                self.waiting.clear()
                return
            ctx.save(ProxyRoutes(id=ctx.ref.id))
        self._write(ctx)

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        self._write(ctx)

    def _wanted(self, ctx: Context) -> list[SubscriptionRecord]:
        """Every subscription that wants a route now. A restored copy may hold some that have ended since: none, until that is decided."""
        identity = ctx.settings.identity
        continuity = ctx.row(CONTINUITY.name, identity.instance_id)
        if frozen_by(continuity.record if continuity is not None else None, identity) == "restored":
            return []
        conditions = (Condition("account_id", "=", ctx.ref.id), Condition("state", "in", ("active", "pending")))
        rows = [row.record for row in ctx.query(Query(SUBSCRIPTION.name, (conditions,), newest_first=False))]
        ids = tuple(dict.fromkeys(record.federation_peer_id for record in rows))
        peers = {row.record.id: row.record for row in ctx.query(Query(PEER.name, ((Condition("id", "in", ids),),)))} if ids else {}
        return [record for record in rows if wants_route(record, peers.get(record.federation_peer_id), ctx.wall)]

    def _write(self, ctx: Context) -> None:
        if self.busy:
            self.again = True
            return
        wanted = self._wanted(ctx)
        self.busy, self.again = True, False
        ids = frozenset(record.id for record in wanted)
        ctx.call(WriteRoutes(ctx.ref.id, tuple(route_of(record) for record in wanted)), then=Written, tag=ids)

    @handles(Written)
    def on_written(self, message: Written, ctx: Context) -> None:
        self.busy = False
        if message.fault is not None:
            wait_s = min(AGAIN_FIRST_S * 2.0 ** min(self.failures, 16), AGAIN_LAST_S)
            self.failures += 1
            ctx.after(wait_s, Rewrite(), "again")
            for id in sorted(self.waiting):
                ctx.send(Ref(SUBSCRIPTION.name, id), Routed(message.fault))
            self.waiting.clear()
            return
        self.failures = 0
        for id in sorted(self.waiting & message.tag):
            ctx.send(Ref(SUBSCRIPTION.name, id), Routed())
        self.waiting -= message.tag
        if self.again:
            self._write(ctx)

    def holds_work(self) -> bool:
        return self.busy or self.again or bool(self.waiting) or self.failures > 0
