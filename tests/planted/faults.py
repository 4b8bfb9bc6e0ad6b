"""The faults: in the acceptance chain, in the calling side, in contact and silence, in the life of a row, at the door, in the engine below.

Lives here: one function per fault. Each patches one production function (or one line of it) and nothing else.
"""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import actors.approval.deciding
import actors.continuity.actor
import actors.door.admission
import actors.door.door
import actors.door.federation
import actors.door.grants.authorise
import actors.door.hub.handlers
import actors.door.offerings.federation
import actors.grant.chain
import actors.hub.ledger
import actors.idempotency.record
import actors.migration.arrival
import actors.migration.receipts
import actors.migration.transfer
import actors.migration_chain.actor
import actors.mirror.shelf
import actors.peer.calling
import actors.peer.cascade
import actors.peer.dependants
import actors.peer.emancipating
import actors.peer.ending
import actors.peer.heartbeats
import actors.peer.liveness
import actors.peer.minting
import actors.peer.operator_side
import actors.peer.projection
import actors.peer.steps
import actors.peer.stewardship
import actors.peer.tokens
import actors.rotation.record
import actors.subscription.lifecycle
import actors.wall_clock.standing
import net.vault
import sim.connections
import sim.store
import sim.world
from actors.approval.actor import ApprovalActor
from actors.audit_archive.actor import Archivist
from actors.audit_archive.messages import ObjectChecked, ObjectReadBack
from actors.audit_archive.pruning import Pruner
from actors.capability.actor import CapabilityActor
from actors.capability.running import Running
from actors.continuity.actor import ContinuityActor
from actors.continuity.messages import EpochClaimed
from actors.door.rate_limits import Blocks, RateLimits
from actors.grant.axes import ANY, AXES
from actors.grant.desk import GrantDesk
from actors.grant.record import GrantRecord
from actors.hub.record import Terms
from actors.offering.lease import LeaseActor
from actors.peer import lifecycle
from actors.peer.actor import PeerActor
from actors.peer.channel import Held, Register
from actors.peer.dependants import DEPENDANTS
from actors.peer.messages import Beat, GrantTakenBack, HeartbeatAnswered, PeeringEnded, RemediationAnswered
from actors.received_grant.actor import ReceivedGrantActor
from actors.received_grant.record import of_peer
from runtime.engine import Engine
from runtime.errors import OperatorFault
from runtime.store.chain import GENESIS, link
from runtime.store.port import Query
from runtime.values import evolve
from tests.planted.registry import Patch, handler, plant

# --- the acceptance chain -------------------------------------------------------------------------------------------


@plant("happy-path")
def token_burnt_before_commit(patch: Patch) -> None:
    """The token is burnt in a commit of its own, before the accept has gathered what it needs."""
    redeem = PeerActor._redeem

    def burning(actor: Any, message: Any, address: Any, ctx: Any) -> None:
        redeem(actor, message, address, ctx)
        if actor.minting is not None:
            ctx.save(evolve(actor.record, acceptance_token_digest=None, acceptance_token_expires_at=None))

    patch.setattr(PeerActor, "_redeem", burning)


@plant("happy-path")
def digest_not_cleared(patch: Patch) -> None:
    """The accept stores its receipt and leaves the digest of the token on the row."""

    def changed(record: Any, **changes: Any) -> Any:
        if "receipt" in changes:
            del changes["acceptance_token_digest"], changes["acceptance_token_expires_at"]
        return evolve(record, **changes)

    patch.setattr(actors.peer.minting, "evolve", changed)


@plant("clock-jumps-over-token")
def expired_token_accepted(patch: Patch) -> None:
    """The minter compares no dates: a token works until a sweep has cleared it."""
    fault = actors.peer.minting.redeem_fault

    def timeless(record: Any, message: Any, ctx: Any) -> Any:
        if record is not None and record.acceptance_token_expires_at is not None:
            record = evolve(record, acceptance_token_expires_at=float("inf"))
        return fault(record, message, ctx)

    patch.setattr(actors.peer.minting, "redeem_fault", timeless)


@plant("clock-a-year-ahead")
def own_clock_always_believed(patch: Patch) -> None:
    """What has ended by our own clock is destroyed at once, whatever peers say of the time."""
    patch.setattr(actors.wall_clock.standing, "certain_wall", lambda ctx: ctx.wall)


@plant("spent-token-again")
def receipt_not_bound_to_handshake(patch: Patch) -> None:
    """A spent token fetches the stored answer for any handshake and any key material."""

    def replay(actor: Any, message: Any, address: Any, ctx: Any) -> bool:
        receipt = actor.record.receipt
        if receipt is None or receipt.token_digest != message.token_digest:
            return False
        ctx.call(actors.peer.minting.Open(receipt.sealed_answer, "accept-receipt"), then=actors.peer.minting.ReceiptOpened, tag=address)
        return True

    patch.setattr(PeerActor, "_replay", replay)


@plant("caller-crashes-in-accept", "lost-accept-answer")
def receipt_forgotten(patch: Patch) -> None:
    """A lost answer cannot be fetched again: the repetition of the same handshake is refused like a stranger's."""
    patch.setattr(PeerActor, "_replay", lambda actor, message, address, ctx: False)


@plant("happy-path")
def key_trusted_unproven(patch: Patch) -> None:
    """A symmetric accept counts as proof of the key that it only names."""
    trusting = actors.peer.minting._with_trust
    patch.setattr(actors.peer.minting, "_with_trust", lambda record, slot: evolve(trusting(record, slot), trust_status="established"))


@plant("spent-token-again", "flood-of-guesses")
def refusals_differ(patch: Patch) -> None:
    """A token that was good once is refused in other words than one that never was."""
    spent = OperatorFault("acceptance_token_invalid", "this acceptance token was used before", 401)

    def refuse(door: Any, request: Any, source: str) -> None:
        door.blocks.failed(source, request.now)
        token = json.loads(request.call.body)["acceptance_token"]
        known = door.engine.directory.find("peer", "receipt_digest", actors.peer.tokens.digest(token))
        request.fail(spent if known is not None else actors.door.federation.TOKEN_INVALID)

    patch.setattr(actors.door.federation, "_refuse_token", refuse)


# --- the calling side -----------------------------------------------------------------------------------------------


@plant("happy-path")
def handshake_not_saved(patch: Patch) -> None:
    """The accept leaves without having been saved."""
    persist = PeerActor._persist

    def forgetting(actor: Any, ctx: Any, csr_pem: Any, sealed_key: Any) -> None:
        persist(actor, ctx, csr_pem, sealed_key)
        ctx._writes.clear()
        ctx._new_record = None

    patch.setattr(PeerActor, "_persist", forgetting)


@plant("caller-crashes-in-accept")
def handshake_not_resumed(patch: Patch) -> None:
    """A restart forgets the accept that was under way."""
    patch.setattr(PeerActor, "resume_accept", lambda actor, ctx: None)


@plant("crossed-accepts", "happy-path")
def own_token_survives_dialling(patch: Patch) -> None:
    """Whoever accepted by calling keeps his own token open."""
    absorbed = actors.peer.calling.absorbed

    def keeping(record: Any, *given: Any, **told: Any) -> Any:
        digest, until = record.acceptance_token_digest, record.acceptance_token_expires_at
        return evolve(absorbed(record, *given, **told), acceptance_token_digest=digest, acceptance_token_expires_at=until)

    patch.setattr(actors.peer.calling, "absorbed", keeping)


@plant("name-leads-astray")
def any_server_will_do(patch: Patch) -> None:
    """Before it sends, the caller does not ask the server for proof."""
    patch.setattr(sim.connections.certificates, "verify_server", lambda chain, expectation, *, now, skew_s=0.0: None)


@plant("happy-path")
def certificate_for_the_wrong_row(patch: Patch) -> None:
    """The identity that is presented to the remote bears the id of our row instead of the remote's."""
    issue = actors.peer.calling.IssueIdentity
    patch.setattr(actors.peer.calling, "IssueIdentity", lambda subject, instance, *more: issue("fed:" + instance, instance, *more))


# --- contact and silence --------------------------------------------------------------------------------------------


@plant("slow-disk", "happy-path")
def evidence_goes_backwards(patch: Patch) -> None:
    """Every third heartbeat writes an instant that lies before the last one."""
    contact, count = PeerActor._contact, [0]

    def back(actor: Any, ctx: Any, evidence: Any, record: Any, by: Any, **told: Any) -> Any:
        count[0] += 1
        if count[0] % 3 == 0 and evidence.last_heartbeat_at is not None:
            evidence = evolve(evidence, last_heartbeat_at=evidence.last_heartbeat_at - 200.0)
        return contact(actor, ctx, evidence, record, by, **told)

    patch.setattr(PeerActor, "_contact", back)


@plant("degraded-and-recovered")
def degraded_never_recovers(patch: Patch) -> None:
    """A heartbeat of a degraded peer is acknowledged and changes nothing."""
    contact = PeerActor._contact

    def stuck(actor: Any, ctx: Any, evidence: Any, record: Any, by: Any, **told: Any) -> Any:
        if record.status == "degraded":
            ctx.set_evidence(evidence)
            return record
        return contact(actor, ctx, evidence, record, by, **told)

    patch.setattr(PeerActor, "_contact", stuck)


@plant("degraded-and-recovered")
def silence_goes_unnoticed(patch: Patch) -> None:
    """An active row stays active however long the remote is silent."""
    patch.setattr(PeerActor, "_degrade", lambda actor, ctx, record, reason: None)


@plant("degraded-and-recovered")
def recovers_by_a_probe(patch: Patch) -> None:
    """A probe of the bundle counts as contact: the row never degrades while the server answers anything."""

    def answered(actor: Any, message: Any, ctx: Any) -> None:
        if actor.record.status == "degraded" and message.fault is None:
            ctx.save(actors.peer.liveness.step(ctx, actor.record, "heartbeat_succeeded", actors.peer.liveness.SYSTEM))

    handler(patch, RemediationAnswered, answered)
    tick = PeerActor.handlers[actors.peer.liveness.LivenessTick]

    def look(actor: Any, message: Any, ctx: Any) -> None:
        tick(actor, message, ctx)
        if actor.record is not None and actor.record.status == "degraded":
            actor._look(ctx, actor.record)

    handler(patch, actors.peer.liveness.LivenessTick, look)


@plant("degraded-and-recovered")
def heartbeats_stop_after_a_failure(patch: Patch) -> None:
    """A heartbeat that failed is taken to be under way for ever."""
    former = PeerActor.handlers[HeartbeatAnswered]

    def stuck(actor: Any, message: Any, ctx: Any) -> None:
        former(actor, message, ctx)
        actor.beating = message.fault is not None

    handler(patch, HeartbeatAnswered, stuck)


@plant("degraded-and-recovered")
def heartbeats_pile_up(patch: Patch) -> None:
    """A tick that finds a heartbeat under way sends another one."""
    beat = PeerActor._beat

    def piling(actor: Any, ctx: Any) -> None:
        actor.beating = False
        beat(actor, ctx)
        ctx.after(3.0, actors.peer.heartbeats.HeartbeatTick(), "pile")

    patch.setattr(PeerActor, "_beat", piling)


@plant("flood-with-certificates")
def older_heartbeat_counts_as_newer(patch: Patch) -> None:
    """The start and the sequence of a heartbeat are stored without a look at those that are known."""
    former = PeerActor.handlers[Beat]

    def overwriting(actor: Any, message: Any, ctx: Any) -> None:
        known = actor.evidence
        if known is not None and message.boot_epoch:
            actor.evidence = evolve(known, remote_boot_epoch=0, remote_sequence=0)
        former(actor, message, ctx)

    handler(patch, Beat, overwriting)


@plant("happy-path")
def acknowledged_from_memory(patch: Patch) -> None:
    """The acknowledgement tells the status that the row had before the heartbeat."""
    acknowledgement = PeerActor._acknowledgement

    def late(actor: Any, ctx: Any, record: Any, evidence: Any, message: Any) -> Any:
        return {**acknowledgement(actor, ctx, record, evidence, message), "status": actor.record.status}

    patch.setattr(PeerActor, "_acknowledgement", late)


@plant("silence-is-read-first")
def status_read_from_memory(patch: Patch) -> None:
    """What operators read is the stored status, whatever the evidence says."""
    patch.setattr(
        actors.peer.projection, "derived_status",
        lambda record, evidence, wall, stale_after_s: (record.status, record.status_since, record.status_reason),
    )  # fmt: skip


# --- the life of a row ----------------------------------------------------------------------------------------------


@plant("happy-path")
def audit_entry_missing(patch: Patch) -> None:
    """The step that contact brings about has no audit entry."""

    def step(ctx: Any, record: Any, trigger: Any, by: Any, reason: Any = None) -> Any:
        return evolve(record, status=lifecycle.transition(record.status, trigger, record.peer_kind))

    patch.setattr(actors.peer.heartbeats, "step", step)


@plant("happy-path")
def event_missing(patch: Patch) -> None:
    """The step of an accept has an audit entry and no event."""

    def announce(ctx: Any, record: Any, previous: Any, target: Any, trigger: Any, by: Any, reason: Any) -> None:
        told = {"from": previous, "to": target, "trigger": trigger, "reason": reason}
        ctx.audit(f"peer.{target}", by.kind, by.id, federation_peer_id=record.id, **told)

    patch.setattr(actors.peer.steps, "announce", announce)


@plant("happy-path")
def step_skipped(patch: Patch) -> None:
    """An accepted peer becomes active at once, without having been enrolled."""
    enrolled = PeerActor._enrolled

    def jump(actor: Any, ctx: Any, record: Any, by: Any) -> Any:
        if record.status != "accepted" or record.trust_status == "none":
            return enrolled(actor, ctx, record, by)
        actors.peer.steps.announce(ctx, record, "accepted", "active", "heartbeat_succeeded", by, None)
        return evolve(record, status="active", trust_status="established", last_handshake_at=ctx.wall)

    patch.setattr(PeerActor, "_enrolled", jump)


@plant("cancelled")
def cancelled_token_stays_open(patch: Patch) -> None:
    """A withdrawn proposal keeps its token, so that its row is revoked and can still be opened."""

    def changed(record: Any, **changes: Any) -> Any:
        changes.pop("acceptance_token_digest", None)
        changes.pop("acceptance_token_expires_at", None)
        return evolve(record, **changes)

    patch.setattr(actors.peer.cascade, "evolve", changed)


@plant("token-expires-in-hand-off")
def expiry_not_swept(patch: Patch) -> None:
    """Deadlines fire and nothing is cleared."""
    patch.setattr(actors.peer.ending, "_expired", lambda ctx, record: record)


@plant("cancelled", "revoked-then-peered-again")
def two_rows_per_url(patch: Patch) -> None:
    """The unique keys of a row are not enforced, and the door does not look for another one."""
    patch.setattr(sim.store._Table, "violated", lambda table, record: None)


@plant("stolen-key-after-the-end")
def paused_peer_served(patch: Patch) -> None:
    """A paused peer is served like an active one."""
    refusal = lifecycle.inbound_refusal
    patch.setattr(lifecycle, "inbound_refusal", lambda status, family: None if status == "suspended" else refusal(status, family))
    former = PeerActor.handlers[Beat]

    def taken(actor: Any, message: Any, ctx: Any) -> None:
        if actor.record is not None and actor.record.status == "suspended":
            ctx.reply({"status": "suspended"})
        else:
            former(actor, message, ctx)

    handler(patch, Beat, taken)


# --- the door -------------------------------------------------------------------------------------------------------


@plant("forged-certificates")
def any_anchor_will_do(patch: Patch) -> None:
    """A heartbeat is accepted under another peer's anchor."""

    def check(source: Any, leaf: Any, record: Any, wall: float) -> None:
        source.verified["anchor"] = record.trusted_anchors[0].fingerprint

    patch.setattr(actors.door.admission, "check_anchor", check)


@plant("forged-certificates")
def instance_unchecked(patch: Patch) -> None:
    """The instance that a certificate names is not compared with the one bound at accept."""
    patch.setattr(actors.door.admission, "check_instance", lambda leaf, record: None)


@plant("forged-certificates")
def dates_ignored(patch: Patch) -> None:
    """The dates of a client certificate are not looked at."""
    check = actors.door.admission.certificates.check_profile
    timeless = SimpleNamespace(
        **{name: getattr(actors.door.admission.certificates, name) for name in dir(actors.door.admission.certificates)}
    )
    timeless.check_profile = lambda leaf, *, now: check(leaf, now=(leaf.not_before + leaf.not_after) / 2)
    timeless.outside_dates = lambda subject, now: None
    patch.setattr(actors.door.admission, "certificates", timeless)


@plant("forged-certificates")
def companions_ignored(patch: Patch) -> None:
    """Certificates beside the leaf are not looked at, whoever they belong to."""
    lenient = SimpleNamespace(
        **{name: getattr(actors.door.admission.certificates, name) for name in dir(actors.door.admission.certificates)}
    )
    lenient.check_chain_presented = lambda chain, anchors: None
    patch.setattr(actors.door.admission, "certificates", lenient)


@plant("flood-of-guesses", "flood-from-many-addresses", "flood-with-certificates")
def limits_off(patch: Patch) -> None:
    """Nobody is told to wait."""
    patch.setattr(RateLimits, "take", lambda limits, key, limit, now: None)


@plant("flood-of-guesses")
def guessers_not_blocked(patch: Patch) -> None:
    """Wrong tokens in a row lead to nothing."""
    patch.setattr(Blocks, "failed", lambda blocks, source, now: False)


# --- the archive of audit chains -------------------------------------------------------------------------------------


@plant("archive-that-fails", "archive-that-spoils")
def shipment_not_read_back(patch: Patch) -> None:
    """A shipment counts as verified as soon as the archive has taken it."""

    def trusting(archivist: Any, message: Any, ctx: Any) -> None:
        found = SimpleNamespace(sha256=archivist.running.current.sha256)
        archivist.on_object_checked(SimpleNamespace(fault=None, outcome=found), ctx)

    patch.setitem(Archivist.handlers, ObjectChecked, trusting)


@plant("archive-of-an-ended-peering")
def ended_peerings_not_shipped(patch: Patch) -> None:
    """The run passes over peers whose peering has ended."""
    ship = Archivist._ship

    def choosy(archivist: Any, ctx: Any, run: Any, chain: Any) -> bool:
        row = ctx.row("peer", chain.id)
        return (row is None or row.record.status != "revoked") and ship(archivist, ctx, run, chain)

    patch.setattr(Archivist, "_ship", choosy)


@plant("archive-of-the-platforms-own-chain")
def only_peers_shipped(patch: Patch) -> None:
    """The run passes over every chain that is not a peer's."""
    ship = Archivist._ship

    def choosy(archivist: Any, ctx: Any, run: Any, chain: Any) -> bool:
        return chain.kind == "peer" and ship(archivist, ctx, run, chain)

    patch.setattr(Archivist, "_ship", choosy)


@plant("archive-of-an-ended-peering")
def young_entries_shipped(patch: Patch) -> None:
    """What happened since the boundary is shipped as well."""
    patch.setattr(Archivist, "_ripe", lambda archivist, ctx, peer_id, after: ctx.audit_entries(peer_id, after, 5_000))


@plant("archive-of-an-ended-peering")
def last_ripe_entry_left_out(patch: Patch) -> None:
    """The last of the entries that are old enough stays behind, every time."""
    ripe = Archivist._ripe
    patch.setattr(Archivist, "_ripe", lambda archivist, ctx, peer_id, after: ripe(archivist, ctx, peer_id, after)[:-1])


@plant("archive-pruned")
def pruned_without_reading_back(patch: Patch) -> None:
    """What a row calls verified is pruned, whatever the archive says of it now."""
    read_back = Pruner.on_object_read_back

    def trusting(pruner: Any, message: Any, ctx: Any) -> None:
        run = pruner.running
        found = None if run is None or run.current is None else SimpleNamespace(sha256=run.current.sha256)
        read_back(pruner, SimpleNamespace(fault=None, outcome=found), ctx)

    patch.setitem(Pruner.handlers, ObjectReadBack, trusting)


@plant("archive-pruned")
def unverified_shipments_pruned(patch: Patch) -> None:
    """A shipment that is only chosen counts as safe."""
    patch.setattr(Pruner, "go_on", _prune_whatever)


def _prune_whatever(pruner: Any, ctx: Any, run: Any) -> None:
    for row in ctx.query(Query("audit_shipment", newest_first=False)):
        pruned, head = ctx.audit_pruned(row.record.chain), ctx.audit_head(row.record.chain)
        done = 0 if pruned is None else pruned.sequence
        if row.record.first_sequence == done + 1 and row.record.last_sequence < head.sequence:
            ctx.prune_audit(row.record.chain, row.record.last_sequence, row.record.head_hash, row.record.id)
            break
    pruner._end(ctx, run, more=False)


# --- the engine and the store below ---------------------------------------------------------------------------------


@plant("slow-disk")
def reply_before_durable(patch: Patch) -> None:
    """Replies leave as soon as a turn has ended, before its commit is durable."""
    hold = Engine._hold_turn

    def eager(engine: Any, cell: Any, ask: Any) -> None:
        hold(engine, cell, ask)
        turn = engine._commits.pending[-1]
        effects = list(turn.effects)
        turn.effects.clear()
        engine._perform(cell, effects)

    patch.setattr(Engine, "_hold_turn", eager)


@plant("deadline-outlives-restart")
def deadline_lost_on_restart(patch: Patch) -> None:
    """A start arms no deadline of what is stored."""
    start = Engine.start

    def forgetful(engine: Any) -> None:
        due = engine.store.due
        engine.store.due = lambda: ()
        try:
            start(engine)
        finally:
            engine.store.due = due

    patch.setattr(Engine, "start", forgetful)


@plant("happy-path")
def chain_not_linked(patch: Patch) -> None:
    """Each audit entry claims to be the first."""
    patch.setattr(sim.store, "link", lambda draft, sequence, previous: link(draft, sequence, GENESIS))


@plant("happy-path")
def token_stored_in_plaintext(patch: Patch) -> None:
    """What is stored instead of a token is the token."""
    patch.setattr(actors.peer.tokens, "digest", lambda token: token if isinstance(token, str) else token.reveal())


@plant("happy-path")
def vault_seals_nothing(patch: Patch) -> None:
    """What the vault seals can be read by anybody."""
    patch.setattr(net.vault.Vault, "seal", lambda vault, secret, purpose: secret.reveal_bytes())
    patch.setattr(net.vault.Vault, "open", lambda vault, sealed, purpose: net.vault.Secret(sealed))


@plant("happy-path")
def operators_left_waiting(patch: Patch) -> None:
    """Whoever asked for a heartbeat is never told what became of it."""
    patch.setattr(PeerActor, "_tell_asked", lambda actor, ctx, outcome: None)


@plant("happy-path", crashes=True)
def handler_raises(patch: Patch) -> None:
    """A handler raises on the first contact."""

    def contact(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted")

    patch.setattr(PeerActor, "_contact", contact)


# --- grants that are given and held -----------------------------------------------------------------------------------


@plant("grant-expires-under-skew")
def expiry_of_grants_ignored(patch: Patch) -> None:
    """A grant works until somebody revokes it, whatever its dates say."""
    patch.setattr(actors.grant.chain, "STEPS", tuple(step for step in actors.grant.chain.STEPS if step.name != "in_force"))


@plant("grant-covers-every-axis")
def axis_stored_as_it_was_spelled(patch: Patch) -> None:
    """What admits any is stored as the empty list in which operators may spell it."""

    def put(desk: Any, ctx: Any, record: Any, former: Any) -> Any:
        spelled = {name: () for name in AXES if record.axis(name) == ANY}
        written = evolve(record, version=1 if former is None else former.version + 1, updated_at=ctx.wall, **spelled)
        ctx.put_row("grant", written, None if former is None else former.version)
        return written

    patch.setattr(GrantDesk, "_put", put)


@plant("stolen-bearer")
def held_bearer_opens_our_door(patch: Patch) -> None:
    """A call under a grant that is not ours is judged by what we hold of somebody else's."""
    gathered = actors.door.grants.authorise.gathered

    def generous(door: Any, request: Any, peer: Any, *asked: Any) -> Any:
        ask = gathered(door, request, peer, *asked)
        found = door.engine.directory.find("received_grant", "held", f"{peer.id} {ask.bearer.grant_id}") if ask.grant is None else None
        if found is None:
            return ask
        held = door.engine.directory.row("received_grant", found).record
        shared = ("account_id", "federation_peer_id", "peering_epoch", "resource_kind", "resource_id", "permission_scopes", "expires_at")
        facts = {name: getattr(held, name) for name in shared}
        grant = GrantRecord(
            id=held.grant_id, token_digest=ask.bearer.digest, remote_subject="", issued_at=held.issued_at, updated_at=0.0, **facts
        )
        return evolve(ask, grant=grant)

    patch.setattr(actors.door.grants.authorise, "gathered", generous)


@plant("grant-received-and-used")
def bearer_told_in_an_event(patch: Patch) -> None:
    """Keeping a bearer tells it to everybody who follows the events."""
    hold = ReceivedGrantActor._hold

    def telling(actor: Any, ctx: Any, asked: Any, *rest: Any) -> None:
        ctx.emit("federation.received_grant.noted", "low", asked.account_id, bearer=asked.bearer.reveal())
        hold(actor, ctx, asked, *rest)

    patch.setattr(ReceivedGrantActor, "_hold", telling)


@plant("revoked-peer-with-received-grants")
def held_bearers_outlive_the_peering(patch: Patch) -> None:
    """The end of a peering destroys none of the bearers that came under it."""
    patch.setattr(actors.peer.ending, "DEPENDANTS", [each for each in DEPENDANTS if each.kind != "received_grant"])


@plant("child-gives-its-parent-a-grant")
def operator_grant_confirmed_and_not_kept(patch: Patch) -> None:
    """A parent answers that it holds the grant of its child, and keeps nothing."""
    patch.setattr(actors.peer.stewardship, "take", lambda ctx, record, offered, sealed: None)


@plant("child-begins-its-accept-anew")
def former_operator_bearer_kept(patch: Patch) -> None:
    """A parent that holds a bearer for the grant of its child already keeps that one."""
    take = actors.peer.stewardship.take

    def once(ctx: Any, record: Any, offered: Any, sealed: bytes) -> None:
        if not ctx.query(of_peer(record.id)):
            take(ctx, record, offered, sealed)

    patch.setattr(actors.peer.stewardship, "take", once)


@plant("child-revokes-its-grant-and-crashes")
def child_stays_though_its_grant_was_revoked(patch: Patch) -> None:
    """A child whose operators have revoked the grant of its parent goes on as a managed one."""
    handler(patch, GrantTakenBack, lambda actor, message, ctx: None)


@plant("parent-crashes-when-its-child-leaves")
def operator_bearer_outlives_the_child(patch: Patch) -> None:
    """A parent that has noted that its child stands on its own leaves the bearer where it is if it dies in that moment."""
    patch.setattr(actors.peer.emancipating, "let_go", lambda ctx, record: None)


@plant("migration-begins-nothing-in-the-grace")
def migration_begins_in_the_grace(patch: Patch) -> None:
    """The grace of a revocation is good for whatever a migration wants, begun or not."""
    patch.setattr(actors.migration.transfer, "HOLDING", actors.migration.transfer.HOLDING | {"planned", "validating", "conflict"})


# --- mirrors ----------------------------------------------------------------------------------------------------------


@plant("late-push")
def late_push_wins(patch: Patch) -> None:
    """Whatever a home has pushed is kept, even if a later state is here already."""
    former = actors.mirror.shelf._outcome

    def outcome(*asked: Any) -> str:
        judged = former(*asked)
        return "written" if judged == "overtaken" else judged

    patch.setattr(actors.mirror.shelf, "_outcome", outcome)


@plant("chain-with-a-lying-middle")
def holders_word_believed(patch: Patch) -> None:
    """A chain believes its holder that a hop has ended, whatever the destination has signed."""
    patch.setattr(actors.migration_chain.actor, "hop_flaw", lambda *told: None)


@plant("chain-with-a-lying-middle")
def receipt_of_another_hop(patch: Patch) -> None:
    """A chain takes any receipt of the destination, whatever it is for."""
    flaw = actors.migration_chain.actor.hop_flaw

    def lenient(proof: Any, anchors: Any, instance_id: str, hop: Any, moved: Any, since: float) -> Any:
        wrong = flaw(proof, anchors, instance_id, hop, moved, since)
        return None if wrong in ("other_hop", "other_resource") else wrong

    patch.setattr(actors.migration_chain.actor, "hop_flaw", lenient)


# --- services and flows -----------------------------------------------------------------------------------------------


@plant("service-must-not-cross")
def seat_across_a_boundary(patch: Patch) -> None:
    """A provider gives a seat of what is bound to its jurisdiction to whoever asks."""
    patch.setattr(actors.door.offerings.federation.residency, "refusal", lambda outcome, *, acknowledged, overridden=False: None)


@plant("withdrawn-over-a-crash")
def withdrawal_not_told(patch: Patch) -> None:
    """A flow that was ended is forgotten at once, whether or not the peer has heard of it."""
    patch.setattr(CapabilityActor, "_to_be_withdrawn", lambda actor, ctx, record: False)


# --- earlier copies, channels, hubs -----------------------------------------------------------------------------------


@plant("put-back-since-the-last-start")
def longer_history_unheard(patch: Patch) -> None:
    """What peers have heard of more events than these data hold is taken for nothing; only a start that is still to come counts."""
    _history_unheard(patch)


def _history_unheard(patch: Patch) -> None:
    for module in (actors.continuity.actor, actors.peer.heartbeats):
        patch.setattr(module, "says_more", lambda *given: None)


@plant("restored-by-hand")
def later_starts_unheard(patch: Patch) -> None:
    """What peers say of our starts and events freezes nothing."""
    _history_unheard(patch)
    patch.setitem(ContinuityActor.handlers, EpochClaimed, lambda actor, message, ctx: None)


@plant("channel-liar")
def any_echo_counts(patch: Patch) -> None:
    """A heartbeat on a channel counts as contact, whatever its sender says that it has heard."""
    patch.setattr(actors.peer.heartbeats, "echo_is_fresh", lambda *given: True)


@plant("channel-dialled-by-both")
def both_keep_their_own(patch: Patch) -> None:
    """Of two channels that both have dialled at once each end keeps its own."""

    def take(register: Register, peer_id: str, newcomer: Held, *, ours_wins: bool) -> Held | None:
        return former(register, peer_id, newcomer, ours_wins=True)

    former = Register.take
    patch.setattr(Register, "take", take)


@plant("hub-pauses-a-peer")
def relayed_after_the_end(patch: Patch) -> None:
    """A hub goes on with connections to a peer whose peering is over: its channel ends, and what was relayed over it does not."""
    patch.setattr(sim.world.Host, "_cut", lambda host, channels, peer_id: channels.cut(peer_id))


# --- what depends on a peering ----------------------------------------------------------------------------------------


@plant("all-that-hangs-on-a-peering")
def bridges_never_told(patch: Patch) -> None:
    """Bridges are not among what is told that its peering has ended."""
    patch.setattr(actors.peer.dependants, "DEPENDANTS", [each for each in DEPENDANTS if each.kind != "bridge"])
    patch.setattr(actors.peer.ending, "DEPENDANTS", actors.peer.dependants.DEPENDANTS)


@plant("all-that-hangs-on-a-peering")
def seat_outlives_the_peering(patch: Patch) -> None:
    """The end of a peering leaves the seats that were given under it as they are."""
    patch.setitem(LeaseActor.handlers, PeeringEnded, lambda actor, message, ctx: None)


@plant("channel-suspended")
def pause_keeps_the_channel(patch: Patch) -> None:
    """Only the end of a peering closes the channel with the peer, and a pause of it does not."""
    patch.setattr(sim.world, "ENDINGS", sim.world.ENDINGS - {"federation.peer.suspended"})


@plant("mirrors-fail-and-recover")
def blocked_flow_is_left(patch: Patch) -> None:
    """A flow that finds its peer not active is not looked at again."""
    former = Running._blocked

    def blocked(actor: Any, ctx: Any, *given: Any) -> None:
        former(actor, ctx, *given)
        ctx.save(evolve(ctx.record, next_at=None))

    patch.setattr(Running, "_blocked", blocked)


# --- what platforms sign ----------------------------------------------------------------------------------------------


@plant("receipts-that-are-none")
def receipt_of_any_plan(patch: Patch) -> None:
    """A source takes any receipt that its destination has signed, whichever migration it is about."""

    def flaw(proof: Any, anchors: Any, instance_id: str, transfer_id: str, digest: str, operation: str, now: float) -> str | None:
        return actors.migration.receipts._unsigned(proof, anchors, instance_id, now)

    patch.setattr(actors.migration.transfer, "flaw", flaw)


@plant("receipts-that-are-none")
def anybody_signs_receipts(patch: Patch) -> None:
    """A source looks at what a receipt says, and not at who has signed it."""
    patch.setattr(actors.migration.receipts, "_unsigned", lambda *given: None)


@plant("resource-moves-amid-a-rotation")
def receipt_under_the_next_root(patch: Patch) -> None:
    """In a rotation the next root signs receipts, before others have taken it."""

    def root(ctx: Any) -> Any:
        return actors.rotation.record.roots_of(actors.rotation.record.rotation_of(ctx), ctx.settings.identity).target[1]

    patch.setattr(actors.migration.arrival, "signing_root", root)


# --- the terms of a hub -----------------------------------------------------------------------------------------------


@plant("hub-keeps-to-its-terms")
def kept_away_by_nobody(patch: Patch) -> None:
    """A hub counts connections, and lets them come from anywhere."""
    patch.setattr(actors.hub.ledger, "_inside", lambda source, networks: False)


@plant("hub-keeps-to-its-terms")
def terms_not_written_down(patch: Patch) -> None:
    """What operators agree to with a permission is not kept with it."""
    patch.setattr(actors.door.hub.handlers, "terms_of", lambda body: Terms())


# --- approvals --------------------------------------------------------------------------------------------------------


@plant("residency-waits-for-approval")
def rejection_approves(patch: Patch) -> None:
    """A request that an operator rejects counts as approved."""
    former = ApprovalActor._stepped

    def stepped(actor: Any, ctx: Any, record: Any, trigger: Any, by: Any) -> Any:
        return former(actor, ctx, record, "approve" if trigger == "reject" else trigger, by)

    patch.setattr(ApprovalActor, "_stepped", stepped)


@plant("approved-by-somebody-else")
def any_approver_may_approve_his_own(patch: Patch) -> None:
    """Whoever could decide about the requests of others counts as the only one who could."""
    former = actors.approval.deciding.decider_fault

    def decider(record: Any, by: str, operators: Any, **named: Any) -> Any:
        return former(record, by, [each for each in operators if each.id == by], **named)

    patch.setattr(actors.approval.deciding, "decider_fault", decider)


# --- requests that are repeated ---------------------------------------------------------------------------------------


@plant("repeated-under-a-key")
def keys_of_all_operators(patch: Patch) -> None:
    """What one operator has asked for under a key is what another one gets under the same."""
    former = actors.idempotency.record.mark
    patch.setattr(actors.idempotency.record, "mark", lambda operator_id, route, key, body: former("", route, key, body))


@plant("repeated-under-a-key")
def answers_forgotten(patch: Patch) -> None:
    """A request that comes again under its key is done again."""
    patch.setattr(actors.door.door.Door, "_once", lambda door, request, key: door._handlers[request.route.name](door, request))


@plant("service-term-ends-and-is-renewed")
def renewed_in_the_last_hour(patch: Patch) -> None:
    """A subscriber asks for another term only in the last hour of the one that it has."""
    patch.setattr(actors.subscription.lifecycle, "RENEWED_BEFORE_S", 3_600.0)
