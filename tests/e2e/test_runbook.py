"""The runbook's commands, as an operator types them (curl and jq), against two real daemons."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.daemons import daemons, poll

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
        timeout=60,
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
            poll(lambda side=side: json.loads(shell(VERIFY, **side))["status"] == "active")
            assert json.loads(shell(VERIFY, **side))["last_heartbeat_at"].endswith("Z")
        assert a.statuses(proposed["peer"]["id"]) == ["proposed", "accepted", "enrolled", "active"]
        assert b.statuses(b_peer) == ["proposed", "accepted", "enrolled", "active"]

        granted = json.loads(shell(GRANT, PEER=proposed["peer"]["id"], **on_a))["data"]
        assert granted["bearer_token"].startswith(f"fg-{granted['grant']['id']}.")
        assert (granted["grant"]["unrestricted"], granted["grant"]["effective"]) == (True, True)

        again = json.loads(shell(ACCEPT, PEER=b_peer, TOKEN=proposed["acceptance_token"], **on_b))
        assert again["code"] == "invalid_transition"
        assert a.stop() == 0
        assert b.stop() == 0
