"""A module moves between two daemons, and between two that are killed on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, both_active, daemons, poll, propose, reaches

pytestmark = pytest.mark.e2e

SYSTEM = "/api/v1/system/platform"
VERSIONS = 3


def powernode(daemon: Daemon, *words: str, input: str = "") -> Any:
    """What a command of the daemon's operator prints, as JSON."""
    command = [sys.executable, "-m", "api.cli", *words, "--url", daemon.url, "--json"]
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token or ""}
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def prepared(a: Daemon, b: Daemon) -> tuple[str, str, str]:
    """Peers; a module with versions on A; B's leave to bring it. A's row of B, the module, and the bearer."""
    peer_of_a, _, invitation = propose(a, b)
    assert b.call("POST", f"{SYSTEM}/peers/accept", {"invitation": invitation}).status == 200
    at_b = b.call("GET", f"{SYSTEM}/peers").data[0]["id"]
    both_active(a, peer_of_a, b, at_b)
    records: list[dict[str, Any]] = [{"kind": "NodeModule", "attributes": {"name": "nginx"}}]
    records += [
        {"kind": "ModuleVersion", "attributes": {"node_module_id": {"name": "nginx"}, "number": number}}
        for number in range(1, VERSIONS + 1)
    ]
    powernode(a, "resources", "import", "-", input=json.dumps({"resources": records}))
    module = a.call("GET", f"{SYSTEM}/resources/NodeModule").data[0]["id"]
    asked = {"remote_subject": "mover@a", "resource_kind": "NodeModule", "permission_scopes": ["migrate"]}
    issued = b.call("POST", f"{SYSTEM}/peers/{at_b}/grants", asked)
    assert issued.status == 201, issued.body
    return peer_of_a, module, issued.data["bearer_token"]


def arrived(a: Daemon, b: Daemon, module: str) -> None:
    """The module has one home, with its id and its versions, and its former home says where it is."""
    moved = b.call("GET", f"{SYSTEM}/resources/NodeModule/{module}").data["resource"]
    assert (moved["id"], moved["incoming"], moved["attributes"]["name"]) == (module, False, "nginx")
    versions = b.call("GET", f"{SYSTEM}/resources/ModuleVersion").data
    assert sorted(each["attributes"]["number"] for each in versions) == list(range(1, VERSIONS + 1))
    assert {each["attributes"]["node_module_id"] for each in versions} == {module}
    changed = a.call("PATCH", f"{SYSTEM}/resources/NodeModule/{module}", {"attributes": {"variety": "x"}})
    assert (changed.status, changed.body["code"]) == (410, "resource_moved")


def test_a_module_moves_with_its_versions(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        peer, module, bearer = prepared(a, b)
        planned = powernode(a, "migrations", "plan", peer, "NodeModule", "nginx", "--bearer-file", "-", input=bearer)
        id = planned["id"]
        poll(lambda: powernode(a, "migrations", "show", id)["cleared"])
        powernode(a, "migrations", "apply", id)
        reaches(lambda: powernode(a, "migrations", "show", id)["status"], "completed")
        arrived(a, b, module)
        at_a, at_b = powernode(a, "migrations", "show", id), powernode(b, "migrations", "show", id)
        assert (at_b["side"], at_b["status"]) == ("destination", "finalized")
        assert at_a["receipt_digest"] == at_b["receipt_digest"]
        assert bearer not in a.log_file.read_text() + b.log_file.read_text()


def test_a_move_goes_on_when_the_source_was_killed_in_it(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        peer, module, bearer = prepared(a, b)
        id = powernode(a, "migrations", "plan", peer, "NodeModule", "nginx", "--bearer-file", "-", input=bearer)["id"]
        poll(lambda: powernode(a, "migrations", "show", id)["cleared"])
        b.kill()
        a.call("POST", f"{SYSTEM}/migrations/{id}/apply", {})
        reaches(lambda: powernode(a, "migrations", "show", id)["status"], "transferring")
        frozen = a.call("PATCH", f"{SYSTEM}/resources/NodeModule/{module}", {"attributes": {"variety": "x"}})
        assert (frozen.status, frozen.body["code"]) == (423, "resource_frozen")
        a.kill()
        b.start().login()
        a.start().login()
        reaches(lambda: a.call("GET", f"{SYSTEM}/migrations/{id}").data["migration"]["status"], "completed")
        arrived(a, b, module)
