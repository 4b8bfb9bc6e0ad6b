"""Real daemons for tests: separate processes on loopback, with their own data folders and free ports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

PATIENCE_S = 120.0
"""How long is waited for what has to come. Only a failure costs it, so that it may be long enough for a machine with much else to do."""
LOG_LINES_SHOWN = 40
PEERS = "/api/v1/system/platform/peers"

CONFIGURATION = """\
[server]
listen = "127.0.0.1:{tls_port}"
operator_listen = "127.0.0.1:{operator_port}"

[log]
format = "json"

[federation]
allowed_networks = ["127.0.0.0/8"]
{more}
"""


@attrs.frozen
class Reply:
    """An HTTP answer; `body` is its JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def data(self) -> Any:
        return self.body["data"]


@attrs.define(eq=False)
class Daemon:
    """One platform. `start` may be called again after `stop` or `kill`; ports stay the same, as they would in production."""

    name: str
    data: Path
    more: str = ""
    launcher: Sequence[str] = ("-m", "api.cli")
    environment: Mapping[str, str] = attrs.field(factory=dict)
    process: subprocess.Popen[str] | None = None
    facts: dict[str, Any] = attrs.field(factory=dict)
    email: str = ""
    password: str = ""
    token: str = ""
    places: tuple[socket.socket, ...] = ()

    @property
    def url(self) -> str:
        return str(self.facts["operator_url"])

    @property
    def public_url(self) -> str:
        return str(self.facts["public_url"])

    @property
    def log_file(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def start(self) -> Daemon:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.facts and not self.places:
            self.places = (reserved_port(), reserved_port())
        tls_port, operator_port = self._ports()
        configuration = self.data.parent / f"{self.data.name}.toml"
        configuration.write_text(CONFIGURATION.format(tls_port=tls_port, operator_port=operator_port, more=self.more))
        command = [sys.executable, *self.launcher, "serve", "--data", str(self.data), "--config", str(configuration), "--json"]
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **self.environment}
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, start_new_session=True)
        STARTED.add(self)
        # SIGABRT, so that the log says where a daemon hangs that does not start.
        watchdog = threading.Timer(PATIENCE_S, self.process.send_signal, (signal.SIGABRT,))
        watchdog.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        watchdog.cancel()
        assert line, f"{self.name} did not start:\n{self.log_file.read_text()[-3000:]}"
        self.facts = json.loads(line)
        first = self.facts.get("first_operator")
        if first is not None:
            self.email, self.password = first["email"], first["password"]
        return self

    def login(self) -> Daemon:
        reply = self.call("POST", "/api/v1/auth/login", {"email": self.email, "password": self.password})
        assert reply.status == 200, reply.body
        self.token = reply.data["access_token"]
        return self

    def call(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, timeout_s: float = 60.0) -> Reply:
        request = urllib.request.Request(self.url + path, method=method)
        for name, value in {"Authorization": f"Bearer {self.token}", **(headers or {})}.items():
            request.add_header(name, value)
        raw = None
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, raw, timeout=timeout_s) as answer:
                return Reply(answer.status, json.loads(answer.read() or b"null"), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Reply(error.code, json.loads(error.read() or b"null"), dict(error.headers))

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.wait()

    def end(self) -> None:
        """Kill it if it runs, and let go of its ports; it is not started again."""
        if self.running:
            self.kill()
        for place in self.places:
            place.close()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        assert self.process is not None
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def statuses(self, peer_id: str) -> list[str]:
        """Every status that a peer has passed, from its audit chain."""
        trail = self.call("GET", f"{PEERS}/{peer_id}/audit_log?limit=200").data
        return [entry["payload"]["to"] for entry in trail if "to" in entry["payload"]]

    def status(self, peer_id: str) -> str:
        return str(self.call("GET", f"{PEERS}/{peer_id}").data["peer"]["status"])

    def _ports(self) -> tuple[int, int]:
        if self.places:
            tls, operator = (int(place.getsockname()[1]) for place in self.places)
            return tls, operator
        return _port(self.facts["public_url"]), _port(self.facts["operator_url"])


STARTED: weakref.WeakSet[Daemon] = weakref.WeakSet()


def logs_since(wall: float) -> Iterator[tuple[str, str]]:
    """Names of the daemons that run or have written since then, with the last lines of their logs."""
    for daemon in sorted(STARTED, key=lambda each: each.name):
        with contextlib.suppress(FileNotFoundError):
            if daemon.running or daemon.log_file.stat().st_mtime >= wall:
                yield daemon.name, "\n".join(daemon.log_file.read_text().splitlines()[-LOG_LINES_SHOWN:])


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].rstrip("/"))


def reserved_port() -> socket.socket:
    """Holds a port of this machine until it is closed: nobody is given it by chance, so that nobody listens there who does not ask for it.

    A daemon that has stopped would otherwise find its port taken now and then, and a port at which nothing is to be found would be
    somebody's.
    """
    held = socket.socket()
    # Whoever listens sets it, too (as every server does), which lets both bind the port as long as this socket does not listen.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


@contextlib.contextmanager
def started(*made: Daemon) -> Iterator[tuple[Daemon, ...]]:
    """The daemons started and their first operators signed in; ended when the block is left."""
    try:
        for daemon in made:
            daemon.start().login()
        yield made
    finally:
        for daemon in made:
            daemon.end()


@contextlib.contextmanager
def daemons(folder: Path, *names: str, more: str = "") -> Iterator[tuple[Daemon, ...]]:
    """As `started`, for ordinary daemons in folders of their own."""
    with started(*(Daemon(name, folder / name, more) for name in names)) as made:
        yield made


def propose(daemon: Daemon, other: Daemon) -> tuple[str, str, str]:
    """Propose `other` on `daemon`; returns peer id, token and invitation."""
    reply = daemon.call("POST", PEERS, {"remote_instance_url": other.public_url, "spawn_role": "symmetric"})
    assert reply.status == 201, reply.body
    return reply.data["peer"]["id"], reply.data["acceptance_token"], reply.data["invitation"]


def poll(check: Callable[[], Any], *, within_s: float = PATIENCE_S, every_s: float = 0.05) -> Any:
    """The first true value of `check()`. For waiting on other processes only.

    `within_s` is for what may well not come. Whoever waits for a certain value says so by `reaches`, whose failure names the value seen.
    """
    return _first(check, bool, within_s, every_s, "")


def reaches(read: Callable[[], Any], wanted: Any) -> None:
    """Wait until `read()` equals `wanted`. For waiting on other processes only."""
    _first(read, lambda seen: bool(seen == wanted), PATIENCE_S, 0.05, f" of {wanted!r}")


def both_active(a: Daemon, at_a: str, b: Daemon, at_b: str) -> None:
    """Wait until each of two peers is active at the other."""
    reaches(lambda: (a.status(at_a), b.status(at_b)), ("active", "active"))


def _first(read: Callable[[], Any], good: Callable[[Any], bool], within_s: float, every_s: float, what: str) -> Any:
    began, waited, rounds = time.monotonic(), threading.Event(), 0
    while True:
        seen, rounds = read(), rounds + 1
        if good(seen):
            return seen
        if time.monotonic() - began > within_s:
            raise AssertionError(f"nothing{what} in {within_s:g} s and {rounds} rounds; seen last: {seen!r}")
        waited.wait(every_s)


def copy_of(source: Path, destination: Path) -> Path:
    """A stopped platform's data folder, copied whole."""
    shutil.copytree(source, destination)
    return destination
