"""The side that was invited: an operator accepts with the remote's token.

Lives here: our call to the remote's accept endpoint, as an intent that survives a crash: the handshake's id and key material are saved
before anything is sent, so that every attempt is the same handshake and a lost answer can be fetched again.
"""

from __future__ import annotations

from typing import Any

import attrs

from actors.contract import record as contract
from actors.hub.announcing import announced_endpoints
from actors.idempotency.record import Mark, remember
from actors.limits import ACCEPT_RETRY_DELAYS_S, SEALED_TOKEN_KEPT_S
from actors.peer import endpoints, remote_answers, stewardship, tokens
from actors.peer.emancipating import Emancipating
from actors.peer.lifecycle import LIVE
from actors.peer.messages import (
    AcceptAnswered,
    AcceptDeadline,
    Accepted,
    AcceptRemote,
    CallerIdentityIssued,
    OperatorBearerSealed,
    RequestMade,
    RetryAccept,
    TokenSealed,
)
from actors.peer.projection import full_now
from actors.peer.record import Farewell, GivenGrant, Handshake, OutboundIdentity, PeerRecord, TrustedAnchor
from actors.peer.renewal import outbound_of
from actors.peer.roles import caller_trust_mode
from actors.peer.steps import (
    invalid_transition,
    may_enrol,
    operator,
    rehandshake_allowed,
    repinning_allowed,
    step,
    subject_of,
    trust_status_at,
)
from actors.ports import (
    ACCEPTANCE_TOKEN_PURPOSE,
    IssueIdentity,
    MadeRequest,
    MakeRequest,
    RemoteReply,
    RemoteRequest,
    Seal,
    ServerExpectation,
)
from actors.rotation.record import identity_of, ourselves, parent_of_ours, roots_of, rotation_of
from runtime.actor import handles
from runtime.buggify import site
from runtime.clock import iso
from runtime.context import Context
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.secret import Secret
from runtime.values import evolve

RETRY_AT_ONCE = site("accept.retry_at_once", "an accept that failed is tried again without waiting")

RETRIED = frozenset({"remote_timeout", "remote_error", "remote_unreachable"})
"""Faults after which the same handshake is tried again while the operator's deadline lasts."""


@attrs.define(eq=False)
class Attempt:
    """Our accept under way: who waits for it, and what has been learned so far."""

    address: Any
    mark: Mark | None
    token: Secret | None
    by: str | None
    version: int
    ca_fingerprint: str | None
    pin: str | None
    digest: str
    handshake: Handshake | None = None
    reply: RemoteReply | None = None
    answer: remote_answers.AcceptAnswer | None = None
    number: int = 0
    expired: bool = False
    sealed_token: bytes | None = None
    via: tuple[str, ...] = ()


class CallingSide(Emancipating):
    """Handlers of our own accept call."""

    calling: Attempt | None = None

    @handles(AcceptRemote)
    def on_accept_remote(self, message: AcceptRemote, ctx: Context) -> None:
        if self._joined(message, ctx):
            return
        attempt = self._admit(message, ctx)
        if isinstance(attempt, Fault):
            ctx.reply(attempt)
            return
        attempt.address = ctx.defer()
        self.calling = attempt
        ctx.after(message.deadline_s, AcceptDeadline(), "accept-deadline")
        handshake: Handshake | None = self.record.handshake
        if handshake is not None and handshake.token_digest == attempt.digest:
            self._send_accept(ctx)
        else:
            ctx.call(Seal(message.token, ACCEPTANCE_TOKEN_PURPOSE), then=TokenSealed)

    def _joined(self, message: AcceptRemote, ctx: Context) -> bool:
        """Let an operator who accepts again wait for the accept that a restart has taken up, if it is the same one."""
        attempt = self.calling
        if attempt is None or attempt.address is not None or attempt.digest != tokens.digest(message.token):
            return False
        attempt.address, attempt.mark, attempt.by = ctx.defer(), message.mark, message.by
        ctx.after(message.deadline_s, AcceptDeadline(), "accept-deadline")
        return True

    def _admit(self, message: AcceptRemote, ctx: Context) -> Attempt | Fault:
        """Everything that can be refused before any network traffic."""
        record: PeerRecord | None = self.record
        if record is None:
            return OperatorFault("not_found", "no such peer", 404)
        if self.calling is not None:
            return OperatorFault("accept_in_progress", "an accept of this peer is already under way", 409)
        parsed = tokens.parse(message.token.reveal())
        if parsed is None:
            return OperatorFault("acceptance_token_malformed", "this is not an acceptance token; paste it whole", 422)
        if not acceptable(record, ctx.wall):
            return invalid_transition(record, "accepted")
        pinned = record.remote_ca_fingerprint not in (None, message.ca_fingerprint) and not repinning_allowed(record, ctx.wall)
        if message.ca_fingerprint and pinned:
            return OperatorFault("fingerprint_mismatch", "this peer is pinned to another CA fingerprint", 422)
        newest = max(version.version for version in contract.supported())
        version = newest if message.contract_version is None else message.contract_version
        if version not in [supported.version for supported in contract.supported()]:
            return OperatorFault("unsupported_contract_version", f"contract version {version} is not supported here", 422)
        digest = tokens.digest(message.token)
        return Attempt(None, message.mark, message.token, message.by, version, message.ca_fingerprint, parsed.pin, digest, via=message.via)

    @handles(TokenSealed)
    def on_token_sealed(self, message: TokenSealed, ctx: Context) -> None:
        attempt = self.calling
        if attempt is None:
            return
        if message.fault is not None:
            self._finish(ctx, message.fault)
            return
        if not acceptable(self.record, ctx.wall):
            self._finish(ctx, invalid_transition(self.record, "accepted"))
            return
        attempt.token, attempt.sealed_token = None, message.outcome
        if self.record.spawn_role is not None and caller_trust_mode(self.record.spawn_role) == "hierarchical":
            ctx.call(MakeRequest(subject_of(ctx.ref.id), ctx.settings.identity.instance_id), then=RequestMade)
        else:
            self._draw_bearer(ctx, None)

    @handles(RequestMade)
    def on_request_made(self, message: RequestMade, ctx: Context) -> None:
        if self.calling is None:
            return
        if message.fault is not None:
            self._finish(ctx, message.fault)
        elif not acceptable(self.record, ctx.wall):
            self._finish(ctx, invalid_transition(self.record, "accepted"))
        else:
            self._draw_bearer(ctx, message.outcome)

    def _draw_bearer(self, ctx: Context, made: MadeRequest | None) -> None:
        """Have the bearer sealed that a managed child gives its parent; whoever gives none goes on at once."""
        drawn = stewardship.draw(ctx, self.record)
        if drawn is None:
            self._persist(ctx, made, None)
        else:
            ctx.call(Seal(drawn[1], ACCEPTANCE_TOKEN_PURPOSE), then=OperatorBearerSealed, tag=(made, drawn[0]))

    @handles(OperatorBearerSealed)
    def on_operator_bearer_sealed(self, message: OperatorBearerSealed, ctx: Context) -> None:
        if self.calling is None:
            return
        made, drawn = message.tag
        if message.fault is not None:
            self._finish(ctx, message.fault)
        elif not acceptable(self.record, ctx.wall):
            self._finish(ctx, invalid_transition(self.record, "accepted"))
        else:
            self._persist(ctx, made, stewardship.give(ctx, self.record, drawn, message.outcome))

    def _persist(self, ctx: Context, made: MadeRequest | None, given: GivenGrant | None) -> None:
        """Save the handshake before its first byte leaves."""
        attempt = self.calling
        assert attempt is not None
        assert attempt.sealed_token is not None
        handshake = Handshake(
            id=ctx.new_id(),
            token_digest=attempt.digest,
            sealed_token=attempt.sealed_token,
            pin=attempt.pin,
            contract_version=attempt.version,
            started_at=ctx.wall,
            expires_at=ctx.wall + SEALED_TOKEN_KEPT_S,
            by=attempt.by,
            csr_pem=made.csr_pem if made is not None else None,
            sealed_key=made.sealed_key if made is not None else None,
            given=given,
        )
        fingerprint = attempt.ca_fingerprint or self.record.remote_ca_fingerprint
        url, listed = self.record.remote_instance_url, self.record.endpoints
        ctx.save(
            evolve(
                self.record,
                handshake=handshake,
                farewell=None,
                remote_ca_fingerprint=fingerprint,
                endpoints=endpoints.reached_through(listed, url, attempt.via) if url and attempt.via else listed,
                updated_at=ctx.wall,
            )
        )
        self._send_accept(ctx, handshake)

    def resume_accept(self, ctx: Context) -> None:
        """Take up a handshake that a restart interrupted; nobody waits for it any more."""
        handshake: Handshake | None = self.record.handshake
        if handshake is None or self.calling is not None or ctx.wall >= handshake.expires_at:
            return
        self.calling = Attempt(None, None, None, handshake.by, handshake.contract_version, None, handshake.pin, handshake.token_digest)
        ctx.after(ctx.settings.federation.request_deadline_s, AcceptDeadline(), "accept-deadline")
        self._send_accept(ctx)

    def _send_accept(self, ctx: Context, handshake: Handshake | None = None) -> None:
        attempt = self.calling
        assert attempt is not None
        record: PeerRecord = ctx.record
        handshake = handshake or record.handshake
        assert handshake is not None
        attempt.number += 1
        attempt.handshake = handshake
        settings = ctx.settings
        fingerprint = record.remote_ca_fingerprint
        listed = endpoints.candidates(record.endpoints, record.remote_instance_url)
        request = RemoteRequest(
            peer_id=record.id,
            method="POST",
            path="/federation_api/accept",
            body=accept_body(record, handshake, ctx),
            urls=tuple(target.url for target in listed if target.cidr_hint is None),
            identity=None,
            expectation=ServerExpectation(ca_fingerprint=fingerprint, ca_pin=None if fingerprint else handshake.pin),
            timeout_s=settings.federation.request_timeout_s,
            sealed_fields=sealed_fields(handshake),
        )
        ctx.call(request, then=AcceptAnswered, tag=handshake.id)

    @handles(AcceptAnswered)
    def on_accept_answered(self, message: AcceptAnswered, ctx: Context) -> None:
        handshake: Handshake | None = self.record.handshake
        if self.calling is None:
            return
        if isinstance(message.outcome, RemoteReply) and message.outcome.status == 200:
            self.calling.reply = message.outcome
        if handshake is None:
            self._withdrawn(ctx)
            return
        if message.tag != handshake.id:
            return
        fault = message.fault or remote_answers.accept_fault(message.outcome)
        if fault is not None:
            self._attempt_failed(ctx, fault)
            return
        reply: RemoteReply = message.outcome
        answer = remote_answers.parse_accept(reply, self.record, handshake, ourselves(ctx), ctx.wall)
        if isinstance(answer, Fault):
            farewell = self.abandoned(ctx, reply, handshake, answer.code) if answer.code == "contract_mismatch" else None
            self._finish(ctx, answer, keep_handshake=answer.code == "server_identity_unverified", farewell=farewell)
            return
        if self.record.remote_instance_id is not None and answer.instance_id not in (None, self.record.remote_instance_id):
            text = "another platform answered than the one that this peering is bound to"
            self._finish(ctx, OperatorFault("peer_identity_conflict", text, 409))
            return
        self.calling.answer = answer
        if answer.assigned_subject is not None:
            lifetime_s = ctx.settings.federation.cert_ttl_s
            roots = roots_of(rotation_of(ctx), ctx.settings.identity)
            request = IssueIdentity(answer.assigned_subject, ctx.settings.identity.instance_id, lifetime_s, roots.current_key)
            ctx.call(request, then=CallerIdentityIssued, tag=roots.current)
        else:
            self._conclude(ctx, None)

    @handles(CallerIdentityIssued)
    def on_caller_identity_issued(self, message: CallerIdentityIssued, ctx: Context) -> None:
        if self.calling is None:
            return
        if message.fault is not None:
            self._finish(ctx, message.fault, keep_handshake=True)
        else:
            self._conclude(ctx, outbound_of(message.outcome, message.tag))

    def _attempt_failed(self, ctx: Context, fault: Fault) -> None:
        attempt = self.calling
        assert attempt is not None
        record: PeerRecord = self.record
        if fault.code == "remote_rejected_token" and redeemed_meanwhile(record):
            # Crossed accepts: the remote redeemed our token first and thereby cleared its own. Both rows are accepted already.
            ctx.save(evolve(record, handshake=None, updated_at=ctx.wall))
            self._accepted(ctx, ("crossed_accepts",))
            return
        retry = fault.code in RETRIED and attempt.number <= len(ACCEPT_RETRY_DELAYS_S) and not attempt.expired
        if retry:
            delay_s = 0.0 if ctx.buggify(RETRY_AT_ONCE) else ACCEPT_RETRY_DELAYS_S[attempt.number - 1]
            ctx.after(delay_s, RetryAccept(attempt.number), "accept-retry")
        else:
            self._finish(ctx, fault, keep_handshake=fault.code in RETRIED)

    @handles(RetryAccept)
    def on_retry_accept(self, message: RetryAccept, ctx: Context) -> None:
        if self.calling is None:
            return
        if self.record.handshake is None:
            self._finish(ctx, invalid_transition(self.record, "accepted"))
        else:
            self._send_accept(ctx)

    @handles(AcceptDeadline)
    def on_accept_deadline(self, message: AcceptDeadline, ctx: Context) -> None:
        if self.calling is not None:
            self.calling.expired = True
            fault = RemoteFault("remote_timeout", "the remote did not answer in time; accept again with the same token", 504)
            self._finish(ctx, fault, keep_handshake=True)

    def _conclude(self, ctx: Context, outbound: OutboundIdentity | None) -> None:
        """The remote has accepted: absorb its trust and take the same step here, in one save."""
        attempt = self.calling
        record: PeerRecord = self.record
        assert attempt is not None
        assert attempt.answer is not None
        answer = attempt.answer
        if record.status == "revoked":
            self._withdrawn(ctx)
            return
        updated = absorbed(record, answer, outbound, ctx.wall, listener_pinned=identity_of(ctx).ca_pin is not None)
        if record.status == "proposed":
            updated = step(ctx, updated, "token_redeemed", operator(attempt.by))
        else:
            ctx.audit("peer.rehandshake", "user", attempt.by, federation_peer_id=record.id, trust_mode=updated.trust_mode)
        if updated.status == "accepted" and updated.trust_status == "established" and may_enrol(updated, ctx.settings):
            updated = evolve(step(ctx, updated, "trust_established", operator(attempt.by)), last_handshake_at=ctx.wall)
        if updated.trust_mode != "none":
            self.first_heartbeat(ctx, 0.0)
        given = record.handshake.given if record.handshake is not None else None
        held = given is not None and answer.operator_grant == given.grant_id
        if given is not None and held:
            stewardship.held_by_parent(ctx, given)
        ctx.save(updated)
        self.look_whether_taken_back(ctx)
        self._accepted(ctx, answer.warnings if held or given is None else (*answer.warnings, "operator_grant_not_taken"))

    def _withdrawn(self, ctx: Context) -> None:
        """An operator has ended the peering while our accept was under way; the remote may have accepted."""
        attempt = self.calling
        assert attempt is not None
        farewell = None
        if attempt.reply is not None and attempt.handshake is not None:
            farewell = self.abandoned(ctx, attempt.reply, attempt.handshake, "withdrawn by the operator")
        self._finish(ctx, invalid_transition(self.record, "accepted"), farewell=farewell)

    def _accepted(self, ctx: Context, warnings: tuple[str, ...]) -> None:
        """Answer, and remember the answer, from the record that this turn saves."""
        shown = full_now(ctx)
        remember(ctx, self.calling.mark if self.calling is not None else None, 200, {"peer": shown, "warnings": list(warnings)})
        self._answer(ctx, Accepted(ctx.record, self.evidence, warnings))

    def _finish(self, ctx: Context, fault: Fault, *, keep_handshake: bool = False, farewell: Farewell | None = None) -> None:
        """The accept did not go through: say so, and keep or forget the handshake. `farewell` is owed to the remote then."""
        record: PeerRecord = self.record
        metadata = {**record.metadata, "last_accept_error": fault.code}
        handshake = record.handshake if keep_handshake else None
        owed = farewell if farewell is not None else record.farewell
        if (handshake, metadata, owed) != (record.handshake, record.metadata, record.farewell):
            ctx.save(evolve(record, handshake=handshake, metadata=metadata, farewell=owed, updated_at=ctx.wall))
        self._answer(ctx, fault)

    def _answer(self, ctx: Context, outcome: Any) -> None:
        attempt, self.calling = self.calling, None
        ctx.cancel("accept-deadline")
        ctx.cancel("accept-retry")
        if attempt is not None:
            ctx.answer(attempt.address, outcome)


def acceptable(record: PeerRecord, wall: float) -> bool:
    """Whether a remote's token may be used on this row.

    The remote mints a token for a peering in force only if its own trust in us is gone, which we may not see: then contact is lost here,
    or it is our parent, whose own calls still reach us, and shows another root than the one that signed our certificate.
    """
    left_behind = parent_of_ours(record) and record.unproven_anchor is not None and record.status in LIVE
    return record.status in ("proposed", "degraded") or left_behind or rehandshake_allowed(record, wall)


def redeemed_meanwhile(record: PeerRecord) -> bool:
    """Whether the remote has redeemed our token since our own accept began."""
    handshake = record.handshake
    if handshake is None or record.receipt is None or record.trust_mode == "none":
        return False
    return record.receipt.at >= handshake.started_at


def accept_body(record: PeerRecord, handshake: Handshake, ctx: Context) -> dict[str, Any]:
    """What we say of ourselves at accept; the port adds what is sealed."""
    identity, federation = identity_of(ctx), ctx.settings.federation
    agreed = contract.find(handshake.contract_version)
    public = identity.ca_pin is None
    body: dict[str, Any] = {
        "contract_version": handshake.contract_version,
        "contract_digest": agreed.digest if agreed is not None else None,
        "handshake_id": handshake.id,
        "caller_inbound_subject": subject_of(record.id),
        "capabilities": dict(federation.capabilities),
        "extension_slugs": list(federation.extension_slugs),
        "endpoints": announced_endpoints(ctx),
        "spawn_role": record.spawn_role,
        "spawn_mode": record.spawn_mode,
        "instance": {
            "id": identity.instance_id,
            "url": identity.url,
            "account_id": record.account_id,
            "platform_version": ctx.settings.platform_version,
            "release_tag": ctx.settings.release_tag or None,
            "operator_contact": federation.operator_contact or None,
            "jurisdiction": federation.jurisdiction or None,
            "data_residency": federation.data_residency,
            "server_identity": "public" if public else "anchors",
        },
    }
    if handshake.given is not None:
        given = handshake.given
        body["operator_grant"] = {"grant_id": given.grant_id, "scopes": list(given.scopes), "expires_at": iso(given.expires_at)}
    if handshake.csr_pem is not None:
        body["csr_pem"] = handshake.csr_pem
        if not public:
            body["instance"]["server_ca_pem"] = identity.ca_bundle_pem
    else:
        body["peer_ca_bundle_pem"] = identity.ca_bundle_pem
    return body


def sealed_fields(handshake: Handshake) -> dict[str, bytes]:
    """What the port opens and adds to the body of our accept."""
    fields = {"acceptance_token": handshake.sealed_token}
    if handshake.given is not None:
        fields["operator_grant.bearer_token"] = handshake.given.sealed_bearer
    return fields


def absorbed(
    record: PeerRecord, answer: remote_answers.AcceptAnswer, outbound: OutboundIdentity | None, wall: float, *, listener_pinned: bool
) -> PeerRecord:
    """The record with everything that the remote's answer established; the status is not touched here."""
    handshake = record.handshake
    certified = answer.certificate
    if certified is not None and handshake is not None and handshake.sealed_key is not None:
        issuer = certified.issuer
        outbound = OutboundIdentity(
            certified.pem, handshake.sealed_key, certified.serial, certified.not_before, certified.not_after, issuer
        )
    trust: dict[str, Any] = {}
    if outbound is not None and not _already_trusted(record, answer, wall):
        hierarchical = certified is not None
        trust = {
            "inbound_subject": subject_of(record.id),
            "outbound": outbound,
            "outbound_next": None,
            "told_root": None,
            "pins_our_listener": hierarchical and listener_pinned,
            "unproven_anchor": None,
            "trusted_anchors": tuple(TrustedAnchor(anchor.fingerprint, anchor.pem, anchor.not_after) for anchor in answer.anchors),
            "server_identity": answer.server_identity,
            "trust_mode": "hierarchical" if hierarchical else "symmetric",
            "trust_status": "established" if hierarchical else "pending_proof",
            "inbound_proven_at": None,
        }
    return evolve(
        record,
        handshake=None,
        acceptance_token_digest=None,
        acceptance_token_expires_at=None,
        token_expired_at=None,
        remote_peer_id=answer.peer_id,
        remote_instance_id=answer.instance_id,
        remote_account_id=answer.account_id,
        contract_version_agreed=answer.contract_version,
        contract_digest_agreed=answer.contract_digest,
        platform_version=answer.platform_version,
        declared_residency=answer.data_residency,
        signed_at=wall,
        updated_at=wall,
        metadata={key: value for key, value in record.metadata.items() if key != "last_accept_error"},
        **trust,
    )


def _already_trusted(record: PeerRecord, answer: remote_answers.AcceptAnswer, wall: float) -> bool:
    """Crossed accepts: the same anchors are in force already, so proof that has been given must not be forgotten."""
    if trust_status_at(record, wall) == "expired" or record.remote_peer_id != answer.peer_id:
        # Our certificate names the row at the remote for which it was made, and is worth nothing to another one.
        return False
    held = {anchor.fingerprint for anchor in record.trusted_anchors}
    return record.inbound_subject is not None and record.outbound is not None and held == {anchor.fingerprint for anchor in answer.anchors}
