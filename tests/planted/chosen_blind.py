"""Faults chosen from the protocol and the production code alone, before any checker was read.

Lives here: one function per fault, as in `faults`. What makes them worth a file of their own is how they were chosen: they measure what
the checkers find that nobody wrote them for. A fault may be added here only by somebody who has not read the checkers.
The scenarios beside a fault were named, and some of them written, once it had been looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import actors.approval.deciding
import actors.door.admission
import actors.door.callers
import actors.grant.chain
import actors.grant.lifecycle
import actors.hub.routing
import actors.idempotency.record
import actors.migration.arrival
import actors.migration.giving
import actors.migration.transfer
import actors.mirror.shelf
import actors.peer.abandoning
import actors.peer.calling
import actors.peer.cascade
import actors.peer.certifying
import actors.peer.ending
import actors.peer.heartbeats
import actors.peer.minting
import actors.peer.notices
import actors.resource.pages
import actors.resource.projection
import actors.rotation.actor
import actors.rotation.record
from actors.approval.actor import ApprovalActor
from actors.capability.actor import CapabilityActor
from actors.capability.running import Running
from actors.door.door import Door
from actors.door.rate_limits import Blocks, RateLimits
from actors.grant.chain import Ask
from actors.grant.desk import GrantDesk
from actors.grant.messages import Revoke as RevokeGrant
from actors.hub.ledger import Ledger
from actors.hub.record import Terms
from actors.migration.messages import Release, Released
from actors.migration.record import MIGRATION
from actors.migration.transfer import Transfer
from actors.offering.actor import NO_SUBSCRIPTION, OfferingActor
from actors.offering.messages import Renew
from actors.offering.seats import Seats
from actors.peer.actor import PeerActor
from actors.peer.messages import AnswerSealed, HearEvent, HeartbeatAnswered, HeartbeatTick, PeeringEnded, Redeem, ResumePeering
from actors.ports import Open
from actors.received_grant.actor import ReceivedGrantActor
from actors.resource.actor import CatalogueActor
from actors.subscription.actor import SubscriptionActor
from runtime.actor import Due, Ref, Resume
from runtime.ask_deadlines import AskDeadlines
from runtime.commits import GroupCommit
from runtime.due import DueDeadlines
from runtime.engine import Engine
from runtime.values import evolve
from sim.channels import SimulatedChannels
from tests.planted.registry import Patch, handler, plant

# --- authentication -------------------------------------------------------------------------------------------------


@plant("certificate-outlives-tombstone")
def superseded_certificate_admitted(patch: Patch) -> None:
    """A certificate that a new handshake has replaced, or that was revoked, still opens the door."""
    patch.setattr(actors.door.admission, "check_serial", lambda directory, source, leaf: None)


@plant("paused-before-the-proof")
def resume_enrols_unproven(patch: Patch) -> None:
    """A resume takes trust for established although the remote never proved that it holds its key."""
    patch.setattr(actors.peer.ending, "trust_status_at", lambda record, wall: "established")


# --- acceptance -----------------------------------------------------------------------------------------------------


@plant("spent-token-again", "token-used-twice")
def receipt_for_anyone(patch: Patch) -> None:
    """Whoever comes with a spent token is handed the receipt, whatever its handshake and key material."""
    former = actors.peer.minting.MintingSide._replay

    def replay(actor: Any, message: Redeem, address: Any, ctx: Any) -> bool:
        receipt = actor.record.receipt
        if receipt is None or receipt.token_digest != message.token_digest or actor.record.status == "revoked":
            return former(actor, message, address, ctx)
        opened = Open(receipt.sealed_answer, actors.peer.minting.RECEIPT_PURPOSE)
        ctx.call(opened, then=actors.peer.minting.ReceiptOpened, tag=address)
        return True

    patch.setattr(actors.peer.minting.MintingSide, "_replay", replay)


@plant("revoke-while-sealing")
def guard_not_asked_again(patch: Patch) -> None:
    """The chain does not look again, before it saves, whether the token still opens the row."""

    def sealed(actor: Any, message: AnswerSealed, ctx: Any) -> None:
        guard = actors.peer.minting.redeem_fault
        actors.peer.minting.redeem_fault = lambda record, redeem, ctx: None
        try:
            former(actor, message, ctx)
        finally:
            actors.peer.minting.redeem_fault = guard

    former = handler(patch, AnswerSealed, sealed)


@plant("lost-accept-answer")
def another_handshake_each_time(patch: Patch) -> None:
    """Every attempt of our accept call names a new handshake, so that a lost answer can never be fetched again."""
    former: Callable[..., dict[str, Any]] = actors.peer.calling.accept_body
    patch.setattr(
        actors.peer.calling, "accept_body", lambda record, handshake, ctx: former(record, handshake, ctx) | {"handshake_id": ctx.new_id()}
    )


# --- durability -----------------------------------------------------------------------------------------------------


@plant("revoker-crashes", "deadline-outlives-restart")
def deadlines_lost_in_restart(patch: Patch) -> None:
    """A started engine knows no deadline of the rows that it finds."""
    former = Engine.start

    def start(engine: Engine) -> None:
        former(engine)
        engine._due.forget()

    patch.setattr(Engine, "start", start)


@plant("former-bearer")
def owned_rows_unseen(patch: Patch) -> None:
    """A row that its owner writes beside its own reaches the disk, but neither the directory nor the actor that stands for it."""
    patch.setattr(Engine, "_rewritten", lambda engine, ref, record: None)


# --- liveness -------------------------------------------------------------------------------------------------------


@plant("silence-after-a-resume")
def blind_after_resume(patch: Patch) -> None:
    """After a resume nobody looks at the age of the evidence any more, and the next heartbeat believes that somebody does."""

    def resume(actor: Any, message: ResumePeering, ctx: Any) -> None:
        actor.schedule_liveness = lambda ctx: None
        try:
            former(actor, message, ctx)
        finally:
            del actor.schedule_liveness
            actor.watching = True

    former = handler(patch, ResumePeering, resume)


# --- pause and end --------------------------------------------------------------------------------------------------


@plant("heartbeat-into-the-commit-of-an-end")
def beat_served_after_the_end(patch: Patch) -> None:
    """A heartbeat that the door let in is acknowledged although the peer was paused or ended meanwhile."""
    patch.setattr(actors.peer.heartbeats, "inbound_refusal", lambda status, family: None)


# --- grants ---------------------------------------------------------------------------------------------------------


@plant("lent-before-the-proof")
def exchange_before_proof(patch: Patch) -> None:
    """Calls that need a grant are served for a peer that is only accepted, before it has proven its key."""
    former = actors.door.callers.admit

    def admit(directory: Any, source: Any, family: Any, wall: float) -> Any:
        return former(directory, source, "heartbeat" if family == "exchange" else family, wall)

    patch.setattr(actors.door.callers, "admit", admit)


def _held_as(patch: Patch, believed: Callable[[Ask], Ask]) -> None:
    former = actors.grant.chain.holds
    patch.setattr(actors.grant.chain, "holds", lambda ask: former(believed(ask) if ask.grant is not None and ask.peer is not None else ask))


@plant("former-bearer")
def former_bearer_forever(patch: Patch) -> None:
    """The bearer that a rotation replaced stays good after its overlap."""
    _held_as(patch, lambda ask: evolve(ask, grant=evolve(ask.grant, previous_token_until=float("inf"))))


@plant("bearer-of-another-peer")
def bearer_of_another_peer(patch: Patch) -> None:
    """Any peer that has got hold of a bearer may use it."""
    _held_as(patch, lambda ask: evolve(ask, grant=evolve(ask.grant, federation_peer_id=ask.peer.id if ask.peer else None)))


@plant("grant-covers-every-axis")
def one_axis_suffices(patch: Patch) -> None:
    """A grant is good for a call that any of its axes covers."""
    steps = actors.grant.chain.STEPS
    axes = [step for step in steps if step.name in ("instance", "network", "source")]

    def lenient(check: Any) -> Any:
        return lambda ask: None if any(each.check(ask) is None for each in axes) else check(ask)

    patched = tuple(evolve(step, check=lenient(step.check)) if step in axes else step for step in steps)
    patch.setattr(actors.grant.chain, "STEPS", patched)


@plant("migration-outlasts-the-grace-of-its-grant")
def grace_of_grants_lasts_a_year(patch: Patch) -> None:
    """What was begun under a grant may go on long after the grant was revoked."""
    patch.setattr(actors.grant.lifecycle, "GRANT_REVOCATION_GRACE_S", 365 * 86_400.0)


@plant("grant-expires-under-skew")
def grant_outlives_its_end(patch: Patch) -> None:
    """A grant is good for a minute after it has ended."""

    def late(step: Any) -> Any:
        return evolve(step, check=lambda ask: step.check(evolve(ask, wall=ask.wall - 60.0))) if step.name == "in_force" else step

    patch.setattr(actors.grant.chain, "STEPS", tuple(late(step) for step in actors.grant.chain.STEPS))


# --- the end of a peering -------------------------------------------------------------------------------------------


@plant("migration-outlives-the-last-word")
def grace_ends_with_the_last_word(patch: Patch) -> None:
    """The key is destroyed as soon as the remote knows of the end, whatever is still under way."""
    patch.setattr(
        actors.peer.ending.Ending,
        "_drained",
        lambda actor, ctx, record: (
            actors.peer.cascade.completed(ctx, record)
            if record.revocation.phase == "draining" and record.revocation.last_word is None
            else record
        ),
    )


@plant("revoked-during-partition")
def last_word_said_for_ever(patch: Patch) -> None:
    """A last word that nobody takes is sent again and again, and the end is never complete."""
    patch.setattr(actors.peer.ending, "LAST_WORD_TRIES", 10**9)


# --- who is calling, and how often ----------------------------------------------------------------------------------


@plant("channel-suspended")
def recognised_for_good(patch: Patch) -> None:
    """Whoever was recognised on a connection is that peer, as it was then, for as long as the connection lasts."""
    patch.setattr(actors.door.admission.Recognised, "holds", lambda known, directory, wall: True)


@plant("flood-hurts-only-its-source")
def one_bucket_for_everybody(patch: Patch) -> None:
    """All callers share one bucket of each limit, so that one of them can lock the others out."""
    former = RateLimits.take
    patch.setattr(RateLimits, "take", lambda limits, key, limit, now: former(limits, key.partition(" ")[0], limit, now))


# --- contact --------------------------------------------------------------------------------------------------------


@plant("mirror-clocks-disagree")
def interval_by_the_wall_clock(patch: Patch) -> None:
    """Whether it is time for a heartbeat is judged by the wall clock, which may be put back."""

    def tick(actor: Any, message: Any, ctx: Any) -> None:
        last = actor.evidence.last_outbound_heartbeat_at if actor.evidence is not None else None
        if last is not None and ctx.wall - last < -1.0:
            actor.schedule_heartbeat(ctx)
        else:
            former(actor, message, ctx)

    former = handler(patch, HeartbeatTick, tick)


@plant("certificate-expires-while-partitioned")
def certificates_never_renewed(patch: Patch) -> None:
    """Nobody renews our certificates by himself."""
    patch.setattr(PeerActor, "renew_if_due", lambda actor, ctx, record: None)


# --- mirrors --------------------------------------------------------------------------------------------------------


@plant("mirror-push-refused")
def refused_record_passed(patch: Patch) -> None:
    """A record that the peer refused counts as brought, and the cursor moves past it."""

    def refused(actor: Any, ctx: Any, reply: Any, fault: Any) -> None:
        actor._past(ctx, actor.run, actor.run.page[0])
        actor.push_next(ctx)

    patch.setattr(CapabilityActor, "_put_refused", refused)


# --- resources and services -----------------------------------------------------------------------------------------


@plant("migration-cancelled-on-its-way")
def released_records_stay_frozen(patch: Patch) -> None:
    """A migration that came to nothing says that it has let go of its records, and has not."""

    def release(actor: Any, message: Any, ctx: Any) -> None:
        ctx.send(Ref(MIGRATION.name, message.migration_id), Released())

    patch.setitem(CatalogueActor.handlers, Release, release)


@plant("service-last-seat")
def one_seat_too_many(patch: Patch) -> None:
    """An offering gives one seat more than it has."""
    former = Seats.seat_fault

    def seat_fault(actor: Any, ctx: Any, peer: Any, hostname: str) -> Any:
        record = actor.record
        if record is None or record.max_subscribers is None:
            return former(actor, ctx, peer, hostname)
        actor.record = evolve(record, max_subscribers=record.max_subscribers + 1)
        try:
            return former(actor, ctx, peer, hostname)
        finally:
            actor.record = record

    patch.setattr(Seats, "seat_fault", seat_fault)


@plant("service-answer-lost")
def request_key_forgotten(patch: Patch) -> None:
    """A request for a seat that comes again gets a second seat."""
    patch.setattr(Seats, "by_key", lambda actor, ctx, peer_id, key: None)


# --- the engine -----------------------------------------------------------------------------------------------------


@plant("migrations-given-up")
def lost_wakeup(patch: Patch) -> None:
    """An actor that has been told something by another one while its commit was under way sleeps until the next message."""
    former = Engine._settle

    def settle(engine: Engine, cell: Any) -> None:
        if not cell.gate and cell.resting is None and cell.system and not cell.user and cell.actor.kind.name != "peer":
            cell.parked = True
        else:
            former(engine, cell)

    patch.setattr(Engine, "_settle", settle)


# --- chosen later, in the same way --------------------------------------------------------------------------------------


@plant("events-of-a-peer")
def event_taken_twice(patch: Patch) -> None:
    """What a peer tells takes effect each time that it arrives, not once."""
    former = actors.peer.notices.Notices.on_hear_event

    def hear(actor: Any, message: Any, ctx: Any) -> None:
        record = actor.record
        if record is None or message.event.id not in record.events_heard:
            former(actor, message, ctx)
            return
        actor.record = evolve(record, events_heard=tuple(id for id in record.events_heard if id != message.event.id))
        try:
            former(actor, message, ctx)
        finally:
            actor.record = record

    handler(patch, HearEvent, hear)


@plant("answer-overtaken-by-a-pause")
def late_answer_counts(patch: Patch) -> None:
    """The answer to a heartbeat counts even if a pause or another heartbeat came after it."""

    def answered(actor: Any, message: Any, ctx: Any) -> None:
        newest = actor.evidence.sent_sequence if actor.evidence is not None else message.tag
        former(actor, evolve(message, tag=newest), ctx)

    former = handler(patch, HeartbeatAnswered, answered)


@plant("service-host-wanted-twice")
def refused_turn_speaks(patch: Patch) -> None:
    """What a turn wanted to say leaves although the store has refused what it wanted to write."""
    former = Engine._refused

    def refused(engine: Engine, turn: Any, outcome: Any) -> None:
        former(engine, turn, outcome)
        engine._perform(turn.cell, [effect for effect in turn.effects if effect[0] == "send" or effect[0].startswith("call ")])

    patch.setattr(Engine, "_refused", refused)


@plant("migration-refused-and-not-heard")
def commit_presumed_refused(patch: Patch) -> None:
    """A commit whose answer was lost counts as refused: the records that it would have moved are let go."""
    patch.setattr(Transfer, "_doubt", lambda actor, ctx, record, code: actor.fail(ctx, record, code))


@plant("resource-wanted-by-two")
def held_by_two(patch: Patch) -> None:
    """A record that one migration holds is none the less good enough for another one."""
    former = actors.migration.giving.freeze_fault

    def lenient(record: Any, account_id: str, migration_id: str) -> Any:
        free = evolve(record, frozen_by=None) if record is not None else None
        return former(free, account_id, migration_id)

    patch.setattr(actors.migration.giving, "freeze_fault", lenient)


@plant("rotation-amid-invitations")
def pinning_not_waited_for(patch: Patch) -> None:
    """A rotation ends as soon as the peers have followed, while open tokens still send their holders to the former root."""
    patch.setattr(actors.rotation.actor, "_pinning", lambda peers, wall: [])


@plant("bearer-refused-after-another-came")
def word_about_a_former_bearer(patch: Patch) -> None:
    """That the issuer takes a bearer no more counts against the one that has come in its place meanwhile."""
    former = ReceivedGrantActor._note_refusal

    def note(actor: Any, ctx: Any, presented: Any, code: Any) -> None:
        former(actor, ctx, actor.record.sealed_bearer if actor.record is not None else presented, code)

    patch.setattr(ReceivedGrantActor, "_note_refusal", note)


@plant("migration-loses-its-grant")
def immediate_forgotten(patch: Patch) -> None:
    """A grant that was to end at once ends with the grace of any other."""

    def revoke(actor: Any, message: Any, ctx: Any) -> None:
        former(actor, evolve(message, immediate=False, force=True) if message.immediate else message, ctx)

    former = GrantDesk.handlers[RevokeGrant]
    patch.setitem(GrantDesk.handlers, RevokeGrant, revoke)


@plant("service-subscribed-and-served")
def bearer_outlives_its_seat(patch: Patch) -> None:
    """The end of a seat leaves the grant that came with it in force."""
    former = Seats._revoke

    def revoke(actor: Any, ctx: Any, grant: Any, reason: str, replaced_by: str | None = None) -> None:
        if replaced_by is not None:
            former(actor, ctx, grant, reason, replaced_by)

    patch.setattr(Seats, "_revoke", revoke)


@plant("mirror-home-restored")
def starts_of_a_home_ignored(patch: Patch) -> None:
    """Which of two states of a mirrored record is the later one is judged by the home's stamps alone, not by its starts."""
    former = actors.mirror.shelf._outcome

    def outcome(ctx: Any, origin: Any, known: Any, told: Any) -> str:
        same = evolve(told, moment=evolve(told.moment, epoch=known.moment.epoch)) if known is not None else told
        return former(ctx, origin, known, same)

    patch.setattr(actors.mirror.shelf, "_outcome", outcome)


@plant("child-ends-with-all-its-certificates")
def serials_of_a_child_forgotten(patch: Patch) -> None:
    """Of the certificates that a child holds its parent remembers the newest alone, so that the end of the peering revokes no other."""
    former = actors.peer.certifying.with_issued
    patch.setattr(actors.peer.certifying, "with_issued", lambda ctx, record, signed: evolve(former(ctx, record, signed), issued_before=()))


@plant("rotation-following-side-crashes")
def laggards_left_behind(patch: Patch) -> None:
    """A rotation ends at its first look, whether or not the peers have followed."""
    patch.setattr(actors.rotation.actor.RotationActor, "_behind", lambda actor, ctx, record, peers: [])


@plant("revoked-between-pages")
def buried_at_once(patch: Patch) -> None:
    """Whose peering has ended is a stranger at once, and never hears that it has ended."""
    patch.setattr(actors.peer.cascade, "TOMBSTONE_S", 0.0)


# --- chosen in places where nobody had planted anything yet ---------------------------------------------------------------


@plant("approved-and-crashed")
def approved_and_never_carried_out(patch: Patch) -> None:
    """What was approved is carried out only if the process lives until then: a restart forgets it."""
    patch.setitem(ApprovalActor.handlers, Resume, lambda actor, message, ctx: None)
    former = ApprovalActor.handlers[Due]

    def due(actor: Any, message: Any, ctx: Any) -> None:
        if actor.record is None or actor.record.execution_status != "running":
            former(actor, message, ctx)

    patch.setitem(ApprovalActor.handlers, Due, due)


@plant("catalogue-read-across")
def page_begins_one_late(patch: Patch) -> None:
    """The cursor of a page that is followed by another one names a record beyond its last, which nobody is shown then."""
    former = actors.resource.pages.read

    def read(store: Any, request: Any) -> Any:
        page = former(store, request)
        if page.complete or page.examined is None:
            return page
        following = former(store, evolve(request, after=request.place_of(page.examined), limit=1))
        return evolve(page, examined=following.records[0]) if following.records and not following.complete else page

    patch.setattr(actors.resource.pages, "read", read)


@plant("all-that-hangs-on-a-peering")
def subscription_outlives_the_peering(patch: Patch) -> None:
    """The end of a peering leaves the subscriptions under it as they are."""
    patch.setitem(SubscriptionActor.handlers, PeeringEnded, lambda actor, message, ctx: None)


@plant("mirrors-fail-and-recover")
def flow_stops_at_a_failure(patch: Patch) -> None:
    """A flow that has failed once is not tried again by itself."""
    former = Running.failed

    def failed(actor: Any, ctx: Any, *given: Any, **named: Any) -> None:
        former(actor, ctx, *given, **named)
        ctx.save(evolve(ctx.record, next_at=None))

    patch.setattr(Running, "failed", failed)


@plant("channel-suspended")
def channel_kept_with_the_paused(patch: Patch) -> None:
    """The channel of a peer that was paused or ended stays open."""
    patch.setattr(SimulatedChannels, "cut", lambda channels, peer_id: None)


@plant("block-outlasts-anothers-accept")
def block_forgiven_with_another(patch: Patch) -> None:
    """One good accept from anywhere ends the row of failures of everybody."""
    patch.setattr(Blocks, "succeeded", lambda blocks, source: blocks._sources.clear())


@plant("home-is-told-of-its-own-record")
def home_mirrors_itself(patch: Patch) -> None:
    """A platform keeps what a peer says about a record of which it is itself the home."""
    patch.setattr(actors.mirror.shelf, "at_home", lambda ctx, id: False)


@plant("rotation-amid-invitations", "rotation-before-a-move")
def signed_by_the_next_root(patch: Patch) -> None:
    """In a rotation the next root signs what others are given, before they have taken it."""

    def root(ctx: Any) -> Any:
        return actors.rotation.record.roots_of(actors.rotation.record.rotation_of(ctx), ctx.settings.identity).target[1]

    for module in (actors.peer.minting, actors.peer.abandoning, actors.migration.arrival):
        patch.setattr(module, "signing_root", root)


@plant("receipts-that-are-none")
def receipt_not_verified(patch: Patch) -> None:
    """The source of a migration believes whatever its peer presents as a receipt."""
    patch.setattr(actors.migration.transfer, "flaw", lambda *given: None)


@plant("hub-keeps-to-its-terms")
def terms_of_a_hub_forgotten(patch: Patch) -> None:
    """A hub relays on the terms of its settings alone, whatever its operators have agreed on for a peer."""
    former = Ledger.admit
    patch.setattr(Ledger, "admit", lambda ledger, route, source, now: former(ledger, evolve(route, terms=Terms()), source, now))


@plant("approved-by-somebody-else")
def own_request_approved(patch: Patch) -> None:
    """Whoever asks for something that needs approval may approve it himself, whoever else could."""
    former = actors.approval.deciding.decider_fault

    def decider(record: Any, *given: Any, **named: Any) -> Any:
        return former(evolve(record, requested_by=None), *given, **named)

    patch.setattr(actors.approval.deciding, "decider_fault", decider)


@plant("service-term-ends-and-is-renewed", "service-subscribed-and-served")
def lease_never_renewed(patch: Patch) -> None:
    """A subscriber lets its seat end, although it was told to renew it by itself."""
    patch.setattr(SubscriptionActor, "_renew", lambda actor, ctx, record: None)


@plant("repeated-under-a-key")
def any_body_under_a_key(patch: Patch) -> None:
    """A request under a key that was used before gets the former answer, whatever it asks for, from whichever operator it comes."""
    former = actors.idempotency.record.mark
    patch.setattr(actors.idempotency.record, "mark", lambda operator_id, route, key, body: former("", route, key, b""))


@plant("peering-with-an-end")
def peering_has_no_end(patch: Patch) -> None:
    """A peering whose end an operator has set goes on after it."""
    former = actors.door.admission.check_status
    patch.setattr(actors.door.admission, "check_status", lambda record, *given: former(evolve(record, expires_at=None), *given))


@plant("repeated-under-a-key")
def keys_at_the_same_time(patch: Patch) -> None:
    """A request under a key does not wait for another one under it that is under way."""
    former = Door._once

    def once(door: Any, request: Any, key: str) -> None:
        door._underway.clear()
        former(door, request, key)

    patch.setattr(Door, "_once", once)


@plant("hub-relays")
def lanes_never_close(patch: Patch) -> None:
    """A hub counts connections that are over as open, until nobody gets through any more."""
    patch.setattr(Ledger, "close", lambda ledger, lane: None)


@plant("service-renewal-answer-lost")
def lost_renewal_of_a_seat(patch: Patch) -> None:
    """A provider that has given another term refuses the same request when it comes again."""
    former = OfferingActor.handlers[Renew]

    def renew(actor: Any, message: Any, ctx: Any) -> None:
        lease = actor.lease(ctx, message.lease_id)
        if lease is not None and lease.former_grant_id == message.grant_id:
            ctx.reply(NO_SUBSCRIPTION)
        else:
            former(actor, message, ctx)

    patch.setitem(OfferingActor.handlers, Renew, renew)


@plant("answers-within-their-time")
def asks_never_expire(patch: Patch) -> None:
    """Whoever has asked an actor waits for its answer for ever."""
    patch.setattr(AskDeadlines, "watch", lambda deadlines, ask, now, timeout_s: None)


@plant("rotation-forged")
def evidence_stays_in_memory(patch: Patch) -> None:
    """Evidence about a peer reaches the disk only along with its record."""
    patch.setattr(GroupCommit, "taint", lambda commits, cell: None)


@plant("clock-ahead-suspends-a-subscription")
def clock_put_back_unnoticed(patch: Patch) -> None:
    """What was put off by a clock that was ahead stays put off when the clock is right again."""
    patch.setattr(DueDeadlines, "_notice_step", lambda deadlines, wall: None)


@plant("offering-ends-after-its-notice")
def retired_goes_on(patch: Patch) -> None:
    """An offering that was retired says at the end of its notice that it is cut off, and leaves everybody the access."""
    patch.setattr(OfferingActor, "_cut", lambda actor, ctx, record: evolve(record, cut_at=ctx.wall, updated_at=ctx.wall))
