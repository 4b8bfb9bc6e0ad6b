"""Rotation of a root between real daemons: nobody is without contact, the listener changes, and the former root ends with its window."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import PATIENCE_S, PEERS, Daemon, both_active, poll, reaches, started
from tests.support.tls_client import connected

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TRUST = "/api/v1/system/platform/trust"
HURRY = """\
heartbeat_interval = "1s"
stale_after = "10s"
[federation.rate_limits.heartbeat_per_peer]
rate = 100000
burst = 100000
[federation.rate_limits.trust_bundle_per_peer]
rate = 100000
burst = 100000
[federation.rate_limits.certificate_per_peer]
rate = 100000
burst = 100000
"""
DAY_S = 86_400


@contextlib.contextmanager
def hurried(folder: Path) -> Iterator[tuple[Daemon, Daemon]]:
    made = tuple(Daemon(name, folder / name, HURRY, launcher=("-m", "tests.e2e.hurried_daemon")) for name in "ab")
    with started(*made):
        yield made[0], made[1]


def peered(a: Daemon, b: Daemon, role_of_b: str = "symmetric") -> tuple[str, str]:
    """The ids of the rows on both sides, once both are active."""
    mirror = {"symmetric": "symmetric", "child": "parent"}[role_of_b]
    at_a = a.call("POST", PEERS, {"remote_instance_url": b.public_url, "spawn_role": mirror})
    at_b = b.call("POST", PEERS, {"remote_instance_url": a.public_url, "spawn_role": role_of_b})
    ids = at_a.data["peer"]["id"], at_b.data["peer"]["id"]
    accepted = b.call("POST", f"{PEERS}/{ids[1]}/accept", {"acceptance_token": at_a.data["acceptance_token"]})
    assert accepted.status == 200, accepted.body
    both_active(a, ids[0], b, ids[1])
    return ids


def powernode(daemon: Daemon, *words: str) -> Any:
    """What a command prints."""
    command = [sys.executable, "-m", "api.cli", *words, "--url", daemon.url, "--json"]
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def rotation(daemon: Daemon) -> dict[str, Any]:
    return dict(daemon.call("GET", f"{TRUST}/rotation").data["rotation"])


def trust(daemon: Daemon, peer_id: str) -> dict[str, Any]:
    return dict(daemon.call("GET", f"{PEERS}/{peer_id}/trust").data["trust"])


def states(daemon: Daemon, peer_id: str) -> dict[str, str]:
    return {anchor["fingerprint"]: anchor["state"] for anchor in trust(daemon, peer_id)["anchors"]}


def shown_root(daemon: Daemon) -> str:
    """The fingerprint of the root under which a listener shows itself."""
    with connected(daemon.public_url) as caller:
        return caller.shown_root


@pytest.mark.parametrize("role_of_b", ["symmetric", "child"])
def test_a_root_is_replaced_while_heartbeats_go_on_and_the_former_one_ends(tmp_path: Path, role_of_b: str) -> None:
    with hurried(tmp_path) as (a, b):
        at_a, at_b = peered(a, b, role_of_b)
        # A certificate under the root of `a`.
        shows = (b, at_b) if role_of_b == "child" else (a, at_a)
        first, serial = a.facts["ca_fingerprint"], trust(*shows)["outbound"]["serial"]
        drilled = powernode(a, "trust", "rotate", "--drill", "--overlap", "1d", "--seeds", "1")
        assert (drilled["left_behind"], [outcome["id"] for outcome in drilled["outcomes"]]) == (0, [at_a])
        assert rotation(a)["rotating"] is False
        begun = a.call("POST", f"{TRUST}/rotate", {"overlap_days": 1})
        assert begun.status == 202, begun.body
        done = poll(lambda: (found := rotation(a))["complete"] and found)
        second = done["current"]
        assert second not in (first, None)
        assert [peer["progress"] for peer in done["peers"]] == ["promoted"]
        assert shown_root(a) == second
        reaches(lambda: states(b, at_b), {first: "retiring", second: "current"})
        held = {anchor["fingerprint"]: anchor for anchor in trust(b, at_b)["anchors"]}
        assert held[first]["accept_until"] == done["ends"]
        poll(lambda: trust(*shows)["outbound"]["serial"] != serial)
        for daemon, peer_id in ((a, at_a), (b, at_b)):
            assert "degraded" not in daemon.statuses(peer_id)
            assert daemon.call("POST", f"{PEERS}/{peer_id}/heartbeat", None).status == 200

        for daemon in (a, b):
            daemon.stop()
            daemon.environment = {"POWERNODE_TEST_AHEAD_S": str(DAY_S + 60)}
            daemon.start().login()
        assert a.facts["ca_fingerprint"] == second
        reaches(lambda: list(states(b, at_b)), [second])
        both_active(a, at_a, b, at_b)
        # One that was on its way when the other stopped may still come to nothing.
        reaches(lambda: a.call("POST", f"{PEERS}/{at_a}/heartbeat", None).status, 200)
        reaches(lambda: b.call("POST", f"{PEERS}/{at_b}/heartbeat", None).status, 200)


def test_after_a_compromise_success_is_claimed_once_the_peer_has_approved(tmp_path: Path) -> None:
    with hurried(tmp_path) as (a, b):
        at_a, at_b = peered(a, b)
        ended = a.call("POST", f"{TRUST}/rotate", {"force": True, "reason": "stolen"})
        assert ended.status == 202, ended.body
        second = ended.data["rotation"]["current"]
        assert shown_root(a) == second
        unproven = poll(lambda: trust(b, at_b)["unproven_anchor"])
        assert unproven["fingerprint"] == second
        assert rotation(a)["complete"] is False
        approved = b.call("POST", f"{PEERS}/{at_b}/trust/approve_anchor", {"fingerprint": second})
        assert approved.status == 200, approved.body
        poll(lambda: rotation(a)["complete"])
        assert a.call("POST", f"{PEERS}/{at_a}/heartbeat", None).status == 200
        assert b.call("POST", f"{PEERS}/{at_b}/heartbeat", None).status == 200
