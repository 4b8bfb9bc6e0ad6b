"""How a peer is shown: pure projections of record and evidence, and the one function that derives the status as it reads now.

Lives here: JSON forms of the operator surface. Must not live here: anything secret; tokens appear only in `minted`, which is called once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.contract import record as contract
from actors.governance import scanner
from actors.peer import endpoints, lifecycle
from actors.peer.lifecycle import Status
from actors.peer.record import PeerEvidence, PeerRecord
from actors.peer.steps import standing_alone, trust_status_at
from actors.peer.tally import NOTHING, tally
from actors.settings import Settings
from runtime.clock import iso, iso_or_none
from runtime.context import Context
from runtime.secret import Secret
from runtime.store.port import Condition


def derived_status(
    record: PeerRecord, evidence: PeerEvidence | None, wall: float, stale_after_s: float
) -> tuple[Status, float, str | None]:
    """Status, since when, and why: an active row without recent two-way evidence reads as degraded, before any timer has fired."""
    last = evidence.last_heartbeat_at if evidence is not None else None
    if record.status == "active" and last is not None and last < wall - stale_after_s:
        return "degraded", last + stale_after_s, f"no heartbeat for more than {stale_after_s:.0f} s"
    return record.status, record.status_since, record.status_reason


def status_conditions(statuses: Iterable[str], wall: float, stale_after_s: float) -> tuple[tuple[Condition, ...], ...]:
    """`derived_status` as an index predicate: the alternatives under which a row reads as one of `statuses`."""
    wanted = tuple(dict.fromkeys(statuses))
    stale_before = wall - stale_after_s
    stored = tuple(status for status in wanted if status != "active")
    alternatives: list[tuple[Condition, ...]] = []
    if stored:
        alternatives.append((Condition("status", "in", stored),))
    if "active" in wanted:
        alternatives.append((Condition("status", "=", "active"), Condition("last_heartbeat_at", ">=", stale_before)))
        alternatives.append((Condition("status", "=", "active"), Condition("last_heartbeat_at", "null")))
    if "degraded" in wanted:
        alternatives.append((Condition("status", "=", "active"), Condition("last_heartbeat_at", "<", stale_before)))
    return tuple(alternatives)


def summary(record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float) -> dict[str, Any]:
    """The form of lists."""
    status, since, reason = derived_status(record, evidence, wall, settings.federation.stale_after_s)
    return {
        "id": record.id,
        "remote_instance_url": record.remote_instance_url,
        "remote_instance_id": record.remote_instance_id,
        "peer_kind": record.peer_kind,
        "spawn_role": record.spawn_role,
        "spawn_mode": record.spawn_mode,
        "status": status,
        "status_since": iso(since),
        "status_reason": reason,
        "trust_status": trust_status_at(record, wall),
        "remote_state": record.remote_state,
        "endpoints_count": len(record.endpoints),
        "acceptance_pending": record.acceptance_token_digest is not None,
        "acceptance_expires_at": iso_or_none(record.acceptance_token_expires_at),
        "last_heartbeat_at": iso_or_none(evidence.last_heartbeat_at if evidence is not None else None),
        "last_handshake_at": iso_or_none(record.last_handshake_at),
        "created_at": iso(record.created_at),
        "version": record.version,
    }


def full(
    record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float, counts: Mapping[str, int] = NOTHING
) -> dict[str, Any]:
    """The form of one peer; `counts` as `tally` tells them, nothing for one that was just made."""
    shown = summary(record, evidence, settings, wall)
    seen = evidence if evidence is not None else PeerEvidence()
    probed = endpoints.replace(seen.endpoints, record.endpoints)
    findings = scanner.scan_peer(record, evidence, settings, wall)
    return {
        **shown,
        "account_id": record.account_id,
        "endpoints": [endpoint.to_json() for endpoint in probed],
        "capabilities": dict(record.capabilities),
        "extension_slugs": list(record.extension_slugs),
        "metadata": dict(record.metadata),
        "signed_at": iso_or_none(record.signed_at),
        "contract_version_agreed": record.contract_version_agreed,
        "contract_digest_agreed": record.contract_digest_agreed,
        "parent_peer_id": record.parent_peer_id,
        "effective_spawn_mode": "autonomous_peer" if standing_alone(record) else record.spawn_mode,
        "remote_account_id": record.remote_account_id,
        "remote_peer_id": record.remote_peer_id,
        "remote_ca_fingerprint": record.remote_ca_fingerprint,
        "remote_prefix_advertisement": record.remote_prefix_advertisement,
        "allowed_transitions": list(lifecycle.allowed_targets(record.status, record.peer_kind)),
        "capabilities_count": len(record.capabilities),
        **counts,
        "last_inbound_heartbeat_at": iso_or_none(seen.last_inbound_heartbeat_at),
        "last_outbound_heartbeat_at": iso_or_none(seen.last_outbound_heartbeat_at),
        "platform_version": record.platform_version,
        "release_tag": record.release_tag,
        "operator_contact": record.operator_contact,
        "jurisdiction": record.jurisdiction,
        "data_residency": record.data_residency,
        "declared_residency": record.declared_residency,
        "overlay_only": record.overlay_only,
        "peering_epoch": record.peering_epoch,
        "suspended_at": iso_or_none(record.suspended_at),
        "status_before_suspend": record.status_before_suspend,
        "revoked_at": iso_or_none(record.revoked_at),
        "revocation_phase": record.revocation.phase if record.revocation is not None else None,
        "notification_pending": record.revocation is not None and record.revocation.last_word is not None,
        "expires_at": iso_or_none(record.expires_at),
        "updated_at": iso(record.updated_at),
        "trust": {
            "mode": record.trust_mode,
            "status": trust_status_at(record, wall),
            "anchor_fingerprints": [anchor.fingerprint for anchor in record.trusted_anchors],
            "outbound_not_after": iso_or_none(record.outbound.not_after if record.outbound is not None else None),
        },
        "channel": channel(seen, settings),
        "open_findings": [finding.to_json() for finding in findings],
    }


def full_now(ctx: Context) -> dict[str, Any]:
    """The form of the peer whose actor's turn it is, as the turn leaves it."""
    return full(ctx.record, ctx.actor.evidence, ctx.settings, ctx.wall, tally(ctx.engine, ctx.ref.id))


def overlay_summary(record: PeerRecord, evidence: PeerEvidence | None, settings: Settings, wall: float) -> dict[str, Any]:
    """The form of lists on the overlay's surface."""
    status, since, _ = derived_status(record, evidence, wall, settings.federation.stale_after_s)
    return {
        "id": record.id,
        "peer_kind": record.peer_kind,
        "remote_instance_url": record.remote_instance_url,
        "remote_instance_id": record.remote_instance_id,
        "remote_account_id": record.remote_account_id,
        "remote_prefix_advertisement": record.remote_prefix_advertisement,
        "status": status,
        "status_since": iso(since),
        "revocation_reason": record.metadata.get("revocation_reason"),
        "signed_at": iso_or_none(record.signed_at),
        "expires_at": iso_or_none(record.expires_at),
        "created_at": iso(record.created_at),
        "version": record.version,
    }


_OVERLAY_FULL = (
    "id", "peer_kind", "remote_instance_url", "remote_instance_id", "remote_account_id", "remote_prefix_advertisement", "status",
    "status_since", "signed_at", "expires_at", "created_at", "version", "acceptance_pending", "acceptance_expires_at", "data_residency",
    "metadata", "allowed_transitions",
)  # fmt: skip


def overlay_full(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The form of one peer on the overlay's surface, out of its `full` one."""
    return {name: shown[name] for name in _OVERLAY_FULL} | {"revocation_reason": shown["metadata"].get("revocation_reason")}


def channel(evidence: PeerEvidence, settings: Settings) -> dict[str, Any]:
    """Whether calls to the peer travel on a channel now, since when, and who dialled it."""
    opened = evidence.channel_since is not None and evidence.channel_epoch == settings.identity.boot_epoch
    return {
        "state": "open" if opened else "none" if settings.federation.peer_channel else "off",
        "since": iso_or_none(evidence.channel_since) if opened else None,
        "dialled_by": None if not opened else "us" if evidence.channel_ours else "remote",
    }


def trust(record: PeerRecord, wall: float) -> dict[str, Any]:
    """Modes, fingerprints, serials and expiries; never a key."""
    outbound = record.outbound
    return {
        "mode": record.trust_mode,
        "status": trust_status_at(record, wall),
        "inbound_subject": record.inbound_subject,
        "inbound_proven_at": iso_or_none(record.inbound_proven_at),
        "server_identity": record.server_identity,
        "remote_ca_fingerprint": record.remote_ca_fingerprint,
        "anchors": [
            {
                "fingerprint": anchor.fingerprint,
                "state": anchor.state,
                "accept_from": iso_or_none(anchor.accept_from),
                "accept_until": iso_or_none(anchor.accept_until),
                "not_after": iso(anchor.not_after),
                "expired": anchor.not_after <= wall,
            }
            for anchor in record.trusted_anchors
        ],
        "unproven_anchor": None
        if record.unproven_anchor is None
        else {
            "fingerprint": record.unproven_anchor.fingerprint,
            "seen_at": iso(record.unproven_anchor.seen_at),
            "reason": record.unproven_anchor.reason,
        },
        "outbound": None
        if outbound is None
        else {
            "serial": outbound.serial,
            "not_before": iso(outbound.not_before),
            "not_after": iso(outbound.not_after),
            "expired": outbound.not_after <= wall,
        },
        "listener": None
        if record.server_anchor_pem is None
        else {
            "next_fingerprint": record.server_anchor_next.fingerprint if record.server_anchor_next is not None else None,
            "until": iso_or_none(record.server_anchor_until),
        },
        "told_root": record.told_root,
        "issued": None
        if record.issued_serial is None
        else {
            "serial": record.issued_serial,
            "not_after": iso_or_none(record.issued_not_after),
            "former": [{"serial": issued.serial, "not_after": iso(issued.not_after)} for issued in record.issued_before],
        },
    }


def minted(
    record: PeerRecord, settings: Settings, wall: float, token: Secret | None, invitation: Secret | None, ca_fingerprint: str
) -> dict[str, Any]:
    """The answer that mints a token that pins `ca_fingerprint`. With None for the secrets it is what a repeated request gets."""
    return {
        "peer": full(record, None, settings, wall),
        "acceptance_token": token.reveal() if token is not None else None,
        "invitation": invitation.reveal() if invitation is not None else None,
        "acceptance_expires_at": iso_or_none(record.acceptance_token_expires_at),
        "ca_fingerprint": ca_fingerprint,
        "contract_version": max(version.version for version in contract.supported()),
        **({"token_already_revealed": True} if token is None else {}),
    }
