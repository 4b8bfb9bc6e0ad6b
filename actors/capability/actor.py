"""The actor of one capability: operators' decisions, the rhythm of its passes, and its end.

Lives here: one handler per message. Must not live here: a pass (`running`, `pulling`, `pushing`).
"""

from __future__ import annotations

from typing import Final

from actors.capability.lifecycle import FITTING
from actors.capability.limits import CAPABILITIES_PER_PEER_MAX, DEBOUNCE_S, WITHDRAWAL_AGAIN_S, WITHDRAWAL_TOLD_FOR_S
from actors.capability.messages import Begin, CatalogueChanged, Create, Delete, Synced, SyncNow, Update, Waited
from actors.capability.pushing import Pushing
from actors.capability.record import PUSHED, CapabilityRecord, moved, shown_of, to_json
from actors.capability.running import tell, what_flows
from actors.idempotency.record import remember
from actors.mirror.messages import Renounce
from actors.mirror.record import SHELF
from actors.mirror.shelf import CAPABILITY
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.messages import PeeringEnded
from actors.peer.outbound import exchange
from actors.peer.peer_events import SYNC_WITHDRAWN
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.standing import PEER_NOT_FOUND
from actors.ports import RemoteReply
from runtime.actor import CallResult, Due, Ref, handles
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.store.port import Condition, Query
from runtime.values import evolve

DEPENDANTS.append(Dependant(kind=CAPABILITY, phase="draining", open=(), peer_column="open_peer_id"))

NOT_FOUND: Final = OperatorFault("not_found", "there is no such capability", 404)
FULL: Final = OperatorFault("capabilities_full", f"a peer has at most {CAPABILITIES_PER_PEER_MAX} capabilities", 409)
ONLY_MIGRATIONS: Final = OperatorFault("capability_not_driven", "nothing flows under a capability for migrations only", 409)
ENDED: Final = OperatorFault("peer_revoked", "the peering of this capability has ended", 409)


class WithdrawalTold(CallResult, frozen=True):
    """The peer has heard that we bring it no more; or not, and then it is told again."""


class CapabilityActor(Pushing):
    """One capability."""

    # --- operators -----------------------------------------------------------------------------------------------

    @handles(Create)
    def on_create(self, message: Create, ctx: Context) -> None:
        row = ctx.row(PEER.name, message.peer_id)
        peer: PeerRecord | None = row.record if row is not None else None
        fault = creation_fault(ctx, message, peer)
        if fault is not None or peer is None:
            ctx.reply(fault)
            return
        record = CapabilityRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            federation_peer_id=peer.id,
            resource_kind=message.resource_kind,
            direction=message.direction,
            policy=message.policy,
            filter=message.filter,
            interval_seconds=message.interval_seconds,
            acknowledge_residency=message.acknowledge_residency,
            created_by=message.by,
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        record = evolve(record, next_at=ctx.wall if record.by_itself else None)
        tell(ctx, record, "capability_created", "low", message.by, policy=record.policy)
        ctx.save(record)
        remember(ctx, message.mark, 201, {"capability": to_json(ctx.record, ctx.wall)})
        ctx.reply(ctx.record)

    @handles(Update)
    def on_update(self, message: Update, ctx: Context) -> None:
        fault = self._fault(message.expected_version) or update_fault(self.record, message)
        if fault is not None:
            ctx.reply(fault)
            return
        record: CapabilityRecord = self.record
        changed = evolve(record, **message.changes)
        if changed.filter != record.filter:
            changed = evolve(changed, pull=evolve(record.pull, full=True), push=evolve(record.push, full=True))
        if changed != record:
            next_at = ctx.wall if changed.by_itself else None
            tell(ctx, changed, "capability_changed", "low", message.by, fields=sorted(message.changes))
            ctx.save(evolve(changed, blocked=None, next_at=next_at, updated_at=ctx.wall))
            # What is under way goes by what was; it ends here and begins anew.
            self._abandon(ctx)
        remember(ctx, message.mark, 200, {"capability": to_json(ctx.record, ctx.wall)})
        ctx.reply(ctx.record)

    @handles(Delete)
    def on_delete(self, message: Delete, ctx: Context) -> None:
        fault = self._fault(message.expected_version)
        if fault is not None:
            ctx.reply(fault)
            return
        record: CapabilityRecord = self.record
        self._abandon(ctx)
        tell(ctx, record, "capability_deleted", "low", message.by)
        going = evolve(record, going=True, next_at=ctx.wall, updated_at=ctx.wall)
        if "push" in record.legs and record.push.cursor is not None:
            going = evolve(going, withdrawal_id=ctx.new_id(), withdraw_until=ctx.wall + WITHDRAWAL_TOLD_FOR_S)
        ctx.save(going)
        remember(ctx, message.mark, 200, {"id": record.id, "deleted": True})
        ctx.reply(record)

    @handles(SyncNow)
    def on_sync_now(self, message: SyncNow, ctx: Context) -> None:
        fault = self._fault(None)
        record: CapabilityRecord | None = self.record
        if fault is None and record is not None and not record.open:
            fault = ENDED
        if fault is None and record is not None and not record.legs:
            fault = ONLY_MIGRATIONS
        if fault is not None:
            ctx.reply(fault)
        else:
            self.begin(ctx, message)

    @handles(Waited)
    def on_waited(self, message: Waited, ctx: Context) -> None:
        """Who asked hears that the pass goes on."""
        run = self.run
        if run is not None and run.id == message.run:
            asked, run.asked = run.asked, []
            for address in asked:
                ctx.answer(address, Synced(record=self.record, running=True, written=run.written, dropped=run.dropped))

    # --- the rhythm ----------------------------------------------------------------------------------------------

    @handles(CatalogueChanged)
    def on_catalogue_changed(self, message: CatalogueChanged, ctx: Context) -> None:
        if self.run is not None:
            self.again = True
        elif not self.gathering:
            # The first change of several sets the time, so that a catalogue which never rests is followed all the same.
            self.gathering = True
            ctx.after(DEBOUNCE_S, Begin(), "begin")

    gathering = False

    @handles(Begin)
    def on_begin(self, message: Begin, ctx: Context) -> None:
        self.gathering = False
        record: CapabilityRecord | None = self.record
        # After failures the time of the next try stands; the change is not lost, as the cursor stays where it is.
        if record is not None and record.open and not record.consecutive_failures:
            self.begin(ctx)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: CapabilityRecord | None = self.record
        if record is None:
            return
        if record.going:
            self._gone(ctx, record)
        elif not record.open or not record.legs:
            ctx.save(evolve(record, next_at=None))
        elif self.run is not None:
            # A step whose answer has not come: the pass is begun again from what is acknowledged.
            self._abandon(ctx)
            self.begin(ctx)
        else:
            self.begin(ctx)

    # --- the end -------------------------------------------------------------------------------------------------

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: CapabilityRecord | None = self.record
        if record is not None and record.open:
            self._abandon(ctx)
            ctx.save(evolve(record, ended_at=message.ended_at, next_at=None, updated_at=ctx.wall))

    telling = False

    def _withdraw(self, ctx: Context, record: CapabilityRecord) -> None:
        """Tell the peer that what we brought is brought no more, again and again until it has heard. The row is kept as long."""
        ctx.save(evolve(record, next_at=ctx.wall + WITHDRAWAL_AGAIN_S))
        row = ctx.row(PEER.name, record.federation_peer_id)
        if row is None or self.telling:
            return
        told = {"resource_kind": record.resource_kind}
        body = {"event_id": record.withdrawal_id, "kind": SYNC_WITHDRAWN, "effective_at": iso(record.updated_at), "payload": told}
        request = exchange(row.record, row.evidence, ctx.settings, ctx.wall, "POST", "/federation_api/peer_events", body)
        if not isinstance(request, Fault):
            self.telling = True
            ctx.call(request, then=WithdrawalTold)

    def _to_be_withdrawn(self, ctx: Context, record: CapabilityRecord) -> bool:
        """Whether there still is somebody to tell, and something to tell: what another capability brings by now is not withdrawn."""
        if record.withdrawal_id is None or ctx.wall >= (record.withdraw_until or 0.0):
            return False
        row = ctx.row(PEER.name, record.federation_peer_id)
        return row is not None and row.record.status != "revoked" and ctx.find(CAPABILITY, "push", moved(record)) is None

    @handles(WithdrawalTold)
    def on_withdrawal_told(self, message: WithdrawalTold, ctx: Context) -> None:
        """A peer that has answered, even with a refusal, is told no more."""
        self.telling = False
        record: CapabilityRecord | None = self.record
        reply = message.outcome
        if record is None or not record.going or not isinstance(reply, RemoteReply) or reply.status >= 500 or reply.status == 429:
            return
        ctx.save(evolve(record, withdrawal_id=None, next_at=ctx.wall))

    def _gone(self, ctx: Context, record: CapabilityRecord) -> None:
        """Take the row away once the peer has heard of it, and the shelf has noted that its mirrors go too."""
        if self._to_be_withdrawn(ctx, record):
            self._withdraw(ctx, record)
            return
        shelf = ctx.row(SHELF.name, record.federation_peer_id)
        noted = shelf is None or record.id in shelf.record.renounced
        if "pull" in record.legs and not noted and not self.renounced:
            self.renounced = True
            ctx.send(Ref(SHELF.name, record.federation_peer_id), Renounce(record.id))
            ctx.save(evolve(record, next_at=ctx.wall + 1.0))
            return
        for pushed in ctx.query_ids(Query(PUSHED.name, ((Condition("capability_id", "=", record.id),),))):
            ctx.delete_row(PUSHED.name, pushed)
        ctx.remove()

    renounced = False

    def _abandon(self, ctx: Context) -> None:
        """Leave the pass under way; whoever waits for it hears how things stand."""
        run, self.run = self.run, None
        if run is not None:
            for address in run.asked:
                ctx.answer(address, Synced(record=self.record, running=False, written=run.written, dropped=run.dropped))

    def _fault(self, expected_version: int | None) -> Fault | None:
        record: CapabilityRecord | None = self.record
        if record is None or record.going:
            return NOT_FOUND
        if expected_version is not None and expected_version != record.version:
            return OperatorFault("version_conflict", "the capability has changed since; read it again", 409, {"version": record.version})
        return None


def creation_fault(ctx: Context, message: Create, peer: PeerRecord | None) -> Fault | None:
    """Why the capability cannot be made, or None."""
    if peer is None or peer.account_id != message.account_id or peer.peer_kind != "platform":
        return PEER_NOT_FOUND
    if peer.status == "revoked":
        return OperatorFault("peer_revoked", "this peering has ended", 409)
    if len(ctx.query(shown_of(peer.id, limit=CAPABILITIES_PER_PEER_MAX))) >= CAPABILITIES_PER_PEER_MAX:
        return FULL
    return policy_fault(message.direction, message.policy, bool(message.filter))


def policy_fault(direction: str, policy: str, filtered: bool) -> Fault | None:
    """Why a policy does not fit, or None."""
    fitting = FITTING[direction]  # type: ignore[index]
    if policy not in fitting:
        text = f"{direction} takes the policies {', '.join(sorted(fitting))}"
        return OperatorFault("policy_invalid", text, 422, {"field": "policy"})
    if policy == "on_match_filter" and not filtered:
        return OperatorFault("filter_invalid", "on_match_filter needs a filter", 422, {"field": "filter"})
    return None


def update_fault(record: CapabilityRecord, message: Update) -> Fault | None:
    """Why the change cannot be made, or None."""
    if not record.open:
        return ENDED
    changed = evolve(record, **message.changes)
    kind, found = what_flows(changed)
    if isinstance(found, Fault) or kind is None:
        return found if isinstance(found, Fault) else None
    return policy_fault(changed.direction, changed.policy, bool(changed.filter))
