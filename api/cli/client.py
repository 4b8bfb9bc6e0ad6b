"""Requests of commands to the daemon: authentication, envelopes, pages, and the way from an error to an exit code.

Lives here: `Client`. Must not live here: HTTP (see `transport`), what commands ask for, or what they print.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import attrs

from api.cli.application import Application
from api.cli.failures import Exit, Failure, exit_for
from api.cli.sessions import Session, SessionFile
from api.cli.transport import Exchange, TransportFailed
from runtime.secret import Secret

API: Final = "/api/v1/system"
ROOT: Final = "/api/"
AUTH: Final = "/api/v1/auth"
# An operator request may take 45 s at the daemon; a little more, so that its own answer arrives instead of our timeout.
REQUEST_TIMEOUT_S: Final = 50.0
REFRESH_AHEAD_S: Final = 30.0
PAGE: Final = 200

_TRANSPORT_CODES: Final = {
    "unreachable": "daemon_unreachable",
    "timeout": "daemon_timeout",
    "untrusted": "daemon_untrusted",
    "not_json": "daemon_error",
}


@attrs.frozen
class Reply:
    """A successful answer: `data` and `meta` of the envelope, and the headers in lower case."""

    data: Any
    meta: Mapping[str, Any]
    headers: Mapping[str, str]


def segment(text: str) -> str:
    """`text` as one segment of a path."""
    return quote(text, safe="")


class Client:
    """An operator's view of one daemon. Async methods carry the work; `get`, `post`, `patch` and `pages` run them."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.url = _checked_url(application.url)
        self._sessions = SessionFile(application.config_dir())

    # --- For plain commands -----------------------------------------------------------------------------------------

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Reply:
        return self.application.run(self.request, "GET", path, None, query)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One call; None sends no body, for routes that take none or need nothing."""
        return self.application.run(self.request, "POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any], *, etag: str | None = None) -> Reply:
        headers = {} if etag is None else {"if-match": etag}
        return self.application.run(self.request, "PATCH", path, body, None, headers)

    def pages(self, path: str, query: Mapping[str, object] | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """All rows of a list, or the first `limit` of them, whatever the number of pages."""
        return self.application.run(self.all_pages, path, query, limit)

    # --- Requests ---------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One authenticated request, under the operator API or to a path from the root; an access token that has just expired is renewed.

        Raises:
            Failure: with the exit code that the command should end with.
        """
        url = self.url + (path if path.startswith(ROOT) else API + path) + _query(query)
        token = await self.bearer()
        exchange = await self._exchange(method, url, body, {**(headers or {}), "authorization": f"Bearer {token.reveal()}"})
        if exchange.status == 401 and self.application.given_token() is None:
            token = await self.bearer(refused=token)
            exchange = await self._exchange(method, url, body, {**(headers or {}), "authorization": f"Bearer {token.reveal()}"})
        return _unwrapped(exchange)

    async def all_pages(self, path: str, query: Mapping[str, object] | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor: object = None
        while True:
            page = PAGE if limit is None else min(PAGE, limit - len(rows))
            reply = await self.request("GET", path, None, {**(query or {}), "limit": page, "cursor": cursor})
            found = _rows(reply.data)
            rows += found
            # A page may be empty though more follows: a filter looks at so many rows for one page and no more.
            former, cursor = cursor, reply.meta.get("next_cursor")
            if not cursor or cursor == former or (limit is not None and len(rows) >= limit):
                return rows[:limit]

    async def anonymous(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """One request without a credential, to a path from the root."""
        return _unwrapped(await self._exchange(method, self.url + path, body, {}))

    async def plain(self, path: str) -> Exchange:
        """GET a path from the root that answers outside the envelope, whatever its status."""
        return await self._exchange("GET", self.url + path, None, {})

    async def _exchange(self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> Exchange:
        try:
            return await self.application.transport(
                method, url, headers=headers, body=body, timeout_s=REQUEST_TIMEOUT_S, ca_pem=self.application.ca_pem()
            )
        except TransportFailed as error:
            exit_code = Exit.FAILURE if error.reason == "not_json" else Exit.UNREACHABLE
            raise Failure(_TRANSPORT_CODES[error.reason], f"{self.url}: {error}", exit_code) from error

    # --- Who is asking ----------------------------------------------------------------------------------------------

    async def bearer(self, *, refused: Secret | None = None) -> Secret:
        """The token to present; `refused` is one of ours that the daemon no longer takes."""
        given = self.application.given_token()
        if given is not None:
            return Secret(given)
        session = self._sessions.load(self.url)
        if session is None:
            raise Failure("not_logged_in", f"no operator is logged in at {self.url}", Exit.DENIED)
        if self._usable(session, refused):
            return session.access_token
        with self._sessions.lock():
            # Another command may have renewed it while we waited for the lock.
            session = self._sessions.load(self.url) or session
            if not self._usable(session, refused):
                session = await self._refreshed(session)
            return session.access_token

    def _usable(self, session: Session, refused: Secret | None) -> bool:
        return session.expires_at - REFRESH_AHEAD_S > self.application.clock.wall() and session.access_token != refused

    async def _refreshed(self, session: Session) -> Session:
        try:
            reply = await self.anonymous("POST", f"{AUTH}/refresh", {"refresh_token": session.refresh_token.reveal()})
        except Failure as failure:
            if failure.exit_code == Exit.DENIED:
                self._sessions.save(self.url, None)
                raise Failure("not_logged_in", f"the session at {self.url} has ended", Exit.DENIED) from failure
            raise
        fresh = _session(reply.data, session.email, self.application.clock.wall())
        self._sessions.save(self.url, fresh)
        return fresh

    async def log_in(self, email: str, password: Secret, *, keep: bool) -> tuple[Session, Mapping[str, Any]]:
        """Exchange a password for a session, and store it if `keep`; also the operator's own record."""
        try:
            reply = await self.anonymous("POST", f"{AUTH}/login", {"email": email, "password": password.reveal()})
        except Failure as failure:
            if failure.exit_code == Exit.DENIED:
                raise Failure("login_failed", failure.message, Exit.DENIED, request_id=failure.request_id) from failure
            raise
        session = _session(reply.data, email, self.application.clock.wall())
        if keep:
            with self._sessions.lock():
                self._sessions.save(self.url, session)
        operator = reply.data.get("operator")
        return session, operator if isinstance(operator, Mapping) else {}

    async def log_out(self) -> bool:
        """End the stored session at the daemon and forget it; False if there was none. It is forgotten even if the daemon is away."""
        with self._sessions.lock():
            session = self._sessions.load(self.url)
            if session is None:
                return False
            self._sessions.save(self.url, None)
        headers = {"authorization": f"Bearer {session.access_token.reveal()}"}
        await self._exchange("POST", f"{self.url}{AUTH}/logout", {}, headers)
        return True


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or parts.username is not None or parts.query or parts.fragment:
        raise Failure("invalid_url", "--url must be a plain http or https URL of the daemon, as in http://127.0.0.1:3000", Exit.USAGE)
    if parts.scheme == "http" and not _is_loopback(host):
        raise Failure(
            "insecure_url", "http would carry your token over the network unprotected; use https for a host elsewhere", Exit.USAGE
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _query(query: Mapping[str, object] | None) -> str:
    pairs = [(name, str(value)) for name, value in (query or {}).items() if value is not None]
    return f"?{urlencode(pairs)}" if pairs else ""


def _rows(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise Failure("daemon_error", "the answer holds no list of objects", Exit.FAILURE)
    return data


def _session(data: Any, email: str, now: float) -> Session:
    try:
        return Session(Secret(data["access_token"]), Secret(data["refresh_token"]), now + float(data["expires_in"]), email)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Failure("daemon_error", "the answer to the login holds no usable tokens", Exit.FAILURE) from None


def _unwrapped(exchange: Exchange) -> Reply:
    body = exchange.body
    if exchange.status == 204:
        return Reply(None, {}, exchange.headers)
    if not isinstance(body, Mapping) or not isinstance(body.get("success"), bool):
        raise Failure(
            "daemon_error", f"the answer (HTTP {exchange.status}) is not one of this API", exit_for(exchange.status, "daemon_error")
        )
    if body["success"] and exchange.status < 400:
        meta = body.get("meta")
        return Reply(body.get("data"), meta if isinstance(meta, Mapping) else {}, exchange.headers)
    code, details = str(body.get("code") or "unknown_error"), body.get("details")
    retry_after = exchange.headers.get("retry-after", "")
    raise Failure(
        code,
        str(body.get("error") or f"HTTP {exchange.status}"),
        exit_for(exchange.status, code),
        details=details if isinstance(details, Mapping) else None,
        request_id=str(body["request_id"]) if body.get("request_id") else None,
        retry_after_s=int(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
    )
