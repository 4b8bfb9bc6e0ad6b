"""The catalogue of a running daemon: filled by the command line, kept over REST, there again after a kill, closed to strangers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, daemons, propose, reaches

pytestmark = pytest.mark.e2e

RESOURCES = "/api/v1/system/platform/resources"


def powernode(daemon: Daemon, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command against the daemon as its operator."""
    command = [sys.executable, "-m", "api.cli", *words, "--url", daemon.url, "--json"]
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token or ""}
    return subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)


def document(count: int) -> str:
    records = [{"kind": "NodeModule", "attributes": {"name": f"m{n:05}", "node_platform_id": {"name": "debian"}}} for n in range(count)]
    return json.dumps({"resources": [*records, {"kind": "NodePlatform", "attributes": {"name": "debian"}}]})


def test_an_import_larger_than_a_transaction_is_whole_and_survives_a_kill(tmp_path: Path) -> None:
    with daemons(tmp_path, "a") as (daemon,):
        done = powernode(daemon, "resources", "import", "-", input=document(1_200))
        assert done.returncode == 0, done.stderr + done.stdout
        assert json.loads(done.stdout) == {
            "records": 1201, "dry_run": False, "problems": [], "created": 1201, "updated": 0, "unchanged": 0,
        }  # fmt: skip
        daemon.kill()
        daemon.start().login()
        again = json.loads(powernode(daemon, "resources", "import", "-", input=document(1_200)).stdout)
        assert (again["created"], again["updated"], again["unchanged"]) == (0, 0, 1201)
        kinds = {entry["kind"]: entry["count"] for entry in daemon.call("GET", RESOURCES).data}
        assert (kinds["NodeModule"], kinds["NodePlatform"]) == (1_200, 1)


def test_a_record_is_changed_and_deleted_under_its_version(tmp_path: Path) -> None:
    with daemons(tmp_path, "a") as (daemon,):
        made = daemon.call("POST", f"{RESOURCES}/node_module", {"attributes": {"name": "nginx"}})
        assert made.status == 201
        path = f"{RESOURCES}/NodeModule/{made.data['resource']['id']}"
        etag = daemon.call("GET", path).headers["etag"]
        assert daemon.call("GET", path, headers={"if-none-match": etag}).status == 304
        changed = daemon.call("PATCH", path, {"attributes": {"variety": "web"}}, headers={"if-match": etag})
        assert changed.data["resource"]["attributes"] == {"name": "nginx", "variety": "web"}
        stale = daemon.call("PATCH", path, {"attributes": {"variety": "x"}}, headers={"if-match": etag})
        assert (stale.status, stale.body["code"]) == (409, "version_conflict")
        refused = daemon.call("POST", RESOURCES, {"resources": [{"kind": "Starship"}, {"kind": "NodeModule", "attributes": {"x": 1}}]})
        assert [problem["field"] for problem in refused.body["details"]["problems"]] == [
            "resources[0].kind", "resources[1].attributes.name", "resources[1].attributes.x",
        ]  # fmt: skip
        (listed,) = daemon.call("GET", f"{RESOURCES}/NodeModule?filter[variety]=web&fields=name").data
        assert listed["attributes"] == {"name": "nginx"}
        assert daemon.call("DELETE", path).data["deleted"] is True
        assert daemon.call("GET", f"{RESOURCES}/NodeModule").data == []


def test_a_bridge_is_proposed_with_its_peer_and_opens_when_the_peer_carries_it(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        network = a.call("POST", f"{RESOURCES}/SdwanNetwork", {"attributes": {"name": "Backbone", "slug": "backbone"}}).data["resource"][
            "id"
        ]
        peer_id, _, invitation = propose(a, b)
        bridges = f"/api/v1/system/platform/peers/{peer_id}/bridges"
        bridge = a.call("POST", bridges, {"sdwan_network_id": network}).data["bridge"]
        early = a.call("POST", f"{bridges}/{bridge['id']}/activate", {})
        assert (early.status, early.body["code"]) == (409, "peer_not_ready")
        assert b.call("POST", "/api/v1/system/platform/peers/accept", {"invitation": invitation}).status == 200
        reaches(lambda: a.status(peer_id), "active")
        opened = a.call("POST", f"{bridges}/{bridge['id']}/activate", {})
        assert opened.data["bridge"]["effective"] is True
        a.call("POST", f"/api/v1/system/platform/peers/{peer_id}/suspend", {})
        (listed,) = a.call("GET", bridges).data
        assert (listed["state"], listed["effective_state"]) == ("active", "suspended")
