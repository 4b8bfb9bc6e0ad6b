"""Routes about grants that peers gave us."""

from __future__ import annotations

from typing import Final

from actors.door import bodies as shared
from actors.door.received_grants import bodies
from actors.door.received_grants.relay import PASSED_ON
from actors.door.resources import bodies as resources
from actors.door.route import (
    CERTIFICATE_REFUSALS,
    FEDERATION,
    GRANT_REFUSALS,
    PEERS_MANAGE,
    PEERS_READ,
    SERVER_FAILED,
    STATUS_REFUSALS,
    SYSTEM,
    Route,
)
from actors.limits import GRANTS_ANNOUNCED_PER_PEER_MAX, RECEIVED_GRANTS_PER_PEER_MAX

_TAG: Final = "Received grants"
_PEER: Final = f"{SYSTEM}/platform/peers/{{id}}"
_HELD: Final = f"{_PEER}/received_grants"
_REMOTE: Final = f"{SYSTEM}/platform/peers/{{id}}/remote_resources/{{kind}}"
_NO_PEER: Final = ("peer_not_found",)
_NOT_NOW: Final = ("peer_not_ready", "peer_degraded", "peer_suspended", "already_revoked", "peering_expired")
_UNSERVED: Final = {429: ("remote_rate_limited",), 502: SERVER_FAILED, 503: ("no_outbound_identity",), 504: ("remote_timeout",)}


def _passed_on(status: int) -> tuple[str, ...]:
    return tuple(code for code, (found, _) in PASSED_ON.items() if found == status)


_OPERATORS: Final = (
    Route(
        name="list_received_grants",
        method="GET",
        path=_HELD,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List the grants that a peer gave us, newest first",
        description=(
            f"All of them: at most {RECEIVED_GRANTS_PER_PEER_MAX} are held of one peer, and at most {GRANTS_ANNOUNCED_PER_PEER_MAX} shown "
            "whose bearer has not come yet. Bearers are never shown."
        ),
        success={200: shared.listing_of(bodies.RECEIVED_GRANT)},
        errors={404: _NO_PEER},
        conditional=True,
    ),
    Route(
        name="receive_grant",
        method="POST",
        path=_HELD,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Keep the bearer of a grant that a peer gave us",
        description="The peer is asked first whether the grant is ours, in force, and of this secret. The bearer is kept sealed.",
        body=bodies.RECEIVE_GRANT,
        success={201: bodies.ONE_RECEIVED_GRANT},
        errors={
            404: _NO_PEER,
            409: ("grant_already_held", "received_grants_full", "peer_revoked", *_NOT_NOW),
            422: ("grant_token_malformed",),
            **_UNSERVED,
        },
        idempotent=True,
    ),
    Route(
        name="forget_grant",
        method="DELETE",
        path=f"{_HELD}/{{received_grant_id}}",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Destroy the bearer of a grant that a peer gave us",
        description="The grant itself stays; only its issuer can revoke it.",
        success={200: bodies.FORGOTTEN},
        errors={404: _NO_PEER, 409: ("version_conflict",)},
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="check_received_grant",
        method="POST",
        path=f"{_HELD}/{{received_grant_id}}/check",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Ask the issuer what a grant that we hold is good for",
        description="Presents the bearer. One that its issuer has refused for good is not presented again; what it said then is told.",
        success={200: bodies.CHECKED},
        errors={404: _NO_PEER, 409: ("no_received_grant", *_NOT_NOW), **_UNSERVED},
        idempotent=True,
    ),
    Route(
        name="list_remote_resources",
        method="GET",
        path=_REMOTE,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List resources of a peer",
        description="Presents the bearer that fits best, and passes on a page of the peer's answer. Nothing of it is kept.",
        query=resources.LIST_PARAMETERS,
        reads_query=False,
        parameters={"kind": resources.KIND_NAME},
        success={200: shared.listing_of(resources.EXPORTED)},
        errors={
            400: _passed_on(400),
            403: _passed_on(403),
            404: (*_NO_PEER, *_passed_on(404)),
            409: ("no_received_grant", *_NOT_NOW),
            410: _passed_on(410),
            422: _passed_on(422),
            **_UNSERVED,
        },
        conditional=True,
    ),
    Route(
        name="get_remote_resource",
        method="GET",
        path=f"{_REMOTE}/{{resource_id}}",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show one resource of a peer",
        parameters={"kind": resources.KIND_NAME},
        success={200: bodies.REMOTE_RESOURCE},
        errors={
            400: _passed_on(400),
            403: _passed_on(403),
            404: (*_NO_PEER, *_passed_on(404)),
            409: ("no_received_grant", *_NOT_NOW),
            410: _passed_on(410),
            422: _passed_on(422),
            **_UNSERVED,
        },
        conditional=True,
    ),
)

_PEERS: Final = (
    Route(
        name="federation_grants",
        method="GET",
        path=f"{FEDERATION}/grants",
        face="federation",
        tag="Federation API",
        summary="List the grants issued to the calling peer, newest first",
        description=(
            "The certificate suffices. A bearer that comes along is compared with its grant: `presented` says whether it is good. A page "
            "may hold fewer than `limit` while `next_cursor` says that there is more."
        ),
        query=bodies.OWN_GRANTS,
        success={200: shared.listing_of(bodies.HOLDERS_GRANT)},
        errors={401: CERTIFICATE_REFUSALS, 403: STATUS_REFUSALS, 409: GRANT_REFUSALS[409]},
    ),
    Route(
        name="federation_grant_delivery",
        method="POST",
        path=f"{FEDERATION}/grant_deliveries",
        face="federation",
        tag="Federation API",
        summary="Hand over the bearer of a grant to the peer that it is for",
        description="Taken from an enrolled, active or degraded peer. A bearer of the same grant is put in the place of the former.",
        body=bodies.DELIVERY,
        success={200: bodies.DELIVERED},
        errors={
            401: CERTIFICATE_REFUSALS,
            403: STATUS_REFUSALS,
            404: _NO_PEER,
            409: (*GRANT_REFUSALS[409], "received_grants_full", "grant_already_held", "peer_revoked", "peer_not_ready"),
            422: ("grant_token_malformed",),
        },
    ),
)

ROUTES: Final = (*_OPERATORS, *_PEERS)
