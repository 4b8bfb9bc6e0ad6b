"""Staying in contact: heartbeats to the peer and from it, and the steps that the first ones bring about.

Lives here: both directions of the heartbeat. Must not live here: what to do about silence (`liveness`). A heartbeat that fails changes no
status; one that succeeds in either direction is two-way evidence, because the one who sent it was answered.
"""

from __future__ import annotations

from typing import Any

from actors.continuity.messages import EpochClaimed, LaterStateClaimed
from actors.continuity.record import KIND as CONTINUITY
from actors.continuity.record import ContinuityRecord, says_more, told_history
from actors.contract import record as contract
from actors.hub.announcing import announced_endpoints
from actors.limits import (
    CAPABILITY_CHANGES_PER_HOUR_MAX,
    ENDPOINT_CHOICE_KEPT_S,
    EPOCH_FLIPS_FORGOTTEN_S,
    HEARTBEAT_EARLY_RETRY_DELAYS_S,
    HEARTBEAT_JITTER,
)
from actors.peer import endpoints, remote_answers
from actors.peer.channel import echo_is_fresh
from actors.peer.lifecycle import LIVE, REACHABLE, inbound_refusal
from actors.peer.liveness import REMOTE_SUSPENDED_US, degraded, refused_by_remote
from actors.peer.messages import Beat, EarlyHeartbeat, HeartbeatAnswered, HeartbeatNow, HeartbeatTick, ProvenInbound
from actors.peer.record import PeerEvidence, PeerRecord, told_of_end
from actors.peer.steps import SYSTEM, Party, callable_identity, may_enrol, note, step, wants_heartbeats
from actors.peer.telling import Telling
from actors.ports import RemoteReply, RemoteRequest
from actors.rotation.record import target_of
from actors.schema_versions import negotiate
from actors.urls import url_of
from actors.wall_clock.standing import hear
from runtime.actor import Ref, handles
from runtime.buggify import site
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.values import evolve, updated

BEAT_EARLY = site("heartbeat.early", "the next heartbeat comes within a second")

EARLY_REFUSALS = frozenset({"unknown_peer_subject", "peer_not_admitted", "client_certificate_invalid"})
"""What a remote answers that has not committed its own accept yet."""


class Heartbeats(Telling):
    """Handlers of heartbeats in both directions."""

    beating: bool = False
    early_attempts: int = 0
    asked: tuple[Any, ...] = ()
    choice: tuple[str, float] | None = None

    # --- out -----------------------------------------------------------------------------------------------------

    @handles(HeartbeatTick)
    def on_heartbeat_tick(self, message: HeartbeatTick, ctx: Context) -> None:
        if wants_heartbeats(self.record):
            self.schedule_heartbeat(ctx)
            if not self.watching:
                self.schedule_liveness(ctx)
            self._beat(ctx)
            self.keep_channel(ctx)

    @handles(EarlyHeartbeat)
    def on_early_heartbeat(self, message: EarlyHeartbeat, ctx: Context) -> None:
        if wants_heartbeats(self.record) and self.record.status == "accepted":
            self._beat(ctx)

    @handles(HeartbeatNow)
    def on_heartbeat_now(self, message: HeartbeatNow, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is None:
            ctx.reply(OperatorFault("not_found", "there is no such peer", 404))
        elif record.status == "revoked":
            ctx.reply(OperatorFault("already_revoked", "this peering has ended", 409))
        elif record.status == "suspended":
            ctx.reply(OperatorFault("peer_suspended", "this peer is paused", 409))
        elif not wants_heartbeats(record):
            ctx.reply(OperatorFault("heartbeat_not_applicable", f"a peer that is {record.status} gets no heartbeats", 409))
        else:
            address = ctx.defer()
            if address is not None:
                self.asked = (*self.asked, address)
            if not self.beating:
                self._beat(ctx)

    def first_heartbeat(self, ctx: Context, delay_s: float) -> None:
        """After an accept: at once, or at the ordinary time if the operator wants it so."""
        self.early_attempts = 0
        if ctx.settings.federation.heartbeat_eager:
            ctx.after(delay_s, HeartbeatTick(), "heartbeat")
        else:
            self.schedule_heartbeat(ctx)

    def schedule_heartbeat(self, ctx: Context, *, soon: bool = False) -> None:
        """Arm the next periodic heartbeat, with jitter so that peers of one platform spread out."""
        interval_s = ctx.settings.federation.heartbeat_interval_s
        soon = soon or ctx.buggify(BEAT_EARLY)
        delay_s = ctx.random.uniform(0.0, min(interval_s, 1.0)) if soon else interval_s * (1 + ctx.random.uniform(-1, 1) * HEARTBEAT_JITTER)
        ctx.after(delay_s, HeartbeatTick(), "heartbeat")

    def _beat(self, ctx: Context) -> None:
        evidence = self.evidence or PeerEvidence()
        if self.beating:
            ctx.set_evidence(evolve(evidence, skipped_beats=evidence.skipped_beats + 1))
            return
        record: PeerRecord = self.record
        known = callable_identity(record, ctx.wall)
        if isinstance(known, Fault):
            ctx.set_evidence(evolve(evidence, last_error=known.code, last_error_at=ctx.wall))
            self._tell_asked(ctx, known)
            return
        self.beating = True
        sequence = self.next_sequence(ctx)
        request = RemoteRequest(
            peer_id=record.id,
            method="POST",
            path="/federation_api/heartbeat",
            body=self.heartbeat_body(ctx, sequence),
            urls=self.urls(ctx),
            identity=known[0],
            expectation=known[1],
            timeout_s=ctx.settings.federation.request_timeout_s,
        )
        ctx.call(request, then=HeartbeatAnswered, tag=sequence)

    def next_sequence(self, ctx: Context) -> int:
        """The number of the heartbeat that leaves now; numbers rise at least as long as this start of the platform lasts."""
        evidence = self.evidence or PeerEvidence()
        sequence = evidence.sent_sequence + 1
        ctx.set_evidence(evolve(evidence, sent_sequence=sequence))
        return sequence

    def urls(self, ctx: Context) -> tuple[str, ...]:
        """Where to call: the endpoint that answered lately, then all in order."""
        seen = self.evidence.endpoints if self.evidence is not None else ()
        listed = endpoints.candidates(endpoints.replace(seen, self.record.endpoints), self.record.remote_instance_url)
        urls = [target.url for target in listed if target.cidr_hint is None]
        if self.choice is not None and self.choice[1] > ctx.now and self.choice[0] in urls:
            urls.sort(key=lambda url: url != self.choice[0] if self.choice is not None else False)
        return tuple(urls)

    def heartbeat_body(self, ctx: Context, sequence: int, *, peer_state: str = "ok") -> dict[str, Any]:
        """What we tell of ourselves; `peer_state` is `suspended` in the last heartbeat before a pause."""
        identity, federation = ctx.settings.identity, ctx.settings.federation
        evidence = self.evidence or PeerEvidence()
        return {
            "boot_epoch": identity.boot_epoch,
            "sequence": sequence,
            "start_mark": identity.start_mark,
            "history": told_history(_continuity(ctx), ctx.history),
            "sent_at": iso(ctx.wall),
            "peer_state": peer_state,
            "contract_version": self.record.contract_version_agreed,
            "contract_digest": self.record.contract_digest_agreed,
            "platform_version": ctx.settings.platform_version,
            "release_tag": ctx.settings.release_tag or None,
            "operator_contact": federation.operator_contact or None,
            "jurisdiction": federation.jurisdiction or None,
            "data_residency": federation.data_residency,
            "capabilities": dict(federation.capabilities),
            "endpoints": announced_endpoints(ctx),
            "extension_slugs": list(federation.extension_slugs),
            "sync_cursor": {},
            "anchor_fingerprint": target_of(ctx)[0],
            "last_ack": _echo(evidence),
        }

    @handles(HeartbeatAnswered)
    def on_heartbeat_answered(self, message: HeartbeatAnswered, ctx: Context) -> None:
        if self.evidence is None or message.tag != self.evidence.sent_sequence:
            # A pause or another heartbeat came after it: what it says is overtaken.
            return
        self.beating = False
        record: PeerRecord | None = self.record
        if record is None or not wants_heartbeats(record):
            self._tell_asked(ctx, OperatorFault("heartbeat_not_applicable", "the peer has changed meanwhile", 409))
            return
        fault = message.fault or _refusal(message.outcome)
        if fault is not None:
            self._unanswered(ctx, fault, message.outcome)
            return
        reply: RemoteReply = message.outcome
        self.early_attempts = 0
        self.choice = (reply.url, ctx.now + ENDPOINT_CHOICE_KEPT_S)
        self.reached_by_http(ctx)
        evidence = self.evidence or PeerEvidence()
        seen = tuple(
            endpoints.after_probe(endpoint, None, ctx.wall, reply.url) if endpoint.url == url_of(reply.url) else endpoint
            for endpoint in endpoints.replace(evidence.endpoints, record.endpoints)
        )
        answer = remote_answers.parse_heartbeat(reply)
        if answer.received_at is not None:
            hear(ctx, record.id, answer.received_at - ctx.wall)
        proof = evolve(
            evidence,
            last_heartbeat_at=ctx.wall,
            last_outbound_heartbeat_at=ctx.wall,
            contact_since=_contact_since(ctx, evidence),
            last_error=None,
            last_error_at=None,
            endpoints=seen,
            echoed_epoch=answer.acknowledged_epoch or evidence.echoed_epoch,
            knows_more=_note_echo(ctx, answer.acknowledged_epoch, answer.acknowledged_mark, answer.acknowledged_history),
        )
        self._contact(ctx, proof, _told(record, answer), SYSTEM)
        self._tell_asked(ctx, {"ok": True, "url": reply.url, "elapsed_ms": round(reply.elapsed_s * 1000, 1)})

    def _unanswered(self, ctx: Context, fault: Fault, outcome: Any) -> None:
        """Note the failure. No status changes but on the word of the remote itself, which the connection has proven."""
        record: PeerRecord = self.record
        evidence = self.evidence or PeerEvidence()
        ctx.set_evidence(evolve(evidence, last_error=fault.details.get("remote_code") or fault.code, last_error_at=ctx.wall))
        if isinstance(outcome, RemoteReply):
            code = remote_answers.remote_code(outcome)
            retries = HEARTBEAT_EARLY_RETRY_DELAYS_S
            if record.status == "accepted" and code in EARLY_REFUSALS and self.early_attempts < len(retries):
                self.early_attempts += 1
                ctx.after(retries[self.early_attempts - 1], EarlyHeartbeat(self.early_attempts), "early-heartbeat")
            heard = refused_by_remote(ctx, record, outcome)
            if heard != record:
                ctx.save(evolve(heard, updated_at=ctx.wall))
        self._tell_asked(ctx, fault)

    def _tell_asked(self, ctx: Context, outcome: Any) -> None:
        asked, self.asked = self.asked, ()
        for address in asked:
            ctx.answer(address, outcome)

    # --- in ------------------------------------------------------------------------------------------------------

    @handles(Beat)
    def on_beat(self, message: Beat, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        refusal = None if record is None else inbound_refusal(record.status, "heartbeat")
        if record is None or refusal is not None:
            # The door judged by the row as it was; it may have changed since, and then the caller hears what it is now.
            code, status = ("peer_not_admitted", 401) if refusal is None else (refusal.code, refusal.status)
            ctx.reply(RemoteFault(code, "this platform serves no heartbeats for this peer now", status, told_of_end(record)))
            return
        evidence = self.evidence or PeerEvidence()
        # Only a body that could be read says which start of the sender it comes from, and a sender need not say so at all.
        numbered = message.refused is None and message.boot_epoch > 0
        newer = not numbered or (message.boot_epoch, message.sequence) > (evidence.remote_boot_epoch, evidence.remote_sequence)
        flipped = numbered and message.boot_epoch < evidence.remote_boot_epoch
        two_way = not message.over_channel or echo_is_fresh(
            ctx.settings.identity.boot_epoch, evidence.sent_sequence, message.acknowledged_epoch, message.acknowledged_sequence
        )
        mark, history, former = _heard(evidence, message) if numbered else _unheard(evidence)
        proof = evolve(
            evidence,
            last_heartbeat_at=ctx.wall if two_way else evidence.last_heartbeat_at,
            last_inbound_heartbeat_at=ctx.wall,
            contact_since=_contact_since(ctx, evidence),
            remote_boot_epoch=message.boot_epoch if numbered and newer else evidence.remote_boot_epoch,
            remote_sequence=message.sequence if numbered and newer else evidence.remote_sequence,
            remote_mark=mark,
            remote_history=history,
            former_history=former,
            lower_boot_epoch=message.boot_epoch if flipped else evidence.lower_boot_epoch,
            epoch_flips=_flips(evidence, ctx.wall) if flipped else evidence.epoch_flips,
            flipped_at=ctx.wall if flipped else evidence.flipped_at,
            clock_skew_s=message.sent_at - ctx.wall if message.sent_at is not None else evidence.clock_skew_s,
            echoed_epoch=message.acknowledged_epoch or evidence.echoed_epoch,
            knows_more=_note_echo(ctx, message.acknowledged_epoch, message.acknowledged_mark, message.acknowledged_history),
        )
        if message.sent_at is not None:
            hear(ctx, record.id, message.sent_at - ctx.wall)
        changed = record
        if record.inbound_proven_at is None:
            changed = evolve(changed, inbound_proven_at=ctx.wall)
        if message.refused is None and newer:
            changed = _declared(changed, message)
            if changed.capabilities != record.capabilities:
                kept = (*proof.capability_changes, ctx.wall)[-CAPABILITY_CHANGES_PER_HOUR_MAX - 1 :]
                proof = evolve(proof, capability_changes=kept)
            changed = updated(changed, remote_state="suspended_us" if message.peer_state == "suspended" else "ok")
        after = self._contact(ctx, proof, changed, Party("remote", record.remote_instance_id), two_way=two_way)
        if not two_way and not self.beating and after.status in ("enrolled", "degraded") and after.remote_state != "suspended_us":
            # The remote has not heard of us lately, so only our own heartbeat can show that both ways are open again.
            ctx.after(0.0, HeartbeatTick(), "heartbeat")
        ctx.reply(message.refused if message.refused is not None else self._acknowledgement(ctx, after, proof, message))

    @handles(ProvenInbound)
    def on_proven_inbound(self, message: ProvenInbound, ctx: Context) -> None:
        record: PeerRecord | None = self.record
        if record is not None and record.inbound_proven_at is None and record.status in LIVE:
            proven = evolve(record, inbound_proven_at=ctx.wall, updated_at=ctx.wall)
            ctx.save(self._enrolled(ctx, proven, Party("remote", record.remote_instance_id)))

    def _acknowledgement(self, ctx: Context, record: PeerRecord, evidence: PeerEvidence, message: Beat) -> dict[str, Any]:
        federation = ctx.settings.federation
        compatibility = negotiate(ctx.settings.platform_version, record.platform_version, message.matrix)
        return {
            "status": record.status,
            "last_heartbeat_at": iso(ctx.wall),
            "our_endpoints": announced_endpoints(ctx),
            "schema_compatibility": compatibility.to_json(),
            "our_data_residency": federation.data_residency,
            "our_anchor_fingerprint": target_of(ctx)[0],
            "received_at": iso(ctx.wall),
            "last_ack": _echo(evidence),
        }

    # --- what contact brings about -------------------------------------------------------------------------------

    def _contact(self, ctx: Context, evidence: PeerEvidence, record: PeerRecord, by: Party, *, two_way: bool = True) -> PeerRecord:
        """Evidence: enrol, activate or recover, each as a step of its own, in one save together with what the remote told.

        `two_way`: it shows that messages pass in both directions; otherwise the remote lives, but nothing is activated or recovered.
        """
        before: PeerRecord = self.record
        ctx.set_evidence(evidence)
        if record.declared_residency != before.declared_residency:
            note(ctx, record, "data_residency_changed", "low", previous=before.declared_residency, value=record.declared_residency,
                 declared_by="remote_peer")  # fmt: skip
        paused = record.remote_state == "suspended_us"
        record = self._enrolled(ctx, record, by)
        if record.status in ("enrolled", "degraded") and not paused and two_way:
            record = step(ctx, record, "heartbeat_succeeded", by)
            record = evolve(record, metadata={key: value for key, value in record.metadata.items() if key != "degraded_reason"})
        elif record.status == "active" and paused:
            record = degraded(ctx, record, "remote_suspended_us", by, REMOTE_SUSPENDED_US)
        if record is not before and record != before:
            ctx.save(evolve(record, updated_at=ctx.wall))
            ctx.cancel("early-heartbeat")
        if two_way:
            self.tell_news(ctx)
        return record

    def _enrolled(self, ctx: Context, record: PeerRecord, by: Party) -> PeerRecord:
        """The first verified exchange proves the remote's key."""
        if record.status in REACHABLE and record.trust_status == "pending_proof":
            # A handshake repaired a peering in force: its trust is proven anew, its status never left.
            ctx.audit("peer.trust_repaired", by.kind, by.id, federation_peer_id=record.id, trust_mode=record.trust_mode)
            return evolve(record, trust_status="established", last_handshake_at=ctx.wall)
        if record.status != "accepted" or record.trust_status not in ("pending_proof", "established"):
            return record
        if not may_enrol(record, ctx.settings):
            return record
        record = evolve(record, trust_status="established", last_handshake_at=ctx.wall)
        return step(ctx, record, "trust_established", by)


def _contact_since(ctx: Context, evidence: PeerEvidence) -> float | None:
    """Since when there is contact, as of this one: anew, if it comes after a pause that no single lost heartbeat explains."""
    last = max(evidence.last_inbound_heartbeat_at or 0.0, evidence.last_outbound_heartbeat_at or 0.0)
    paused = ctx.wall - last > 2 * ctx.settings.federation.heartbeat_interval_s
    return ctx.wall if paused else evidence.contact_since


def _flips(evidence: PeerEvidence, wall: float) -> int:
    """How often an older start of the remote has come back lately, this time included."""
    forgotten = evidence.flipped_at is None or abs(wall - evidence.flipped_at) > EPOCH_FLIPS_FORGOTTEN_S
    return 1 if forgotten else evidence.epoch_flips + 1


def _note_echo(ctx: Context, epoch: int, mark: int, history: int) -> str | None:
    """What `PeerEvidence.knows_more` keeps. A remote that has heard of more than this copy of our data knows has heard it from a later one.

    That is said again with every echo, so that it is not lost with a crash.
    """
    identity = ctx.settings.identity
    if epoch == identity.boot_epoch and mark in (0, identity.start_mark) and history <= identity.history:
        # The common case, which every heartbeat meets twice.
        return None
    if epoch > identity.boot_epoch:
        ctx.send(Ref(CONTINUITY.name, identity.instance_id), EpochClaimed(ctx.ref.id, epoch))
    more = says_more(_continuity(ctx), identity, epoch, mark, history)
    if more is not None:
        ctx.send(Ref(CONTINUITY.name, identity.instance_id), LaterStateClaimed(ctx.ref.id, epoch, mark, history))
    return more


def _continuity(ctx: Context) -> ContinuityRecord | None:
    row = ctx.row(CONTINUITY.name, ctx.settings.identity.instance_id)
    return row.record if row is not None else None


def _unheard(evidence: PeerEvidence) -> tuple[int, int, int]:
    return evidence.remote_mark, evidence.remote_history, evidence.former_history


def _heard(evidence: PeerEvidence, beat: Beat) -> tuple[int, int, int]:
    """The mark of the remote's newest start, the highest history of it, and the highest of all earlier ones, with what a heartbeat tells.

    Of two starts under one number the first that was heard is kept: the other is a copy, and has to be told so.
    """
    if beat.boot_epoch > evidence.remote_boot_epoch:
        return beat.start_mark, beat.history, max(evidence.former_history, evidence.remote_history)
    if beat.boot_epoch == evidence.remote_boot_epoch and evidence.remote_mark in (0, beat.start_mark):
        return beat.start_mark, max(evidence.remote_history, beat.history), evidence.former_history
    return _unheard(evidence)


def _echo(evidence: PeerEvidence) -> dict[str, int]:
    return {
        "epoch": evidence.remote_boot_epoch,
        "sequence": evidence.remote_sequence,
        "start_mark": evidence.remote_mark,
        "history": evidence.former_history,
    }


def _refusal(reply: Any) -> Fault | None:
    """What an answer that is not an acknowledgement means, or None."""
    if not isinstance(reply, RemoteReply) or 200 <= reply.status < 300:
        return None
    code = remote_answers.remote_code(reply)
    text = f"the remote refused the heartbeat ({code or reply.status})"
    return RemoteFault("remote_rejected", text, 502, {"remote_status": reply.status, "remote_code": code})


def _told(record: PeerRecord, answer: remote_answers.HeartbeatAnswer) -> PeerRecord:
    """The record with what the remote's acknowledgement says of itself."""
    declared = answer.endpoints if answer.endpoints else None
    return updated(
        record,
        endpoints=record.endpoints if declared is None else endpoints.replace(record.endpoints, declared),
        platform_version=answer.platform_version or record.platform_version,
        declared_residency=answer.data_residency or record.declared_residency,
        remote_anchor_fingerprint=answer.anchor_fingerprint or record.remote_anchor_fingerprint,
        # A platform that has suspended or revoked us acknowledges nothing.
        remote_state="ok",
    )


def _declared(record: PeerRecord, message: Beat) -> PeerRecord:
    """The record with what a heartbeat declares: absent is unchanged, present (even empty) replaces."""
    told: dict[str, Any] = {}
    if message.platform_version is not None:
        told["platform_version"] = message.platform_version
    if message.release_tag is not None:
        told["release_tag"] = message.release_tag
    if message.operator_contact is not None:
        told["operator_contact"] = message.operator_contact
    if message.jurisdiction is not None:
        told["jurisdiction"] = message.jurisdiction
    if message.capabilities is not None:
        told["capabilities"] = dict(message.capabilities)
    if message.sync_cursor is not None:
        told["sync_cursor"] = dict(message.sync_cursor)
    if message.extension_slugs is not None:
        told["extension_slugs"] = message.extension_slugs
    if message.endpoints is not None:
        told["endpoints"] = endpoints.replace(record.endpoints, message.endpoints)
    if message.data_residency is not None:
        told["declared_residency"] = message.data_residency
    if message.anchor_fingerprint is not None:
        told["remote_anchor_fingerprint"] = message.anchor_fingerprint
    if record.contract_version_agreed is None and message.contract_version is not None:
        agreed = contract.find(message.contract_version)
        if agreed is not None:
            told["contract_version_agreed"] = agreed.version
            told["contract_digest_agreed"] = agreed.digest
    return updated(record, **told)
