"""`powernode migrations`: what is sent, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, lines, listing, peer

MIGRATION_ID = "0190e1c4-5555-7000-8000-000000000006"
MODULE_ID = "0190e1c4-3333-7000-8000-000000000004"
MIGRATION: dict[str, Any] = {
    "id": MIGRATION_ID, "side": "source", "operation": "migrate", "status": "conflict", "root_resource_kind": "NodeModule",
    "steps": [{"order": 0, "kind": "NodeModule", "id": MODULE_ID, "action": "create", "conflict_policy": "fail"}],
    "conflict_log": [{"step": 0, "kind": "NodeModule", "key": {"name": "nginx"}, "conflicting_id": PEER_ID, "at": "2026-01-01T00:00:00Z"}],
}  # fmt: skip
ONE = granted({"migration": MIGRATION})
BEARER = "fg-0190e1c4-1111-7000-8000-000000000001-abcdefghijklmnopqrstuvwxyz012345"


def test_a_plan_names_the_module_and_reads_its_bearer_where_nobody_sees_it(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()})
    api.answers["plan_migration"] = ONE
    result = run("migrations", "plan", PEER_ID, "NodeModule", MODULE_ID, "--copy", "--bearer-file", "-", input=BEARER + "\n")
    assert result.exit_code == 0, result.output
    body = api.requests[-1].body
    assert (body["operation"], body["root_resource_id"], body["dry_run"], body["bearer"]) == ("duplicate", MODULE_ID, False, BEARER)
    assert "abcdef" not in result.output
    assert "nginx" in result.output


def test_an_exception_from_the_residency_rules_waits_and_takes_no_bearer(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()})
    waiting = {"pending": True, "deferred_operation_id": PEER_ID, "approval_request_id": PEER_ID, "expires_at": "2030-01-01T00:00:00Z"}
    api.answers["plan_migration"] = granted(waiting)
    asked = ("migrations", "plan", PEER_ID, "NodeModule", MODULE_ID, "--override-residency")
    result = run(*asked)
    assert result.exit_code == 0, result.output
    assert "nothing has been done yet" in result.stdout
    assert f"powernode approvals approve {PEER_ID}" in result.stdout
    assert api.requests[-1].body["override_residency"] is True
    assert json.loads(run(*asked, "--json").stdout) == waiting
    sent = len(api.requests)
    assert run(*asked, "--bearer-file", "-", input=BEARER + "\n").exit_code == 2
    assert len(api.requests) == sent


def test_a_step_is_decided_and_overwriting_asks_first(api: OperatorApi, run: Run) -> None:
    api.answers["set_migration_step"] = ONE
    assert run("migrations", "set-step", MIGRATION_ID, "0", "rename_with_suffix").exit_code == 0
    assert api.requests[-1].body == {"conflict_policy": "rename_with_suffix"}
    sent = len(api.requests)
    assert run("migrations", "set-step", MIGRATION_ID, "0", "overwrite", input="n\n").exit_code != 0
    assert len(api.requests) == sent
    assert run("migrations", "set-step", MIGRATION_ID, "0", "overwrite", "--yes").exit_code == 0


def test_every_act_is_said_and_shown(api: OperatorApi, run: Run) -> None:
    for act in ("apply", "validate", "retry", "cancel"):
        api.answers[f"{act}_migration"] = ONE
        result = run("migrations", act, MIGRATION_ID)
        assert result.exit_code == 0, result.output
        assert "the migration is conflict" in result.output
        assert api.requests[-1].body == {}
    run("migrations", "apply", MIGRATION_ID, "--acknowledge-residency")
    assert api.requests[-1].body == {"acknowledge_residency": True}


def test_migrations_are_listed_and_shown(api: OperatorApi, run: Run) -> None:
    api.answers["list_migrations"] = listing([MIGRATION])
    api.answers["get_migration"] = ONE
    assert MIGRATION_ID in run("migrations", "list").output
    run("migrations", "list", "--arrived")
    assert [dict(request.query).get("side") for request in api.requests[-2:]] == [None, "destination"]
    assert list(lines(run("migrations", "show", MIGRATION_ID, "--json"))) == [MIGRATION]


def test_what_can_be_done_next_is_said_where_the_status_does_not_tell(api: OperatorApi, run: Run) -> None:
    lacking = {"step": 1, "kind": "NodePlatform", "key": {"name": "debian"}, "conflicting_id": None, "code": "link_target_missing"}
    for changes, said in (
        ({}, f"powernode migrations set-step {MIGRATION_ID} ORDER POLICY"),
        ({"error": "link_target_missing", "conflict_log": [lacking]}, f"powernode migrations validate {MIGRATION_ID}"),
        ({"status": "validating", "cleared": False}, f"powernode migrations show {MIGRATION_ID}"),
        ({"status": "validating", "cleared": True}, f"powernode migrations apply {MIGRATION_ID}"),
    ):
        api.answers["get_migration"] = granted({"migration": {**MIGRATION, **changes}})
        result = run("migrations", "show", MIGRATION_ID)
        assert said in result.stderr
    api.answers["get_migration"] = granted({"migration": {**MIGRATION, "conflict_log": [lacking]}})
    assert "name=debian  nothing: it is not there" in run("migrations", "show", MIGRATION_ID).stdout


def test_what_waits_for_approval_is_said_to_wait(api: OperatorApi, run: Run) -> None:
    waiting = {"pending": True, "deferred_operation_id": PEER_ID, "approval_request_id": MODULE_ID, "expires_at": "2026-01-01T04:00:00Z"}
    api.answers["set_migration_step"] = granted(waiting)
    result = run("migrations", "set-step", MIGRATION_ID, "0", "overwrite", "--yes")
    assert result.exit_code == 0, result.output
    assert f"powernode approvals approve {MODULE_ID}" in result.output
    assert list(lines(run("migrations", "set-step", MIGRATION_ID, "0", "overwrite", "--yes", "--json"))) == [waiting]


def test_who_resolves_a_migration_is_told_the_risk_and_says_who_told_them(api: OperatorApi, run: Run) -> None:
    api.answers |= {"get_migration": ONE, "resolve_migration": ONE}
    assert run("migrations", "resolve", MIGRATION_ID, "--word", "Bea, by phone").exit_code == 2
    assert run("migrations", "resolve", MIGRATION_ID, "--keep").exit_code == 2
    asked = run("migrations", "resolve", MIGRATION_ID, "--keep", "--word", "Bea, by phone", input="n\n")
    assert "two homes" in asked.output
    assert not api.named("resolve_migration")
    assert run("migrations", "resolve", MIGRATION_ID, "--release", "--word", "Bea, by phone", "--yes").exit_code == 0
    assert api.requests[-1].body == {"outcome": "release", "word": "Bea, by phone"}


def test_a_receipt_that_was_handed_over_is_read_from_a_file(api: OperatorApi, run: Run, tmp_path: Path) -> None:
    api.answers |= {"get_migration": ONE, "resolve_migration": ONE}
    file = tmp_path / "receipt.json"
    said = ("migrations", "resolve", MIGRATION_ID, "--word", "Bea sent it", "--yes", "--receipt", str(file))
    file.write_text("no receipt", "utf-8")
    assert run(*said, "--release").exit_code == 2
    file.write_text('{"receipt": {}, "signature": "x", "certificate_pem": "y"}', "utf-8")
    assert run(*said, "--keep").exit_code == 2
    assert not api.named("resolve_migration")
    assert run(*said, "--release").exit_code == 0
    assert api.requests[-1].body["receipt"] == {"receipt": {}, "signature": "x", "certificate_pem": "y"}


def test_a_receipt_is_printed_for_those_who_wait_for_it(api: OperatorApi, run: Run) -> None:
    proof = {"receipt": {"migration_id": MIGRATION_ID}, "signature": "x", "certificate_pem": "y"}
    api.answers["get_migration_receipt"] = granted(proof)
    result = run("migrations", "receipt", MIGRATION_ID)
    assert (result.exit_code, json.loads(result.stdout)) == (0, proof)
