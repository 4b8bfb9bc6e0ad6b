"""Real daemons for tests: separate processes on loopback, with their own data folders and free ports."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

START_TIMEOUT_S = 30.0
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
        tls_port, operator_port = (_port(self.facts.get(key, ":0")) for key in ("public_url", "operator_url"))
        configuration = self.data.parent / f"{self.data.name}.toml"
        configuration.write_text(CONFIGURATION.format(tls_port=tls_port, operator_port=operator_port, more=self.more))
        command = [sys.executable, *self.launcher, "serve", "--data", str(self.data), "--config", str(configuration), "--json"]
        environment = {**os.environ, "PYTHONFAULTHANDLER": "1", **self.environment}
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, start_new_session=True)
        # SIGABRT, so that the log says where a daemon hangs that does not start.
        watchdog = threading.Timer(START_TIMEOUT_S, self.process.send_signal, (signal.SIGABRT,))
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

    def wait(self, timeout_s: float = 20.0) -> int:
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


def _port(url: str) -> int:
    return int(url.rsplit(":", 1)[1].rstrip("/"))


@contextlib.contextmanager
def daemons(folder: Path, *names: str, more: str = "") -> Iterator[tuple[Daemon, ...]]:
    """Started daemons with their first operators signed in; ended when the block is left."""
    made = tuple(Daemon(name, folder / name, more) for name in names)
    try:
        for daemon in made:
            daemon.start().login()
        yield made
    finally:
        for daemon in made:
            if daemon.running:
                daemon.kill()


def propose(daemon: Daemon, other: Daemon) -> tuple[str, str, str]:
    """Propose `other` on `daemon`; returns peer id, token and invitation."""
    reply = daemon.call("POST", PEERS, {"remote_instance_url": other.public_url, "spawn_role": "symmetric"})
    assert reply.status == 201, reply.body
    return reply.data["peer"]["id"], reply.data["acceptance_token"], reply.data["invitation"]


def poll(check: Any, timeout_s: float = 30.0, every_s: float = 0.05) -> Any:
    """The first true value of `check()`; fails after `timeout_s` of real time. For waiting on other processes only."""
    waited = threading.Event()
    rounds = int(timeout_s / every_s)
    for _ in range(rounds):
        found = check()
        if found:
            return found
        waited.wait(every_s)
    raise AssertionError(f"nothing after {timeout_s} s")


def copy_of(source: Path, destination: Path) -> Path:
    """A stopped platform's data folder, copied whole."""
    shutil.copytree(source, destination)
    return destination
