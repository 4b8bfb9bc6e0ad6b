"""One pass of a capability: whether it may begin, what it knows while it lasts, and how it ends.

Lives here: guards, the volatile run, success and failure. Must not live here: what a leg does (`pulling`, `pushing`).

A run is volatile and its cursor is not: whatever is cut off is begun again at the last record that the other side is known to have, and a
full pass from the beginning. Each step first saves a deadline at which it is taken again.
"""

from __future__ import annotations

import abc
from typing import Any, Final

import attrs

from actors import residency
from actors.capability import filters
from actors.capability.declared import declared_kinds
from actors.capability.filters import Filter
from actors.capability.lifecycle import SCOPES, Block, Leg, retry_after
from actors.capability.limits import ASKED_WAIT_S, FAILURES_TOLD, FULL_PASS_EVERY_S, PAUSE_MAX_S, STEP_MAX_S
from actors.capability.messages import Proceed, Synced, SyncNow, Waited
from actors.capability.record import KIND, CapabilityRecord, Cursor, Progress
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import frozen_by
from actors.homecoming.record import IN_QUESTION, unanswered
from actors.inventory.kind import ResourceKind
from actors.inventory.registry import find
from actors.peer.outbound import exchange
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.standing import in_force
from actors.peer.steps import is_stale
from actors.periodic.works import CAPABILITY_SYNC, note_run
from actors.ports import RemoteReply, RemoteRequest
from actors.problems import Problem, refusal
from actors.received_grant.messages import NoteRefusal
from actors.received_grant.record import KIND as RECEIVED
from actors.received_grant.record import ReceivedGrantRecord, fitting, of_peer
from actors.received_grant.remote_answers import BEARER_OVER
from actors.schema_rule.withheld import withheld
from runtime.actor import Actor, Ref
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.store.port import Row
from runtime.values import evolve

NO_GRANT: Final = OperatorFault("no_received_grant", "we hold no grant of this peer that allows this; ask its operator for one", 409)
FROZEN: Final = OperatorFault("trust_frozen", "this platform may run on an earlier copy of its data; decide that first", 409)
NOT_ACTIVE: Final = OperatorFault("peer_not_ready", "records flow only while the peer is active", 409)
UNKNOWN_KIND: Final = OperatorFault("unknown_resource_kind", "there is no such kind of resource here any more", 422)
CHANGED: Final = OperatorFault("no_received_grant", "the grant that is left shows something else; the next pass goes by that", 409)


@attrs.define(eq=False)
class Run:
    """A pass under way.

    Attributes:
        id: names it in answers, so that late ones of another run are ignored.
        legs: still to be made, the current one first.
        kind, filter: what flows.
        epoch, era, reach: the start of the home, what a full pass is good for, and the one record that can be seen, as of the leg's begin.
        peering_epoch: of the peer when the leg began; under another one its answers are worth nothing.
        full: whether the leg looks at everything.
        began_at: wall time at which the leg began.
        seen: ids of the leg so far, of a full pull.
        pages: how many pages of the leg the peer has given.
        following, since: the peer's cursor of the next page, and from when on the list is.
        sweeping: whether every page is kept, and what was not among them is being dropped.
        page: records of the page that are still to be pushed, and the last one that the page has looked at.
        refused: held grants that the peer has said are over.
        asked: who waits for the end.
    """

    id: str
    legs: list[Leg]
    kind: ResourceKind
    filter: Filter
    epoch: int = 0
    peering_epoch: int = 0
    era: str = ""
    reach: str | None = None
    full: bool = False
    began_at: float = 0.0
    seen: set[str] = attrs.field(factory=set)
    pages: int = 0
    following: str | None = None
    since: str | None = None
    sweeping: bool = False
    page: list[Any] = attrs.field(factory=list)
    last_page: bool = False
    refused: set[str] = attrs.field(factory=set)
    used: ReceivedGrantRecord | None = None
    written: int = 0
    dropped: int = 0
    asked: list[Any] = attrs.field(factory=list)

    @property
    def leg(self) -> Leg:
        """What is being made."""
        return self.legs[0]


class Running(Actor, abc.ABC):
    """What all sides of a capability share."""

    kind = KIND
    run: Run | None = None
    again = False

    def holds_work(self) -> bool:
        return self.run is not None

    # --- beginning -----------------------------------------------------------------------------------------------

    def begin(self, ctx: Context, asked: SyncNow | None = None) -> None:
        """Make a pass, or say why not."""
        record: CapabilityRecord = ctx.record
        address = ctx.defer() if asked is not None else None
        if self.run is not None:
            self.again = self.again or asked is None
            if asked is not None:
                self.run.asked.append(address)
                ctx.after(ASKED_WAIT_S, Waited(self.run.id), "asked")
            return
        kind, found = what_flows(record)
        blocked = self.blocked(ctx, record)
        if isinstance(found, Fault) or kind is None:
            self.failed(ctx, found if isinstance(found, Fault) else UNKNOWN_KIND, address)
            return
        if blocked is not None:
            self._blocked(ctx, *blocked, address)
            return
        if asked is not None and asked.full:
            record = evolve(record, pull=evolve(record.pull, full=True), push=evolve(record.push, full=True))
        self.run = Run(id=ctx.new_id(), legs=self._open_legs(ctx, record), kind=kind, filter=found)
        if asked is not None:
            self.run.asked.append(address)
            ctx.after(ASKED_WAIT_S, Waited(self.run.id), "asked")
        self.again = False
        row = self.peer(ctx, record)
        declares = row is not None and record.resource_kind in declared_kinds(row.record.capabilities)
        ctx.save(_placed(ctx, evolve(record, blocked=None, declared=record.declared or declares), row))
        self.begin_leg(ctx)

    def begin_leg(self, ctx: Context) -> None:
        """Take up the first leg that is left."""
        run, record = self.run, ctx.record
        assert run is not None
        row = self.peer(ctx, record)
        run.began_at, run.seen, run.following, run.page = ctx.wall, set(), None, []
        run.last_page, run.sweeping, run.pages = False, False, 0
        run.peering_epoch = row.record.peering_epoch if row is not None else -1
        run.epoch, run.era = home_epoch(ctx, row, run.leg), era_of(ctx, row)
        held = self._fitting(ctx, row.record, record, run.leg, run.refused) if row is not None else []
        run.reach = held[0].resource_id if held else None
        progress: Progress = record.progress(run.leg)
        old = progress.full_at is None or ctx.wall - progress.full_at >= FULL_PASS_EVERY_S
        run.full = progress.full or old or (progress.era, progress.reach) != (run.era, run.reach)
        cursor = None if run.full else progress.cursor
        self.keep(ctx, evolve(progress, full=run.full, cursor=cursor))
        self.proceed(ctx)

    @abc.abstractmethod
    def proceed(self, ctx: Context) -> None:
        """Take the next step of the leg under way."""

    def keep(self, ctx: Context, progress: Progress) -> None:
        """Save how far the leg has come, and when the next step is overdue."""
        assert self.run is not None
        ctx.save(evolve(ctx.record, **{self.run.leg: progress}, next_at=ctx.wall + STEP_MAX_S))

    # --- guards --------------------------------------------------------------------------------------------------

    def peer(self, ctx: Context, record: CapabilityRecord) -> Row | None:
        """The peer's row with its evidence."""
        return ctx.row(PEER.name, record.federation_peer_id)

    def blocked(self, ctx: Context, record: CapabilityRecord) -> tuple[Block, Fault] | None:
        """Why nothing may flow now, or None. Asked before every step."""
        identity = ctx.settings.identity
        known = ctx.row(CONTINUITY.name, identity.instance_id)
        if frozen_by(known.record if known is not None else None, identity) is not None:
            return "trust_frozen", FROZEN
        row = self.peer(ctx, record)
        if row is None or not in_force(row.record, row.record.peering_epoch, ctx.wall) or row.record.status != "active":
            return "peer_not_active", NOT_ACTIVE
        if is_stale(row.record, row.evidence, ctx.wall, ctx.settings.federation.stale_after_s):
            return "peer_not_active", NOT_ACTIVE
        unfit = withheld(ctx.query, ctx.settings.platform_version, row.record, (record.resource_kind,))
        if unfit is not None:
            return "schema_incompatible", unfit
        fault = residency.refusal(residency_of(ctx, row.record), acknowledged=record.acknowledge_residency)
        if fault is not None:
            return "residency_refused", fault
        legs = self._open_legs(ctx, record)
        if legs and "pull" not in legs and unanswered(record.account_id, ctx.query):
            # What we would bring as its home may live elsewhere by now. What the peer shows of its own is in no question.
            return "resource_in_question", IN_QUESTION
        return ("blocked_no_grant", NO_GRANT) if not legs else None

    def _open_legs(self, ctx: Context, record: CapabilityRecord) -> list[Leg]:
        """The legs for which a grant is held: of those of the capability, or of the one that is being made."""
        row, run = self.peer(ctx, record), self.run
        wanted = record.legs if run is None else (run.leg,)
        refused = run.refused if run is not None else set()
        return [leg for leg in wanted if row is not None and self._fitting(ctx, row.record, record, leg, refused)]

    def _fitting(self, ctx: Context, peer: PeerRecord, record: CapabilityRecord, leg: Leg, refused: set[str]) -> list[ReceivedGrantRecord]:
        held = [row.record for row in ctx.query(of_peer(peer.id)) if row.record.id not in refused]
        found = fitting(held, peer, record.resource_kind, None, SCOPES[leg], ctx.wall)
        # A push of a whole kind needs a grant for the whole kind; a pull under a grant for one record shows that one.
        return [grant for grant in found if grant.resource_id is None] if leg == "push" else found

    def request(self, ctx: Context, method: Any, path: str, body: Any = None) -> RemoteRequest | None:
        """The next call of the run under the grant that fits best; None once the run has ended for want of one."""
        run, record = self.run, ctx.record
        assert run is not None
        blocked = self.blocked(ctx, record)
        row = self.peer(ctx, record)
        if blocked is not None or row is None:
            self._blocked(ctx, *(blocked or ("peer_not_active", NOT_ACTIVE)), None)
            return None
        run.used = self._fitting(ctx, row.record, record, run.leg, run.refused)[0]
        if run.used.resource_id != run.reach:
            self.failed(ctx, CHANGED)
            return None
        made = exchange(row.record, row.evidence, ctx.settings, ctx.wall, method, path, body)
        if isinstance(made, Fault):
            self.failed(ctx, made)
            return None
        return evolve(made, sealed_bearer=run.used.sealed_bearer)

    def refused_bearer(self, ctx: Context, reply: RemoteReply, code: str | None) -> bool:
        """Whether the peer has said that the bearer is over: then the grant's own actor notes it, and another one may be tried."""
        run = self.run
        assert run is not None
        if reply.status != 401 or code not in BEARER_OVER or run.used is None:
            return False
        run.refused.add(run.used.id)
        ctx.send(Ref(RECEIVED.name, run.used.id), NoteRefusal(run.used.sealed_bearer, code))
        return True

    def pause(self, ctx: Context, fault: Fault) -> None:
        """Wait as long as a busy peer asks, then take the step again."""
        assert self.run is not None
        wait_s = min(max(fault.retry_after_s or 1.0, 0.1), PAUSE_MAX_S)
        ctx.after(wait_s, Proceed(self.run.id), "proceed")

    # --- ends ----------------------------------------------------------------------------------------------------

    def leg_done(self, ctx: Context, progress: Progress) -> None:
        """A leg has been made to its end."""
        run, record = self.run, ctx.record
        assert run is not None
        progress = evolve(progress, full=False, completed_at=ctx.wall)
        if run.full:
            progress = evolve(progress, full_at=run.began_at, era=run.era, reach=run.reach)
        self.keep(ctx, progress)
        run.legs.pop(0)
        if run.legs:
            self.begin_leg(ctx)
            return
        record = ctx.record
        recovered = record.consecutive_failures > 0 or record.last_synced_at is None
        if run.written or run.dropped or recovered:
            tell(ctx, record, "completed", "low", written=run.written, dropped=run.dropped)
        next_at = ctx.wall + record.interval_seconds if record.by_itself else None
        done = evolve(record, last_synced_at=ctx.wall, last_error=None, last_error_at=None, consecutive_failures=0, next_at=next_at)
        ctx.save(done)
        self._end(ctx, None)

    def failed(self, ctx: Context, fault: Fault, address: Any = None) -> None:
        """A pass came to nothing; what was acknowledged stays so, and it is tried again later."""
        record: CapabilityRecord = ctx.record
        failures = record.consecutive_failures + 1
        code = str(fault.details.get("remote_code") or fault.code)[:64]
        if failures == FAILURES_TOLD:
            tell(ctx, record, "failing", "medium", failures=failures, error=code)
        next_at = ctx.wall + retry_after(failures) if record.by_itself else None
        failed = evolve(record, consecutive_failures=failures, last_error=code, last_error_at=ctx.wall, next_at=next_at)
        ctx.save(evolve(failed, blocked=None))
        self._end(ctx, fault, address)

    def _blocked(self, ctx: Context, block: Block, fault: Fault, address: Any) -> None:
        """Nothing may flow for now: no failure, and looked at again after the interval."""
        record: CapabilityRecord = ctx.record
        if block == "blocked_no_grant" and record.blocked != block:
            tell(ctx, record, "blocked_no_grant", "medium")
        next_at = ctx.wall + record.interval_seconds if record.by_itself and record.open else None
        ctx.save(evolve(record, blocked=block, next_at=next_at))
        self._end(ctx, fault, address)

    def _end(self, ctx: Context, fault: Fault | None, address: Any = None) -> None:
        run, self.run = self.run, None
        note_run(ctx, CAPABILITY_SYNC, ctx.record.account_id, fault)
        ctx.answer(address, fault)
        if run is None:
            return
        for asked in run.asked:
            ctx.answer(asked, fault or Synced(record=ctx.record, running=False, written=run.written, dropped=run.dropped))
        if self.again and fault is None:
            # Something changed here while the pass was under way.
            self.again = False
            self.begin(ctx)


def what_flows(record: CapabilityRecord) -> tuple[ResourceKind | None, Filter | Fault]:
    """The kind and the filter of a capability. What cannot be read lets nothing flow."""
    kind = find(record.resource_kind)
    if kind is None or not kind.catalogued or not kind.listable:
        return None, UNKNOWN_KIND
    problems: list[Problem] = []
    found = filters.read(kind, record.filter, problems)
    return kind, refusal(problems) if found is None else found


def home_epoch(ctx: Context, row: Row | None, leg: Leg) -> int:
    """The start of the home of what a leg moves, as far as it is known."""
    if leg == "push":
        return int(ctx.settings.identity.boot_epoch)
    evidence = row.evidence if row is not None and row.evidence is not None else PeerEvidence()
    return int(evidence.remote_boot_epoch)


def era_of(ctx: Context, row: Row | None) -> str:
    """What a full pass is good for: another value calls for another one.

    Of ourselves we know which starts came from a backup. Of a peer we do not, and look at everything after each of its starts.
    """
    return f"{ctx.settings.identity.restored_at_epoch} {home_epoch(ctx, row, 'pull')}"


def residency_of(ctx: Context, peer: PeerRecord) -> residency.Outcome:
    """What our rules say of records that flow between this peer and us."""
    federation = ctx.settings.federation
    return residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, peer)


def _placed(ctx: Context, record: CapabilityRecord, row: Row | None) -> CapabilityRecord:
    """Tell once that data crosses a boundary, or note once that nobody knows whether it does; before anything flows."""
    outcome = residency_of(ctx, row.record) if row is not None else residency.Outcome(allowed=True)
    if outcome.severity is not None and not record.crossed:
        tell(ctx, record, "cross_boundary", outcome.severity)
    if outcome.noted and not record.place_unknown:
        note(ctx, record, "residency_unknown")
    return evolve(record, crossed=outcome.crossing, place_unknown=outcome.noted)


def tell(ctx: Context, record: CapabilityRecord, what: str, severity: Any, by: str | None = None, **facts: Any) -> None:
    """The audit entry in the peer's chain and the event of what became of a capability, always together."""
    told = note(ctx, record, what, by, **facts)
    ctx.emit(f"federation.sync.{what}", severity, record.account_id, **told)


def note(ctx: Context, record: CapabilityRecord, what: str, by: str | None = None, **facts: Any) -> dict[str, Any]:
    """The audit entry in the peer's chain; what it says."""
    peer_id = record.federation_peer_id
    about = {"capability_id": record.id, "resource_kind": record.resource_kind, "direction": record.direction}
    told = {"federation_peer_id": peer_id, **about, **facts}
    ctx.audit_in(peer_id, f"sync.{what}", "user" if by is not None else "system", by, **told)
    return told


def advanced(progress: Progress, updated_at: float, id: str) -> Progress:
    """The progress past one more acknowledged record; a cursor never goes back within a pass."""
    return evolve(progress, cursor=Cursor(updated_at, id))


def unusable(what: str) -> Fault:
    """The refusal of an answer that cannot be used."""
    return RemoteFault("remote_rejected", f"the peer's answer cannot be used: {what} is missing or malformed", 502, {"field": what})
