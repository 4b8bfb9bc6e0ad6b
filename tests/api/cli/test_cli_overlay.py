"""`powernode overlay`: peers that share overlay networks and nothing else."""

from __future__ import annotations

import json
from typing import Any

from runtime.clock import iso
from tests.support.operator_api import PEER_ID, WALL, OperatorApi, Run, granted, listing

TOKEN = "A" * 43
PREFIX = "fd00:7::/48"


def shown(**changes: Any) -> dict[str, Any]:
    return {
        "id": PEER_ID, "peer_kind": "sdwan_only", "remote_instance_url": "https://b.example", "remote_prefix_advertisement": PREFIX,
        "status": "accepted", "status_since": iso(WALL - 60.0), **changes,
    }  # fmt: skip


def test_a_proposal_prints_the_token_alone(api: OperatorApi, run: Run) -> None:
    ends = iso(WALL + 3_600.0)
    api.answers["propose_overlay_peer"] = granted(
        {"federation_peer": shown(status="proposed"), "acceptance_token": TOKEN, "acceptance_expires_at": ends}
    )
    result = run("overlay", "propose", "https://b.example", "--prefix", PREFIX, "--ttl", "1h")
    assert result.exit_code == 0
    assert result.stdout.strip() == TOKEN
    assert f"powernode overlay accept {PEER_ID}" in result.stderr
    expected = {"remote_instance_url": "https://b.example", "remote_prefix_advertisement": PREFIX, "token_ttl_seconds": 3_600}
    assert api.requests[0].body == {"federation_peer": expected}


def test_the_token_is_never_an_argument(api: OperatorApi, run: Run) -> None:
    result = run("overlay", "accept", PEER_ID, TOKEN)
    assert result.exit_code == 2
    assert TOKEN not in result.output
    assert not api.requests
    api.answers["update_overlay_peer"] = granted({"federation_peer": shown()})
    assert run("overlay", "accept", PEER_ID, "-", input=f"{TOKEN}\n").stdout == "https://b.example is accepted\n"
    assert api.requests[0].body == {"federation_peer": {"status": "accepted", "acceptance_token": TOKEN}}


def test_the_list_leaves_platforms_out_unless_they_are_asked_for(api: OperatorApi, run: Run) -> None:
    api.answers["list_overlay_peers"] = listing([shown()])
    assert run("overlay", "list").stdout.splitlines()[1].split()[:5] == [PEER_ID, "https://b.example", "sdwan_only", PREFIX, "accepted"]
    assert run("overlay", "list", "--all", "--status", "accepted").exit_code == 0
    wanted = [{name: request.query[name] for name in ("peer_kind", "status") if name in request.query} for request in api.requests]
    assert wanted == [{"peer_kind": "sdwan_only"}, {"status": "accepted"}]


def test_steps_are_asked_about_and_told(api: OperatorApi, run: Run) -> None:
    api.answers["update_overlay_peer"] = granted({"federation_peer": shown(status="suspended")})
    api.answers["revoke_overlay_peer"] = granted({"federation_peer": shown(status="revoked")})
    assert run("overlay", "suspend", PEER_ID).exit_code == 2
    assert not api.requests
    assert run("overlay", "suspend", PEER_ID, "--yes", "--reason", "work").stdout == "https://b.example is suspended\n"
    assert run("overlay", "resume", PEER_ID).exit_code == 0
    assert run("overlay", "revoke", PEER_ID, "--yes", "--json").exit_code == 0
    assert [request.body for request in api.requests] == [
        {"federation_peer": {"status": "suspended", "reason": "work"}}, {"federation_peer": {"status": "accepted"}}, {},
    ]  # fmt: skip


def test_an_update_says_which_version_it_is_of(api: OperatorApi, run: Run) -> None:
    api.answers["get_overlay_peer"] = granted({"federation_peer": shown()}, etag='"v1.abc"')
    api.answers["update_overlay_peer"] = granted({"federation_peer": shown()})
    assert run("overlay", "update", PEER_ID).exit_code == 2
    result = run("overlay", "update", PEER_ID, "--prefix", PREFIX, "--expires-at", "never", "--json")
    assert json.loads(result.stdout)["id"] == PEER_ID
    request = api.named("update_overlay_peer")[0]
    assert request.body == {"federation_peer": {"remote_prefix_advertisement": PREFIX, "expires_at": None}}
    assert request.headers["if-match"] == '"v1.abc"'
    assert run("overlay", "show", PEER_ID).exit_code == 0
