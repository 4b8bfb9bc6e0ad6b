"""The actor of one subscription: from the request for a seat to its release.

Lives here: one handler for each message. Must not live here: tables (see `lifecycle`), the record after a step (see `steps`), the reading
of answers (see `answers`). Every step that waits for somebody else has a durable deadline, so that a crash leaves nothing behind.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from actors import residency
from actors.approval.deciding import CHANGED
from actors.approval.messages import Execute, Executed, NotApproved
from actors.approval.record import KIND as APPROVAL
from actors.approval.record import ApprovalRecord
from actors.continuity.record import FROZEN_HERE, frozen_by
from actors.continuity.record import KIND as CONTINUITY
from actors.idempotency.record import Mark, remember
from actors.offering import backend
from actors.peer.dependants import DEPENDANTS, Dependant
from actors.peer.lifecycle import REACHABLE
from actors.peer.messages import PeeringEnded
from actors.peer.outbound import exchange
from actors.peer.record import PeerRecord
from actors.peer.standing import peer_of
from actors.periodic.works import SUBSCRIPTION_MONITOR, note_run
from actors.ports import GRANT_BEARER_PURPOSE, EnsureCertificate, RemoteReply, Seal
from actors.subscription import answers, lifecycle
from actors.subscription.catalogue import KIND as CATALOGUE
from actors.subscription.exception import approved, asked, places
from actors.subscription.messages import (
    Answered,
    Cancel,
    Certified,
    Create,
    Looked,
    NeedsException,
    Released,
    Renew,
    Retry,
    Rewrite,
    Routed,
    Sealed,
    Told,
)
from actors.subscription.record import KIND, SubscriptionRecord, host_key, to_json, wants_certificate
from actors.subscription.steps import ROUTES_KIND, cancelled, next_look, note, seated, step, tell, wants_renewal
from runtime.actor import Actor, Due, Ref, Resume, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

DEPENDANTS.append(Dependant(kind=KIND.name, phase="draining", open=(), peer_column="open_peer_id"))

ATTEMPT_S: Final = 120.0
"""When a step whose answer never comes (a crash) is tried again."""

SEATS: Final = "/federation_api/subscriptions"
NOT_FOUND: Final = OperatorFault("subscription_not_found", "there is no such subscription", 404)
LOOKED_AT: Final = "looked_at"
"""Tag of a look at the certificate of an active subscription; none of its other steps waits for that."""
RENEWABLE: Final = frozenset({"grant_expired"})
"""Reasons of a suspension that a new term ends."""


class SubscriptionActor(Actor):
    """One subscription. `waiting` holds those who asked for a step that is under way, with what is to be remembered for them."""

    kind = KIND

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, Mark | None, int]] = []
        self.busy = False

    # --- operators -----------------------------------------------------------------------------------------------

    @handles(Create)
    def on_create(self, message: Create, ctx: Context) -> None:
        peer = self._provider(ctx, message)
        taken = peer if isinstance(peer, Fault) else _host_fault(ctx, message)
        if isinstance(peer, Fault) or taken is not None:
            ctx.reply(taken)
            return
        refused = self._residency_fault(ctx, peer, message)
        if refused is not None:
            excepted = message.override_residency and self._residency_fault(ctx, peer, message, overridden=True) is None
            ctx.reply(self._exception_needed(ctx, message, peer) if excepted else refused)
            return
        self.waiting.append((ctx.defer(), message.mark, 201))
        self._begin(ctx, message, peer)

    def _provider(self, ctx: Context, message: Create) -> PeerRecord | Fault:
        peer = peer_of(ctx, message.peer_id)
        if peer is None or peer.account_id != message.account_id or peer.peer_kind != "platform":
            return OperatorFault("peer_not_found", "there is no such platform peer", 404)
        if peer.status not in REACHABLE:
            return OperatorFault("peer_not_ready", f"the peer is {peer.status}", 409, {"status": peer.status})
        return peer

    def _begin(self, ctx: Context, message: Create, peer: PeerRecord, exception: str | None = None, **facts: Any) -> None:
        record = SubscriptionRecord(
            id=ctx.ref.id,
            account_id=message.account_id,
            federation_peer_id=peer.id,
            peering_epoch=peer.peering_epoch,
            slug=message.slug,
            local_hostname=message.local_hostname,
            site_local=backend.is_site_local(message.local_hostname),
            ttl_days=message.ttl_days,
            dns_credential_id=message.dns_credential_id,
            acknowledge_residency=message.acknowledge_residency,
            auto_renew=message.auto_renew,
            residency_exception=exception,
            created_by=message.by,
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        tell(ctx, record, "requested", "high" if exception is not None else "low", message.by, **facts)
        self._tell_places(ctx, record, self._judged(ctx, peer, message))
        self._proceed(ctx, record)

    def _tell_places(self, ctx: Context, record: SubscriptionRecord, outcome: residency.Outcome) -> None:
        """Tell before anything leaves that what is kept in the service crosses a boundary, or note that nobody knows whether it does."""
        severity = "high" if record.residency_exception is not None and outcome.crossing else outcome.severity
        if severity is not None:
            tell(ctx, record, "cross_boundary", severity, None)
        elif outcome.noted:
            note(ctx, record, "residency_unknown", None)

    def _exception_needed(self, ctx: Context, message: Create, peer: PeerRecord) -> NeedsException:
        ours = ctx.settings.federation.data_residency
        return NeedsException(asked(ctx.ref.id, message, peer, ours))

    @handles(Execute)
    def on_execute(self, message: Execute, ctx: Context) -> None:
        """A subscription that our rules refuse was approved. It is made if everything still is what was approved."""
        approval = message.approval
        record: SubscriptionRecord | None = self.record
        fault: Fault | None = None
        if approval.params["subscription_id"] != ctx.ref.id or (record is not None and record.residency_exception != approval.id):
            fault = OperatorFault(CHANGED, "what was approved is another subscription", 409)
        elif record is None:
            create = approved(approval)
            peer = self._excepted(ctx, create, approval)
            if isinstance(peer, Fault):
                fault = peer
            else:
                facts = {"approval_id": approval.id, "approved_by": message.approved_by, "operation_id": approval.execution_id}
                self._begin(ctx, create, peer, approval.id, **facts)
        ctx.send(Ref(APPROVAL.name, approval.id), Executed(fault=fault, result={"subscription_id": ctx.ref.id}))

    def _excepted(self, ctx: Context, create: Create, approval: ApprovalRecord) -> PeerRecord | Fault:
        """The provider, or why what was approved is not done."""
        identity = ctx.settings.identity
        known = ctx.row(CONTINUITY.name, identity.instance_id)
        if frozen_by(known.record if known is not None else None, identity) is not None:
            return FROZEN_HERE
        peer = self._provider(ctx, create)
        if isinstance(peer, Fault):
            return peer
        now = places(ctx.settings.federation.data_residency, peer)
        if any(approval.params[name] != value for name, value in now.items()):
            return OperatorFault(CHANGED, "the places where data is kept are not those that were approved", 409)
        return _host_fault(ctx, create) or self._residency_fault(ctx, peer, create, overridden=True) or peer

    @handles(NotApproved)
    def on_not_approved(self, message: NotApproved, ctx: Context) -> None:
        """Nothing was subscribed to, and the request has told so in the audit chain of the peer."""

    def _residency_fault(self, ctx: Context, peer: PeerRecord, message: Create, *, overridden: bool = False) -> Fault | None:
        """Why our own rules do not let data live at the provider, or None."""
        return residency.refusal(self._judged(ctx, peer, message), acknowledged=message.acknowledge_residency, overridden=overridden)

    def _judged(self, ctx: Context, peer: PeerRecord, message: Create) -> residency.Outcome:
        """What our own rules say of data that lives at the provider. What its catalogue does not say counts as sensitive."""
        row = ctx.row(CATALOGUE.name, peer.id)
        entries = row.record.entries if row is not None and row.record.peering_epoch == peer.peering_epoch else ()
        entry = next((each for each in entries if each["slug"] == message.slug), None)
        if entry is not None and entry.get("residency_sensitive") is False:
            return residency.Outcome(allowed=True)
        federation = ctx.settings.federation
        return residency.judge(federation.residency_mode, federation.residency_unknown, federation.data_residency, peer)

    @handles(Cancel)
    def on_cancel(self, message: Cancel, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif record.state == "cancelled":
            ctx.reply(OperatorFault("subscription_cancelled", "this subscription is over", 409))
        else:
            ended = cancelled(ctx, record, message.reason or "operator_initiated", message.by)
            if self.busy and ended.release is not None:
                # What the call under way obtains would come too late to be given back: its answer lets the word leave, or else the time.
                ended = evolve(ended, release=evolve(ended.release, next_at=ctx.wall + ATTEMPT_S))
            ctx.save(ended)
            self._release_if_idle(ctx)
            self._remember(ctx, message.mark, 200)
            ctx.reply(ctx.record)

    @handles(Renew)
    def on_renew(self, message: Renew, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif self.busy or not (record.state == "active" or record.suspension_reason in RENEWABLE):
            text = f"a subscription that is {record.state} cannot be renewed now"
            ctx.reply(OperatorFault("subscription_not_renewable", text, 409, {"status": record.state}))
        else:
            self.waiting.append((ctx.defer(), message.mark, 200))
            fault = self._renew(ctx, record)
            if fault is not None:
                self._answer(ctx, fault)

    @handles(Retry)
    def on_retry(self, message: Retry, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif record.state != "pending" or self.busy:
            ctx.reply(OperatorFault("subscription_not_pending", "there is nothing to try again now", 409, {"status": record.state}))
        else:
            self.waiting.append((ctx.defer(), message.mark, 200))
            self._proceed(ctx, record)

    # --- getting a seat ------------------------------------------------------------------------------------------

    def _proceed(self, ctx: Context, record: SubscriptionRecord) -> None:
        """Take the next step of a pending subscription; its deadline is saved first."""
        record = evolve(record, next_at=ctx.wall + ATTEMPT_S, updated_at=ctx.wall)
        ctx.save(record)
        if record.phase == "route":
            ctx.send(Ref(ROUTES_KIND, record.account_id), Rewrite(record.id))
            return
        if record.phase == "certificate":
            self.busy = True
            ctx.call(EnsureCertificate(record.local_hostname, record.dns_credential_id), then=Certified)
            return
        fault = self._ask(ctx, record, record.id)
        if fault is not None:
            self._failed(ctx, record, fault)

    def _ask(self, ctx: Context, record: SubscriptionRecord, key: str) -> Fault | None:
        """Ask the provider for a seat under this key; the fault if no call can leave."""
        body: dict[str, Any] = {"slug": record.slug, "local_hostname": record.local_hostname, "idempotency_key": key}
        body |= {"ttl_days": record.ttl_days, "acknowledge_residency": record.acknowledge_residency}
        return self._call(ctx, record, "POST", SEATS, body, Answered, key)

    def _call(
        self, ctx: Context, record: SubscriptionRecord, method: Literal["GET", "POST", "DELETE"], path: str, body: Any, then: Any, tag: Any
    ) -> Fault | None:
        peer = peer_of(ctx, record.federation_peer_id)
        if peer is None or peer.peering_epoch != record.peering_epoch:
            return OperatorFault("peer_revoked", "this peering has ended", 409)
        request = exchange(peer, None, ctx.settings, ctx.wall, method, path, body)
        if isinstance(request, Fault):
            return request
        self.busy = True
        ctx.call(request, then=then, tag=tag)
        return None

    @handles(Answered)
    def on_answered(self, message: Answered, ctx: Context) -> None:
        """A seat, a new term, or a refusal. The tag is the key of the request; that of the first one is the subscription's own id."""
        self.busy = False
        record: SubscriptionRecord = self.record
        outcome = message.outcome
        fault = outcome if isinstance(outcome, Fault) else answers.refusal(outcome)
        seat = answers.seat(outcome, ctx.settings.federation.allowed_networks, record.backend) if fault is None else fault
        if record.state == "cancelled":
            self._give_back(ctx, record, seat)
            return
        if not isinstance(seat, Fault):
            self.busy = True
            ctx.call(Seal(seat.bearer, GRANT_BEARER_PURPOSE), then=Sealed, tag=(seat, message.tag))
            return
        definite = isinstance(outcome, RemoteReply) and (answers.is_definite(outcome) or fault is None)
        if record.state != "pending":
            self._not_renewed(ctx, record, seat, definite=definite)
        elif definite:
            # What an unusable answer gave away is given back.
            code = seat.details.get("remote_code") or "unusable_answer"
            tell(ctx, record, "failed", "medium", None, reason=code)
            ctx.save(cancelled(ctx, record, f"rejected: {code}", owed=fault is None))
            self._answer(ctx, seat)
        else:
            self._failed(ctx, record, seat)

    @handles(Sealed)
    def on_sealed(self, message: Sealed, ctx: Context) -> None:
        self.busy = False
        record: SubscriptionRecord = self.record
        seat, _ = message.tag
        if record.state == "cancelled":
            self._give_back(ctx, record, seat)
            return
        if message.fault is not None:
            if record.state == "pending":
                self._failed(ctx, record, message.fault)
            else:
                self._answer(ctx, message.fault)
            return
        after = seated(record, seat, message.outcome, ctx.wall)
        if record.state == "pending":
            self._proceed(ctx, evolve(after, phase="certificate" if wants_certificate(after) else "route"))
            return
        tell(ctx, after, "renewed", "low", None, grant_id=after.grant_id)
        note_run(ctx, SUBSCRIPTION_MONITOR, record.account_id)
        if after.state == "suspended":
            after = step(ctx, after, "resume", None)
        else:
            after = evolve(after, look_at=next_look(after.expires_at, ctx.wall))
            ctx.send(Ref(ROUTES_KIND, after.account_id), Rewrite())
        ctx.save(after)
        self._answer(ctx, None)

    @handles(Certified)
    def on_certified(self, message: Certified, ctx: Context) -> None:
        if message.tag == LOOKED_AT:
            self._recertified(message, ctx)
            return
        self.busy = False
        record: SubscriptionRecord = self.record
        self._release_if_idle(ctx)
        if record.state != "pending" or record.phase != "certificate":
            return
        if message.fault is not None:
            self._failed(ctx, record, message.fault)
        else:
            self._proceed(ctx, evolve(record, phase="route", certificate_not_after=message.outcome.not_after))

    def _recertified(self, message: Certified, ctx: Context) -> None:
        """What the monitor found at the host name: another certificate goes to the proxy, and that there is none is told once."""
        record: SubscriptionRecord = self.record
        if record.state != "active":
            return
        code = message.fault.code if message.fault is not None else None
        ends = message.outcome.not_after if message.fault is None else record.certificate_not_after
        if (code, ends) == (record.certificate_fault, record.certificate_not_after):
            return
        if code is not None and code != record.certificate_fault:
            tell(ctx, record, "failed", "medium", None, reason=code)
        ctx.save(evolve(record, certificate_fault=code, certificate_not_after=ends, updated_at=ctx.wall))
        ctx.send(Ref(ROUTES_KIND, record.account_id), Rewrite())

    @handles(Routed)
    def on_routed(self, message: Routed, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None or record.state != "pending" or record.phase != "route":
            return
        if message.fault is not None:
            self._failed(ctx, record, message.fault)
        else:
            ctx.save(step(ctx, record, "activate", None))
            self._answer(ctx, None)

    def _failed(self, ctx: Context, record: SubscriptionRecord, fault: Fault) -> None:
        """Wait for the next try, or give up after a day."""
        if ctx.wall - record.created_at >= lifecycle.PENDING_MAX_S:
            tell(ctx, record, "failed", "medium", None, reason=fault.code)
            ctx.save(cancelled(ctx, record, f"gave_up: {fault.code}"))
            self._release(ctx, ctx.record)
        else:
            tries = record.tries + 1
            at = ctx.wall + lifecycle.retry_after(tries)
            ctx.save(evolve(record, tries=tries, next_at=at, pending_reason=fault.code, updated_at=ctx.wall))
        self._answer(ctx, None)

    # --- the monitor ---------------------------------------------------------------------------------------------

    @handles(Resume)
    def on_resume(self, message: Resume, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is not None and record.state == "pending" and not self.busy:
            self._proceed(ctx, record)

    @handles(Due)
    def on_due(self, message: Due, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None:
            return
        if record.state == "cancelled":
            self._release_if_idle(ctx)
        elif record.state != "pending":
            self._look(ctx, record)
        elif not self.busy:
            self._proceed(ctx, record)

    def _look(self, ctx: Context, record: SubscriptionRecord) -> None:
        """One pass: expire, give up, renew, and see whether the provider still knows of us."""
        ended = record.expires_at is not None and record.expires_at <= ctx.wall
        if record.state == "active" and ended:
            record = step(ctx, record, "suspend", "grant_expired")
        stale = record.suspended_at is not None and ctx.wall - record.suspended_at > lifecycle.STALE_AFTER_S
        if record.state == "suspended" and stale:
            ctx.save(cancelled(ctx, record, "auto_cancel_stale_suspension"))
            self._release(ctx, ctx.record)
            note_run(ctx, SUBSCRIPTION_MONITOR, record.account_id)
            return
        record = evolve(record, look_at=next_look(record.expires_at, ctx.wall), updated_at=ctx.wall)
        ctx.save(record)
        if record.state == "active" and wants_certificate(record):
            ctx.call(EnsureCertificate(record.local_hostname, record.dns_credential_id), then=Certified, tag=LOOKED_AT)
        if not self.busy:
            fault = self._ask_on(ctx, record, ended=ended)
            if not self.busy:
                note_run(ctx, SUBSCRIPTION_MONITOR, record.account_id, fault)

    def _ask_on(self, ctx: Context, record: SubscriptionRecord, *, ended: bool) -> Fault | None:
        """Ask the provider for what is next, if anything; the fault if no call can leave."""
        if not ended and record.state == "suspended" and record.suspension_reason in RENEWABLE:
            return self._go_on(ctx, record)
        if wants_renewal(record, ctx.wall) and (record.state == "active" or record.suspension_reason in RENEWABLE):
            return self._renew(ctx, record)
        if record.state == "active":
            return self._call(ctx, record, "GET", f"{SEATS}/{record.grant_id}", None, Looked, None)
        return None

    def _go_on(self, ctx: Context, record: SubscriptionRecord) -> Fault | None:
        """Take up again what only a clock that was ahead had ended."""
        if record.renewal_key is not None:
            # A seat that was asked for anew meanwhile may stand in the place of the former one.
            return self._renew(ctx, record)
        ctx.save(step(ctx, record, "resume", None))
        return None

    def _renew(self, ctx: Context, record: SubscriptionRecord) -> Fault | None:
        """Ask for a further term; after the end of the grant, for a seat anew. The fault if no call can leave."""
        key = record.renewal_key or ctx.new_id()
        if record.state == "suspended":
            fault = self._ask(ctx, record, key)
        else:
            fault = self._call(ctx, record, "POST", f"{SEATS}/{record.grant_id}/renew", {"idempotency_key": key}, Answered, key)
        if fault is None and record.renewal_key is None:
            ctx.save(evolve(ctx.record, renewal_key=key))
        return fault

    def _not_renewed(self, ctx: Context, record: SubscriptionRecord, fault: Fault, *, definite: bool) -> None:
        note_run(ctx, SUBSCRIPTION_MONITOR, record.account_id, fault)
        after = evolve(record, renewal_key=None) if definite else record
        if definite and fault.details.get("remote_code") == "subscription_not_found" and record.state == "active":
            after = step(ctx, after, "suspend", "lease_gone")
        if after != record:
            ctx.save(after)
        self._answer(ctx, fault)

    @handles(Looked)
    def on_looked(self, message: Looked, ctx: Context) -> None:
        self.busy = False
        record: SubscriptionRecord = self.record
        outcome = message.outcome
        self._release_if_idle(ctx)
        fault = outcome if isinstance(outcome, Fault) else answers.refusal(outcome)
        note_run(ctx, SUBSCRIPTION_MONITOR, record.account_id, fault)
        if record.state != "active" or not isinstance(outcome, RemoteReply):
            return
        if outcome.status == 404 and outcome.body.get("code") == "subscription_not_found":
            ctx.save(step(ctx, record, "suspend", "lease_gone"))
            return
        found = answers.look(outcome) if outcome.status == 200 else None
        if found is not None and not isinstance(found, Fault) and found.get("access_ends_at") != record.access_ends_at:
            ctx.save(evolve(record, access_ends_at=found.get("access_ends_at"), updated_at=ctx.wall))

    @handles(Told)
    def on_told(self, message: Told, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is None or record.state != "active":
            return
        if message.revoked:
            ctx.save(step(ctx, record, "suspend", "grant_revoked"))
        elif message.access_ends_at != record.access_ends_at:
            ctx.save(evolve(record, access_ends_at=message.access_ends_at, updated_at=ctx.wall))

    # --- the end -------------------------------------------------------------------------------------------------

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        record: SubscriptionRecord | None = self.record
        if record is not None and record.state != "cancelled" and record.peering_epoch == message.peering_epoch:
            ctx.save(cancelled(ctx, record, "peer_revoked", owed=False))

    def _release_if_idle(self, ctx: Context) -> None:
        """Tell the provider of the end once no call to it is under way that might obtain something still."""
        if not self.busy and ctx.record.state == "cancelled":
            self._release(ctx, ctx.record)

    def _give_back(self, ctx: Context, record: SubscriptionRecord, seat: answers.Seat | Fault) -> None:
        """What a call has obtained for a subscription that is over meanwhile is given back under its own name."""
        if record.release is not None and isinstance(seat, answers.Seat):
            ctx.save(evolve(record, release=evolve(record.release, name=seat.grant_id)))
        self._release_if_idle(ctx)

    def _release(self, ctx: Context, record: SubscriptionRecord) -> None:
        """Tell the provider that the seat is free, as often as it takes."""
        if record.release is None:
            return
        peer = peer_of(ctx, record.federation_peer_id)
        if peer is None or peer.peering_epoch != record.peering_epoch:
            # With the peering all its leases have ended.
            ctx.save(evolve(record, release=None))
            return
        tries = record.release.tries + 1
        later = evolve(record.release, tries=tries, next_at=ctx.wall + lifecycle.retry_after(tries))
        ctx.save(evolve(record, release=later))
        self._call(ctx, record, "DELETE", f"{SEATS}/{record.release.name}", None, Released, record.release.name)

    @handles(Released)
    def on_released(self, message: Released, ctx: Context) -> None:
        self.busy = False
        record: SubscriptionRecord = self.record
        outcome = message.outcome
        if record.release is None or not isinstance(outcome, RemoteReply):
            return
        gone = outcome.status == 404 and outcome.body.get("code") == "subscription_not_found"
        if gone and record.release.overtaking:
            again = evolve(record.release, overtaking=False, next_at=ctx.wall + ATTEMPT_S)
            ctx.save(evolve(record, release=again, updated_at=ctx.wall))
        elif 200 <= outcome.status < 300 or gone:
            ctx.save(evolve(record, release=None, updated_at=ctx.wall))

    # --- small things --------------------------------------------------------------------------------------------

    def holds_work(self) -> bool:
        return self.busy or bool(self.waiting)

    def _answer(self, ctx: Context, fault: Fault | None) -> None:
        """Answer whoever waits: the fault, or the record as this turn leaves it."""
        waiting, self.waiting = self.waiting, []
        for address, mark, status in waiting:
            if fault is None:
                self._remember(ctx, mark, status)
            ctx.answer(address, ctx.record if fault is None else fault)

    def _remember(self, ctx: Context, mark: Mark | None, status: int) -> None:
        record: SubscriptionRecord = ctx.record
        peer = peer_of(ctx, record.federation_peer_id)
        remember(ctx, mark, status, {"subscription": to_json(record, peer, ctx.wall)})


def _host_fault(ctx: Context, message: Create) -> Fault | None:
    """Why the host cannot be had, as the unique key would say it later, or None."""
    taken = ctx.find(KIND.name, "host", host_key(message.account_id, message.local_hostname))
    return OperatorFault("hostname_taken", "another subscription that is not over has this host", 409) if taken is not None else None
