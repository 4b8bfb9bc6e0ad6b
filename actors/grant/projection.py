"""How a grant is shown: pure projections; the bearer appears in `issued` alone, which is called once for each secret."""

from __future__ import annotations

from typing import Any

from actors.grant import lifecycle, standing
from actors.grant.book import Expectation
from actors.grant.record import GrantRecord, GrantUsage
from actors.peer.record import PeerRecord
from runtime.clock import iso, iso_or_none
from runtime.secret import Secret


def full(record: GrantRecord, usage: GrantUsage | None, peer: PeerRecord | None, wall: float, *, frozen: bool) -> dict[str, Any]:
    """The form of the operator surface. `frozen`: whether trust is."""
    seen = usage or GrantUsage()
    return {
        "id": record.id,
        "federation_peer_id": record.federation_peer_id,
        "remote_subject": record.remote_subject,
        "label": record.label,
        "resource_kind": record.resource_kind,
        "resource_id": record.resource_id,
        "permission_scopes": list(record.permission_scopes),
        "state": lifecycle.state(record, wall),
        "effective": standing.effective(record, peer, wall, frozen=frozen),
        "issued_at": iso(record.issued_at),
        "expires_at": iso(record.expires_at),
        "revoked_at": iso_or_none(record.revoked_at),
        "revoked_by": record.revoked_by,
        "revocation_reason": record.revocation_reason,
        "archived_at": iso_or_none(record.archived_at),
        "unrestricted": record.unrestricted,
        "node_instance_ids": list(record.node_instance_ids),
        "sdwan_network_ids": list(record.sdwan_network_ids),
        "source_cidrs": list(record.source_cidrs),
        "origin": record.origin,
        "grantor": {"type": record.grantor_type, "id": record.grantor_id},
        "bare_token": record.bare_token,
        "token_version": record.token_version,
        "previous_token_until": iso_or_none(record.previous_token_until),
        "last_used_at": iso_or_none(seen.last_used_at),
        "use_count": seen.use_count,
        "denied_count": seen.denied_count,
        "last_reviewed_at": iso_or_none(record.last_reviewed_at),
        "last_reviewed_by": record.last_reviewed_by,
        "replaces_grant_id": record.replaces_grant_id,
        "replaced_by": record.replaced_by,
        "metadata": dict(record.metadata),
        "version": record.version,
    }


def issued(
    record: GrantRecord, peer: PeerRecord | None, wall: float, bearer: Secret | None, warnings: tuple[str, ...], *,
    frozen: bool, delivered: bool = False, revealed: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The answer that mints a bearer; without it, what a repeated request gets. `revealed`: whether the first answer may have had it."""
    data: dict[str, Any] = {
        "grant": full(record, None, peer, wall, frozen=frozen),
        "bearer_token": bearer.reveal() if bearer is not None else None,
        "delivered": delivered,
        "warnings": list(warnings),
    }
    if bearer is None and revealed and not delivered:
        data["token_already_revealed"] = True
    return data


def to_holder(record: GrantRecord, peer: PeerRecord, wall: float) -> dict[str, Any]:
    """What the holder may know of a grant: never an account, an allowlist or a name of ours."""
    found = lifecycle.state(record, wall)
    if found == "active" and record.peering_epoch != peer.peering_epoch:
        found = "revoked"
    return {
        "id": record.id,
        "remote_subject": record.remote_subject,
        "resource_kind": record.resource_kind,
        "resource_id": record.resource_id,
        "permission_scopes": list(record.permission_scopes),
        "issued_at": iso(record.issued_at),
        "expires_at": iso(record.expires_at),
        "state": found,
    }


def expectation(test: Expectation) -> dict[str, Any]:
    """A grant test."""
    return {
        "name": test.name,
        "expect": "allowed" if test.allowed else "denied",
        "resource_kind": test.kind,
        "resource_id": test.resource_id,
        "scope": test.scope,
        "subject": test.subject,
        "instance_id": test.instance_id,
        "network_id": test.network_id,
        "source_address": test.source_address,
    }
