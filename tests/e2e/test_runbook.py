"""The runbook's commands, as an operator types them (curl and jq), against two real daemons."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import PATIENCE_S, Daemon, daemons, reaches

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="the runbook's commands need curl and jq"),
]


def shell(script: str, **variables: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


PROPOSE = """
curl -s -X POST \\
-H "Authorization: Bearer $JWT" \\
-H "Content-Type: application/json" \\
$BASE/api/v1/system/platform/peers \\
-d "$BODY"
"""

LIST = """
curl -s -H "Authorization: Bearer $JWT" $BASE/api/v1/system/platform/peers \\
| jq -c '.data[] | select(.remote_instance_url=="'$OTHER'") | {id, status}'
"""

VERIFY = """
curl -s -H "Authorization: Bearer $JWT" $BASE/api/v1/system/platform/peers \\
| jq -c '.data[] | {id, status, last_heartbeat_at}'
"""

ACCEPT = """
curl -s -X POST -H "Authorization: Bearer $JWT" -H "Content-Type: application/json" \\
$BASE/api/v1/system/platform/peers/$PEER/accept -d "{\\"acceptance_token\\": \\"$TOKEN\\"}"
"""


GRANT = """
curl -s -X POST \\
-H "Authorization: Bearer $JWT" \\
-H "Content-Type: application/json" \\
$BASE/api/v1/system/platform/peers/$PEER/grants \\
-d '{
"remote_subject": "operator@platform-b.example.com",
"resource_kind": "NodeModule",
"resource_id": null,
"permission_scopes": ["read"],
"node_instance_ids": [],
"sdwan_network_ids": [],
"source_cidrs": []
}'
"""

RECEIVE = """
curl -s -X POST -H "Authorization: Bearer $JWT" -H "Content-Type: application/json" \\
$BASE/api/v1/system/platform/peers/$PEER/received_grants -d "{\\"bearer_token\\": \\"$TOKEN\\"}"
"""

READ = """
curl -s -H "Authorization: Bearer $JWT" $BASE/api/v1/system/platform/peers/$PEER/remote_resources/$WHAT
"""


def test_the_runbook_makes_two_platforms_active(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b") as (a, b):
        on_a = {"JWT": a.token, "BASE": a.url, "OTHER": b.public_url}
        on_b = {"JWT": b.token, "BASE": b.url, "OTHER": a.public_url}
        body = {"remote_instance_url": b.public_url, "spawn_role": "symmetric", "spawn_mode": "out_of_band", "token_ttl_seconds": 604800}
        proposed = json.loads(shell(PROPOSE, BODY=json.dumps(body), **on_a))["data"]
        assert proposed["peer"]["peer_kind"] == "platform"
        assert proposed["peer"]["status"] == "proposed"
        registered = json.loads(shell(PROPOSE, BODY=json.dumps({"remote_instance_url": a.public_url, "spawn_role": "symmetric"}), **on_b))
        b_peer = registered["data"]["peer"]["id"]
        assert json.loads(shell(LIST, **on_a)) == {"id": proposed["peer"]["id"], "status": "proposed"}

        accepted = json.loads(shell(ACCEPT, PEER=b_peer, TOKEN=proposed["acceptance_token"], **on_b))
        assert accepted["success"], accepted
        assert accepted["data"]["peer"]["status"] in ("accepted", "enrolled", "active")

        for side in (on_a, on_b):
            reaches(lambda side=side: json.loads(shell(VERIFY, **side))["status"], "active")
            assert json.loads(shell(VERIFY, **side))["last_heartbeat_at"].endswith("Z")
        assert a.statuses(proposed["peer"]["id"]) == ["proposed", "accepted", "enrolled", "active"]
        assert b.statuses(b_peer) == ["proposed", "accepted", "enrolled", "active"]

        granted = json.loads(shell(GRANT, PEER=proposed["peer"]["id"], **on_a))["data"]
        assert granted["bearer_token"].startswith(f"fg-{granted['grant']['id']}.")
        assert (granted["grant"]["unrestricted"], granted["grant"]["effective"]) == (True, True)
        read_across(a, on_b, b_peer, granted)

        again = json.loads(shell(ACCEPT, PEER=b_peer, TOKEN=proposed["acceptance_token"], **on_b))
        assert again["code"] == "invalid_transition"
        assert a.stop() == 0
        assert b.stop() == 0


def read_across(a: Daemon, on_b: dict[str, str], peer: str, granted: dict[str, Any]) -> None:
    """Step 6b to its end: B keeps the bearer and reads A's modules with its certificate and the bearer, until A revokes the grant."""
    nginx = {"attributes": {"name": "nginx", "variety": "subscription", "current_version": 12}}
    created = a.call("POST", "/api/v1/system/platform/resources/NodeModule", nginx).body["data"]["resource"]

    def read(what: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(shell(READ, PEER=peer, WHAT=what, **on_b))
        return answer

    assert read("NodeModule")["code"] == "no_received_grant"
    held = json.loads(shell(RECEIVE, PEER=peer, TOKEN=granted["bearer_token"], **on_b))["data"]["received_grant"]
    assert (held["grant_id"], held["usable"]) == (granted["grant"]["id"], True)
    page = read("NodeModule")
    assert [(record["id"], record["attributes"]["name"]) for record in page["data"]] == [(created["id"], "nginx")]
    assert page["meta"]["received_grant_id"] == held["id"]
    assert read(f"node_module/{created['id']}")["data"]["resource"]["attributes"]["current_version"] == 12
    path = f"/api/v1/system/platform/peers/{granted['grant']['federation_peer_id']}/grants/{granted['grant']['id']}"
    assert a.call("GET", path).body["data"]["grant"]["state"] == "active"
    assert a.call("POST", f"{path}/revoke", {}).status == 200
    # Either A's notice comes first, or the read hears it; afterwards nothing is presented.
    first = read("NodeModule")
    assert first["code"] == "no_received_grant" or first["details"]["remote_code"] == "grant_revoked"
    assert read("NodeModule")["code"] == "no_received_grant"
