"""`powernode capabilities`, and mirrors in lists: what is sent, and what is said."""

from __future__ import annotations

import pytest

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, lines, listing, peer

CAPABILITY_ID = "0190e1c4-5555-7000-8000-000000000006"
CAPABILITY = {
    "id": CAPABILITY_ID,
    "resource_kind": "NodeModule",
    "direction": "pull_remote_to_local",
    "policy": "auto_periodic",
    "state": "retrying",
    "last_error": "remote_timeout",
    "last_synced_at": "2026-01-01T00:00:00Z",
    "sync_cursor": {"pull": {"updated_at": "2026-01-01T00:00:00Z", "id": CAPABILITY_ID}},
}


@pytest.fixture(autouse=True)
def answers(api: OperatorApi) -> None:
    api.answers |= {
        "get_peer": granted({"peer": peer()}),
        "list_capabilities": listing([CAPABILITY]),
        "get_capability": granted({"capability": CAPABILITY}),
        "create_capability": granted({"capability": CAPABILITY}),
        "update_capability": granted({"capability": CAPABILITY}),
        "delete_capability": granted({"id": CAPABILITY_ID, "deleted": True}),
        "sync_capability": granted({"capability": CAPABILITY, "running": False, "written": 3, "dropped": 1}),
    }


def test_what_flows_is_listed_and_shown_with_its_cursor_and_error(run: Run) -> None:
    listed = run("capabilities", "list", PEER_ID)
    assert "retrying" in listed.output
    assert "remote_timeout" in listed.output
    shown = run("capabilities", "show", PEER_ID, CAPABILITY_ID[:12])
    assert shown.exit_code == 0, shown.output
    assert "sync_cursor" in shown.output


def test_a_capability_is_added_changed_and_removed(api: OperatorApi, run: Run) -> None:
    added = run("capabilities", "add", PEER_ID, "node_module", "pull", "--policy", "on_match_filter", "--filter", '{"variety": "web"}')
    assert added.exit_code == 0, added.output
    assert api.requests[-1].body == {
        "resource_kind": "node_module", "direction": "pull_remote_to_local", "policy": "on_match_filter", "filter": {"variety": "web"},
    }  # fmt: skip
    assert run("capabilities", "set", PEER_ID, CAPABILITY_ID, "--interval", "60").exit_code == 0
    assert api.requests[-1].body == {"interval_seconds": 60}
    assert run("capabilities", "set", PEER_ID, CAPABILITY_ID).exit_code == 2
    assert run("capabilities", "remove", PEER_ID, CAPABILITY_ID).exit_code == 2
    assert run("capabilities", "remove", PEER_ID, CAPABILITY_ID, "--yes").exit_code == 0


@pytest.mark.parametrize("text", ["x", "[]", "3", "{", '"a"'])
def test_a_filter_that_is_none_is_not_sent(api: OperatorApi, run: Run, text: str) -> None:
    assert run("capabilities", "add", PEER_ID, "NodeModule", "pull", "--filter", text).exit_code == 2
    assert "create_capability" not in [request.name for request in api.requests]


def test_a_pass_is_asked_for_and_a_failure_of_several_is_an_exit_code(api: OperatorApi, run: Run) -> None:
    assert "3 written, 1 dropped" in run("capabilities", "sync", PEER_ID, CAPABILITY_ID, "--full").output
    assert api.requests[-1].body == {"full": True}
    failure = {"capability_id": CAPABILITY_ID, "federation_peer_id": PEER_ID, "resource_kind": "Skill", "code": "remote_timeout"}
    api.answers["sync_capabilities"] = granted({"swept": 2, "synced": 1, "failed": 1, "failures": [failure]})
    swept = run("capabilities", "sync")
    assert (swept.exit_code, "remote_timeout" in swept.output) == (1, True)
    api.answers["sync_capabilities"] = granted({"swept": 2, "synced": 2, "failed": 0, "failures": []})
    assert run("capabilities", "sync", PEER_ID, "--json").exit_code == 0


def test_mirrors_are_listed_with_their_freshness(api: OperatorApi, run: Run) -> None:
    mirror = {"origin_peer_id": PEER_ID, "origin_id": CAPABILITY_ID, "attributes": {"name": "nginx"}, "stale": True}
    api.answers["list_mirrors"] = listing([mirror])
    listed = run("resources", "list", "NodeModule", "--mirrors", "--stale")
    assert listed.exit_code == 0, listed.output
    assert "stale" in listed.output
    assert "name=nginx" in listed.output
    assert list(lines(run("resources", "list", "NodeModule", "--mirrors", "--json"))) == [mirror]
    assert run("resources", "list", "NodeModule", "--stale").exit_code == 2
    assert run("resources", "list", "NodeModule", "--mirrors", "--sort", "name").exit_code == 2
