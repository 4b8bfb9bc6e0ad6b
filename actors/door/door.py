"""The door itself: from a `Call` to exactly one `Answer`.

Lives here: matching, authentication of operators, permissions, bodies and queries, idempotency keys. Must not live here: a rule of a
single route (`actors.door.families` lists what answers them), or any I/O. Both levels of the simulator and the daemon go through this
class, so a check that is missing here is missing everywhere.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from actors.continuity.record import FROZEN_HERE, ContinuityRecord, frozen_by
from actors.continuity.record import KIND as CONTINUITY
from actors.contract import record as contract
from actors.door import shapes
from actors.door.access import AccessLine, through_logging
from actors.door.call import Answer, Call, failure
from actors.door.grants.decisions import Decisions
from actors.door.grants.uses import Uses
from actors.door.proxies import Trusted, as_seen
from actors.door.rate_limits import Blocks, RateLimits, source_key
from actors.door.request import ClosingFaultError, Request, outcome_fault
from actors.door.resources.shown import Shown
from actors.door.routes import BY_NAME, Match, NoMatch, match
from actors.homecoming.record import IN_QUESTION_THERE, unanswered
from actors.homecoming.record import KIND as HOMECOMING
from actors.hub.routing import hands_over
from actors.idempotency import record as idempotency
from actors.limits import IDEMPOTENCY_KEY_CHARS_MAX
from actors.operator.actor import TOKEN_AUDIENCE
from actors.operator.permissions import satisfies
from actors.operator.record import KIND as OPERATOR
from actors.operator.record import session_valid
from actors.operator_tokens import Claims, verify_access_token
from actors.schema_rule.record import KIND as SCHEMA_RULE
from actors.schema_rule.record import to_matrix_row
from actors.schema_versions import MatrixRow
from actors.settings import Settings
from runtime.actor import Ref
from runtime.engine import Engine
from runtime.errors import Fault, FaultError, InternalFault, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query
from runtime.values import Value

log = logging.getLogger("powernode.door")

TOKENS_REMEMBERED = 1_024
REQUEST_ID_CHARS_MAX = 64
BEARER = "bearer "
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{REQUEST_ID_CHARS_MAX}}}")

_Read = TypeVar("_Read")

NOT_THROUGH_A_HUB = OperatorFault("not_found", "only the federation API is served here, and only through a hub of ours", 404)

Handler = Callable[["Door", Request], None]


class Stream(Value, frozen=True):
    """One operator's leave to follow events."""

    door: Door
    call: Call
    claims: Claims

    @property
    def account_id(self) -> str | None:
        """Whose events are shown."""
        return self.claims.account_id

    def remaining_s(self) -> float:
        """Seconds until the leave ends; 0 once the token has expired or the session, the operator or the permission is gone."""
        if isinstance(self.door.authorize_stream(self.call), Answer):
            return 0.0
        return self.claims.expires_at - self.door.engine.clock.wall()


class Door:
    """Answers calls on behalf of one platform.

    Args:
        engine: the platform's actors.
        token_key_pem: public key of operators' access tokens.
        handlers: what answers each route, by the route's name.
    """

    def __init__(self, engine: Engine, settings: Settings, token_key_pem: bytes, handlers: Mapping[str, Handler]) -> None:
        self.engine = engine
        self.settings = settings
        self.chance = engine.randomness.stream("door")
        self.cursor_key = engine.randomness.token_bytes(32)
        self.rate_limits = RateLimits(salt=engine.randomness.token_bytes(32))
        self.blocks = Blocks(settings.federation.accept_block_after, settings.federation.accept_block_s)
        self.decisions = Decisions()
        self.uses = Uses(engine)
        self.shown = Shown()
        self.access_line: AccessLine = through_logging
        self.newest_contract = max(version.version for version in contract.supported())
        self.proxies = Trusted.of(settings.federation.trusted_proxies)
        self._token_key_pem = token_key_pem
        self._tokens: OrderedDict[bytes, Claims] = OrderedDict()
        self._underway: dict[str, list[Callable[[], None]]] = {}
        self._read: dict[tuple[str, str], tuple[int, Any]] = {}
        self._handlers = dict(handlers)

    @property
    def deadline_s(self) -> float:
        """How long a request may take."""
        return self.settings.federation.request_deadline_s

    # --- one call ------------------------------------------------------------------------------------------------

    def handle(self, call: Call, done: Callable[[Answer], None]) -> None:
        """Answer the call through `done`, exactly once: at once, or when an actor has decided."""
        now, wall = self.engine.clock.now(), self.engine.clock.wall()
        request_id = request_id_in(call.headers.get("x-request-id")) or uuid7(wall, self.chance)
        if self.proxies.fingerprints:
            seen = as_seen(call, self.proxies, wall)
            if isinstance(seen, Fault):
                done(failure(seen, request_id))
                return
            call = seen
        found = match(call.method, call.path)
        if isinstance(found, NoMatch):
            done(found.answer(request_id))
            return
        request = Request(found.route, found.parameters, call, request_id, now, wall, done)
        self._answered(request, lambda: self._admit(request, found))

    def _answered(self, request: Request, serve: Callable[[], None]) -> None:
        """Run a step of serving the request; whatever it raises becomes the request's answer."""
        try:
            serve()
        except FaultError as error:
            request.fail(error.fault, close=isinstance(error, ClosingFaultError))
        except Exception:
            log.exception("a call failed", extra={"route": request.route.name, "request_id": request.request_id})
            request.fail(InternalFault("internal_error", "the platform failed on this request", 500))

    def _admit(self, request: Request, found: Match) -> None:
        route, hub_id = found.route, request.call.source.relayed_by
        if hub_id and (route.face != "federation" or not hands_over(self.engine.directory, hub_id, request.wall)):
            raise ClosingFaultError(NOT_THROUGH_A_HUB)
        if route.face == "federation":
            if request.call.source.face != "tls":
                raise FaultError(OperatorFault("not_found", "the federation API is served on the TLS port only", 404))
            self._handlers[route.name](self, request)
            return
        if route.face == "operator":
            request.claims = self.authenticate(request.call.headers, request.wall)
            if route.permission is not None:
                self.require(request.claims, route.permission)
            if route.opens_trust:
                self.refuse_while_frozen(FROZEN_HERE)
        if route.face == "worker":
            self._check_worker(request.call.headers)
        if route.query and route.reads_query:
            request.query = shapes.read_query(route.query, request.call.query)
        if route.body is not None:
            request.body = self.read_body(request)
        key = request.call.headers.get("idempotency-key")
        if key is not None and route.idempotent:
            self._once(request, key)
        else:
            self._handlers[route.name](self, request)

    def read_body(self, request: Request) -> Mapping[str, Any]:
        """The body as its shape reads it.

        Raises:
            FaultError: with every problem in it.
        """
        route, call = request.route, request.call
        assert route.body is not None
        return shapes.read_body(route.body, call.body, call.headers.get("content-type"), route.body_bytes_max)

    # --- operators -----------------------------------------------------------------------------------------------

    def authenticate(self, headers: Mapping[str, str], wall: float) -> Claims:
        """The operator behind an access token whose session still lives.

        Raises:
            FaultError: `unauthenticated`.
        """
        header = headers.get("authorization", "")
        if header[: len(BEARER)].lower() != BEARER:
            raise FaultError(_unauthenticated("send an access token as `Authorization: Bearer`; `powernode login` gets one"))
        token = header[len(BEARER) :].strip()
        claims = self._claims(token, wall)
        row = self.engine.directory.row(OPERATOR.name, claims.operator_id)
        reason = "unknown_operator" if row is None else session_valid(row.record, claims, wall)
        if reason is not None:
            raise FaultError(_unauthenticated("this session has ended; sign in again", reason))
        return claims

    def _check_worker(self, headers: Mapping[str, str]) -> None:
        """Let only the scheduler pass whose token the platform was given. Without one, nobody passes; both cost the same.

        Raises:
            FaultError: `worker_token_invalid`.
        """
        shown = hashlib.sha256(headers.get("x-worker-token", "").encode("utf-8", "surrogatepass")).hexdigest()
        known = self.settings.worker_token_digest
        if not hmac.compare_digest(shown, known or "-" * len(shown)):
            raise FaultError(OperatorFault("worker_token_invalid", "this is not the token of this platform's worker", 401))

    def _claims(self, token: str, wall: float) -> Claims:
        # A verified signature stays verified; everything that time or an operator can change is checked on each call.
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._tokens.get(digest)
        if known is not None and wall < known.expires_at:
            self._tokens.move_to_end(digest)
            return known
        issuer = self.settings.identity.instance_id
        claims = verify_access_token(token, self._token_key_pem, now=wall, issuer=issuer, audience=TOKEN_AUDIENCE)
        if isinstance(claims, str):
            raise FaultError(_unauthenticated("the access token is not valid; sign in again", claims))
        self._tokens[digest] = claims
        if len(self._tokens) > TOKENS_REMEMBERED:
            self._tokens.popitem(last=False)
        return claims

    def permits(self, claims: Claims, permission: str) -> bool:
        """Whether the operator holds the permission now."""
        row = self.engine.directory.row(OPERATOR.name, claims.operator_id)
        return row is not None and satisfies(row.record.permissions, permission)

    def require(self, claims: Claims, permission: str) -> None:
        """Let nobody pass who does not hold the permission.

        Raises:
            FaultError: `forbidden`.
        """
        if not self.permits(claims, permission):
            raise FaultError(OperatorFault("forbidden", f"this needs the permission {permission}", 403, {"permission": permission}))

    def authorize_stream(self, call: Call) -> Stream | Answer:
        """Leave to follow events, for as long as the session lives; or the refusal."""
        route = BY_NAME["stream_events"]
        try:
            if call.source.relayed_by:
                raise FaultError(NOT_THROUGH_A_HUB)
            claims = self.authenticate(call.headers, self.engine.clock.wall())
            if route.permission is not None:
                self.require(claims, route.permission)
        except FaultError as error:
            return failure(error.fault, call.headers.get("x-request-id", ""))
        return Stream(self, call, claims)

    # --- idempotency ---------------------------------------------------------------------------------------------

    def _once(self, request: Request, key: str) -> None:
        """Answer a repeated request as the first one was answered; requests of one key take turns."""
        if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
            message = f"Idempotency-Key takes 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters"
            raise FaultError(OperatorFault("invalid_parameter", message, 400, {"field": "Idempotency-Key"}))
        scope = f"{request.route.name} {request.call.path}"
        mark = idempotency.mark(request.by or "", scope, key, request.call.body)
        waiting = self._underway.get(mark.id)
        if waiting is not None:
            waiting.append(lambda: self._once_again(request, mark))
            return
        self._once_again(request, mark)

    def _once_again(self, request: Request, mark: idempotency.Mark) -> None:
        row = self.engine.directory.row(idempotency.KIND.name, mark.id)
        if row is not None and row.record.expires_at > request.wall:
            if row.record.request_digest != mark.request_digest:
                request.fail(OperatorFault("idempotency_key_reused", "this Idempotency-Key was used for another request", 409))
            else:
                request.ok(row.record.body, status=row.record.status)
            self._release(mark.id)
            return
        self._underway.setdefault(mark.id, [])
        done = request.done

        def finished(answer: Answer) -> None:
            done(answer)
            self._release(mark.id)

        request.done = finished
        request.mark = mark
        self._answered(request, lambda: self._handlers[request.route.name](self, request))

    def _release(self, mark_id: str) -> None:
        waiting = self._underway.pop(mark_id, None)
        if waiting:
            first, *rest = waiting
            self._underway[mark_id] = rest
            first()

    # --- shared by handlers --------------------------------------------------------------------------------------

    def relay(
        self,
        request: Request,
        ref: Ref,
        message: Any,
        answered: Callable[[Any], None],
        *,
        refused: Callable[[Fault], Fault] = lambda fault: fault,
        deadline_s: float | None = None,
    ) -> None:
        """Ask an actor on behalf of a request: a fault ends the request, anything else goes to `answered`, which ends it.

        Args:
            refused: says the actor's refusal in the words of the route.
            deadline_s: how long to wait; by default what a request may take.
        """

        def done(outcome: Any) -> None:
            fault = outcome_fault(outcome)
            if fault is not None:
                request.fail(refused(fault))
                return
            self._answered(request, lambda: answered(outcome))

        self.engine.ask(ref, message, self.deadline_s if deadline_s is None else deadline_s, done)

    def rate_limited(self, wait_s: float) -> OperatorFault:
        """The refusal of a call that came too soon."""
        return OperatorFault("rate_limited", "too many requests; wait and try again", 429, retry_after_s=max(wait_s, 0.001))

    def limit(self, name: str, key: str, now: float) -> None:
        """Take a token from the bucket `name` of `key`.

        Raises:
            FaultError: `rate_limited`.
        """
        wait_s = self.rate_limits.take(f"{name} {key}", self.settings.federation.rate_limits[name], now)
        if wait_s is not None:
            raise FaultError(self.rate_limited(wait_s))

    def limit_source(self, name: str, request: Request) -> None:
        """`limit`, by the address of the caller."""
        self.limit(name, source_key(request.call.source.address), request.now)

    def schema_rules(self, account_id: str) -> tuple[MatrixRow, ...]:
        """What the account's operators decided about pairs of versions."""

        def read() -> tuple[MatrixRow, ...]:
            query = Query(SCHEMA_RULE.name, ((Condition("account_id", "=", account_id),),))
            return tuple(to_matrix_row(row.record) for row in self.engine.store.query(query))

        return self.remembered(SCHEMA_RULE.name, account_id, read)

    @property
    def continuity(self) -> ContinuityRecord | None:
        """What is known of this platform's own past; most platforms have no such row."""
        id = self.settings.identity.instance_id

        def read() -> ContinuityRecord | None:
            row = self.engine.directory.row(CONTINUITY.name, id)
            return row.record if row is not None else None

        return self.remembered(CONTINUITY.name, id, read)

    @property
    def frozen(self) -> bool:
        """Whether trust is frozen now."""
        return frozen_by(self.continuity, self.settings.identity) is not None

    def refuse_while_frozen(self, fault: OperatorFault | InternalFault) -> None:
        """Let nothing pass while trust is frozen.

        Raises:
            FaultError: it is.
        """
        if self.frozen:
            raise FaultError(fault)

    def refuse_while_in_question(self, account_id: str) -> None:
        """Show nothing of a catalogue while records of it may have moved to peers that have not been heard since a restore.

        Raises:
            FaultError: `resource_in_question`.
        """
        if self.remembered(HOMECOMING.name, account_id, lambda: unanswered(account_id, self.engine.store.query)):
            raise FaultError(IN_QUESTION_THERE)

    def remembered(self, kind: str, key: str, read: Callable[[], _Read]) -> _Read:
        """What `read` makes of rows of this kind; read anew when one of them may have changed. `key`: one of few, and ours."""
        version = self.engine.directory.version(kind)
        known = self._read.get((kind, key))
        if known is None or known[0] != version:
            known = self._read[kind, key] = (version, read())
        found: _Read = known[1]
        return found


def request_id_in(header: str | None) -> str | None:
    """The caller's own id for this request, if it is fit for logs."""
    return header if header is not None and _REQUEST_ID.fullmatch(header) else None


def _unauthenticated(message: str, reason: str | None = None) -> OperatorFault:
    return OperatorFault("unauthenticated", message, 401, {"reason": reason} if reason else {})
