"""Routes of peers on the overlay's surface: platforms, and peers that share overlay networks and nothing else.

On rows of platforms the caller needs the permission of the same act on the platform's surface, too (see `handlers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.door import bodies as shared
from actors.door.approvals.bodies import PENDING
from actors.door.ending.bodies import REVOKE
from actors.door.overlay_peers import bodies
from actors.door.route import OVERLAY_MANAGE, OVERLAY_READ, PEERS_READ, SERVER_FAILED, SYSTEM, Route
from actors.peer.projection import overlay_full

_TAG: Final = "Overlay peers"
_PEERS: Final = f"{SYSTEM}/sdwan/federation_peers"
_PEER: Final = f"{_PEERS}/{{id}}"
_NOT_TOLD: Final = frozenset({"peer", "invitation", "ca_fingerprint", "contract_version"})


def _retold(data: Any) -> Any:
    """What the platform's surface says of a peer, in the words of this one. An invitation would be of no use: nobody is called."""
    if not isinstance(data, Mapping) or "peer" not in data:
        return data
    return {"federation_peer": overlay_full(data["peer"])} | {name: told for name, told in data.items() if name not in _NOT_TOLD}


ROUTES: Final = (
    Route(
        name="list_overlay_peers",
        method="GET",
        path=_PEERS,
        face="operator",
        permission=OVERLAY_READ,
        tag=_TAG,
        summary="List peers of either kind, newest first",
        description=f"Without the permission {PEERS_READ}, only those that share overlay networks and nothing else.",
        query=bodies.FILTERS,
        success={200: shared.listing_of(bodies.SUMMARY)},
        conditional=True,
    ),
    Route(
        name="propose_overlay_peer",
        method="POST",
        path=_PEERS,
        face="operator",
        permission=OVERLAY_MANAGE,
        tag=_TAG,
        summary="Propose a peer that shares overlay networks and nothing else",
        description=(
            "Purely local, and always `sdwan_only`: such a peer has no control plane and stops at `accepted`. Its token is shown once, "
            "here, and is what accepts the row later on; it never works over the network. A platform is proposed at `/platform/peers`."
        ),
        body=bodies.PROPOSE,
        success={201: bodies.PROPOSED},
        errors={
            400: ("remote_instance_url_required", "invalid_ttl"),
            409: ("self_peering",),
            422: (
                "invalid_remote_url",
                "invalid_prefix",
                "invalid_metadata",
                "reserved_metadata_key",
                "address_not_allowed",
                "network_not_found",
            ),
        },
        idempotent=True,
        opens_trust=True,
        retold=_retold,
    ),
    Route(
        name="get_overlay_peer",
        method="GET",
        path=_PEER,
        face="operator",
        permission=OVERLAY_READ,
        tag=_TAG,
        summary="Show one peer as the overlay knows it",
        success={200: bodies.ONE},
        conditional=True,
        retold=_retold,
    ),
    Route(
        name="update_overlay_peer",
        method="PATCH",
        path=_PEER,
        face="operator",
        permission=OVERLAY_MANAGE,
        tag=_TAG,
        summary="Change a peer, or take a step of its life",
        description=(
            "A status is sent by itself, with a reason or the token that it needs. `accepted` accepts a proposed peer and resumes a "
            "suspended one. Another `data_residency` waits for approval: 202, and nothing has been decided yet."
        ),
        body=bodies.UPDATE,
        success={200: bodies.ONE, 202: PENDING},
        errors={
            409: (
                "trust_frozen",
                "version_conflict",
                "peer_exists",
                "self_peering",
                "peer_suspended",
                "already_revoked",
                "peering_expired",
                "accept_in_progress",
                "peer_identity_conflict",
            ),
            422: (
                "status_not_alone",
                "invalid_transition",
                "acceptance_token_required",
                "invalid_acceptance_token",
                "acceptance_token_malformed",
                "acceptance_token_expired",
                "acceptance_token_mismatch",
                "remote_rejected_token",
                "contract_mismatch",
                "unsupported_contract_version",
                "field_not_editable",
                "invalid_remote_url",
                "invalid_prefix",
                "invalid_residency",
                "residency_not_alone",
                "residency_with_status_change",
                "invalid_metadata",
                "reserved_metadata_key",
                "address_not_allowed",
            ),
            502: SERVER_FAILED,
            504: ("remote_timeout",),
        },
        idempotent=True,
        conditional=True,
        retold=_retold,
    ),
    Route(
        name="delete_overlay_peer",
        method="DELETE",
        path=_PEER,
        face="operator",
        permission=OVERLAY_MANAGE,
        tag=_TAG,
        summary="End a peering for good",
        description="The row stays, revoked, with its audit trail.",
        success={200: bodies.ONE},
        errors={409: ("already_revoked", "version_conflict")},
        idempotent=True,
        conditional=True,
        retold=_retold,
    ),
    Route(
        name="revoke_overlay_peer",
        method="POST",
        path=f"{_PEER}/revoke",
        face="operator",
        permission=OVERLAY_MANAGE,
        tag=_TAG,
        summary="End a peering for good, with a reason",
        description="As `/platform/peers/{id}/revoke`, for peers of either kind.",
        body=REVOKE,
        success={200: bodies.ONE},
        errors={409: ("already_revoked",)},
        idempotent=True,
        retold=_retold,
    ),
    Route(
        name="list_overlay_peer_audit_log",
        method="GET",
        path=f"{_PEER}/audit_log",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Read the peer's audit chain, oldest first, under its overlay name",
        query=shared.AUDIT_FILTERS,
        success={200: shared.listing_of(shared.AUDIT_ENTRY)},
        conditional=True,
    ),
)
