"""The shelf of a peer's mirrors: the one writer of them.

Lives here: one handler per message. Every write is what the home has told, and none is older than what is there. Must not live here: calls
to the home (`actors.capability`), or who may push (the door).
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.mirror.limits import DROPPED_SLICE, GONE_KEPT_S, MIRRORS_PER_PEER_MAX
from actors.mirror.messages import CameHome, GoOn, Keep, Kept, Renounce, Sweep, Take, Taken, Withdrawn
from actors.mirror.reading import Told
from actors.mirror.record import KIND, SHELF, MirrorRecord, Shelf, Source, drop_at, gone_of, of_kind, of_peer, origin_key
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.record import KIND as PEER
from actors.peer.standing import in_force
from actors.resource.record import KIND as RESOURCE
from runtime.actor import Actor, Due, Ref, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import Value, evolve

CAPABILITY: str = "federation_capability"
FULL = OperatorFault("mirrors_full", f"a peer may have {MIRRORS_PER_PEER_MAX} mirrors here, and these would be more", 409)
NOT_IN_FORCE = RemoteFault("peer_not_admitted", "the peering in which this record was told has ended", 401)

DEPENDANTS.append(Dependant(kind=SHELF.name, phase="draining", open=(), peer_column="open_peer_id"))


class _Origin(Value, frozen=True):
    """How a record came, as its mirror will say."""

    kind: str
    source: Source
    capability_id: str | None = None
    grant_id: str | None = None


class MirrorShelfActor(Actor):
    """One per peer."""

    kind = SHELF

    # --- what a home tells ---------------------------------------------------------------------------------------

    @handles(Keep)
    def on_keep(self, message: Keep, ctx: Context) -> None:
        origin = _Origin(message.kind, "pull", capability_id=message.capability_id)
        outcomes = self._write(ctx, message.account_id, message.peering_epoch, origin, message.told)
        if isinstance(outcomes, Fault):
            kept = Kept(run=message.run, fault=outcomes)
        else:
            kept = Kept(run=message.run, written=outcomes.count("written"), dropped=outcomes.count("dropped"))
        ctx.send(Ref(CAPABILITY, message.capability_id), kept)

    @handles(Take)
    def on_take(self, message: Take, ctx: Context) -> None:
        origin = _Origin(message.kind, "push", grant_id=message.grant_id)
        outcomes = self._write(ctx, message.account_id, message.peering_epoch, origin, (message.told,))
        ctx.reply(outcomes if isinstance(outcomes, Fault) else Taken(outcomes[0]))

    def _write(self, ctx: Context, account_id: str, peering_epoch: int, origin: _Origin, told: tuple[Told, ...]) -> list[str] | Fault:
        """What became of each record, or the fault for which nothing was written."""
        peer = ctx.row(PEER.name, ctx.ref.id)
        if peer is None or not in_force(peer.record, peering_epoch, ctx.wall):
            return NOT_IN_FORCE
        shelf: Shelf = self.record or Shelf(id=ctx.ref.id, account_id=account_id, peering_epoch=peering_epoch)
        latest = {each.origin_id: each for each in told}
        former = {id: self._mirror(ctx, id) for id in latest}
        outcomes = {id: _outcome(ctx, origin, former[id], each) for id, each in latest.items()}
        count = shelf.count + sum(_rows_after(origin, outcomes[id], former[id]) - (former[id] is not None) for id in latest)
        if count > max(MIRRORS_PER_PEER_MAX, shelf.count):
            return FULL
        for id, outcome in outcomes.items():
            _settle(ctx, shelf, origin, former[id], latest[id], outcome)
        next_at = shelf.next_at
        if origin.source == "push" and "dropped" in outcomes.values() and (next_at is None or next_at > ctx.wall + GONE_KEPT_S):
            next_at = ctx.wall + GONE_KEPT_S
        if (count, next_at) != (shelf.count, shelf.next_at) or self.record is None:
            ctx.save(evolve(shelf, count=count, next_at=next_at))
        return [outcomes[each.origin_id] for each in told]

    def _mirror(self, ctx: Context, origin_id: str) -> MirrorRecord | None:
        found = ctx.find(KIND.name, "origin", origin_key(ctx.ref.id, origin_id))
        row = ctx.row(KIND.name, found) if found is not None else None
        record: MirrorRecord | None = row.record if row is not None else None
        return record

    # --- dropping ------------------------------------------------------------------------------------------------

    @handles(Sweep)
    def on_sweep(self, message: Sweep, ctx: Context) -> None:
        dropped = 0
        after = None
        while True:
            rows = ctx.query(of_kind(ctx.ref.id, message.kind, after_id=after, limit=DROPPED_SLICE))
            for row in rows:
                record = row.record
                ours = record.capability_id == message.capability_id and record.observed_at < message.before
                if ours and record.origin_id not in message.seen:
                    ctx.delete_row(KIND.name, record.id)
                    dropped += 1
            if len(rows) < DROPPED_SLICE:
                break
            after = rows[-1].record.id
        self._counted(ctx, dropped)
        ctx.send(Ref(CAPABILITY, message.capability_id), Kept(run=message.run, dropped=dropped))

    @handles(Withdrawn)
    def on_withdrawn(self, message: Withdrawn, ctx: Context) -> None:
        over = [
            row.record
            for row in ctx.query(of_kind(ctx.ref.id, message.kind))
            if row.record.source == "push" and (message.epoch is None or row.record.moment.epoch < message.epoch)
        ]
        self._drop(ctx, over)

    @handles(CameHome)
    def on_came_home(self, message: CameHome, ctx: Context) -> None:
        self._drop(ctx, [record for id in message.origin_ids if (record := self._mirror(ctx, id)) is not None and at_home(ctx, id)])

    @handles(Renounce)
    def on_renounce(self, message: Renounce, ctx: Context) -> None:
        shelf: Shelf | None = self.record
        if shelf is not None and message.capability_id not in shelf.renounced:
            ctx.save(evolve(shelf, renounced=(*shelf.renounced, message.capability_id), next_at=ctx.wall))

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        shelf: Shelf | None = self.record
        if shelf is not None and shelf.ended_at is None:
            ctx.save(evolve(shelf, ended_at=message.ended_at, next_at=drop_at(message.ended_at)))

    @handles(GoOn)
    def on_go_on(self, message: GoOn, ctx: Context) -> None:
        self._go_on(ctx)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        self._go_on(ctx)

    def _go_on(self, ctx: Context) -> None:
        """Drop a slice of what is over, until nothing of it is left."""
        shelf: Shelf | None = self.record
        if shelf is None:
            return
        ended = shelf.ended_at is not None and drop_at(shelf.ended_at) <= ctx.wall
        over = self._over(ctx, shelf, ended=ended)
        for record in over[:DROPPED_SLICE]:
            ctx.delete_row(KIND.name, record.id)
        count = shelf.count - len(over[:DROPPED_SLICE])
        if len(over) >= DROPPED_SLICE:
            ctx.save(evolve(shelf, count=count, next_at=ctx.wall))
            ctx.after(0.0, GoOn(), "go-on")
        elif ended:
            ctx.remove()
        else:
            gone = [row.record.gone_at + GONE_KEPT_S for row in ctx.query(gone_of(ctx.ref.id, DROPPED_SLICE)) if row.record not in over]
            later = [drop_at(shelf.ended_at)] if shelf.ended_at is not None else []
            ctx.save(evolve(shelf, count=count, renounced=(), next_at=min((*gone, *later), default=None)))

    def _over(self, ctx: Context, shelf: Shelf, *, ended: bool) -> list[MirrorRecord]:
        """Mirrors that are to be dropped now."""
        if ended:
            return [row.record for row in ctx.query(of_peer(ctx.ref.id, DROPPED_SLICE))]
        gone = [row.record for row in ctx.query(gone_of(ctx.ref.id, DROPPED_SLICE)) if row.record.gone_at + GONE_KEPT_S <= ctx.wall]
        if not shelf.renounced:
            return gone
        rows = ctx.query(of_peer(ctx.ref.id, MIRRORS_PER_PEER_MAX))
        return gone + [row.record for row in rows if row.record.capability_id in shelf.renounced]

    def _drop(self, ctx: Context, records: Iterable[MirrorRecord]) -> None:
        dropped = 0
        for record in records:
            ctx.delete_row(KIND.name, record.id)
            dropped += 1
        self._counted(ctx, dropped)

    def _counted(self, ctx: Context, dropped: int) -> None:
        shelf: Shelf | None = self.record
        if shelf is not None and dropped:
            ctx.save(evolve(shelf, count=shelf.count - dropped))


class MirrorActor(Actor):
    """One mirror. It has nothing to do: its shelf writes it, and nobody else may."""

    kind = KIND


def at_home(ctx: Context, id: str) -> bool:
    """Whether this platform is, or was, the home of the record: then nobody else's word about it is kept."""
    row = ctx.row(RESOURCE.name, id)
    return row is not None and row.record.moved is None


def _outcome(ctx: Context, origin: _Origin, former: MirrorRecord | None, told: Told) -> str:
    if at_home(ctx, told.origin_id):
        return "at_home"
    if former is not None and (told.moment < former.moment or former.kind != origin.kind):
        return "overtaken"
    if told.attributes is None:
        return "dropped"
    known = former is not None and former.gone_at is None
    same = known and former is not None and (former.etag, dict(former.attributes)) == (told.etag, dict(told.attributes))
    return "unchanged" if same else "written"


def _rows_after(origin: _Origin, outcome: str, former: MirrorRecord | None) -> int:
    """How many rows there are of a record afterwards: what its home has withdrawn by a call of its own is remembered for a while."""
    if outcome == "dropped":
        return 1 if origin.source == "push" else 0
    if outcome == "at_home":
        return 0
    return 1 if outcome == "written" or former is not None else 0


def _settle(ctx: Context, shelf: Shelf, origin: _Origin, former: MirrorRecord | None, told: Told, outcome: str) -> None:
    if outcome == "written" or (outcome == "dropped" and origin.source == "push"):
        _put(ctx, shelf, origin, former, told)
    elif outcome in ("dropped", "at_home") and former is not None:
        ctx.delete_row(KIND.name, former.id)
    elif outcome == "unchanged" and former is not None and _confirms(origin, former, told):
        _put(ctx, shelf, origin, former, told)


def _confirms(origin: _Origin, former: MirrorRecord, told: Told) -> bool:
    """Whether an unchanged state says something new all the same: of a later start, by another way, or brought again by its home."""
    how = (origin.source, origin.capability_id, origin.grant_id) != (former.source, former.capability_id, former.grant_id)
    return told.moment > former.moment or how or origin.source == "push"


def _put(ctx: Context, shelf: Shelf, origin: _Origin, former: MirrorRecord | None, told: Told) -> None:
    # What we ask for ourselves stays so when its home brings it too: we know best how old it is.
    pulled = former is not None and former.source == "pull" and origin.source == "push"
    how = _Origin(former.kind, "pull", former.capability_id) if pulled and former is not None else origin
    record = MirrorRecord(
        id=former.id if former is not None else ctx.new_id(),
        version=1 if former is None else former.version + 1,
        account_id=shelf.account_id,
        origin_peer_id=ctx.ref.id,
        origin_id=told.origin_id,
        kind=origin.kind,
        attributes=told.attributes or {},
        etag=told.etag,
        moment=told.moment,
        observed_at=ctx.wall,
        first_observed_at=ctx.wall if former is None else former.first_observed_at,
        source=how.source,
        capability_id=how.capability_id,
        grant_id=how.grant_id,
        gone_at=ctx.wall if told.attributes is None else None,
    )
    ctx.put_row(KIND.name, record, None if former is None else former.version)
