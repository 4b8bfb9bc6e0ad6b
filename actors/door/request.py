"""One call on its way through the door: what was asked, by whom, until when, and the one answer it gets.

Lives here: the request value that handlers receive and the ways to end it. Must not live here: any rule of a route.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from actors.door.call import Answer, Call, failure, success
from actors.door.routes import Route
from actors.idempotency.record import Mark
from actors.operator_tokens import Claims
from runtime.errors import Fault, FaultError, InternalFault

ETAG_CHARS = 16

NOBODY = "00000000-0000-7000-8000-000000000000"
"""The actor that is asked about a secret or a name of nobody: the same way and the same work as for one that exists."""


class Request(msgspec.Struct, eq=False):
    """A matched, authenticated and parsed call.

    Attributes:
        body, query: values read by their shapes; absent optional fields without a default are absent.
        claims: of the operator's token, on operator routes.
        now, wall: when the call arrived (monotonic and epoch seconds).
        mark: set if the call carries an `Idempotency-Key`.
    """

    route: Route
    parameters: Mapping[str, str]
    call: Call
    request_id: str
    now: float
    wall: float
    done: Callable[[Answer], None]
    body: Mapping[str, Any] = msgspec.field(default_factory=dict)
    query: Mapping[str, Any] = msgspec.field(default_factory=dict)
    claims: Claims | None = None
    mark: Mark | None = None
    finished: bool = False

    @property
    def by(self) -> str | None:
        """The operator who asks."""
        return self.claims.operator_id if self.claims is not None else None

    @property
    def account_id(self) -> str:
        """The account in which the operator acts."""
        assert self.claims is not None
        return self.claims.account_id

    def answer(self, answer: Answer) -> None:
        """End the call; a second answer is a bug and is dropped."""
        if not self.finished:
            self.finished = True
            headers = {**answer.headers, "x-request-id": self.request_id}
            self.done(Answer(answer.status, answer.body, headers, answer.close))

    def fail(self, fault: Fault, *, close: bool = False) -> None:
        """End the call with a refusal. Only codes and statuses that the route documents leave the platform."""
        self.answer(failure(fault, self.request_id, close=close))

    def ok(self, data: Any, *, status: int = 200, meta: Mapping[str, Any] | None = None, version: int | None = None) -> None:
        """End the call with data; on conditional routes with an `ETag`, and with 304 where the caller has this already."""
        if self.route.retold is not None:
            data = self.route.retold(data)
        if not self.route.conditional:
            self.answer(success(data, status=status, meta=meta))
            return
        digest = hashlib.sha256(msgspec.json.encode([data, meta])).hexdigest()[:ETAG_CHARS]
        etag = f'"v{version}.{digest}"' if version is not None else f'W/"{digest}"'
        if self.call.method in ("GET", "HEAD") and has_already(self.call.headers.get("if-none-match"), etag):
            self.answer(Answer(304, None, {"etag": etag}))
        else:
            self.answer(success(data, status=status, meta=meta, headers={"etag": etag}))

    def expected_version(self) -> int | None:
        """The version that `If-Match` names: None without the header, -1 if it names none of ours (which then conflicts)."""
        header = self.call.headers.get("if-match")
        if header is None or header.strip() == "*":
            return None
        versions = {_version_of(etag) for etag in _etags(header)}
        return next(iter(versions)) if len(versions) == 1 else -1


class ClosingFaultError(FaultError):
    """A refusal after which the connection is not worth keeping."""


def has_already(header: str | None, etag: str) -> bool:
    """Whether `If-None-Match` names this state, by the weak comparison that it asks for (RFC 9110, sections 8.8.3.2 and 13.1.2)."""
    if header is None:
        return False
    return header.strip() == "*" or etag.removeprefix("W/") in (each.removeprefix("W/") for each in _etags(header))


def _etags(header: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in header.split(",") if part.strip())


def _version_of(etag: str) -> int:
    number = etag.removeprefix('"v').partition(".")[0]
    return int(number) if etag.startswith('"v') and number.isascii() and number.isdigit() and len(number) < 10 else -1


def outcome_fault(outcome: Any) -> Fault | None:
    """The fault in an actor's answer, if it is one; an answer of None is a bug."""
    if outcome is None:
        return InternalFault("internal_error", "the platform gave no answer", 500)
    return outcome if isinstance(outcome, Fault) else None
