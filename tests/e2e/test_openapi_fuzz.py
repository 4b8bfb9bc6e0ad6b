"""A running daemon answers whatever its API description allows, and much that it does not: as documented, and never with a 5xx."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import PEERS, daemons

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

SEED = 1
# Ends the session that the requests are made with.
EXCLUDED = "/api/v1/auth/logout"
GENEROUS = "accept_block_after = 1000000\n" + "".join(
    f"[federation.rate_limits.{name}]\nrate = 100000\nburst = 100000\n"
    for name in ("accept_per_source", "accept_overall", "propose_per_operator", "regenerate_per_peer", "login_per_source")
)
# Calls that go out to the other platform are left to ids of nobody: there is none, and each would wait for it.
KNOWN_IDS = """\
[[operations]]
include-path-regex = "/peers/.id.(/trust|/audit_log|/acceptance_token)?$"
parameters = {{ "path.id" = "{peer}" }}

[[operations]]
include-path-regex = "/operators/.id.$"
parameters = {{ "path.id" = "{operator}" }}
"""


@pytest.mark.parametrize(("phases", "examples"), [("fuzzing", 2), pytest.param("coverage,fuzzing", 5, marks=pytest.mark.sweep)])
def test_no_answer_is_undocumented_or_a_failure(tmp_path: Path, phases: str, examples: int) -> None:
    with daemons(tmp_path, "a", more=GENEROUS) as (daemon,):
        peer = daemon.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:9"}).data["peer"]["id"]
        # Not the operator who asks, because the requests may well disable this one.
        other = {"email": "other@example.org", "name": "Other", "password": "a long enough password", "permissions": []}
        operator = daemon.call("POST", "/api/v1/system/operators", other).data["operator"]["id"]
        configuration = tmp_path / "schemathesis.toml"
        configuration.write_text(KNOWN_IDS.format(peer=peer, operator=operator))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration), "run", f"{daemon.url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {daemon.token}", "--checks", "not_a_server_error,status_code_conformance"),
            *("--phases", phases, "--max-examples", str(examples), "--seed", str(SEED)),
            *("--exclude-path", EXCLUDED, "--continue-on-failure", "--no-color"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=800, check=False)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        # Every case of every operation; how many there are grows with the table of routes.
        assert re.search(r"([0-9]{3,}) generated, \1 passed", done.stdout), done.stdout[-3000:]
        assert daemon.running
        assert '"level":"error"' not in daemon.log_file.read_text()
        assert daemon.call("GET", "/health/ready").body["status"] == "ready"
