"""Operators' accounts and sessions at the door.

Lives here: one function per route. Must not live here: password rules and hashing (the operator actor and its ports).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.door.overview import page_of
from actors.door.request import NOBODY, Request
from actors.operator.messages import CreateOperator, Login, Logout, Refresh, SetPassword, UpdateOperator
from actors.operator.record import KIND, canonical_email, parse_refresh_token, to_json
from runtime.actor import Ref
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7

if TYPE_CHECKING:
    from actors.door.door import Door


def login(door: Door, request: Request) -> None:
    """Exchange email and password for tokens; an unknown email costs the same time as a wrong password."""
    door.limit_source("login_per_source", request)
    email = canonical_email(request.body["email"])
    found = door.engine.directory.find(KIND.name, "email", email)
    _session(door, request, found or NOBODY, Login(request.body["password"]))


def refresh(door: Door, request: Request) -> None:
    """Exchange a refresh token for the next pair of tokens."""
    parsed = parse_refresh_token(request.body["refresh_token"].reveal())
    if parsed is None:
        raise FaultError(OperatorFault("invalid_refresh_token", "this refresh token is not valid; sign in again", 401))
    operator_id, session_id, secret = parsed
    _session(door, request, operator_id, Refresh(session_id, secret))


def _session(door: Door, request: Request, operator_id: str, message: Any) -> None:
    def answered(outcome: Any) -> None:
        data = {
            "access_token": outcome.access_token.reveal(),
            "refresh_token": outcome.refresh_token.reveal(),
            "token_type": "Bearer",
            "expires_in": int(outcome.expires_in_s),
            "operator": to_json(outcome.record),
        }
        request.ok(data)

    door.relay(request, Ref(KIND.name, operator_id), message, answered)


def logout(door: Door, request: Request) -> None:
    """End the session of the token that asks."""
    assert request.claims is not None

    def answered(outcome: Any) -> None:
        request.ok({"logged_out": True})

    door.relay(request, Ref(KIND.name, request.claims.operator_id), Logout(request.claims.session_id), answered)


# --- operators ------------------------------------------------------------------------------------------------------


def _own_operator(door: Door, request: Request) -> Any:
    row = door.engine.directory.row(KIND.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(OperatorFault("not_found", "there is no such operator", 404))
    return row.record


def list_operators(door: Door, request: Request) -> None:
    page_of(door, request, KIND.name, request.account_id, to_json)


def get_operator(door: Door, request: Request) -> None:
    record = _own_operator(door, request)
    request.ok({"operator": to_json(record)}, version=record.version)


def create_operator(door: Door, request: Request) -> None:
    body = request.body
    message = CreateOperator(
        account_id=request.account_id,
        by=request.by,
        email=canonical_email(body["email"]),
        name=body["name"],
        password=body["password"],
        permissions=tuple(body.get("permissions") or ()),
        mark=request.mark,
    )
    _shown(door, request, uuid7(request.wall, door.chance), message, 201)


def update_operator(door: Door, request: Request) -> None:
    """Change permissions or access, or set a password; a password is changed by itself, since it ends every session."""
    record = _own_operator(door, request)
    body, expected = request.body, request.expected_version()
    changes = {name: body[name] for name in ("permissions", "disabled") if name in body}
    if "permissions" in changes:
        changes["permissions"] = tuple(changes["permissions"])
    if "password" in body:
        if changes:
            raise FaultError(OperatorFault("invalid_parameter", "change the password in a request of its own", 400, {"field": "password"}))
        message = SetPassword(by=request.by, password=body["password"], expected_version=expected, mark=request.mark)
        _shown(door, request, record.id, message, 200)
    else:
        _shown(door, request, record.id, UpdateOperator(by=request.by, changes=changes, expected_version=expected, mark=request.mark), 200)


def _shown(door: Door, request: Request, operator_id: str, message: Any, status: int) -> None:
    def answered(outcome: Any) -> None:
        request.ok({"operator": to_json(outcome)}, status=status, version=outcome.version)

    door.relay(request, Ref(KIND.name, operator_id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "login": login,
    "refresh": refresh,
    "logout": logout,
    "list_operators": list_operators,
    "get_operator": get_operator,
    "create_operator": create_operator,
    "update_operator": update_operator,
}
