"""The answer that a repeated request gets: stored in the transaction of the request itself, for 24 hours, without its secrets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs

from actors.limits import IDEMPOTENCY_KEPT_S
from runtime.context import Context
from runtime.store.port import Kind
from runtime.values import evolve


@attrs.frozen
class Mark:
    """Travels with a message: under which id, and for which request, the answer is to be remembered."""

    id: str
    request_digest: str


@attrs.frozen(kw_only=True)
class RememberedAnswer:
    """One remembered answer. `body` is the JSON data of the answer with every secret null."""

    id: str
    version: int = 0
    request_digest: str
    status: int
    body: Mapping[str, Any]
    expires_at: float


KIND = Kind(name="remembered_answer", record=RememberedAnswer, due=lambda record: record.expires_at)


def mark(operator_id: str, route: str, key: str, body: bytes) -> Mark:
    """The mark of one request: its key is scoped to the operator and the route, its digest covers the whole body."""
    scope = f"{operator_id}\0{route}\0{key}".encode()
    return Mark(hashlib.sha256(scope).hexdigest(), hashlib.sha256(body).hexdigest())


def remember(ctx: Context, mark: Mark | None, status: int, body: Mapping[str, Any]) -> None:
    """Store the answer with the turn that produces it; nothing if the request carried no key."""
    if mark is not None:
        record = RememberedAnswer(
            id=mark.id, version=1, request_digest=mark.request_digest, status=status, body=body, expires_at=ctx.wall + IDEMPOTENCY_KEPT_S
        )
        ctx.put_row(KIND.name, record)


def remember_outcome(ctx: Context, mark: Mark | None, body: Mapping[str, Any]) -> None:
    """Put what came of a request in place of the answer that was stored before it was known; nothing if that one is gone."""
    row = ctx.row(KIND.name, mark.id) if mark is not None else None
    if row is not None:
        former: RememberedAnswer = row.record
        ctx.put_row(KIND.name, evolve(former, version=former.version + 1, body=body), former.version)
