"""The life of the daemon as its operator knows it: start, one process for each folder, health, the two ports, stop, and start again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio

from actors.door.routes import ROUTES
from tests.support.daemons import CONFIGURATION, PATIENCE_S, PEERS, Daemon, both_active, daemons, poll, propose
from tests.support.event_follower import all_events, read_events

pytestmark = pytest.mark.e2e

OPERATORS = "/api/v1/system/operators"


def serve(data: Path, *flags: str, more: str = "", tls_port: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `powernode serve`, which is expected to end by itself."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    configuration = data.parent / f"{data.name}-alone.toml"
    configuration.write_text(CONFIGURATION.format(tls_port=tls_port, operator_port=0, more=more))
    command = [sys.executable, "-m", "api.cli", "serve", "--data", str(data), "--config", str(configuration), "--json", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def refused(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """The one object that a daemon which does not start says on standard error."""
    assert done.returncode != 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    found: dict[str, object] = json.loads(done.stderr.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with daemons(tmp_path_factory.mktemp("life"), "a") as (made,):
        yield made


def test_a_second_process_on_the_folder_is_refused(daemon: Daemon) -> None:
    assert daemon.process is not None
    failure = refused(serve(daemon.data))
    assert failure["code"] == "cannot_start"
    assert f"in use by process {daemon.process.pid}" in str(failure["error"])
    assert daemon.call("GET", "/health/ready").status == 200


def test_a_port_that_is_taken_is_refused_by_name(daemon: Daemon, tmp_path: Path) -> None:
    port = int(daemon.public_url.rpartition(":")[2])
    failure = refused(serve(tmp_path / "other", tls_port=port))
    assert failure["code"] == "cannot_start"
    assert "in use" in str(failure["error"])


def test_health_is_public_and_tells_only_verdicts(daemon: Daemon) -> None:
    anonymous = {"Authorization": ""}
    live = daemon.call("GET", "/health/live", headers=anonymous)
    ready = daemon.call("GET", "/health/ready", headers=anonymous)
    assert (live.status, live.body) == (200, {"status": "live"})
    assert ready.status == 200
    assert ready.body["status"] == "ready"
    assert set(ready.body["checks"].values()) == {True}


def test_the_loopback_port_knows_no_federation_api(daemon: Daemon) -> None:
    unknown = daemon.call("GET", "/api/v1/system/federation_api/no/such/path")
    for route in ROUTES:
        if route.face == "federation":
            reply = daemon.call(route.method, route.path, {} if route.body is not None else None)
            assert reply.status == 404, route.name
            assert {**reply.body, "request_id": None} == {**unknown.body, "request_id": None}


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
def test_the_operators_port_stays_on_loopback(tmp_path: Path, address: str) -> None:
    failure = refused(serve(tmp_path / "a", "--operator-listen", address))
    assert "server.operator_listen" in json.dumps(failure)
    assert "loopback" in json.dumps(failure)
    assert not (tmp_path / "a" / "powernode.sqlite3").exists()


def test_a_store_newer_than_the_program_is_refused_and_left_alone(daemon: Daemon, tmp_path: Path) -> None:
    data = tmp_path / "a"
    shutil.copytree(daemon.data, data)
    store = data / "powernode.sqlite3"
    with sqlite3.connect(store) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    failure = refused(serve(data))
    assert failure["code"] == "cannot_start"
    assert "newer" in str(failure["error"])
    with sqlite3.connect(store) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version + 1,)
    connection.close()


def test_a_restart_goes_on_where_the_stop_left_off(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        a_peer, token, _ = propose(a, b)
        b_peer = b.call("POST", PEERS, {"remote_instance_url": a.public_url}).data["peer"]["id"]
        assert b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token}).status == 200
        both_active(a, a_peer, b, b_peer)
        password = "a password of some length"
        instance = b.call("GET", f"{PEERS}/{b_peer}").data["peer"]["remote_instance_id"]
        created = a.call(
            "POST", OPERATORS, {"email": "second@example.org", "name": "Second", "password": password, "permissions": ["system.peers.read"]}
        )
        assert created.status == 201, created.body
        operators = a.call("GET", OPERATORS).data
        trail = a.call("GET", f"{PEERS}/{a_peer}/audit_log").data
        before = trio.run(all_events, a)

        assert a.stop() == 0
        a.start()

        assert "first_operator" not in a.facts
        assert b.call("POST", f"{PEERS}/{b_peer}/heartbeat", {}).status == 200
        assert b.call("GET", f"{PEERS}/{b_peer}").data["peer"]["remote_instance_id"] == instance
        # The session of before still holds, too.
        assert [row["id"] for row in a.call("GET", OPERATORS).data] == [row["id"] for row in operators]
        assert a.call("GET", f"{PEERS}/{a_peer}/audit_log").data[: len(trail)] == trail
        assert a.status(a_peer) == "active"
        a.email, a.password = "second@example.org", password
        a.login()
        assert a.call("POST", PEERS, {"remote_instance_url": "https://c.example"}).status == 403
        after = trio.run(all_events, a)
        assert after[: len(before)] == before
        cursors = [event["cursor"] for event in after]
        assert cursors == sorted(set(cursors))


def test_a_follower_resumes_by_cursor_without_gap_or_repeat(tmp_path: Path) -> None:
    with daemons(tmp_path, "a") as (daemon,):
        made = 0

        def more(count: int) -> None:
            nonlocal made
            for _ in range(count):
                made += 1
                assert daemon.call("POST", PEERS, {"remote_instance_url": f"https://p{made}.example"}).status == 201

        more(3)
        seen: list[dict[str, object]] = []
        following = threading.Thread(target=lambda: trio.run(read_events, daemon, 0, 1_000_000, seen))
        following.start()
        poll(lambda: seen)
        more(3)
        assert daemon.stop() == 0
        # The stop ended the stream with a close frame, after everything that was committed.
        following.join(PATIENCE_S)
        assert not following.is_alive()
        daemon.start()
        more(3)
        rest = trio.run(all_events, daemon)
        resumed = trio.run(read_events, daemon, seen[-1]["cursor"], rest[-1]["cursor"])  # type: ignore[arg-type]
        assert [*seen, *resumed] == rest
        proposed = {event["payload"]["federation_peer_id"] for event in rest if event["payload"].get("to") == "proposed"}
        assert len(proposed) == made


def test_a_stop_during_accepts_loses_nothing_that_was_promised(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        a_peer, token, _ = propose(a, b)
        b_peer = b.call("POST", PEERS, {"remote_instance_url": a.public_url}).data["peer"]["id"]
        with ThreadPoolExecutor(1) as pool:
            accepting = pool.submit(b.call, "POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token})
            assert a.stop() == 0
            a.start()
            reply = accepting.result(PATIENCE_S)
        if reply.status != 200:
            # Not reached, or cut off: the same token works again, and once.
            assert b.status(b_peer) == "proposed"
            assert b.call("POST", f"{PEERS}/{b_peer}/accept", {"acceptance_token": token}).status == 200
        both_active(a, a_peer, b, b_peer)
        assert a.statuses(a_peer).count("accepted") == 1
        assert b.statuses(b_peer).count("accepted") == 1
        assert b.stop() == 0
        assert a.stop() == 0
