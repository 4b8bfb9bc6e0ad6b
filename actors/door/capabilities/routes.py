"""Routes of capabilities and mirrors: operators decide what flows and look at what came; peers bring mirrors."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.capabilities import bodies
from actors.door.resources.bodies import KIND_NAME, RECORD_NAME
from actors.door.route import (
    CERTIFICATE_REFUSALS,
    FEDERATION,
    GRANT_REFUSALS,
    PEERS_MANAGE,
    PEERS_READ,
    RESOURCES_READ,
    SERVER_FAILED,
    STATUS_REFUSALS,
    SYSTEM,
    Route,
)
from actors.mirror.limits import MIRROR_BODY_BYTES_MAX

_TAG: Final = "Capabilities"
_ALL: Final = f"{SYSTEM}/platform/peers/{{id}}/capabilities"
_ONE: Final = f"{_ALL}/{{capability_id}}"
_MIRRORS: Final = f"{SYSTEM}/platform/mirrors"
_NO_PEER: Final = ("peer_not_found",)
_INVALID: Final = ("policy_invalid", "filter_invalid", "unknown_resource_kind")
_BLOCKED: Final = {
    403: ("residency_refused",),
    404: ("peer_not_found", "resource_not_found"),
    409: (
        "no_received_grant",
        "peer_not_ready",
        "peer_revoked",
        "peer_suspended",
        "peering_expired",
        "schema_incompatible",
        "trust_frozen",
        "capability_not_driven",
        "mirrors_full",
    ),
    410: ("resource_moved",),
    422: (
        "residency_unacknowledged",
        "unknown_resource_kind",
        "filter_invalid",
        "limit_out_of_range",
        "unknown_sort",
        "unknown_field",
        "unknown_filter",
    ),
    423: ("resource_in_question",),
    429: ("remote_rate_limited",),
    502: SERVER_FAILED,
    503: ("no_outbound_identity", "vault_unavailable"),
    504: ("remote_timeout",),
}

ROUTES: Final = (
    Route(
        name="list_capabilities",
        method="GET",
        path=_ALL,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List what flows between a peer and this platform, newest first",
        query=shared.PAGE,
        success={200: shared.listing_of(bodies.CAPABILITY)},
        errors={404: _NO_PEER},
        conditional=True,
    ),
    Route(
        name="create_capability",
        method="POST",
        path=_ALL,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Let records of a kind flow",
        description=(
            "Without a capability nothing flows by itself. A pull keeps read-only mirrors of the peer's records here and needs a received "
            "grant with `read`; a push keeps mirrors of ours there and needs one with `write`. A record has one home, and the home wins."
        ),
        body=bodies.CREATE,
        success={201: bodies.ONE},
        errors={
            404: _NO_PEER,
            409: ("capability_exists", "capabilities_full", "peer_revoked"),
            422: (*_INVALID, "reserved_resource_kind", "direction_invalid"),
        },
        idempotent=True,
    ),
    Route(
        name="get_capability",
        method="GET",
        path=_ONE,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show one capability, with how far it has come",
        success={200: bodies.ONE},
        errors={404: _NO_PEER},
        conditional=True,
    ),
    Route(
        name="update_capability",
        method="PATCH",
        path=_ONE,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Change policy, filter or interval",
        description="Another filter makes the next pass a full one: what does not match any more is dropped.",
        body=bodies.UPDATE,
        success={200: bodies.ONE},
        errors={404: _NO_PEER, 409: ("version_conflict", "peer_revoked"), 422: _INVALID},
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="delete_capability",
        method="DELETE",
        path=_ONE,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Let nothing flow any more",
        description="Mirrors that it pulled are dropped; the peer is told to drop those that it pushed.",
        success={200: bodies.DELETED},
        errors={404: _NO_PEER, 409: ("version_conflict",)},
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="sync_capability",
        method="POST",
        path=f"{_ONE}/sync_now",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Make a pass now",
        description="Answers at its end, or after 20 seconds while it goes on (`running`).",
        body=bodies.SYNC,
        success={200: bodies.SYNCED},
        errors=_BLOCKED,
        idempotent=True,
    ),
    Route(
        name="sync_capabilities",
        method="POST",
        path=f"{SYSTEM}/platform/capabilities/sync_now",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Make a pass of every capability now",
        description="Those for migrations only are left out. Each failure is told with its code.",
        body=bodies.SWEEP,
        success={200: bodies.SWEPT},
        errors={404: _NO_PEER},
        idempotent=True,
    ),
    Route(
        name="list_mirrors",
        method="GET",
        path=_MIRRORS,
        face="operator",
        permission=RESOURCES_READ,
        tag=_TAG,
        summary="List mirrors of peers' records with their freshness, newest first",
        description="A page may hold fewer than `limit` while `next_cursor` says that there is more.",
        query=bodies.MIRROR_FILTERS,
        success={200: shared.listing_of(bodies.MIRROR)},
        errors={422: ("unknown_resource_kind",)},
        conditional=True,
    ),
    Route(
        name="get_mirror",
        method="GET",
        path=f"{_MIRRORS}/{{id}}",
        face="operator",
        permission=RESOURCES_READ,
        tag=_TAG,
        summary="Show one mirror",
        success={200: bodies.ONE_MIRROR},
        conditional=True,
    ),
    Route(
        name="federation_push_mirror",
        method="PUT",
        path=f"{FEDERATION}/resources/{{kind}}/{{id}}/mirror",
        face="federation",
        tag="Federation API",
        summary="Bring the state of one record for a read-only mirror",
        description=(
            "Needs a grant of the kind with the scope `write`. The caller is and stays the home. A state that is older than what is here "
            "is acknowledged as `overtaken` and changes nothing."
        ),
        parameters={"kind": KIND_NAME, "id": RECORD_NAME},
        body=bodies.PUSHED_MIRROR,
        success={200: bodies.MIRROR_TAKEN},
        errors={
            400: ("id_invalid",),
            401: (*CERTIFICATE_REFUSALS, *GRANT_REFUSALS[401]),
            403: (*STATUS_REFUSALS, *GRANT_REFUSALS[403], "residency_refused"),
            409: (*GRANT_REFUSALS[409], "mirrors_full"),
            413: ("resource_too_large",),
            422: ("unknown_resource_kind", "invalid_attribute", "attribute_required", "residency_unacknowledged"),
        },
        body_bytes_max=MIRROR_BODY_BYTES_MAX,
    ),
)
