"""Taking a step in the life of a peer: the record, its audit entry and its event, always together.

Lives here: the one place where a status is written, and the small questions about a record that several handlers ask.
"""

from __future__ import annotations

import hashlib
from typing import Any

from actors.limits import CLOCK_STEP_MAX_S
from actors.peer import lifecycle
from actors.peer.lifecycle import LIVE, Status, Trigger
from actors.peer.record import PeerEvidence, PeerRecord, TrustStatus
from actors.ports import ClientIdentity, ServerExpectation
from actors.settings import Settings
from actors.subscription.messages import Rewrite
from runtime.actor import Ref
from runtime.context import Context
from runtime.errors import Fault, InternalFault, OperatorFault
from runtime.values import Value, evolve

INBOUND_SUBJECT_PREFIX = "fed:"
DISCLOSED = ("release_tag", "operator_contact", "jurisdiction")


class Party(Value, frozen=True):
    """Who caused a step, for the audit chain: `user`, `remote` or `system`."""

    kind: str
    id: str | None = None


SYSTEM = Party("system")
REMOTE = Party("remote")


def operator(by: str | None) -> Party:
    """The party of an operator's request."""
    return Party("user", by)


class IllegalTransitionError(Exception):
    """A handler asked for a step that the table does not have: a bug, never an answer to a caller."""


def step(ctx: Context, record: PeerRecord, trigger: Trigger, by: Party, reason: str | None = None) -> PeerRecord:
    """The record after `trigger`, with its audit entry and its event added to the turn. The caller saves it.

    Raises:
        IllegalTransitionError: the table has no such step from here.
    """
    target = lifecycle.transition(record.status, trigger, record.peer_kind)
    if target is None:
        raise IllegalTransitionError(f"{record.status} has no step for {trigger}")
    announce(ctx, record, record.status, target, trigger, by, reason)
    if (record.status in lifecycle.REACHABLE) != (target in lifecycle.REACHABLE):
        # What is routed to a peer depends on whether it is in force.
        ctx.send(Ref("proxy_routes", record.account_id), Rewrite())
    return evolve(record, status=target, status_since=ctx.wall, status_reason=reason, updated_at=ctx.wall)


def announce(
    ctx: Context, record: PeerRecord, previous: Status | None, target: Status, trigger: Trigger, by: Party, reason: str | None
) -> None:
    """Write the audit entry and the event of one transition."""
    told: dict[str, Any] = {"from": previous, "to": target, "trigger": trigger, "reason": reason}
    ctx.audit(f"peer.{target}", by.kind, by.id, federation_peer_id=record.id, **told)
    ctx.emit(
        f"federation.peer.{target}",
        lifecycle.STATUSES[target].severity,
        record.account_id,
        federation_peer_id=record.id,
        remote_instance_url=record.remote_instance_url,
        **told,
    )


def note(ctx: Context, record: PeerRecord, name: str, severity: Any, **payload: Any) -> None:
    """An event about a peer that is no transition."""
    ctx.emit(f"federation.peer.{name}", severity, record.account_id, federation_peer_id=record.id, **payload)


def standing_alone(record: PeerRecord) -> bool:
    """Whether the managed child of this peering stands on its own by now."""
    return "emancipated_at" in record.metadata


def invalid_transition(record: PeerRecord, target: str) -> OperatorFault:
    """The refusal of a step that the status does not allow."""
    allowed = list(lifecycle.allowed_targets(record.status, record.peer_kind))
    return OperatorFault(
        "invalid_transition",
        f"a peer that is {record.status} cannot become {target}" + (f"; possible are {', '.join(allowed)}" if allowed else ""),
        422,
        {"from": record.status, "to": target, "allowed": allowed},
    )


def subject_of(peer_id: str) -> str:
    """The identity that we assign to the remote behind this row."""
    return INBOUND_SUBJECT_PREFIX + peer_id


def material_hash(csr_pem: str | None, bundle_pem: str | None, subject: str | None) -> str:
    """What ties a repeated accept to the key material of the first one."""
    return hashlib.sha256("\0".join((csr_pem or "", bundle_pem or "", subject or "")).encode()).hexdigest()


def trust_status_at(record: PeerRecord, wall: float) -> TrustStatus:
    """The state of trust as it reads at `wall`: trust that rests on a certificate which has ended is expired, whatever was stored."""
    if record.trust_status not in ("established", "pending_proof"):
        return record.trust_status
    anchors = record.trusted_anchors
    ended = bool(anchors) and all(min(anchor.not_after, anchor.accept_until or anchor.not_after) <= wall for anchor in anchors)
    ended |= record.outbound is not None and record.outbound.not_after <= wall
    ended |= record.issued_not_after is not None and record.issued_not_after <= wall
    return "expired" if ended or cut_off(record) else record.trust_status


def rehandshake_allowed(record: PeerRecord, wall: float) -> bool:
    """Whether a fresh token may complete or repair this peering: not yet proven from the other side, or its trust is gone."""
    trust = trust_status_at(record, wall)
    if record.status in ("accepted", "enrolled"):
        return record.inbound_proven_at is None or trust != "established"
    return record.status in ("active", "degraded") and trust in ("expired", "broken")


def cut_off(record: PeerRecord) -> bool:
    """Whether no root that counts has signed the certificate between a parent and its child: the child missed a rotation of the parent,
    and needs a new token. Either side sees it by its own anchors."""
    if record.trust_mode != "hierarchical":
        return False
    signer = record.inbound_root if record.spawn_role == "parent" else record.outbound.issuer if record.outbound is not None else None
    return signer is not None and all(anchor.fingerprint != signer for anchor in record.trusted_anchors)


def repinning_allowed(record: PeerRecord, wall: float) -> bool:
    """Whether an invitation may name another CA than the one that this row is pinned to: only once the trust under that one has ended,
    or while the remote shows another one. The invitation comes by another way, as an approval would."""
    ended = trust_status_at(record, wall) == "expired" or record.unproven_anchor is not None
    return record.status != "proposed" and ended


def reachable_identity(record: PeerRecord) -> tuple[ClientIdentity, ServerExpectation] | None:
    """What an outbound call to this peer presents and expects, or None if it cannot be made: nothing is then sent."""
    if record.outbound is None or record.remote_instance_id is None:
        return None
    identity = ClientIdentity(record.outbound.certificate_pem, record.outbound.sealed_key)
    if record.server_identity == "public":
        return identity, ServerExpectation()
    if record.server_anchor_pem:
        following = record.server_anchor_next
        pems: tuple[str, ...] = (record.server_anchor_pem, *((following.pem,) if following is not None else ()))
    else:
        pems = tuple(anchor.pem for anchor in record.trusted_anchors)
    if not pems:
        return None
    return identity, ServerExpectation(anchors_pem=pems, instance_id=record.remote_instance_id)


NO_IDENTITY = InternalFault("no_outbound_identity", "there is no usable client certificate for this peer; nothing was sent", 503)
PEERING_EXPIRED = OperatorFault("peering_expired", "the agreed end of this peering has passed; set a later one to go on", 409)


def call_refusal(record: PeerRecord, wall: float) -> Fault | None:
    """Why no call may leave for this peer now, or None: the peering is past its end, or our identity for it is missing or expired."""
    known = callable_identity(record, wall)
    return known if isinstance(known, Fault) else None


def callable_identity(record: PeerRecord, wall: float) -> tuple[ClientIdentity, ServerExpectation] | Fault:
    """`reachable_identity`, or why no call may leave for this peer now (`call_refusal`)."""
    if record.expires_at is not None and record.expires_at <= wall:
        return PEERING_EXPIRED
    known = reachable_identity(record)
    return NO_IDENTITY if known is None or record.outbound is None or record.outbound.not_after <= wall else known


def can_be_told(record: PeerRecord, wall: float) -> bool:
    """Whether a last word can reach the remote: our identity for it is whole and not expired. The agreed end of the peering is no bar."""
    return reachable_identity(record) is not None and record.outbound is not None and record.outbound.not_after > wall


def is_stale(record: PeerRecord, evidence: PeerEvidence | None, wall: float, stale_after_s: float) -> bool:
    """Whether the newest two-way evidence, or the enrolment if that is newer, is too old. An enrolment that is still to come is none."""
    last, enrolled = evidence.last_heartbeat_at if evidence is not None else None, record.last_handshake_at
    if enrolled is not None and enrolled > wall + CLOCK_STEP_MAX_S:
        enrolled = None
    newest = enrolled if last is None or (enrolled is not None and enrolled > last) else last
    return newest is None or wall - newest > stale_after_s


def heard_in_future(evidence: PeerEvidence | None, wall: float) -> bool:
    """Whether the newest two-way evidence is of a time that has not come: the clock that told it was ahead."""
    last = evidence.last_heartbeat_at if evidence is not None else None
    return last is not None and last > wall + CLOCK_STEP_MAX_S


def undisclosed(record: PeerRecord) -> tuple[str, ...]:
    """What the remote has not told of who runs it."""
    return tuple(name for name in DISCLOSED if not getattr(record, name))


def may_enrol(record: PeerRecord, settings: Settings) -> bool:
    """Whether an accepted peer with established trust may go on: a platform may ask for the disclosure of identities first."""
    return not (settings.federation.require_identity_disclosure and undisclosed(record))


def wants_heartbeats(record: PeerRecord | None) -> bool:
    """Whether this platform keeps in touch with the peer by itself."""
    return record is not None and record.peer_kind == "platform" and record.status in LIVE and record.trust_mode != "none"
