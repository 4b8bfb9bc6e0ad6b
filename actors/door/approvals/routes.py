"""Routes of the queue of operations that wait for approval."""

from __future__ import annotations

from typing import Final

from actors.approval.categories import CATEGORIES
from actors.approval.lifecycle import STATUSES
from actors.door import bodies as shared
from actors.door.approvals import bodies
from actors.door.route import API, APPROVALS_CONTROL, APPROVALS_READ, Route
from actors.door.shapes import Choice, Field, ListOf, Object, Text

_TAG: Final = "Approvals"
_ALL: Final = f"{API}/ai/autonomy/approvals"
_ONE: Final = f"{_ALL}/{{id}}"
_NOT_FOUND: Final = ("approval_not_found",)
_OVER: Final = ("approval_not_pending", "approval_expired")


def _decide(
    name: str, path: str, permission: str | None, summary: str, description: str, body: Object, more: dict[int, tuple[str, ...]]
) -> Route:
    return Route(
        name=name,
        method="POST",
        path=f"{_ONE}/{path}",
        face="operator",
        permission=permission,
        tag=_TAG,
        summary=summary,
        description=description,
        body=body,
        success={200: bodies.ONE},
        errors={404: _NOT_FOUND, **more},
        idempotent=True,
    )


ROUTES: Final = (
    Route(
        name="list_approvals",
        method="GET",
        path=_ALL,
        face="operator",
        permission=APPROVALS_READ,
        tag=_TAG,
        summary="List operations that wait or have waited for approval, newest first",
        query=(
            Field("status", ListOf(Choice(STATUSES), len(STATUSES)), description="One or more, separated by commas."),
            Field("category", Choice(tuple(CATEGORIES))),
            Field("agent", Text(chars_min=1, chars_max=64)),
            *shared.PAGE,
        ),
        success={200: shared.listing_of(bodies.APPROVAL)},
        conditional=True,
    ),
    Route(
        name="get_approval",
        method="GET",
        path=_ONE,
        face="operator",
        permission=APPROVALS_READ,
        tag=_TAG,
        summary="Show one request for approval",
        success={200: bodies.ONE},
        errors={404: _NOT_FOUND},
        conditional=True,
    ),
    _decide(
        "approve_operation",
        "approve",
        APPROVALS_CONTROL,
        "Approve an operation; it is done at once",
        "Everything is looked at again first. The answer waits up to five seconds for the outcome, `execution_status`; a failure stands in "
        "`resolution`.",
        bodies.APPROVE,
        {403: ("not_an_approver", "self_approval_forbidden"), 409: (*_OVER, "already_decided")},
    ),
    _decide(
        "reject_operation",
        "reject",
        APPROVALS_CONTROL,
        "Reject an operation; it is never done",
        "",
        bodies.REJECT,
        {403: ("not_an_approver",), 409: (*_OVER, "already_decided"), 422: ("reason_required",)},
    ),
    _decide(
        "cancel_operation",
        "cancel",
        None,
        "Withdraw a request undecided",
        "By who asked for it, or by whoever could decide about it.",
        bodies.CANCEL,
        {403: ("not_an_approver",), 409: _OVER},
    ),
)
