"""`powernode quickstart`: two platforms on this machine become peers and one reads what the other grants, through their public API.

Lives here: starting two daemons as separate processes, walking the runbook with the requests that an operator would send, and telling a
person what happened. Must not live here: a shortcut. Nothing is done that an operator could not do with curl.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import trio

from actors.limits import ACCESS_TOKEN_TTL_S
from api.durations import format_duration
from net.http_client import JsonReply, request_json
from runtime.clock import SystemClock

START_TIMEOUT_S = 30.0
ACTIVE_TIMEOUT_S = 90.0
POLL_S = 0.05
SHOWN_TOKEN_CHARS = 6
SECRET_FIELDS = frozenset({"acceptance_token", "invitation", "access_token", "refresh_token", "password", "bearer_token"})
_OF_A_GRANT = ("id", "remote_subject", "resource_kind", "resource_id", "permission_scopes", "state", "expires_at")
SHOWN: Mapping[str, tuple[str, ...]] = {
    "peer": (
        "id", "status", "remote_instance_url", "spawn_role", "spawn_mode", "trust_status", "last_handshake_at", "last_heartbeat_at",
    ),
    "grant": _OF_A_GRANT,
    "received_grant": _OF_A_GRANT,
    "resource": ("id", "kind", "attributes"),
    "operator": ("id", "email"),
}  # fmt: skip
"""What is printed of the objects in an answer."""
PEERS = "/api/v1/system/platform/peers"
MODULES = "/api/v1/system/platform/resources/NodeModule"

CONFIGURATION = """\
[server]
listen = "127.0.0.1:0"
operator_listen = "127.0.0.1:0"

[federation]
allowed_networks = ["127.0.0.0/8"]
"""


class QuickstartError(Exception):
    """A platform did not start, or a step did not go as the runbook says."""


@attrs.define(eq=False)
class Site:
    """One of the two platforms: its process, where it listens, and its operator's token."""

    name: str
    data: Path
    process: subprocess.Popen[str] | None = None
    public_url: str = ""
    operator_url: str = ""
    email: str = ""
    password: str = attrs.field(default="", repr=False)
    token: str = attrs.field(default="", repr=False)
    peer_id: str = ""
    statuses: list[str] = attrs.field(factory=list)

    @property
    def password_file(self) -> Path:
        """Where whoever keeps the platforms finds the operator's password, for `powernode login`."""
        return self.data / "first-operator-password"


@attrs.define(eq=False)
class Narrator:
    """Tells each step, to a person or as one JSON object per line."""

    as_json: bool
    number: int = 0
    clock: SystemClock = attrs.field(factory=SystemClock)
    started: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.started = self.clock.now()

    def step(self, title: str, why: str, exchanges: list[tuple[Site, str, str, Any, JsonReply]], sites: tuple[Site, Site]) -> None:
        """One step of the runbook with what was sent and what came back."""
        self.number += 1
        if self.as_json:
            self._as_json(title, exchanges, sites)
            return
        print(f"\n[{self.number}] {title}\n    {why}")
        for site, method, path, body, reply in exchanges:
            print(f"      {site.name}> {method} {site.operator_url}{path}")
            if body is not None:
                print(f"         {json.dumps(masked(body), ensure_ascii=False)}")
            print(f"         HTTP {reply.status}  {json.dumps(brief(reply.body), ensure_ascii=False)}")
        states = ", ".join(f"on {site.name}: {' -> '.join(site.statuses) or 'no peer yet'}" for site in sites)
        print(f"    status {states}", flush=True)

    def _as_json(self, title: str, exchanges: list[tuple[Site, str, str, Any, JsonReply]], sites: tuple[Site, Site]) -> None:
        calls = [
            {
                "on": site.name,
                "request": {"method": method, "url": site.operator_url + path, "body": masked(body)},
                "response": {"status": reply.status, "body": masked(reply.body)},
            }
            for site, method, path, body, reply in exchanges
        ]
        statuses = {site.name.lower(): list(site.statuses) for site in sites}
        print(json.dumps({"step": self.number, "title": title, "calls": calls, "statuses": statuses}), flush=True)

    @property
    def elapsed_s(self) -> float:
        return self.clock.now() - self.started


def masked(value: Any) -> Any:
    """JSON with every secret cut to its first characters."""
    if isinstance(value, Mapping):
        return {
            key: f"{entry[:SHOWN_TOKEN_CHARS]}…" if key in SECRET_FIELDS and isinstance(entry, str) else masked(entry)
            for key, entry in value.items()
        }
    return [masked(entry) for entry in value] if isinstance(value, list) else value


def brief(body: Mapping[str, Any]) -> Any:
    """What a person wants to see of an answer."""
    data = body.get("data")
    if not isinstance(data, Mapping):
        listed = ("id", "status", "last_heartbeat_at", "kind", "attributes")
        rows = [{key: row[key] for key in listed if key in row} for row in data] if isinstance(data, list) else None
        return rows if rows is not None else masked({key: body.get(key) for key in ("code", "error")})
    return {
        name: {key: value.get(key) for key in SHOWN[name]} if name in SHOWN and isinstance(value, Mapping) else value
        for name, value in masked(data).items()
    }


def run(*, keep: bool, as_json: bool) -> int:
    """Walk the runbook. Returns the exit code: 0 once both sides are active and one has read what the other grants.

    Raises:
        KeyboardInterrupt: Ctrl-C, or SIGTERM, before that. The platforms have been stopped.
    """
    # As if by Ctrl-C, which trio knows how to raise where nothing is half-done. A shell that starts a command in the background of a script
    # has it ignore that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    root = Path(tempfile.mkdtemp(prefix="powernode-quickstart-"))
    sites = (Site("A", root / "a"), Site("B", root / "b"))
    narrator = Narrator(as_json)
    try:
        for site in sites:
            start(site)
        for site in sites:
            wait_ready(site)
        peers = walked(narrator, sites)
        with contextlib.suppress(KeyboardInterrupt) if keep else contextlib.nullcontext():
            finish(narrator, sites, peers, keep=keep)
            if keep:
                wait_for_interrupt(sites)
    except QuickstartError as error:
        if as_json:
            print(json.dumps({"ok": False, "error": str(error)}))
        else:
            print(f"powernode quickstart: {error}", file=sys.stderr)
        return 1
    finally:
        stop(sites)
        shutil.rmtree(root, ignore_errors=True)
    return 0


def walked(narrator: Narrator, sites: tuple[Site, Site]) -> dict[str, Any]:
    """Walk the runbook in a trio run of its own; Ctrl-C is told as everywhere else, and not as one of a group."""
    try:
        return trio.run(walk, narrator, sites)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
    raise KeyboardInterrupt


def start(site: Site) -> None:
    """Start a daemon with a data folder and a certificate authority of its own."""
    site.data.mkdir(mode=0o700, parents=True)
    configuration = site.data / "powernode.toml"
    configuration.write_text(CONFIGURATION)
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(site.data), "--config", str(configuration), "--json"]
    log = (site.data / "log").open("w")
    site.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    log.close()


def wait_ready(site: Site) -> None:
    """Read what the daemon says of itself once it serves."""
    assert site.process is not None
    assert site.process.stdout is not None
    watchdog = _Watchdog(site.process)
    line = site.process.stdout.readline()
    watchdog.cancel()
    if not line:
        raise QuickstartError(f"platform {site.name} did not start: {(site.data / 'log').read_text()[-2000:].strip()}")
    facts = json.loads(line)
    site.public_url, site.operator_url = facts["public_url"], facts["operator_url"]
    site.email, site.password = facts["first_operator"]["email"], facts["first_operator"]["password"]
    site.password_file.touch(mode=0o600)
    site.password_file.write_text(site.password)


class _Watchdog:
    """Ends a process that does not become ready, so that reading its output ends."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._timer = threading.Timer(START_TIMEOUT_S, process.kill)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()


async def call(site: Site, method: str, path: str, body: Any = None, *, expect: int = 200) -> JsonReply:
    """One request as the site's operator.

    Raises:
        QuickstartError: another status than the runbook expects.
    """
    headers = {"authorization": f"Bearer {site.token}"} if site.token else {}
    reply = await request_json(method, site.operator_url + path, headers=headers, body=body, timeout_s=60.0)
    if reply.status != expect:
        told = f"{reply.body.get('code')}: {reply.body.get('error')}"
        raise QuickstartError(f"{method} {path} on {site.name} answered {reply.status}: {told}")
    return reply


async def walk(narrator: Narrator, sites: tuple[Site, Site]) -> dict[str, Any]:
    """The runbook: sign in, propose, hand over, register, accept, verify, become active; then grant, and read under the grant."""
    await sign_in(narrator, sites)
    token = await propose(narrator, sites)
    await register_and_accept(narrator, sites, token)
    peers = await become_active(narrator, sites)
    bearer = await grant(narrator, sites)
    await read(narrator, sites, bearer)
    return peers


async def sign_in(narrator: Narrator, sites: tuple[Site, Site]) -> None:
    exchanges = []
    for site in sites:
        body = {"email": site.email, "password": site.password}
        reply = await call(site, "POST", "/api/v1/auth/login", body)
        site.token = reply.body["data"]["access_token"]
        exchanges.append((site, "POST", "/api/v1/auth/login", body, reply))
    why = "Two sovereign platforms run, each with its own store, certificate authority and operator. Both operators sign in."
    narrator.step("Start two platforms", why, exchanges, sites)


async def propose(narrator: Narrator, sites: tuple[Site, Site]) -> str:
    a, b = sites
    body = {"remote_instance_url": b.public_url, "spawn_role": "symmetric", "spawn_mode": "out_of_band", "token_ttl_seconds": 604800}
    reply = await call(a, "POST", PEERS, body, expect=201)
    data = reply.body["data"]
    a.peer_id = data["peer"]["id"]
    a.statuses.append(data["peer"]["status"])
    why = "A registers B and gets a single-use acceptance token, shown once. B is not contacted."
    narrator.step("A proposes", why, [(a, "POST", PEERS, body, reply)], sites)
    shown = f"{data['acceptance_token'][:SHOWN_TOKEN_CHARS]}…"
    why = f"A's operator gives B's operator A's URL {a.public_url} and the token {shown}, out of band."
    narrator.step("The token changes hands", why, [], sites)
    return str(data["acceptance_token"])


async def register_and_accept(narrator: Narrator, sites: tuple[Site, Site], token: str) -> None:
    a, b = sites
    body = {"remote_instance_url": a.public_url, "spawn_role": "symmetric"}
    reply = await call(b, "POST", PEERS, body, expect=201)
    b.peer_id = reply.body["data"]["peer"]["id"]
    b.statuses.append(reply.body["data"]["peer"]["status"])
    narrator.step("B registers A", "B makes its own row for A; rows are never shared.", [(b, "POST", PEERS, body, reply)], sites)
    path = f"{PEERS}/{b.peer_id}/accept"
    accepted = await call(b, "POST", path, {"acceptance_token": token})
    for site in sites:
        await follow_statuses(site)
    why = "B calls A over TLS that the token pins, presents the token, and both sides exchange trust. The token is spent."
    narrator.step("B accepts with A's token", why, [(b, "POST", path, {"acceptance_token": token}, accepted)], sites)


async def follow_statuses(site: Site) -> str:
    """Every status that the peer has passed, from its audit trail; returns the newest."""
    trail = await call(site, "GET", f"{PEERS}/{site.peer_id}/audit_log?limit=200")
    site.statuses = [entry["payload"]["to"] for entry in trail.body["data"] if "to" in entry["payload"]]
    return site.statuses[-1]


async def become_active(narrator: Narrator, sites: tuple[Site, Site]) -> dict[str, Any]:
    with trio.move_on_after(ACTIVE_TIMEOUT_S):
        while {await follow_statuses(site) for site in sites} != {"active"}:
            await trio.sleep(POLL_S)  # another process is watched: there is no event to wait for
    exchanges, peers = [], {}
    for site in sites:
        reply = await call(site, "GET", PEERS)
        shown = await call(site, "GET", f"{PEERS}/{site.peer_id}")
        peers[site.name.lower()] = shown.body["data"]["peer"]
        exchanges.append((site, "GET", PEERS, None, reply))
    why = "The first heartbeat proves each side's key: accepted, enrolled, active."
    narrator.step("Heartbeats over mutual TLS make both active", why, exchanges, sites)
    for site in sites:
        if site.statuses[-1] != "active":
            raise QuickstartError(f"{site.name}'s peer is {site.statuses[-1]}: {peers[site.name.lower()].get('open_findings')}")
    return peers


async def grant(narrator: Narrator, sites: tuple[Site, Site]) -> str:
    a = sites[0]
    module = {"attributes": {"name": "nginx", "variety": "subscription", "current_version": 12}}
    made = await call(a, "POST", MODULES, module, expect=201)
    path = f"{PEERS}/{a.peer_id}/grants"
    body = {
        "remote_subject": "operator@platform-b.example.com", "resource_kind": "NodeModule", "resource_id": None,
        "permission_scopes": ["read"], "node_instance_ids": [], "sdwan_network_ids": [], "source_cidrs": [],
    }  # fmt: skip
    granted = await call(a, "POST", path, body, expect=201)
    why = "A's catalogue holds a module, and A grants B to read modules. The bearer is shown once; A keeps a digest of it."
    narrator.step("A grants B to read its modules", why, [(a, "POST", MODULES, module, made), (a, "POST", path, body, granted)], sites)
    return str(granted.body["data"]["bearer_token"])


async def read(narrator: Narrator, sites: tuple[Site, Site], bearer: str) -> None:
    b = sites[1]
    path, body = f"{PEERS}/{b.peer_id}/received_grants", {"bearer_token": bearer}
    kept = await call(b, "POST", path, body, expect=201)
    there = f"{PEERS}/{b.peer_id}/remote_resources/NodeModule"
    found = await call(b, "GET", there)
    if [row["attributes"]["name"] for row in found.body["data"]] != ["nginx"]:
        raise QuickstartError(f"B should read one module of A and read {found.body['data']}")
    why = "B keeps the bearer sealed and reads A's modules: certificate and bearer together, either alone is worth nothing."
    narrator.step("B reads A's modules", why, [(b, "POST", path, body, kept), (b, "GET", there, None, found)], sites)


def finish(narrator: Narrator, sites: tuple[Site, Site], peers: dict[str, Any], *, keep: bool) -> None:
    """The last word: the outcome, and with `keep` what a person needs to go on."""
    if narrator.as_json:
        last = {"ok": True, "seconds": round(narrator.elapsed_s, 3), **peers}
        kept = {"kept": {site.name.lower(): kept_site(site) for site in sites}} if keep else {}
        print(json.dumps({**last, **kept}), flush=True)
        return
    print(f"\nBoth sides are active, and B reads what A grants, after {narrator.elapsed_s:.1f} s.")
    if keep:
        for site in sites:
            print(f"\n  {site.name}: {site.operator_url} (operators), {site.public_url} (peers)")
            print(f"     export POWERNODE_URL={site.operator_url}")
            print(f"     export POWERNODE_TOKEN={site.token}")
            print(f"     or, for longer than {format_duration(ACCESS_TOKEN_TTL_S)}: unset POWERNODE_TOKEN;")
            print(f"     powernode login {site.email} --password-file {site.password_file}")
        print(
            "\nTry `powernode peers list` and `powernode grants list PEER`. Ctrl-C stops both platforms and removes their data.", flush=True
        )


def kept_site(site: Site) -> dict[str, str]:
    """What a program needs to go on with a platform: the token for a quarter of an hour, and the file with the password for longer."""
    return {
        "public_url": site.public_url, "operator_url": site.operator_url, "token": site.token,
        "email": site.email, "password_file": str(site.password_file),
    }  # fmt: skip


def wait_for_interrupt(sites: tuple[Site, Site]) -> None:
    """Keep the platforms until Ctrl-C or SIGTERM.

    Raises:
        KeyboardInterrupt: one of them has come.
        QuickstartError: a platform has ended by itself.
    """
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        for site in sites:
            if ended is not None and site.process is not None and site.process.pid == ended.si_pid:
                raise QuickstartError(f"platform {site.name} has ended: {(site.data / 'log').read_text()[-2000:].strip()}")


def stop(sites: tuple[Site, Site]) -> None:
    """End both daemons in good order, or at once if they do not answer."""
    for site in sites:
        if site.process is not None:
            site.process.terminate()
    for site in sites:
        if site.process is not None:
            try:
                site.process.wait(timeout=15.0)
            except subprocess.TimeoutExpired:
                site.process.kill()
                site.process.wait()
