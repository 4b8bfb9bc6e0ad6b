"""Routes of grants: operators issue, look, narrow, revoke and renew."""

from __future__ import annotations

from typing import Final

from actors.door.bodies import listing_of
from actors.door.grants import bodies
from actors.door.route import PEERS_MANAGE, PEERS_READ, SYSTEM, Route

_TAG: Final = "Grants"
_PEER: Final = f"{SYSTEM}/platform/peers/{{id}}"
_GRANTS: Final = f"{_PEER}/grants"
_GRANT: Final = f"{_GRANTS}/{{grant_id}}"
_NO_PEER: Final = ("peer_not_found",)
_AXIS_PROBLEMS: Final = (
    "axis_wildcard_mixed", "axis_value_blank", "axis_not_array", "axis_value_invalid", "axis_too_long", "cidr_host_bits_set",
    "network_not_found",
)  # fmt: skip
_SCOPE_PROBLEMS: Final = ("scopes_empty", "scope_unknown")

_WRITES: Final = (
    Route(
        name="issue_grant",
        method="POST",
        path=_GRANTS,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Allow a peer to use resources of a kind",
        description=(
            "The bearer is shown once, here. The peer presents it together with its client certificate. Each axis that is left open admits "
            "calls from anywhere on that axis; they restrict together."
        ),
        body=bodies.ISSUE_GRANT,
        success={201: bodies.ISSUED_GRANT},
        errors={
            404: _NO_PEER,
            409: ("peer_not_ready", "peer_revoked", "grant_exists", "grant_test_failed"),
            422: (
                "field_required",
                "invalid_text",
                "unknown_resource_kind",
                "reserved_resource_kind",
                "resource_id_invalid",
                "resource_not_found",
                *_SCOPE_PROBLEMS,
                "scope_not_supported",
                "ttl_out_of_range",
                "ttl_ambiguous",
                "invalid_metadata",
                *_AXIS_PROBLEMS,
            ),
        },
        idempotent=True,
    ),
    Route(
        name="narrow_grant",
        method="PATCH",
        path=_GRANT,
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Allow less",
        description="Fewer scopes, fewer values on an axis, an earlier end, another label. To allow more, issue another grant.",
        body=bodies.NARROW_GRANT,
        success={200: bodies.ONE_GRANT},
        errors={
            404: _NO_PEER,
            409: ("version_conflict", "grant_already_revoked", "grant_test_failed"),
            422: (
                "grant_widening_refused",
                "axis_empty_on_update",
                "ttl_out_of_range",
                "field_not_editable",
                "invalid_text",
                *_SCOPE_PROBLEMS,
                *_AXIS_PROBLEMS,
            ),
        },
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="revoke_grant",
        method="POST",
        path=f"{_GRANT}/revoke",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="End a grant for good",
        description=(
            "Every call whose authorisation begins after this has committed is refused. A migration under way may finish for five minutes "
            "unless `immediate` is given, also afterwards, while they last."
        ),
        body=bodies.REVOKE_GRANT,
        success={200: bodies.ONE_GRANT},
        errors={404: _NO_PEER, 409: ("grant_already_revoked", "grant_test_failed"), 422: ("invalid_text",)},
        idempotent=True,
    ),
    Route(
        name="rotate_grant_token",
        method="POST",
        path=f"{_GRANT}/rotate_token",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Mint a new bearer for a grant",
        description="Shown once, here. The former bearer ends at once, or after the overlap.",
        body=bodies.ROTATE_GRANT,
        success={200: bodies.ISSUED_GRANT},
        errors={404: _NO_PEER, 409: ("grant_already_revoked", "grant_expired")},
        idempotent=True,
    ),
    Route(
        name="entrust_parent",
        method="POST",
        path=f"{_PEER}/entrust",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Give our parent the grant to operate us anew, at a managed child",
        description=(
            "A new grant in place of the one that the parent has; the platforms hand its bearer over by themselves. For a grant that ends "
            "soon, or whose bearer the parent has not or has no more. Not once the child stands on its own."
        ),
        success={201: bodies.ISSUED_GRANT},
        errors={
            404: _NO_PEER,
            409: ("peer_not_ready", "peer_revoked", "grant_test_failed"),
            422: ("not_managed_child",),
            503: ("vault_unavailable",),
        },
        idempotent=True,
    ),
    Route(
        name="review_grant",
        method="POST",
        path=f"{_GRANT}/review",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Note that a grant has been looked at and is right",
        body=bodies.REVIEW_GRANT,
        success={200: bodies.ONE_GRANT},
        errors={404: _NO_PEER, 409: ("grant_already_revoked",)},
        idempotent=True,
    ),
)

_READS: Final = (
    Route(
        name="list_grants",
        method="GET",
        path=_GRANTS,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="List the grants of a peer, newest first",
        description="A page may hold fewer than `limit` while `next_cursor` says that there is more.",
        query=bodies.GRANT_FILTERS,
        success={200: listing_of(bodies.GRANT)},
        errors={404: _NO_PEER, 422: ("unknown_resource_kind",)},
        conditional=True,
    ),
    Route(
        name="get_grant",
        method="GET",
        path=_GRANT,
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show one grant",
        success={200: bodies.ONE_GRANT},
        errors={404: _NO_PEER},
        conditional=True,
    ),
)

_EXPLAIN: Final = Route(
    name="explain_grants",
    method="POST",
    path=f"{_GRANTS}/explain",
    face="operator",
    permission=PEERS_READ,
    tag=_TAG,
    summary="Say why a call of the peer is served or refused",
    description=(
        "Of a past call by its correlation id, as it was judged then (the last 10,000 are kept until a restart), or of a hypothetical "
        "one. The steps are those of the gate itself. All edits of the change together would let the call pass, and no part of them does."
    ),
    body=bodies.EXPLAIN,
    success={200: bodies.EXPLANATION},
    errors={
        404: (*_NO_PEER, "decision_not_found"),
        422: ("unknown_resource_kind", "reserved_resource_kind", "resource_id_invalid", "invalid_text", "scope_not_supported"),
    },
    idempotent=True,
)

_EXPLAIN_WITHOUT_PEER: Final = Route(
    name="explain_grants_without_peer",
    method="POST",
    path=f"{SYSTEM}/platform/grants/explain",
    face="operator",
    permission=PEERS_READ,
    tag=_TAG,
    summary="Say what a platform that is no peer yet would need to be served",
    description="As if the peering had just been made and nothing granted; the change begins with the peering itself.",
    body=bodies.EXPLAIN_WITHOUT_PEER,
    success={200: bodies.EXPLANATION},
    errors={422: ("unknown_resource_kind", "reserved_resource_kind", "resource_id_invalid", "invalid_text", "scope_not_supported")},
    idempotent=True,
)

_TEST_PLANNED: Final = Route(
    name="test_planned_grants",
    method="POST",
    path=f"{SYSTEM}/platform/grants/test",
    face="operator",
    permission=PEERS_READ,
    tag=_TAG,
    summary="Judge grant tests over grants that are only planned, for a platform that is no peer yet",
    description=(
        "As if the peering had just been made and exactly these grants issued; nothing is written. There is no bridge to who is "
        "no peer, so calls through overlay networks are refused."
    ),
    body=bodies.TEST_PLANNED,
    success={200: bodies.GRANT_TEST_RUN},
    errors={
        422: (
            "field_required",
            "invalid_text",
            "unknown_resource_kind",
            "reserved_resource_kind",
            "resource_id_invalid",
            *_SCOPE_PROBLEMS,
            "scope_not_supported",
            "ttl_out_of_range",
            "ttl_ambiguous",
            "invalid_metadata",
            *_AXIS_PROBLEMS,
            "grant_test_name_taken",
        ),
    },
    idempotent=True,
)

_REVIEW: Final = Route(
    name="review_grants",
    method="POST",
    path=f"{SYSTEM}/platform/grants/review",
    face="operator",
    permission=PEERS_MANAGE,
    tag=_TAG,
    summary="Review all grants now",
    description=(
        "The same happens by itself every week: what ends soon, was not looked at for 90 days, reaches far, is unused or can never match. "
        "Each category that is not empty is told as an event `federation.review.<category>`."
    ),
    body=bodies.REVIEW_GRANT,
    success={200: bodies.REVIEW},
    idempotent=True,
)

_TESTS: Final = (
    Route(
        name="get_grant_tests",
        method="GET",
        path=f"{_PEER}/grant_tests",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Show what must stay allowed or refused",
        success={200: bodies.GRANT_TESTS},
        errors={404: _NO_PEER},
        conditional=True,
    ),
    Route(
        name="set_grant_tests",
        method="POST",
        path=f"{_PEER}/grant_tests",
        face="operator",
        permission=PEERS_MANAGE,
        tag=_TAG,
        summary="Say what must stay allowed or refused",
        description=(
            "What is written to the peer's grants afterwards is refused if it breaks a test that holds, unless forced. A test that "
            "fails already blocks nothing."
        ),
        body=bodies.SET_GRANT_TESTS,
        success={200: bodies.GRANT_TESTS},
        errors={
            404: _NO_PEER,
            409: ("version_conflict",),
            422: ("unknown_resource_kind", "resource_id_invalid", "invalid_text", "grant_test_name_taken"),
        },
        idempotent=True,
        conditional=True,
    ),
    Route(
        name="run_grant_tests",
        method="POST",
        path=f"{_PEER}/grant_tests/run",
        face="operator",
        permission=PEERS_READ,
        tag=_TAG,
        summary="Judge every grant test as of now",
        body=bodies.REVIEW_GRANT,
        success={200: bodies.GRANT_TEST_RUN},
        errors={404: _NO_PEER},
        idempotent=True,
    ),
)

ROUTES: Final = (*_READS, *_WRITES, _EXPLAIN, _EXPLAIN_WITHOUT_PEER, _TEST_PLANNED, _REVIEW, *_TESTS)
