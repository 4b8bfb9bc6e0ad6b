"""Services between two running daemons: offered and subscribed to by the command line, routed by a file, gone after the end."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, both_active, daemons, poll, propose, reaches

pytestmark = pytest.mark.e2e


def powernode(daemon: Daemon, *words: str) -> Any:
    """Run a command against the daemon as its operator; what it printed, as JSON."""
    command = [sys.executable, "-m", "api.cli", *words, "--url", daemon.url, "--json"]
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token or ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def rules(file: Path) -> dict[str, str]:
    """What the proxy is told to route, by router."""
    return {name: router["rule"] for name, router in json.loads(file.read_text()).get("http", {}).get("routers", {}).items()}


def test_a_service_is_offered_subscribed_to_routed_and_given_back(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        b_at_a, _, invitation = propose(a, b)
        accepted = b.call("POST", "/api/v1/system/platform/peers/accept", {"invitation": invitation})
        assert accepted.status == 200, accepted.body
        peer_of_b = accepted.data["peer"]["id"]
        both_active(a, b_at_a, b, peer_of_b)
        words = ("--name", "Wiki", "--protocol", "http", "--backend", "10.7.0.9:8080", "--seats", "1")
        powernode(a, "offerings", "create", "wiki", *words)
        powernode(a, "offerings", "activate", "wiki")
        entry = powernode(b, "services", "catalog", peer_of_b)
        assert (entry["slug"], entry["fresh"]) == ("wiki", True)
        assert "10.7.0.9" not in json.dumps(entry)
        subscription = powernode(b, "services", "subscribe", peer_of_b, "wiki", "--host", "wiki.b.example")
        assert subscription["status"] == "active", subscription
        (file,) = poll(lambda: list((b.data / "proxy").glob("*.yml")))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        reaches(lambda: rules(file), {f"sub-{subscription['id']}": "Host(`wiki.b.example`)"})
        assert powernode(a, "offerings", "leases", "wiki")["state"] == "live"
        file.unlink()
        b.kill()
        b.start().login()
        assert poll(file.exists)
        powernode(b, "services", "cancel", subscription["id"], "--yes")
        reaches(lambda: json.loads(file.read_text()), {})
        reaches(lambda: powernode(a, "offerings", "leases", "wiki")["state"], "cancelled")
