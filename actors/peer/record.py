"""What we know of a peer: the frozen record, its evidence, and how both are stored and found.

Lives here: fields, defaults, unique keys, index columns, deadlines. Must not live here: rules about when a field may change (see
`lifecycle` and the actor). A row is local: it is never replicated to the remote, which keeps its own row about us.

The record changes by decisions and carries a version; the evidence arrives every minute and raises no version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from actors.limits import OWED_NOTICE_RETRY_MAX_S, RECEIPT_KEPT_S
from actors.peer.endpoints import Endpoint
from actors.peer.lifecycle import LIVE, PeerKind, Status
from actors.peer.roles import SpawnMode, SpawnRole
from runtime.store.port import Kind
from runtime.values import Value, evolve

TrustMode = Literal["none", "hierarchical", "symmetric"]
TrustStatus = Literal["none", "pending_proof", "established", "expired", "broken"]
RemoteState = Literal["unknown", "ok", "suspended_us", "revoked_us"]
RevocationPhase = Literal["draining", "complete"]
ServerIdentity = Literal["anchors", "public"]
"""How the remote's listener proves itself: under the peer's anchors, or by public PKI and its host name."""

RESERVED_METADATA: frozenset[str] = frozenset(
    {
        "invited_by_user_id", "invited_at", "accepted_by_user_id", "acceptance_token_used", "degraded_reason", "suspension_reason",
        "suspended_by_user_id", "revocation_reason", "revoked_by_user_id", "notification_undelivered_at", "node_id", "node_instance_id",
        "sdwan_network_id", "provisioner_response", "cluster_pg", "spawn_initiated_at", "last_accept_error", "emancipated_at",
        "handshake_abandoned",
    }
)  # fmt: skip
"""Keys of `metadata` that only the platform writes."""


@attrs.frozen
class TrustedAnchor:
    """A CA certificate under which this peer's client certificates are valid; identified by its fingerprint alone.

    `accept_from` and `accept_until` bound its use (seconds since the epoch; None: unbounded).
    """

    fingerprint: str
    pem: str
    not_after: float
    state: Literal["current", "next", "retiring"] = "current"
    accept_from: float | None = None
    accept_until: float | None = None


@attrs.frozen
class OutboundIdentity:
    """The certificate that we present to this peer, and its key sealed by the vault.

    `issuer` is the fingerprint of the root of ours that made it; None is the first one, or a parent's.
    """

    certificate_pem: str
    sealed_key: bytes = attrs.field(repr=False)
    serial: str
    not_before: float
    not_after: float
    issuer: str | None = None


@attrs.frozen(kw_only=True)
class UnprovenAnchor:
    """A CA that the remote shows without proof that it follows from the one we trust; it is not applied. Seen at, in epoch seconds."""

    fingerprint: str
    seen_at: float
    reason: str


@attrs.frozen
class IssuedCertificate:
    """A certificate of our CA that this peer holds: serial in hex, end in seconds since the epoch."""

    serial: str
    not_after: float


@attrs.frozen(kw_only=True)
class GivenGrant:
    """The grant by which our parent is to operate us, as it goes along with our accept call.

    Attributes:
        sealed_bearer: sealed for the accept alone; gone with the handshake.
        digest: of the secret in it, as the grant keeps it.
        expires_at: seconds since the epoch.
    """

    grant_id: str
    sealed_bearer: bytes = attrs.field(repr=False)
    digest: str = attrs.field(repr=False)
    scopes: tuple[str, ...]
    expires_at: float


@attrs.frozen
class Handshake:
    """Our own accept call that has not been answered yet: an intent that survives a crash.

    Attributes:
        id: the same for every attempt, so that a lost answer can be asked for again.
        token_digest, sealed_token: the remote's token; kept until success, refusal or `expires_at`.
        csr_pem, sealed_key: material of a hierarchical handshake, kept because the answer certifies this very key.
        by: operator who accepted.
        given: what a managed child gives its parent along with it.
    """

    id: str
    token_digest: str = attrs.field(repr=False)
    sealed_token: bytes = attrs.field(repr=False)
    pin: str | None
    contract_version: int
    started_at: float
    expires_at: float
    by: str | None
    csr_pem: str | None = None
    sealed_key: bytes | None = attrs.field(default=None, repr=False)
    given: GivenGrant | None = None


@attrs.frozen(kw_only=True)
class Farewell:
    """Word to the remote that we do not take the step that it has taken for us: an intent that survives a crash. Times as everywhere here.

    Attributes:
        event_id: the same for every try.
        certificate_pem, sealed_key: what the remote's answer has certified for us; without it, `subject` is certified by our own CA.
        anchors_pem: what its server must prove; none of them if it has a certificate of a public CA.
        next_at: when it leaves next.
        tries: how often it has left.
    """

    event_id: str
    kind: str
    reason: str
    effective_at: float
    instance_id: str
    subject: str | None
    certificate_pem: str | None
    sealed_key: bytes | None = attrs.field(repr=False)
    anchors_pem: tuple[str, ...]
    next_at: float
    tries: int = 0


@attrs.frozen
class Receipt:
    """The sealed answer to the accept that burnt our token, for a caller that lost it; matched by digest, handshake and key material."""

    token_digest: str = attrs.field(repr=False)
    handshake_id: str
    material_hash: str
    sealed_answer: bytes = attrs.field(repr=False)
    at: float


@attrs.frozen(kw_only=True)
class LastWord:
    """The notice that we owe the remote after ending the peering: an intent that survives a crash.

    Attributes:
        event_id: the same for every try, so that the remote takes it once.
        tries: how often it has left so far.
        next_at: when it leaves again, or is given up.
    """

    event_id: str
    reason: str
    effective_at: float
    tries: int
    next_at: float


@attrs.frozen(kw_only=True)
class OwedNotice:
    """Something that the remote must hear while the peering lasts: an intent that survives a crash. Times as everywhere here.

    Attributes:
        event_id: the same for every try, so that the remote takes it once.
        tries: how often it has left so far, or could not leave.
        next_at: when it leaves next.
    """

    event_id: str
    kind: str
    reason: str | None
    effective_at: float
    next_at: float
    tries: int = 0


@attrs.frozen(kw_only=True)
class Revocation:
    """How far the end of this peering has come. Times are seconds since the epoch.

    Attributes:
        phase: `draining` while migrations under way may end, then `complete`.
        drain_until: end of `draining`, unless the last word is still owed.
        tombstone_until: until then the remote is recognised and told that it was revoked.
        last_word: the notice still owed; None once it was taken, given up, or never owed.
        told_reason: what a remote that calls before our notice has reached it is told; None if the end is not ours, or is given no word.
        untold: kinds of dependent rows (see `dependants`) of which some may not know of this phase.
        looked: how often dependent rows were looked for in this phase.
        look_at: when to look again; None if none is left.
    """

    phase: RevocationPhase
    drain_until: float
    tombstone_until: float | None
    last_word: LastWord | None = None
    told_reason: str | None = None
    untold: tuple[str, ...] = ()
    looked: int = 0
    look_at: float | None = None


@attrs.frozen(kw_only=True)
class PeerRecord:
    """One peer. Times are seconds since the epoch; names of fields are those of the operator surface.

    `inbound_root` is the root of ours (fingerprint; None: the first one) under which a child has called last, `told_root` the one of which
    the remote has been told while it was not in force yet, or in a notice. `pins_our_listener` says that our parent verifies our listener
    by our own CA. `server_anchor_next` is the CA that a child's listener is about to show, beside the present one until
    `server_anchor_until`.

    `peering_epoch` says which peering this is: what was given under another one is in force no more (see `standing`). `restored_epoch`
    says up to which start of ours operators have decided what of an earlier copy still holds. `token_root` is the root of ours
    (fingerprint; None: the first one) that was in force when the open token was made.
    """

    id: str
    version: int = 0
    account_id: str
    peer_kind: PeerKind = "platform"
    remote_instance_url: str | None
    remote_ca_fingerprint: str | None = None
    remote_instance_id: str | None = None
    remote_account_id: str | None = None
    remote_peer_id: str | None = None
    remote_prefix_advertisement: str | None = None
    status: Status = "proposed"
    status_since: float
    status_reason: str | None = None
    spawn_role: SpawnRole | None = "symmetric"
    spawn_mode: SpawnMode = "out_of_band"
    parent_peer_id: str | None = None
    contract_version_agreed: int | None = None
    contract_digest_agreed: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    extension_slugs: tuple[str, ...] = ()
    capabilities: Mapping[str, Any] = attrs.field(factory=dict)
    sync_cursor: Mapping[str, Any] = attrs.field(factory=dict)
    acceptance_token_digest: str | None = attrs.field(default=None, repr=False)
    acceptance_token_expires_at: float | None = None
    token_expired_at: float | None = None
    token_root: str | None = None
    inbound_subject: str | None = None
    outbound: OutboundIdentity | None = None
    outbound_next: OutboundIdentity | None = None
    inbound_root: str | None = None
    told_root: str | None = None
    pins_our_listener: bool = False
    issued_serial: str | None = None
    issued_not_after: float | None = None
    issued_before: tuple[IssuedCertificate, ...] = ()
    server_identity: ServerIdentity = "anchors"
    server_anchor_pem: str | None = None
    server_anchor_next: TrustedAnchor | None = None
    server_anchor_until: float | None = None
    trusted_anchors: tuple[TrustedAnchor, ...] = ()
    unproven_anchor: UnprovenAnchor | None = None
    trust_mode: TrustMode = "none"
    trust_status: TrustStatus = "none"
    inbound_proven_at: float | None = None
    signed_at: float | None = None
    last_handshake_at: float | None = None
    platform_version: str | None = None
    declared_residency: str | None = None
    data_residency: str | None = None
    overlay_only: bool = False
    release_tag: str | None = None
    operator_contact: str | None = None
    jurisdiction: str | None = None
    remote_anchor_fingerprint: str | None = None
    expires_at: float | None = None
    remote_state: RemoteState = "unknown"
    peering_epoch: int = 0
    restored_epoch: int = 0
    status_before_suspend: Status | None = None
    suspended_at: float | None = None
    revoked_at: float | None = None
    revocation: Revocation | None = None
    events_heard: tuple[str, ...] = ()
    compromise_disclosed_at: float | None = None
    handshake: Handshake | None = None
    farewell: Farewell | None = None
    emancipation: OwedNotice | None = None
    receipt: Receipt | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    created_at: float
    updated_at: float


class PeerEvidence(Value, kw_only=True, frozen=True):
    """What contact with the remote has shown lately. Times are seconds since the epoch, of this host.

    Attributes:
        last_heartbeat_at: newest two-way evidence: an outbound heartbeat acknowledged or an inbound one answered.
        contact_since: when contact in any direction began anew after a pause of more than two heartbeats, as each restart makes one;
            before it neither direction could be heard of.
        remote_boot_epoch, remote_sequence: the newest pair whose data was applied.
        remote_mark, remote_history: what the start `remote_boot_epoch` of the remote calls itself, and the highest history that it has
            told.
        former_history: the highest history that any earlier start of the remote has told.
        echoed_epoch: the start of ours that the remote has acknowledged last.
        knows_more: in what the remote's last echo goes beyond what this copy of our data can know (see `actors.continuity`); else None.
        sent_sequence: number of our newest heartbeat; it outlives the stay of the actor in memory.
        lower_boot_epoch: the boot epoch that came back last.
        epoch_flips: how often an older boot epoch came back lately: two senders share one identity.
        flipped_at: when it did last.
        clock_skew_s: remote clock minus ours as of the last inbound heartbeat; None while unknown.
        last_error, last_error_at: code of the last failed outbound heartbeat; cleared by a success.
        endpoints: what our prober saw, by URL.
        skipped_beats: ticks that found a heartbeat still under way.
        capability_changes: when the peer last declared other capabilities than before, the newest few.
        channel_since, channel_ours: when the channel in use was opened, and whether we dialled it; None while there is none.
        channel_epoch: the start of ours that saw it: no channel outlives the process.
        rotation_told: the certificates about whose end operators have been told, each with its end and how far it had come.
    """

    last_heartbeat_at: float | None = None
    last_inbound_heartbeat_at: float | None = None
    last_outbound_heartbeat_at: float | None = None
    contact_since: float | None = None
    remote_boot_epoch: int = 0
    remote_sequence: int = 0
    remote_mark: int = 0
    remote_history: int = 0
    former_history: int = 0
    sent_sequence: int = 0
    echoed_epoch: int = 0
    knows_more: str | None = None
    lower_boot_epoch: int = 0
    epoch_flips: int = 0
    flipped_at: float | None = None
    clock_skew_s: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None
    endpoints: tuple[Endpoint, ...] = ()
    skipped_beats: int = 0
    capability_changes: tuple[float, ...] = ()
    channel_since: float | None = None
    channel_ours: bool = False
    channel_epoch: int = 0
    rotation_told: tuple[str, ...] = ()


def is_past(record: PeerRecord) -> bool:
    """Whether the peering has ended, its grace too: nothing under way may use it any more. What has no end noted has no grace."""
    return record.status == "revoked" and (record.revocation is None or record.revocation.phase == "complete")


def _project(record: PeerRecord) -> dict[str, Any]:
    return {
        "account_id": record.account_id,
        "peer_kind": record.peer_kind,
        "status": record.status,
        "spawn_role": record.spawn_role,
        "spawn_mode": record.spawn_mode,
        "remote_instance_url": record.remote_instance_url,
        "last_handshake_at": record.last_handshake_at,
        "past": int(is_past(record)),
    }


def _keys(record: PeerRecord) -> dict[str, str | None]:
    open_peering = record.status != "revoked"
    platform = record.peer_kind == "platform"
    url, instance = record.remote_instance_url, record.remote_instance_id
    return {
        "url": f"{record.account_id} {url}" if open_peering and platform and url else None,
        "instance": f"{record.account_id} {instance}" if open_peering and instance else None,
        "inbound_subject": record.inbound_subject,
        "token_digest": record.acceptance_token_digest,
        "receipt_digest": record.receipt.token_digest if record.receipt is not None else None,
    }


def _due(record: PeerRecord) -> float | None:
    deadlines = [
        record.acceptance_token_expires_at if record.acceptance_token_digest else None,
        record.receipt.at + RECEIPT_KEPT_S if record.receipt else None,
        record.handshake.expires_at if record.handshake else None,
        record.farewell.next_at if record.farewell else None,
        record.emancipation.next_at if record.emancipation else None,
        *(anchor.accept_until for anchor in _ending(record)),
        record.server_anchor_until,
        *(_due_of_end(record.revocation) if record.revocation else ()),
    ]
    return min((deadline for deadline in deadlines if deadline is not None), default=None)


def _ending(record: PeerRecord) -> list[TrustedAnchor]:
    """Anchors whose use ends while another goes on."""
    ending = [anchor for anchor in record.trusted_anchors if anchor.accept_until is not None]
    return ending if len(ending) < len(record.trusted_anchors) else []


def told_of_end(record: PeerRecord | None) -> dict[str, str]:
    """Details of a refusal to a remote whose peering we have ended: why, unless it is to hear no word."""
    told = record.revocation.told_reason if record is not None and record.revocation is not None else None
    return {"reason": told} if told is not None else {}


def without_ended_anchors(record: PeerRecord, wall: float) -> PeerRecord:
    """The record without the anchors whose window is over; the last one is never dropped."""
    following, until = record.server_anchor_next, record.server_anchor_until
    if following is not None and until is not None and until <= wall:
        record = evolve(record, server_anchor_pem=following.pem, server_anchor_next=None, server_anchor_until=None)
    ended = [anchor for anchor in _ending(record) if anchor.accept_until is not None and anchor.accept_until <= wall]
    if not ended:
        return record
    left = tuple(evolve(anchor, state="current") for anchor in record.trusted_anchors if anchor not in ended)
    return evolve(record, trusted_anchors=left)


def _due_of_end(revocation: Revocation) -> tuple[float | None, ...]:
    last_word = revocation.last_word
    return (
        last_word.next_at if last_word is not None else revocation.drain_until if revocation.phase == "draining" else None,
        revocation.look_at,
        revocation.tombstone_until,
    )


def _resume(record: PeerRecord) -> bool:
    return record.peer_kind == "platform" and (record.status in LIVE or record.handshake is not None)


KIND = Kind(
    name="peer",
    record=PeerRecord,
    columns={
        "account_id": "text",
        "peer_kind": "text",
        "status": "text",
        "spawn_role": "text",
        "spawn_mode": "text",
        "remote_instance_url": "text",
        "last_handshake_at": "real",
        "past": "integer",
    },
    project=_project,
    unique={
        "url": "peer_exists",
        "instance": "peer_identity_conflict",
        "inbound_subject": "internal_error",
        "token_digest": "internal_error",
        "receipt_digest": "internal_error",
    },
    keys=_keys,
    due=_due,
    put_off_s=OWED_NOTICE_RETRY_MAX_S,
    has_dates=True,
    resume=_resume,
    evidence=PeerEvidence,
    evidence_columns={"last_heartbeat_at": "real"},
    project_evidence=lambda evidence: {"last_heartbeat_at": evidence.last_heartbeat_at},
)


def restored(record: PeerRecord) -> PeerRecord:
    """The record as it may live on in a restored copy: no token or receipt of the past can be used again.

    The same object if there is nothing to close, else the next version.
    """
    closed = evolve(record, acceptance_token_digest=None, acceptance_token_expires_at=None, receipt=None, handshake=None, farewell=None)
    return record if closed == record else evolve(closed, version=record.version + 1)
