"""Routes of shipments and excerpts."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.audit import bodies
from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, PEERS_MANAGE, PEERS_READ, SERVER_FAILED, STATUS_REFUSALS, SYSTEM, Route

_TAG: Final = "Audit"

ROUTES: Final = (
    Route(
        name="list_audit_chains",
        method="GET",
        path=f"{SYSTEM}/platform/audit/chains",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List every audit chain with its head and what of it has been shipped, by id",
        description="Peers, service offerings and approvals have a chain each once there is something to tell, and the platform has one. "
        "A page may hold fewer than `limit` though more follow.",
        query=shared.PAGE,
        success={200: shared.listing_of(bodies.CHAIN)},
        conditional=True,
    ),
    Route(
        name="list_audit_entries",
        method="GET",
        path=f"{SYSTEM}/platform/audit/chains/{{id}}/entries",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Read an audit chain, oldest first",
        query=shared.AUDIT_FILTERS,
        success={200: shared.listing_of(bodies.ENTRY)},
        conditional=True,
    ),
    Route(
        name="list_chain_shipments",
        method="GET",
        path=f"{SYSTEM}/platform/audit/chains/{{id}}/shipments",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List what of an audit chain stands in the archive, newest first",
        query=shared.PAGE,
        success={200: shared.listing_of(bodies.SHIPMENT)},
        conditional=True,
    ),
    Route(
        name="list_audit_shipments",
        method="GET",
        path=f"{SYSTEM}/platform/peers/{{id}}/audit_shipments",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List what of a peer's audit chain stands in the archive, newest first",
        query=shared.PAGE,
        success={200: shared.listing_of(bodies.SHIPMENT)},
        conditional=True,
    ),
    Route(
        name="ship_audit",
        method="POST",
        path=f"{SYSTEM}/platform/audit/ship",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Ship what is old enough of every audit chain now",
        description="As the daily run does: entries older than `federation.audit_boundary`, read back before they count as shipped.",
        body=shared.NO_ARGUMENTS,
        success={200: bodies.SHIPPED},
        errors={404: ("not_found",), 409: ("shipment_running",)},
        idempotent=True,
    ),
    Route(
        name="prune_audit",
        method="POST",
        path=f"{SYSTEM}/platform/audit/prune",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Prune what is older than the retention, and safely in the archive",
        description="As the daily run does: whole shipments that are verified and are read back once more, each of their entries older "
        "than `federation.audit_retention`; an anchor remains, and the last entry of a chain always stays. Ask again while `more` is true.",
        body=bodies.PRUNE,
        success={200: bodies.PRUNED},
        errors={404: ("not_found",), 409: ("pruning_off", "clock_in_question", "pruning_running")},
        idempotent=True,
    ),
    Route(
        name="request_audit_excerpts",
        method="POST",
        path=f"{SYSTEM}/platform/peers/{{id}}/audit_requests",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Ask a peer for our part of its audit trail",
        body=bodies.REQUEST_EXCERPTS,
        success={200: bodies.EXCERPTS},
        errors={
            400: ("invalid_timestamp",),
            409: ("peer_not_ready", "peer_degraded", "peer_suspended", "already_revoked", "peering_expired"),
            422: ("invalid_window",),
            502: SERVER_FAILED,
            503: ("no_outbound_identity",),
            504: ("remote_timeout",),
        },
        idempotent=True,
    ),
    Route(
        name="federation_audit_excerpts",
        method="GET",
        path=f"{FEDERATION}/audit_excerpts",
        face="federation",
        tag=_TAG,
        summary="Read the caller's own part of this platform's audit trail",
        description="For active peers; the peering is the credential. Each request is itself audited.",
        query=bodies.WINDOW_QUERY,
        success={200: bodies.EXCERPTS},
        errors={
            400: ("invalid_timestamp", "invalid_parameter"),
            401: CERTIFICATE_REFUSALS,
            403: (*STATUS_REFUSALS, "peer_not_active"),
            422: ("invalid_window",),
        },
    ),
)
