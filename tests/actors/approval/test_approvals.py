"""Operations that wait for approval: who decides, until when, and that what is done is what was approved, once."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.approval.record import KIND
from actors.migration.record import MIGRATION
from actors.operator.messages import CreateOperator
from actors.operator.permissions import PERMISSIONS
from actors.settings import FederationSettings
from runtime.actor import Ref
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import Query
from sim.world import Host, Reply
from tests.support.grants import PEERS, Peers, peers

SYSTEM = "/api/v1/system"
APPROVALS = "/api/v1/ai/autonomy/approvals"
MIGRATIONS = f"{SYSTEM}/platform/migrations"
PASSWORD = "correct horse battery staple"


@attrs.define(eq=False)
class Waiting:
    """A migration of `a` that meets a record of `b`, and the wish to overwrite it."""

    peers: Peers
    migration_id: str
    approval_id: str

    def ask(self, verb: str, path: str, body: Any = None, token: str | None = None) -> Reply:
        host = self.peers.a
        former, host.token = host.token, token or host.token
        reply = host.call(verb, path, body)
        host.token = former
        assert reply is not None
        return reply

    def decide(self, act: str, body: Any = None, token: str | None = None) -> Reply:
        return self.ask("POST", f"{APPROVALS}/{self.approval_id}/{act}", body or {}, token)

    def policy(self) -> str:
        row = self.peers.a.store.load(MIGRATION.name, self.migration_id)
        assert row is not None
        return str(row.record.steps[0].conflict_policy)

    def shown(self) -> Any:
        return self.ask("GET", f"{APPROVALS}/{self.approval_id}").data["approval"]


def wrote(host: Host, kind: str, **attributes: Any) -> str:
    reply = host.call("POST", f"{SYSTEM}/platform/resources/{kind}", {"attributes": attributes})
    assert reply is not None
    assert reply.status == 201, reply.body
    return str(reply.data["resource"]["id"])


def another(host: Host, email: str, *permissions: str) -> str:
    """The access token of another operator."""
    message = CreateOperator(
        account_id=host.account_id, by=None, email=email, name=email, password=Secret(PASSWORD), permissions=permissions
    )
    outcomes: list[Any] = []
    host.engine.ask(Ref("operator", uuid7(host.clock.wall(), host.randomness.stream("people"))), message, 30.0, outcomes.append)
    assert host.world.run_until(lambda: bool(outcomes), 10.0)
    reply = host.call("POST", "/api/v1/auth/login", {"email": email, "password": PASSWORD})
    assert reply is not None
    return str(reply.data["access_token"])


@pytest.fixture
def waiting() -> Waiting:
    return made_to_wait()


def made_to_wait(**federation: Any) -> Waiting:
    both = peers("approvals", **federation)
    for host in (both.a, both.b):
        platform = wrote(host, "NodePlatform", name="debian", architecture="amd64")
        wrote(host, "NodeModule", name="nginx", node_platform_id=platform, description=host.name)
    modules = both.a.call("GET", f"{SYSTEM}/platform/resources/NodeModule")
    assert modules is not None
    granted = both.ask(
        "POST",
        f"{PEERS}/{both.a_at_b}/grants",
        {"remote_subject": "mover@a", "resource_kind": "NodeModule", "permission_scopes": ["migrate"]},
        at=both.b,
    )
    body = {
        "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": modules.data[0]["id"],
        "destination_peer_id": both.b_at_a, "bearer": granted.data["bearer_token"], "dry_run": False,
    }  # fmt: skip
    planned = both.a.call("POST", MIGRATIONS, body)
    assert planned is not None
    assert planned.status == 201, planned.body
    id = planned.data["migration"]["id"]
    assert both.world.run_until(lambda: status_of(both.a, id) == "conflict", 30.0)
    found = Waiting(both, id, "")
    asked = found.ask("PATCH", f"{MIGRATIONS}/{id}/steps/0", {"conflict_policy": "overwrite"})
    assert asked.status == 202, asked.body
    assert asked.data["pending"] is True
    found.approval_id = asked.data["approval_request_id"]
    return found


def status_of(host: Host, id: str) -> str:
    row = host.store.load(MIGRATION.name, id)
    return "" if row is None else str(row.record.status)


def test_nothing_is_done_until_it_is_approved_and_then_it_is_done_once(waiting: Waiting) -> None:
    assert waiting.policy() == "fail"
    shown = waiting.shown()
    assert (shown["status"], shown["execution_status"], shown["can_decide"]) == ("pending", "none", True)
    approved = waiting.decide("approve", {"comment": "theirs is older"})
    assert approved.status == 200, approved.body
    assert (approved.data["approval"]["status"], approved.data["approval"]["execution_status"]) == ("approved", "succeeded")
    assert waiting.policy() == "overwrite"
    again = waiting.decide("approve")
    assert (again.status, again.body["code"]) == (409, "approval_not_pending")
    chain = [entry.action for entry in waiting.peers.a.store.audit(waiting.peers.b_at_a, 0, 1_000)]
    assert [each for each in chain if each.startswith("approval.")] == [
        "approval.created", "approval.approve", "approval.approved", "approval.succeeded",
    ]  # fmt: skip
    for act in ("validate", "apply"):
        waiting.ask("POST", f"{MIGRATIONS}/{waiting.migration_id}/{act}", {})
        waiting.peers.world.run_for(5.0)
    assert status_of(waiting.peers.a, waiting.migration_id) == "completed"


def test_who_asked_does_not_approve_while_somebody_else_could(waiting: Waiting) -> None:
    other = another(waiting.peers.a, "bea@example.com", *PERMISSIONS)
    refused = waiting.decide("approve")
    assert (refused.status, refused.body["code"]) == (403, "self_approval_forbidden")
    assert not waiting.shown()["can_decide"]
    assert waiting.decide("approve", token=other).data["approval"]["execution_status"] == "succeeded"


def test_who_may_not_decide_does_not(waiting: Waiting) -> None:
    reader = another(waiting.peers.a, "cy@example.com", "system.infra_tasks.read")
    for act in ("approve", "reject"):
        assert waiting.decide(act, {"reason": "no"} if act == "reject" else {}, token=reader).body["code"] == "forbidden"
    assert waiting.decide("cancel", token=reader).body["code"] == "not_an_approver"
    assert waiting.shown()["status"] == "pending"


def test_a_rejection_says_why_and_nothing_is_done(waiting: Waiting) -> None:
    assert waiting.decide("reject").body["code"] == "reason_required"
    assert waiting.decide("reject", {"reason": "keep theirs"}).data["approval"]["resolution"] == {"reason": "keep theirs"}
    waiting.peers.world.run_for(1.0)
    assert waiting.policy() == "fail"
    row = waiting.peers.a.store.load(MIGRATION.name, waiting.migration_id)
    assert row is not None
    assert row.record.audit_log[-1]["why"] == "approval_rejected"


def test_how_long_it_waits_is_a_setting() -> None:
    row = made_to_wait(approval_timeout_s=120.0).peers.a.store.query(Query(KIND.name))[0]
    assert row.record.expires_at - row.record.created_at == 120.0


def test_after_four_hours_it_is_rejected_by_itself_and_one_tick_late_is_late(waiting: Waiting) -> None:
    host = waiting.peers.a
    row = host.store.load(KIND.name, waiting.approval_id)
    assert row is not None
    waiting.peers.world.run_for(row.record.expires_at - host.clock.wall() + 0.001)
    assert row.record.expires_at - row.record.created_at == FederationSettings().approval_timeout_s
    host.sign_in()
    late = waiting.decide("approve")
    assert (late.status, late.body["code"]) == (409, "approval_expired")
    assert waiting.shown()["status"] == "expired"
    waiting.peers.world.run_for(60.0)
    assert waiting.policy() == "fail"


def test_what_has_changed_since_is_not_done_and_the_approver_is_told(waiting: Waiting) -> None:
    waiting.ask("POST", f"{MIGRATIONS}/{waiting.migration_id}/cancel", {})
    found = waiting.decide("approve").data["approval"]
    assert (found["status"], found["execution_status"], found["resolution"]["code"]) == ("approved", "failed", "invalid_transition")


def test_who_may_not_ask_any_more_has_it_not_done(waiting: Waiting) -> None:
    host = waiting.peers.a
    other = another(host, "bea@example.com", *PERMISSIONS)
    asker = host.store.load(KIND.name, waiting.approval_id)
    assert asker is not None
    path = f"{SYSTEM}/operators/{asker.record.requested_by}"
    assert waiting.ask("PATCH", path, {"disabled": True}, token=other).status == 200
    found = waiting.decide("approve", token=other).data["approval"]
    assert (found["execution_status"], found["resolution"]["code"]) == ("failed", "precondition_changed")
    assert waiting.policy() == "fail"


def test_a_crash_between_the_approval_and_its_execution_does_it_once(waiting: Waiting) -> None:
    host = waiting.peers.a
    host.send("POST", f"{APPROVALS}/{waiting.approval_id}/approve", {})

    def approved() -> bool:
        row = host.store.load(KIND.name, waiting.approval_id)
        return row is not None and row.record.execution_status == "running"

    assert waiting.peers.world.run_until(approved, 5.0)
    host.crash()
    host.start()
    waiting.peers.world.run_for(5.0)
    host.sign_in()
    assert waiting.policy() == "overwrite"
    assert waiting.shown()["execution_status"] == "succeeded"


def test_a_wish_that_is_withdrawn_is_over(waiting: Waiting) -> None:
    assert waiting.decide("cancel").data["approval"]["status"] == "cancelled"
    assert waiting.decide("approve").body["code"] == "approval_not_pending"
    listed = waiting.ask("GET", f"{APPROVALS}?status=cancelled&category=system.migration_overwrite")
    assert [row["id"] for row in listed.data] == [waiting.approval_id]
