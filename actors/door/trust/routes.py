"""Routes about certificates and anchors."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.route import CERTIFICATE_REFUSALS, FEDERATION, PEERS_MANAGE, PEERS_READ, SERVER_FAILED, STATUS_REFUSALS, SYSTEM, Route
from actors.door.trust import bodies

_TAG: Final = "Platform peers"
_PEER: Final = f"{SYSTEM}/platform/peers/{{id}}"

ROUTES: Final = (
    Route(
        name="renew_peer_trust",
        method="POST",
        path=f"{_PEER}/trust/renew",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Renew our client certificate for a peer now",
        description="Subject, instance and anchor stay as they are. Where the remote is our parent it is asked to sign the new key.",
        success={200: shared.ONE_PEER},
        errors={
            409: ("renewal_not_applicable", "peering_expired", "already_revoked", "peer_suspended", "peer_not_ready"),
            502: SERVER_FAILED,
            503: ("no_outbound_identity", "ca_unavailable"),
            504: ("remote_timeout",),
        },
        idempotent=True,
    ),
    Route(
        name="approve_peer_anchor",
        method="POST",
        path=f"{_PEER}/trust/approve_anchor",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Trust a CA of a peer that its former one did not sign for",
        description="Compare the fingerprint with the peer's operators by another way first. The server must show that very CA.",
        body=bodies.APPROVAL,
        success={200: shared.ONE_PEER},
        errors={
            409: ("nothing_to_approve", "peering_expired", "already_revoked", "peer_suspended", "peer_not_ready", "peer_degraded"),
            422: ("fingerprint_mismatch",),
            502: SERVER_FAILED,
            503: ("no_outbound_identity",),
            504: ("remote_timeout",),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="rotate_peer_trust",
        method="POST",
        path=f"{_PEER}/trust/rotate",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Take the next step of a rotation with this peer now",
        description="Ours: our identity for it moves under our next root. The peer's: its bundle is read. By itself that takes minutes.",
        success={200: shared.ONE_PEER},
        errors={
            409: ("nothing_to_rotate", "anchor_unproven", "peering_expired", "already_revoked", "peer_suspended", "peer_not_ready"),
            502: SERVER_FAILED,
            503: ("no_outbound_identity", "ca_unavailable"),
            504: ("remote_timeout",),
        },
        idempotent=True,
    ),
    Route(
        name="rotate_trust",
        method="POST",
        path=f"{SYSTEM}/platform/trust/rotate",
        face="operator",
        permission=PEERS_MANAGE,
        tag="Federation",
        summary="Begin to replace the root of this platform's own CA",
        description="Peers accept both roots for the overlap; our identities and our listener follow. See the progress per peer.",
        body=bodies.ROTATE,
        success={202: bodies.ROTATION},
        errors={
            409: ("rotation_under_way", "rotation_incomplete", "tokens_outlive_overlap"),
            422: ("reason_required",),
            503: ("ca_unavailable",),
        },
        idempotent=True,
        opens_trust=True,
    ),
    Route(
        name="finish_trust_rotation",
        method="POST",
        path=f"{SYSTEM}/platform/trust/finish",
        face="operator",
        permission=PEERS_MANAGE,
        tag="Federation",
        summary="End the overlap of a rotation now, or give peers up that do not follow",
        description="Refused while a live peer has not followed, unless it is named or all are given up by force.",
        body=bodies.FINISH,
        success={200: bodies.ROTATION},
        errors={404: ("not_found",), 409: ("no_rotation", "peers_left_behind", "tokens_pin_former_root")},
        idempotent=True,
    ),
    Route(
        name="get_trust_rotation",
        method="GET",
        path=f"{SYSTEM}/platform/trust/rotation",
        face="operator",
        permission=PEERS_READ,
        tag="Federation",
        summary="How far the rotation of the root has come, per peer",
        success={200: bodies.ROTATION},
        conditional=True,
    ),
    Route(
        name="federation_certificate",
        method="POST",
        path=f"{FEDERATION}/certificate",
        face="federation",
        tag="Federation API",
        summary="Let the parent sign a child's next key",
        description="The subject stays that of the peer; the certificate that it holds stays valid to its own end.",
        body=bodies.SIGNING_REQUEST,
        success={200: bodies.CERTIFICATE},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            409: ("certificate_not_applicable",),
            422: ("invalid_csr",),
            503: ("ca_unavailable",),
        },
    ),
)
