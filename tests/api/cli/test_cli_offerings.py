"""`powernode offerings`: what is sent, and what is said."""

from __future__ import annotations

import json

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted

OFFERING_ID = "0190e1c4-7777-7000-8000-000000000008"
RETIRED = {"id": OFFERING_ID, "slug": "wiki", "status": "retired", "access_ends_at": "2030-01-31T00:00:00Z"}


def test_a_retirement_tells_when_access_ends(api: OperatorApi, run: Run) -> None:
    api.answers["retire_offering"] = granted({"offering": RETIRED})
    result = run("offerings", "retire", OFFERING_ID, "--yes")
    assert result.exit_code == 0, result.output
    assert "the offering is retired; access ends at 2030-01-31" in result.output
    assert api.named("retire_offering")[0].body == {"immediate": False}


def test_a_cut_off_asks_first_and_tells_what_waits_and_how_it_is_approved(api: OperatorApi, run: Run) -> None:
    waiting = {"pending": True, "deferred_operation_id": PEER_ID, "approval_request_id": PEER_ID, "expires_at": "2030-01-01T00:00:00Z"}
    api.answers["retire_offering"] = granted(waiting)
    assert run("offerings", "retire", OFFERING_ID, "--immediate", input="n\n").exit_code != 0
    assert api.named("retire_offering") == []
    result = run("offerings", "retire", OFFERING_ID, "--immediate", "--yes")
    assert result.exit_code == 0, result.output
    assert "nothing has been done yet" in result.stdout
    assert f"powernode approvals approve {PEER_ID}" in result.stdout
    assert api.named("retire_offering")[0].body == {"immediate": True}
    assert json.loads(run("offerings", "retire", OFFERING_ID, "--immediate", "--yes", "--json").stdout) == waiting
