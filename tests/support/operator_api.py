"""A daemon for the command line's tests: canned answers behind the real route table.

Every request is checked against the table, its body and query against their shapes, so that a command that asks for something the
daemon does not offer fails here too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
from click.testing import CliRunner, Result
from trio.testing import MockClock

from actors.door import routes
from actors.door.shapes import read_body, read_query
from api.cli.application import Application
from api.cli.event_stream import EventsLost, Frame
from api.cli.root import cli
from api.cli.transport import Exchange, TransportFailed
from runtime.secret import Secret

WALL = 1_795_000_000.0
PEER_ID = "0190e1c4-0000-7000-8000-000000000001"
OTHER_ID = "0190e1c4-1111-7000-8000-000000000002"
TOKEN = "token-of-the-test"


def peer(**changes: Any) -> dict[str, Any]:
    """A summary as the daemon gives it."""
    return {
        "id": PEER_ID,
        "remote_instance_url": "https://platform-b.example.com",
        "peer_kind": "platform",
        "status": "active",
        "status_since": None,
        "status_reason": None,
        "trust_status": "established",
        "last_heartbeat_at": None,
        **changes,
    }


def refused(status: int, code: str, message: str = "it was refused", **details: Any) -> Exchange:
    """A refusal in its envelope."""
    body = {"success": False, "error": message, "code": code, "details": details, "request_id": "request-1"}
    return Exchange(status, {}, body)


def listing(rows: Iterable[Mapping[str, Any]], **meta: Any) -> Exchange:
    """A page of a list in its envelope."""
    found = list(rows)
    return Exchange(200, {}, {"success": True, "data": found, "meta": {"count": len(found), **meta}})


def granted(data: Any, **headers: str) -> Exchange:
    """A success in its envelope."""
    return Exchange(200, headers, {"success": True, "data": data})


@attrs.frozen
class Request:
    """One request as it arrived."""

    name: str
    path: str
    query: Mapping[str, str]
    body: Any
    headers: Mapping[str, str]


class SystemTime:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return WALL


@attrs.define
class OperatorApi:
    """Answers by route name: an exchange, an exception, or a list of them that is used up, the last one staying."""

    answers: dict[str, Any] = attrs.field(factory=dict)
    requests: list[Request] = attrs.field(factory=list)
    streams: list[list[Frame]] = attrs.field(factory=list)
    cursors: list[int | None] = attrs.field(factory=list)
    url: str = "http://127.0.0.1:3000"
    interactive: bool = False

    async def transport(
        self, method: str, url: str, *, headers: Mapping[str, str], body: Mapping[str, Any] | None, timeout_s: float, ca_pem: str | None
    ) -> Exchange:
        parts = urlsplit(url)
        found = routes.match(method, parts.path)
        assert isinstance(found, routes.Match), f"the daemon has no {method} {parts.path}"
        query = dict(parse_qsl(parts.query))
        if found.route.reads_query:
            read_query(found.route.query, query)
        if body is not None:
            assert found.route.body is not None, f"{found.route.name} takes no body"
            read_body(found.route.body, json.dumps(body).encode(), "application/json")
        self.requests.append(Request(found.route.name, parts.path, query, body, dict(headers)))
        answer = self.answers[found.route.name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Exchange)
        return answer

    @asynccontextmanager
    async def events(self, url: str, *, token: Secret, cursor: int | None, ca_pem: str | None) -> AsyncIterator[AsyncIterator[Frame]]:
        self.cursors.append(cursor)
        if not self.streams:
            raise EventsLost("no stream")
        frames = self.streams.pop(0)

        async def given() -> AsyncIterator[Frame]:
            for frame in frames:
                yield frame

        yield given()

    def named(self, name: str) -> list[Request]:
        """The requests of one route."""
        return [request for request in self.requests if request.name == name]

    def application(self) -> Application:
        """What a command is given in place of the real doors."""
        return Application(
            url=self.url,
            clock=SystemTime(),
            transport=self.transport,
            events=self.events,
            trio_clock=MockClock(autojump_threshold=0),
            interactive=lambda: self.interactive,
        )


Run = Callable[..., Result]


def runner(api: OperatorApi, home: Path, token: str | None = TOKEN) -> Run:
    """Runs commands against `api`, with an own configuration directory and, unless None, a token in the environment."""

    def run(*arguments: str, input: str | None = None, env: Mapping[str, str | None] | None = None) -> Result:
        variables: dict[str, str | None] = {
            **dict.fromkeys(("POWERNODE_URL", "POWERNODE_CA_FILE", "POWERNODE_DATA", "POWERNODE_CONFIG")),
            "XDG_CONFIG_HOME": str(home),
            "POWERNODE_TOKEN": token,
            **(env or {}),
        }
        return CliRunner().invoke(cli, arguments, obj=api.application(), input=input, env=variables, prog_name="powernode")

    return run


def lines(result: Result) -> Iterator[Any]:
    """The JSON values on standard output, one per line."""
    return (json.loads(line) for line in result.stdout.splitlines())


__all__ = [
    "OTHER_ID",
    "PEER_ID",
    "TOKEN",
    "WALL",
    "OperatorApi",
    "TransportFailed",
    "granted",
    "lines",
    "listing",
    "peer",
    "refused",
    "runner",
]
