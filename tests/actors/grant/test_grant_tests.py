"""Grant tests through the door: they are kept, judged by the gate itself, and stand in the way of writes that break them."""

from __future__ import annotations

from typing import Any

import pytest

from sim.world import Host, World
from tests.support.grants import peers

PEERS = "/api/v1/system/platform/peers"
READ = {"name": "b reads modules", "allowed": True, "resource_kind": "NodeModule"}
NO_WRITE = {"name": "b writes nothing", "allowed": False, "resource_kind": "node_module", "scope": "write"}
GRANT = {"remote_subject": "operator@b", "resource_kind": "NodeModule"}


@pytest.fixture
def paired() -> tuple[Host, str]:
    world = World(1)
    a, b = (world.platform(name).sign_in() for name in ("a", "b"))
    proposed = a.call("POST", PEERS, {"remote_instance_url": b.url})
    assert proposed is not None
    accepted = b.call("POST", f"{PEERS}/accept", {"invitation": proposed.data["invitation"]})
    assert accepted is not None
    world.run_for(5.0)
    return a, f"{PEERS}/{proposed.data['peer']['id']}"


def call(host: Host, method: str, path: str, body: Any = None, status: int = 200, headers: Any = None) -> Any:
    reply = host.call(method, path, body, headers=headers)
    assert reply is not None
    assert reply.status == status, reply.body
    return reply.body["data"] if reply.status < 400 else reply.body


def test_tests_are_kept_and_judged(paired: tuple[Host, str]) -> None:
    a, peer = paired
    assert call(a, "GET", f"{peer}/grant_tests") == {"tests": [], "version": 0}
    kept = call(a, "POST", f"{peer}/grant_tests", {"tests": [READ, NO_WRITE]})
    assert [test["name"] for test in kept["tests"]] == [READ["name"], NO_WRITE["name"]]
    assert kept["tests"][1]["resource_kind"] == "NodeModule"
    before = call(a, "POST", f"{peer}/grant_tests/run", {})
    assert [(each["passed"], each["allowed"]) for each in before["outcomes"]] == [(False, False), (True, False)]
    grant = call(a, "POST", f"{peer}/grants", GRANT, 201)["grant"]
    after = call(a, "POST", f"{peer}/grant_tests/run", {})
    assert after["passed"]
    assert after["outcomes"][0]["grant_id"] == grant["id"]
    a.crash()
    a.restart()
    a.sign_in()
    assert call(a, "POST", f"{peer}/grant_tests/run", {}) == after


def test_a_write_that_breaks_a_test_is_refused_and_changes_nothing(paired: tuple[Host, str]) -> None:
    a, peer = paired
    grant = call(a, "POST", f"{peer}/grants", GRANT, 201)["grant"]
    call(a, "POST", f"{peer}/grant_tests", {"tests": [READ, NO_WRITE]})
    refused = call(a, "POST", f"{peer}/grants/{grant['id']}/revoke", {}, 409)
    assert (refused["code"], refused["details"]["tests"]) == ("grant_test_failed", [READ["name"]])
    widened = {**GRANT, "remote_subject": "writer@b", "permission_scopes": ["read", "write"]}
    refused = call(a, "POST", f"{peer}/grants", widened, 409)
    assert refused["details"]["tests"] == [NO_WRITE["name"]]
    assert [each["id"] for each in call(a, "GET", f"{peer}/grants")] == [grant["id"]]
    call(a, "POST", f"{peer}/grants", {**widened, "force": True}, 201)
    assert call(a, "POST", f"{peer}/grants/{grant['id']}/revoke", {"force": True})["grant"]["state"] == "revoked"


def test_a_test_that_fails_already_blocks_nothing(paired: tuple[Host, str]) -> None:
    a, peer = paired
    call(a, "POST", f"{peer}/grant_tests", {"tests": [READ]})
    other = call(a, "POST", f"{peer}/grants", {**GRANT, "resource_kind": "Skill"}, 201)["grant"]
    assert call(a, "POST", f"{peer}/grants/{other['id']}/revoke", {})["grant"]["state"] == "revoked"


def test_where_a_call_comes_from_is_part_of_a_test(paired: tuple[Host, str]) -> None:
    a, peer = paired
    call(a, "POST", f"{peer}/grants", {**GRANT, "source_cidrs": ["198.51.100.0/24"]}, 201)
    inside = {**READ, "name": "inside", "source_address": "198.51.100.7"}
    outside = {**READ, "name": "outside", "allowed": False, "source_address": "203.0.113.1"}
    call(a, "POST", f"{peer}/grant_tests", {"tests": [inside, outside]})
    assert call(a, "POST", f"{peer}/grant_tests/run", {})["passed"]


@pytest.mark.parametrize(
    ("tests", "status", "code"),
    [
        ([{**READ, "resource_kind": "Nothing"}], 422, "unknown_resource_kind"),
        ([{**READ, "resource_id": "x"}], 422, "resource_id_invalid"),
        ([READ, READ], 422, "grant_test_name_taken"),
        ([{"name": "n"}], 400, "invalid_parameter"),
        ([{**READ, "allowed": False, "source_address": "198.51.100.300"}], 400, "invalid_parameter"),
    ],
)
def test_bad_tests_are_refused_and_keep_the_former_ones(paired: tuple[Host, str], tests: Any, status: int, code: str) -> None:
    a, peer = paired
    call(a, "POST", f"{peer}/grant_tests", {"tests": [READ]})
    assert call(a, "POST", f"{peer}/grant_tests", {"tests": tests}, status)["code"] == code
    assert [test["name"] for test in call(a, "GET", f"{peer}/grant_tests")["tests"]] == [READ["name"]]


def test_two_operators_do_not_overwrite_each_other(paired: tuple[Host, str]) -> None:
    a, peer = paired
    call(a, "POST", f"{peer}/grant_tests", {"tests": [READ]})
    read = a.call("GET", f"{peer}/grant_tests")
    assert read is not None
    etag = read.headers["etag"]
    call(a, "POST", f"{peer}/grant_tests", {"tests": [NO_WRITE]}, headers={"if-match": etag})
    assert call(a, "POST", f"{peer}/grant_tests", {"tests": []}, 409, {"if-match": etag})["code"] == "version_conflict"


def test_a_platform_that_is_no_peer_needs_the_peering_and_a_grant(paired: tuple[Host, str]) -> None:
    a, _ = paired
    told = call(a, "POST", "/api/v1/system/platform/grants/explain", {"resource_kind": "node_module", "source_address": "198.51.100.7"})
    assert (told["allowed"], told["code"]) == (False, "unknown_peer_subject")
    assert [edit["edit"] for edit in told["change"]] == ["resume_admission", "issue_grant"]
    assert told["change"][1]["source_cidrs"] == ["198.51.100.7/32"]


def test_what_is_planned_for_a_platform_that_is_no_peer_yet_is_judged_by_the_same_chain() -> None:
    two = peers("planned")
    from_there = {
        "remote_subject": "reader",
        "resource_kind": "NodeModule",
        "permission_scopes": ["read"],
        "source_cidrs": ["192.0.2.0/24"],
    }
    wanted = [
        {"name": "reads", "allowed": True, "resource_kind": "NodeModule", "source_address": "192.0.2.9"},
        {"name": "not from elsewhere", "allowed": False, "resource_kind": "NodeModule", "source_address": "198.51.100.1"},
        {"name": "writes nothing", "allowed": False, "resource_kind": "NodeModule", "scope": "write", "source_address": "192.0.2.9"},
        {"name": "sees no network", "allowed": False, "resource_kind": "SdwanNetwork", "source_address": "192.0.2.9"},
    ]
    path = "/api/v1/system/platform/grants/test"
    judged = two.ask("POST", path, {"grants": [from_there], "tests": wanted})
    assert judged.status == 200, judged.body
    assert judged.data["passed"] is True
    wider = two.ask("POST", path, {"grants": [{**from_there, "source_cidrs": []}], "tests": wanted})
    assert [each["name"] for each in wider.data["outcomes"] if not each["passed"]] == ["not from elsewhere"]
    nothing = two.ask("POST", path, {"tests": wanted})
    assert [each["name"] for each in nothing.data["outcomes"] if not each["passed"]] == ["reads"]
    assert two.ask("GET", "").data == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"tests": [{"name": "x", "allowed": True, "resource_kind": "Starship"}]}, "unknown_resource_kind"),
        ({"grants": [{"remote_subject": "s", "resource_kind": "NodeModule", "source_cidrs": [""]}], "tests": []}, "axis_value_blank"),
        ({"tests": [{"name": "x", "allowed": True, "resource_kind": "Skill"}] * 2}, "grant_test_name_taken"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(body: dict[str, object], code: str) -> None:
    reply = peers("planned").ask("POST", "/api/v1/system/platform/grants/test", body)
    assert (reply.status, reply.body["code"]) == (422, code)
