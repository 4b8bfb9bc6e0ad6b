"""`powernode resources` and `powernode bridges`: what is sent, and what is said before anything is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from api.cli import resource_import
from api.cli.resource_import import in_batches, read_plan
from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, lines, listing, peer, refused

RECORD_ID = "0190e1c4-3333-7000-8000-000000000004"
RECORD = {"id": RECORD_ID, "kind": "NodeModule", "attributes": {"name": "nginx"}, "version": 3, "updated_at": "2026-01-01T00:00:00Z"}
GOOD = {"created": 1, "updated": 1, "unchanged": 0, "problems": []}

TOML = """
[[resources]]
kind = "node_module"
attributes = { name = "nginx", node_platform_id = { name = "debian" } }

[[resources]]
kind = "NodePlatform"
attributes = { name = "debian" }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "inventory.toml"
    path.write_text(TOML)
    return path


def test_an_import_is_checked_first_and_written_in_the_order_of_need(api: OperatorApi, run: Run, file: Path) -> None:
    api.answers["write_resources"] = granted(GOOD)
    result = run("resources", "import", str(file))
    assert result.exit_code == 0, result.output
    assert "1 created, 1 updated, 0 unchanged" in result.output
    checked, written = (request.body for request in api.requests)
    assert [entry["kind"] for entry in written["resources"]] == ["NodePlatform", "NodeModule"]
    assert checked == {**written, "dry_run": True}


def test_a_dry_run_only_checks(api: OperatorApi, run: Run) -> None:
    api.answers["write_resources"] = granted(GOOD)
    document = json.dumps([{"kind": "Skill", "attributes": {"name": "ping"}}])
    result = run("resources", "import", "-", "--dry-run", "--json", input=document)
    assert list(lines(result)) == [{"records": 1, "dry_run": True, "problems": []}]
    assert [request.body["dry_run"] for request in api.requests] == [True]


def test_every_problem_of_the_file_is_told_before_anything_is_sent(api: OperatorApi, run: Run) -> None:
    records: list[Any] = [
        {"kind": "NodeModule", "attributes": {"name": "nginx", "colour": "red"}},
        {"kind": "Starship", "attributes": {}},
        {"kind": "ServiceOffering", "attributes": {}},
        "no object",
        {"kind": "NodeModule", "name": "nginx", "attributes": {"name": "a"}},
        {"kind": "NodeModule", "attributes": {"name": "A"}},
        {"kind": "NodeModule", "id": "7", "attributes": {"name": "b"}},
    ]
    result = run("resources", "import", "-", "--json", input=json.dumps({"resources": records}))
    assert result.exit_code == 1
    (told,) = lines(result)
    assert [(problem["field"], problem["code"]) for problem in told["problems"]] == [
        ("resources[0].attributes.colour", "unknown_argument"),
        ("resources[1].kind", "unknown_resource_kind"),
        ("resources[2].kind", "unknown_resource_kind"),
        ("resources[3]", "invalid_parameter"),
        ("resources[4].name", "unknown_argument"),
        ("resources[5]", "duplicate_in_batch"),
        ("resources[6].id", "id_invalid"),
    ]
    assert api.requests == []


def test_a_target_that_an_earlier_batch_brings_is_no_problem_and_another_is(api: OperatorApi, run: Run, monkeypatch: Any) -> None:
    monkeypatch.setattr(resource_import, "BATCH_BYTES", 1)
    missing = {"field": "resources[0].attributes.node_platform_id", "code": "link_target_missing", "message": "there is none"}
    good = granted({**GOOD, "problems": []})
    records = [
        {"kind": "NodeModule", "attributes": {"name": "a", "node_platform_id": {"name": "debian"}}},
        {"kind": "NodeModule", "attributes": {"name": "b", "node_platform_id": {"name": "plan9"}}},
        {"kind": "NodePlatform", "attributes": {"name": "debian"}},
    ]
    api.answers["write_resources"] = [good, granted({**GOOD, "problems": [missing]}), granted({**GOOD, "problems": [missing]})]
    result = run("resources", "import", "-", "--json", input=json.dumps(records))
    (told,) = lines(result)
    assert [problem["field"] for problem in told["problems"]] == ["resources[1].attributes.node_platform_id"]
    assert result.exit_code == 1


def test_an_interrupted_import_says_how_to_go_on(api: OperatorApi, run: Run, file: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(resource_import, "BATCH_BYTES", 1)
    api.answers["write_resources"] = [granted(GOOD), granted(GOOD), granted(GOOD), refused(423, "resource_frozen")]
    result = run("resources", "import", str(file))
    assert result.exit_code != 0
    assert "1 of 2 records were written" in result.output


@pytest.mark.parametrize("content", ["{", "[]", '{"resources": 5}', "resources = 5"])
def test_a_file_without_records_is_refused(api: OperatorApi, run: Run, content: str) -> None:
    result = run("resources", "import", "-", input=content)
    assert result.exit_code == 2
    assert api.requests == []


def test_batches_hold_every_record_once_within_both_bounds() -> None:
    plan = read_plan([{"kind": "Skill", "attributes": {"name": f"s{n}", "description": "x" * 900}} for n in range(2_000)])
    batches = list(in_batches(plan.entries))
    assert [entry.place for batch in batches for entry in batch] == list(range(2_000))
    assert max(map(len, batches)) <= 500
    assert max(sum(entry.size for entry in batch) for batch in batches) <= resource_import.BATCH_BYTES


def test_a_record_is_found_by_its_name(api: OperatorApi, run: Run) -> None:
    api.answers |= {"list_resources": listing([RECORD]), "get_resource": granted({"resource": RECORD})}
    result = run("resources", "show", "node_module", "nginx")
    assert result.exit_code == 0
    assert api.requests[0].query["filter[name]"] == "nginx"
    assert "nginx" in result.output
    assert run("resources", "show", "ModuleVersion", "one").exit_code == 2


def test_a_list_passes_its_filters_on_and_follows_empty_pages(api: OperatorApi, run: Run) -> None:
    api.answers["list_resources"] = [listing([], next_cursor="more"), listing([RECORD])]
    result = run("resources", "list", "NodeModule", "--filter", "variety=web", "--filter", "current_version[gte]=3", "--deleted", "--json")
    assert list(lines(result)) == [RECORD]
    query = api.requests[0].query
    assert (query["filter[variety]"], query["filter[current_version][gte]"], query["include_deleted"]) == ("web", "3", "true")
    assert api.requests[1].query["cursor"] == "more"


def test_values_are_read_by_the_attribute_that_they_are_for(api: OperatorApi, run: Run) -> None:
    api.answers["update_resource"] = granted({"resource": RECORD})
    result = run("resources", "set", "NodeModule", RECORD_ID, "name=7", "current_version=7", 'tags=["a"]', "variety=null")
    assert result.exit_code == 0
    assert api.requests[0].body == {"attributes": {"name": "7", "current_version": 7, "tags": ["a"], "variety": None}}


def test_deleting_asks_first(api: OperatorApi, run: Run) -> None:
    api.answers["delete_resource"] = granted({"id": RECORD_ID, "deleted": True, "owned_deleted": 2})
    assert run("resources", "delete", "NodeModule", RECORD_ID).exit_code == 2
    assert api.requests == []
    assert run("resources", "delete", "NodeModule", RECORD_ID, "--yes").exit_code == 0


def test_bridges(api: OperatorApi, run: Run) -> None:
    bridge = {"id": RECORD_ID, "state": "active", "effective_state": "suspended", "sdwan_network_id": RECORD_ID, "updated_at": None}
    api.answers |= {
        "list_peers": listing([peer()]),
        "list_resources": listing([RECORD]),
        "create_bridge": granted({"bridge": bridge}),
        "list_bridges": listing([bridge]),
        "activate_bridge": granted({"bridge": bridge}),
        "revoke_bridge": granted({"bridge": bridge}),
    }
    assert run("bridges", "create", PEER_ID, "--network", "backbone").exit_code == 0
    assert api.requests[-1].body == {"sdwan_network_id": RECORD_ID}
    assert "suspended" in run("bridges", "list", PEER_ID).output
    assert "amounts to suspended" in run("bridges", "activate", PEER_ID, RECORD_ID, "--reason", "ready").output
    assert api.requests[-1].body == {"reason": "ready"}
    assert run("bridges", "revoke", PEER_ID, RECORD_ID).exit_code == 2
    assert run("bridges", "revoke", PEER_ID, RECORD_ID, "--yes").exit_code == 0


# --- what a peer shows ----------------------------------------------------------------------------------------------


def test_a_record_of_a_peer_is_named_by_its_name_too(api: OperatorApi, run: Run) -> None:
    api.answers["list_remote_resources"] = listing([RECORD])
    api.answers["get_remote_resource"] = granted({"resource": RECORD})
    result = run("resources", "remote", PEER_ID, "node_module", "nginx", "--json")
    assert list(lines(result)) == [RECORD], result.output
    found, read = api.requests
    assert (found.query["filter[name]"], read.path.rsplit("/", 1)[1]) == ("nginx", RECORD_ID)
    by_id = run("resources", "remote", PEER_ID, "NodeModule", RECORD_ID, "--json")
    assert list(lines(by_id)) == [RECORD]
    assert [request.name for request in api.requests[2:]] == ["get_remote_resource"]


def test_a_name_that_no_record_of_the_peer_has_is_said_so(api: OperatorApi, run: Run) -> None:
    api.answers["list_remote_resources"] = listing([])
    result = run("resources", "remote", PEER_ID, "NodeModule", "nginx")
    assert result.exit_code == 4
    assert "powernode resources remote PEER NodeModule" in result.stderr
    assert run("resources", "remote", PEER_ID, "Starship", "nginx").exit_code == 2
