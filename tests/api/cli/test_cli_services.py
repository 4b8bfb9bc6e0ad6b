"""`powernode services`: what is sent, and what is said."""

from __future__ import annotations

import json

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, peer


def test_an_exception_from_the_residency_rules_waits_and_tells_how_it_is_approved(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()})
    waiting = {"pending": True, "deferred_operation_id": PEER_ID, "approval_request_id": PEER_ID, "expires_at": "2030-01-01T00:00:00Z"}
    api.answers["subscribe"] = granted(waiting)
    asked = ("services", "subscribe", PEER_ID, "wiki", "--host", "wiki.example.com")
    result = run(*asked, "--override-residency")
    assert result.exit_code == 0, result.output
    assert "nothing has been done yet" in result.stdout
    assert f"powernode approvals approve {PEER_ID}" in result.stdout
    assert api.named("subscribe")[0].body == {
        "slug": "wiki",
        "local_hostname": "wiki.example.com",
        "ttl_days": None,
        "override_residency": True,
    }
    assert json.loads(run(*asked, "--override-residency", "--json").stdout) == waiting
