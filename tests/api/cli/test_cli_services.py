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


def test_a_subscription_that_waits_says_for_what_and_what_to_do(api: OperatorApi, run: Run) -> None:
    waiting = {
        "id": PEER_ID, "local_hostname": "wiki.b.example", "status": "pending", "pending_reason": "certificate_missing",
        "next_try_at": "2030-01-01T00:00:00.000Z",
    }  # fmt: skip
    api.answers["retry_subscription"] = granted({"subscription": waiting})
    result = run("services", "retry", PEER_ID)
    assert result.stdout.splitlines()[0] == "wiki.b.example is pending: certificate_missing"
    assert "bring a certificate for wiki.b.example" in result.stderr
    assert f"the next try is at 2030-01-01T00:00:00.000Z; at once: powernode services retry {PEER_ID}" in result.stderr
    api.answers["retry_subscription"] = granted({"subscription": {**waiting, "pending_reason": "remote_unreachable"}})
    assert "certificate" not in run("services", "retry", PEER_ID).stderr
    api.answers["retry_subscription"] = granted({"subscription": {**waiting, "status": "active", "pending_reason": None}})
    assert run("services", "retry", PEER_ID).stderr == ""
