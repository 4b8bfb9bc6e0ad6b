"""The operator actor: accounts, passwords, sessions.

Lives here: one small handler per message. What takes time (hashing, signing) is gathered first; the deciding turn checks again and saves.
"""

from __future__ import annotations

from typing import Any, Final

from actors.idempotency.record import remember
from actors.limits import ACCESS_TOKEN_TTL_S, PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN, REFRESH_TOKEN_TTL_S, SESSIONS_MAX
from actors.operator import permissions
from actors.operator.messages import (
    CreateOperator,
    Draft,
    Login,
    LoginVerified,
    Logout,
    OldPasswordVerified,
    PasswordHashed,
    Refresh,
    SetPassword,
    SignedIn,
    TokenSigned,
    UpdateOperator,
)
from actors.operator.record import (
    KIND,
    REFRESH_FAMILY_BYTES,
    REFRESH_SECRET_BYTES,
    Operator,
    Session,
    canonical_email,
    family_digest,
    is_current,
    is_of_family,
    next_refresh_secret,
    refresh_digest,
    refresh_secret,
    refresh_token,
    to_json,
)
from actors.ports import HashPassword, SignToken, VerifyPassword
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.errors import Fault, OperatorFault
from runtime.secret import Secret
from runtime.values import evolve

TOKEN_AUDIENCE: Final = "powernode-operator"
MANAGE: Final = "system.operators.manage"
EDITABLE: Final = frozenset({"name", "permissions", "disabled"})
INVALID_CREDENTIALS: Final = OperatorFault("invalid_credentials", "email or password are wrong, or the operator is disabled", 401)
INVALID_REFRESH: Final = OperatorFault("invalid_refresh_token", "this refresh token is not valid any more; sign in again", 401)
WRONG_PASSWORD: Final = OperatorFault("wrong_password", "the old password is wrong or missing", 422)
NOT_FOUND: Final = OperatorFault("not_found", "there is no such operator", 404)


class OperatorActor(Actor):
    """One operator."""

    kind = KIND

    # --- accounts ------------------------------------------------------------------------------------------------

    @handles(CreateOperator)
    def on_create(self, message: CreateOperator, ctx: Context) -> None:
        fault = _weak(message.password) or _unknown_permission(message.permissions)
        if fault is not None:
            ctx.reply(fault)
        else:
            ctx.call(HashPassword(message.password), then=PasswordHashed, tag=(message, ctx.defer()))

    @handles(SetPassword)
    def on_set_password(self, message: SetPassword, ctx: Context) -> None:
        record: Operator | None = self.record
        fault = _stale(record, message.expected_version) or _weak(message.password)
        if fault is None and message.old_password is None and record is not None and message.by == record.id and not _manages(record):
            fault = WRONG_PASSWORD
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
        elif message.old_password is not None:
            request = VerifyPassword(message.old_password, record.password_hash)
            ctx.call(request, then=OldPasswordVerified, tag=(message, ctx.defer()))
        else:
            ctx.call(HashPassword(message.password), then=PasswordHashed, tag=(message, ctx.defer()))

    @handles(OldPasswordVerified)
    def on_old_password_verified(self, message: OldPasswordVerified, ctx: Context) -> None:
        asked, address = message.tag
        if message.fault is not None or message.outcome is not True:
            ctx.answer(address, message.fault or WRONG_PASSWORD)
            return
        # From here on the version that was read counts: a password set meanwhile makes the old one worthless.
        asked = evolve(asked, expected_version=self.record.version if asked.expected_version is None else asked.expected_version)
        ctx.call(HashPassword(asked.password), then=PasswordHashed, tag=(asked, address))

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
            email=canonical_email(asked.email),
            name=asked.name,
            password_hash=password_hash,
            permissions=_sorted(asked.permissions),
            created_at=ctx.wall,
            updated_at=ctx.wall,
        )
        ctx.save(record)
        ctx.emit("operator.created", "low", asked.account_id, operator_id=record.id, by=asked.by)
        remember(ctx, asked.mark, 201, {"operator": to_json(ctx.record)})
        ctx.answer(address, ctx.record)

    def _set_password(self, ctx: Context, asked: SetPassword, password_hash: str, address: Any) -> None:
        fault = _stale(self.record, asked.expected_version)
        if fault is not None:
            ctx.answer(address, fault)
            return
        record: Operator = self.record
        _tell_ended(ctx, record, "the password was changed")
        ctx.save(_signed_out(evolve(record, password_hash=password_hash), ctx.wall))
        ctx.emit("operator.updated", "medium", record.account_id, operator_id=record.id, by=asked.by, fields=["password"])
        remember(ctx, asked.mark, 200, {"operator": to_json(ctx.record)})
        ctx.answer(address, ctx.record)

    @handles(UpdateOperator)
    def on_update(self, message: UpdateOperator, ctx: Context) -> None:
        record: Operator | None = self.record
        changes = dict(message.changes)
        fault = _stale(record, message.expected_version) or _not_editable(changes) or _unknown_permission(changes.get("permissions", ()))
        if fault is None and record is not None and message.by == record.id and _locks_out(changes):
            text = "nobody can take the management of operators from themselves; let another operator do it"
            fault = OperatorFault("last_operator", text, 409)
        if fault is not None or record is None:
            ctx.reply(fault or NOT_FOUND)
            return
        if "permissions" in changes:
            changes["permissions"] = _sorted(changes["permissions"])
        changed = evolve(record, **changes)
        if changed == record:
            ctx.reply(record)
            return
        # An access token is believed until it ends; only the end of its session takes effect at once.
        fewer = changed.disabled or not set(record.permissions) <= set(changed.permissions)
        if fewer:
            _tell_ended(ctx, record, "the operator was disabled" if changed.disabled else "permissions were taken away")
        ctx.save(_signed_out(changed, ctx.wall) if fewer else evolve(changed, updated_at=ctx.wall))
        ctx.emit("operator.updated", "medium", record.account_id, operator_id=record.id, by=message.by, fields=sorted(changes))
        remember(ctx, message.mark, 200, {"operator": to_json(ctx.record)})
        ctx.reply(ctx.record)

    # --- sessions ------------------------------------------------------------------------------------------------

    @handles(Login)
    def on_login(self, message: Login, ctx: Context) -> None:
        record: Operator | None = self.record
        password_hash = record.password_hash if record is not None and not record.disabled else None
        ctx.call(VerifyPassword(message.password, password_hash), then=LoginVerified, tag=ctx.defer())

    @handles(LoginVerified)
    def on_login_verified(self, message: LoginVerified, ctx: Context) -> None:
        record: Operator | None = self.record
        if message.fault is not None or message.outcome is not True or record is None or record.disabled:
            ctx.answer(message.tag, message.fault or INVALID_CREDENTIALS)
            return
        family = ctx.token_bytes(REFRESH_FAMILY_BYTES)
        secret = refresh_secret(family, ctx.token_bytes(REFRESH_SECRET_BYTES - REFRESH_FAMILY_BYTES))
        session = Session(
            id=ctx.new_id(),
            refresh_digest=refresh_digest(secret),
            family_digest=family_digest(secret),
            created_at=ctx.wall,
            expires_at=ctx.wall + REFRESH_TOKEN_TTL_S,
            last_used_at=ctx.wall,
        )
        self._sign(ctx, Draft(session, secret, None, record.credentials_version, message.tag))

    @handles(Refresh)
    def on_refresh(self, message: Refresh, ctx: Context) -> None:
        record: Operator | None = self.record
        session = _session(record, message.session_id)
        if record is None or session is None or record.disabled or ctx.wall >= session.expires_at:
            ctx.reply(INVALID_REFRESH)
        elif is_current(session, message.secret):
            secret = next_refresh_secret(message.secret, ctx.token_bytes(REFRESH_SECRET_BYTES - REFRESH_FAMILY_BYTES))
            renewed = evolve(
                session, refresh_digest=refresh_digest(secret), expires_at=ctx.wall + REFRESH_TOKEN_TTL_S, last_used_at=ctx.wall
            )
            self._sign(ctx, Draft(renewed, secret, session.refresh_digest, record.credentials_version, ctx.defer()))
        elif is_of_family(session, message.secret):
            # Two parties hold this session, and nothing tells which of them is the operator: neither keeps it.
            self._end_session(ctx, record, session.id, "an old refresh token was shown again")
            ctx.reply(INVALID_REFRESH)
        else:
            ctx.reply(INVALID_REFRESH)

    def _sign(self, ctx: Context, draft: Draft) -> None:
        record: Operator = self.record
        claims = {
            "iss": ctx.settings.identity.instance_id,
            "aud": TOKEN_AUDIENCE,
            "sub": record.id,
            "account": record.account_id,
            "permissions": list(record.permissions),
            "sid": draft.session.id,
            "jti": ctx.new_id(),
            "iat": int(ctx.wall),
            "exp": int(ctx.wall + ACCESS_TOKEN_TTL_S),
            "ver": record.credentials_version,
        }
        ctx.call(SignToken(claims), then=TokenSigned, tag=draft)

    @handles(TokenSigned)
    def on_token_signed(self, message: TokenSigned, ctx: Context) -> None:
        draft: Draft = message.tag
        record: Operator = self.record
        if message.fault is not None:
            ctx.answer(draft.address, message.fault)
            return
        sessions = _with_draft(record, draft, ctx.wall)
        if sessions is None:
            ctx.answer(draft.address, INVALID_CREDENTIALS if draft.replaces is None else INVALID_REFRESH)
            return
        ctx.save(evolve(record, sessions=sessions))
        if draft.replaces is None:
            ctx.emit("operator.signed_in", "low", record.account_id, operator_id=record.id, session_id=draft.session.id)
        token = refresh_token(record.id, draft.session.id, draft.secret)
        ctx.answer(draft.address, SignedIn(ctx.record, message.outcome, token, ACCESS_TOKEN_TTL_S))

    @handles(Logout)
    def on_logout(self, message: Logout, ctx: Context) -> None:
        record: Operator | None = self.record
        if record is None:
            ctx.reply(NOT_FOUND)
        elif _session(record, message.session_id) is not None:
            self._end_session(ctx, record, message.session_id, "signed out")
            ctx.reply(ctx.record)
        else:
            ctx.reply(record)

    def _end_session(self, ctx: Context, record: Operator, session_id: str, reason: str) -> None:
        ctx.save(evolve(record, sessions=tuple(known for known in record.sessions if known.id != session_id)))
        _tell_session_ended(ctx, record, session_id, reason)


def _session(record: Operator | None, session_id: str) -> Session | None:
    return next((known for known in record.sessions if known.id == session_id), None) if record is not None else None


def _with_draft(record: Operator, draft: Draft, wall: float) -> tuple[Session, ...] | None:
    """The sessions with the drafted one; None if what it rests on has changed while its token was signed."""
    if record.disabled or record.credentials_version != draft.credentials_version:
        return None
    if draft.replaces is None:
        alive = sorted((known for known in record.sessions if wall < known.expires_at), key=lambda known: known.last_used_at)
        return (*alive[-(SESSIONS_MAX - 1) :], draft.session)
    current = _session(record, draft.session.id)
    if current is None or current.refresh_digest != draft.replaces:
        return None
    return tuple(draft.session if known.id == draft.session.id else known for known in record.sessions)


def _tell_session_ended(ctx: Context, record: Operator, session_id: str, reason: str) -> None:
    ctx.emit("operator.session_revoked", "low", record.account_id, operator_id=record.id, session_id=session_id, reason=reason)


def _tell_ended(ctx: Context, record: Operator, reason: str) -> None:
    for session in record.sessions:
        _tell_session_ended(ctx, record, session.id, reason)


def _weak(password: Secret) -> Fault | None:
    try:
        chars = len(password.reveal())
    except UnicodeDecodeError:
        chars = 0
    if chars >= PASSWORD_CHARS_MIN and len(password.reveal_bytes()) <= PASSWORD_BYTES_MAX:
        return None
    text = f"a password has at least {PASSWORD_CHARS_MIN} characters and at most {PASSWORD_BYTES_MAX} bytes"
    return OperatorFault("invalid_password", text, 422)


def _not_editable(changes: dict[str, Any]) -> Fault | None:
    foreign = sorted(changes.keys() - EDITABLE)
    return OperatorFault("field_not_editable", f"{foreign[0]} cannot be changed", 422, {"field": foreign[0]}) if foreign else None


def _manages(record: Operator) -> bool:
    return permissions.satisfies(record.permissions, MANAGE)


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
    return changes.get("disabled") is True or (held is not None and not permissions.satisfies(held, MANAGE))


def _signed_out(record: Operator, wall: float) -> Operator:
    return evolve(record, sessions=(), credentials_version=record.credentials_version + 1, updated_at=wall)
