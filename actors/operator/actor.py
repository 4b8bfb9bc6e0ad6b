"""The operator actor: accounts, passwords, sessions.

Lives here: one small handler per message. What takes time (hashing, signing) is gathered first; the deciding turn checks again and saves.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any

import attrs

from actors.limits import ACCESS_TOKEN_TTL_S, REFRESH_TOKEN_TTL_S
from actors.operator import permissions
from actors.operator.messages import (
    CreateOperator,
    Login,
    Logout,
    PasswordHashed,
    PasswordVerified,
    Refresh,
    SetPassword,
    SignedIn,
    TokenSigned,
    UpdateOperator,
)
from actors.operator.record import KIND, SESSIONS_MAX, Operator, Session, refresh_digest, refresh_token
from actors.ports import HashPassword, SignToken, VerifyPassword
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.secret import Secret

TOKEN_AUDIENCE = "powernode-operator"
REFRESH_SECRET_BYTES = 32
INVALID_CREDENTIALS = OperatorFault("invalid_credentials", "email or password are wrong, or the operator is disabled", 401)
INVALID_REFRESH = OperatorFault("invalid_refresh_token", "this refresh token is not valid any more; sign in again", 401)
NOT_FOUND = OperatorFault("not_found", "there is no such operator", 404)


class OperatorActor(Actor):
    """One operator."""

    kind = KIND

    # --- accounts ------------------------------------------------------------------------------------------------

    @handles(CreateOperator)
    def on_create(self, message: CreateOperator, ctx: Context) -> None:
        fault = _unknown_permission(message.permissions)
        if fault is not None:
            ctx.reply(fault)
        else:
            ctx.call(HashPassword(message.password), then=PasswordHashed, tag=(message, ctx.defer()))

    @handles(SetPassword)
    def on_set_password(self, message: SetPassword, ctx: Context) -> None:
        fault = _stale(self.record, message.expected_version)
        if fault is not None:
            ctx.reply(fault)
        else:
            ctx.call(HashPassword(message.password), then=PasswordHashed, tag=(message, ctx.defer()))

    @handles(PasswordHashed)
    def on_password_hashed(self, message: PasswordHashed, ctx: Context) -> None:
        asked, address = message.tag
        if message.fault is not None:
            ctx.answer(address, message.fault)
        elif isinstance(asked, CreateOperator):
            self._create(ctx, asked, message.outcome, address)
        else:
            self._set_password(ctx, asked, message.outcome, address)

    def _create(self, ctx: Context, asked: CreateOperator, password_hash: str, address: Any) -> None:
        if self.record is not None:
            ctx.answer(address, OperatorFault("operator_exists", "there is an operator with this id already", 409))
            return
        record = Operator(
            id=ctx.ref.id,
            account_id=asked.account_id,
            email=asked.email,
            name=asked.name,
            password_hash=password_hash,
            permissions=_sorted(asked.permissions),
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        ctx.save(record)
        ctx.emit("operator.created", "low", asked.account_id, operator_id=record.id, by=asked.by)
        ctx.answer(address, ctx.record)

    def _set_password(self, ctx: Context, asked: SetPassword, password_hash: str, address: Any) -> None:
        fault = _stale(self.record, asked.expected_version)
        if fault is not None:
            ctx.answer(address, fault)
            return
        ctx.save(_signed_out(attrs.evolve(self.record, password_hash=password_hash), ctx.wall))
        ctx.emit("operator.updated", "medium", self.record.account_id, operator_id=ctx.ref.id, by=asked.by, fields=["password"])
        ctx.answer(address, ctx.record)

    @handles(UpdateOperator)
    def on_update(self, message: UpdateOperator, ctx: Context) -> None:
        record: Operator | None = self.record
        changes = dict(message.changes)
        fault = _stale(record, message.expected_version) or _unknown_permission(changes.get("permissions", ()))
        if fault is None and record is not None and message.by == record.id and _locks_out(changes):
            text = "nobody can take the management of operators from themselves; let another operator do it"
            fault = OperatorFault("last_operator", text, 409)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        if "permissions" in changes:
            changes["permissions"] = _sorted(changes["permissions"])
        changed = attrs.evolve(record, **changes)
        if changed == record:
            ctx.reply(record)
            return
        fewer = changed.disabled or not set(record.permissions) <= set(changed.permissions)
        ctx.save(_signed_out(changed, ctx.wall) if fewer else attrs.evolve(changed, updated_at=ctx.wall))
        ctx.emit("operator.updated", "medium", record.account_id, operator_id=record.id, by=message.by, fields=sorted(changes))
        ctx.reply(ctx.record)

    # --- sessions ------------------------------------------------------------------------------------------------

    @handles(Login)
    def on_login(self, message: Login, ctx: Context) -> None:
        record: Operator | None = self.record
        password_hash = record.password_hash if record is not None and not record.disabled else None
        ctx.call(VerifyPassword(message.password, password_hash), then=PasswordVerified, tag=ctx.defer())

    @handles(PasswordVerified)
    def on_password_verified(self, message: PasswordVerified, ctx: Context) -> None:
        record: Operator | None = self.record
        if message.fault is not None:
            ctx.answer(message.tag, message.fault)
            return
        if message.outcome is not True or record is None or record.disabled:
            ctx.answer(message.tag, INVALID_CREDENTIALS)
            return
        secret = _secret(ctx)
        session = Session(ctx.new_id(), refresh_digest(Secret(secret)), ctx.wall, ctx.wall + REFRESH_TOKEN_TTL_S, ctx.wall)
        self._sign(ctx, session, secret, message.tag)

    @handles(Refresh)
    def on_refresh(self, message: Refresh, ctx: Context) -> None:
        record: Operator | None = self.record
        session = next((known for known in record.sessions if known.id == message.session_id), None) if record is not None else None
        digest = refresh_digest(message.secret)
        if record is None or session is None or record.disabled or session.expires_at <= ctx.wall:
            ctx.reply(INVALID_REFRESH)
        elif session.former_digest is not None and hmac.compare_digest(session.former_digest, digest):
            # An old secret shown again: two parties hold this session, so neither keeps it.
            self._end_session(ctx, record, session.id, "an old refresh token was shown again")
            ctx.reply(INVALID_REFRESH)
        elif not hmac.compare_digest(session.refresh_digest, digest):
            ctx.reply(INVALID_REFRESH)
        else:
            secret = _secret(ctx)
            renewed = attrs.evolve(
                session,
                refresh_digest=refresh_digest(Secret(secret)),
                former_digest=session.refresh_digest,
                expires_at=ctx.wall + REFRESH_TOKEN_TTL_S,
                last_used_at=ctx.wall,
            )
            self._sign(ctx, renewed, secret, ctx.defer())

    def _sign(self, ctx: Context, session: Session, secret: str, address: Any) -> None:
        record: Operator = self.record
        claims = {
            "iss": ctx.settings.identity.instance_id,
            "aud": TOKEN_AUDIENCE,
            "sub": record.id,
            "account": record.account_id,
            "permissions": list(record.permissions),
            "sid": session.id,
            "jti": ctx.new_id(),
            "iat": int(ctx.wall),
            "exp": int(ctx.wall + ACCESS_TOKEN_TTL_S),
            "ver": record.credentials_version,
        }
        ctx.call(SignToken(claims), then=TokenSigned, tag=(session, Secret(secret), record.credentials_version, address))

    @handles(TokenSigned)
    def on_token_signed(self, message: TokenSigned, ctx: Context) -> None:
        session, secret, credentials_version, address = message.tag
        record: Operator = self.record
        if message.fault is not None:
            ctx.answer(address, message.fault)
            return
        sessions = _with_session(record.sessions, session, ctx.wall)
        if sessions is None or record.credentials_version != credentials_version:
            ctx.answer(address, INVALID_CREDENTIALS if session.former_digest is None else INVALID_REFRESH)
            return
        ctx.save(attrs.evolve(record, sessions=sessions))
        ctx.emit("operator.signed_in", "low", record.account_id, operator_id=record.id, session_id=session.id)
        token = refresh_token(record.id, session.id, secret.reveal())
        ctx.answer(address, SignedIn(ctx.record, message.outcome, token, ACCESS_TOKEN_TTL_S))

    @handles(Logout)
    def on_logout(self, message: Logout, ctx: Context) -> None:
        record: Operator | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif any(session.id == message.session_id for session in record.sessions):
            self._end_session(ctx, record, message.session_id, "signed out")
            ctx.reply(ctx.record)
        else:
            ctx.reply(record)

    def _end_session(self, ctx: Context, record: Operator, session_id: str, reason: str) -> None:
        ctx.save(attrs.evolve(record, sessions=tuple(known for known in record.sessions if known.id != session_id)))
        ctx.emit("operator.session_revoked", "low", record.account_id, operator_id=record.id, session_id=session_id, reason=reason)


def _with_session(sessions: tuple[Session, ...], session: Session, wall: float) -> tuple[Session, ...] | None:
    """The sessions with a new or renewed one; None if the one to renew was renewed or ended meanwhile."""
    if session.former_digest is None:
        alive = sorted((known for known in sessions if known.expires_at > wall), key=lambda known: known.last_used_at)
        return (*alive[-(SESSIONS_MAX - 1) :], session)
    if not any(known.id == session.id and known.refresh_digest == session.former_digest for known in sessions):
        return None
    return tuple(session if known.id == session.id else known for known in sessions)


def _secret(ctx: Context) -> str:
    return base64.urlsafe_b64encode(ctx.token_bytes(REFRESH_SECRET_BYTES)).decode().rstrip("=")


def _sorted(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({found for name in names if (found := permissions.canonical(name)) is not None}))


def _unknown_permission(names: tuple[str, ...]) -> Fault | None:
    unknown = sorted(name for name in names if permissions.canonical(name) is None)
    if not unknown:
        return None
    return OperatorFault("invalid_permission", f"there is no permission {unknown[0]}", 422, {"known": sorted(permissions.PERMISSIONS)})


def _stale(record: Operator | None, expected_version: int | None) -> Fault | None:
    if record is None:
        return NOT_FOUND
    if expected_version is not None and expected_version != record.version:
        return OperatorFault("version_conflict", "the operator has changed since; read it again", 409, {"version": record.version})
    return None


def _locks_out(changes: dict[str, Any]) -> bool:
    held = changes.get("permissions")
    return changes.get("disabled") is True or (held is not None and not permissions.satisfies(held, "system.operators.manage"))


def _signed_out(record: Operator, wall: float) -> Operator:
    return attrs.evolve(record, sessions=(), credentials_version=record.credentials_version + 1, updated_at=wall)
