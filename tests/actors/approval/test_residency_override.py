"""One migration although our residency rules refuse it: what waits, what is planned, what it covers, and that it serves once."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.approval.messages import Execute
from actors.approval.record import KIND
from actors.migration.record import MIGRATION
from actors.operator.permissions import PERMISSIONS
from actors.settings import FederationSettings
from runtime.actor import Ref
from sim.world import Reply, World
from tests.actors.approval.test_approvals import APPROVALS, MIGRATIONS, another, wrote
from tests.support.grants import PEERS, SEED_BODY, Peers, pair

RULES = {"data_residency": "CH", "residency_mode": "refuse"}


@attrs.define(eq=False)
class Excepted:
    """A module of `a`, which keeps data in CH and lets nothing out, and a grant of `b`, which keeps data elsewhere."""

    two: Peers
    module_id: str

    def plan(self, **changes: Any) -> Reply:
        body = {
            "operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": self.module_id,
            "destination_peer_id": self.two.b_at_a, "dry_run": False, "override_residency": True, **changes,
        }  # fmt: skip
        return self.two.ask("POST", MIGRATIONS, body)

    def asked(self) -> str:
        reply = self.plan()
        assert reply.status == 202, reply.body
        assert self.two.ask("GET", MIGRATIONS).data == []
        return str(reply.data["approval_request_id"])

    def decide(self, approval_id: str, act: str = "approve", body: Any = None) -> Any:
        reply = self.two.ask("POST", f"{APPROVALS}/{approval_id}/{act}", body or {})
        assert reply.status == 200, reply.body
        self.two.world.run_for(60.0)
        return reply.data["approval"]

    def approved(self) -> str:
        """The id of the migration for which an exception was asked and approved."""
        done = self.decide(self.asked())
        assert done["execution_status"] == "succeeded", done
        return str(done["resolution"]["migration_id"])

    def act(self, id: str, act: str) -> Reply:
        reply = self.two.ask("POST", f"{MIGRATIONS}/{id}/{act}", {})
        self.two.world.run_for(120.0)
        return reply

    def record(self, id: str) -> Any:
        row = self.two.a.store.load(MIGRATION.name, id)
        assert row is not None
        return row.record

    def told(self, kind: str) -> list[Any]:
        return [event for event in self.two.a.store.events(0, 10_000) if event.kind == kind]


def exception(a: Any = RULES, b: Any = None) -> Excepted:
    world = World("exceptions")
    two = pair(world, world.platform("a", **a).sign_in(), world.platform("b", **(b or {"data_residency": "US"})).sign_in())
    body = {**SEED_BODY, "permission_scopes": ["migrate"]}
    bearer = two.ask("POST", f"{PEERS}/{two.a_at_b}/grants", body, at=two.b).data["bearer_token"]
    kept = two.ask("POST", f"{PEERS}/{two.b_at_a}/received_grants", {"bearer_token": bearer})
    assert kept.status == 201, kept.body
    world.run_for(120.0)
    return Excepted(two, wrote(two.a, "NodeModule", name="nginx"))


@pytest.fixture
def one() -> Excepted:
    return exception()


def test_without_the_word_the_rules_refuse_and_nothing_waits(one: Excepted) -> None:
    reply = one.plan(override_residency=False)
    assert (reply.status, reply.body["code"]) == (403, "residency_refused")
    assert one.two.ask("GET", APPROVALS).data == []


def test_one_migration_goes_by_an_approval_and_the_next_is_refused(one: Excepted) -> None:
    approval_id = one.asked()
    shown = one.two.ask("GET", f"{APPROVALS}/{approval_id}").data["approval"]
    assert (shown["action_category"], shown["blast_radius"]) == ("federation.residency_override", "high")
    assert (shown["plan"]["situation"], shown["plan"]["our_residency"]) == ("different", "CH")
    assert shown["plan"]["first_records"] == [{"kind": "NodeModule", "id": one.module_id}]
    done = one.decide(approval_id)
    id = done["resolution"]["migration_id"]
    assert one.two.ask("GET", f"{MIGRATIONS}/{id}").data["migration"]["residency_exception"] == approval_id
    assert one.act(id, "apply").status == 200
    record = one.record(id)
    assert (record.status, record.cross_jurisdiction) == ("completed", True)
    operator = one.two.a.operator_id
    (told,) = one.told("migration.residency_overridden")
    facts = {"migration_id": id, "approval_id": approval_id, "approved_by": operator, "operation_id": shown["execution_id"]}
    assert facts.items() <= told.payload.items()
    (crossed,) = one.told("migration.cross_boundary")
    assert (crossed.severity, crossed.payload["approval_id"]) == ("high", approval_id)
    chain = [entry.action for entry in one.two.a.store.audit(one.two.b_at_a, 0, 1_000)]
    assert [chain.count(f"migration.{each}") for each in ("residency_overridden", "cross_boundary")] == [1, 1]
    other = wrote(one.two.a, "NodeModule", name="other")
    assert one.plan(root_resource_id=other, override_residency=False).body["code"] == "residency_refused"


@pytest.mark.parametrize("end", ["reject", "cancel", "time"])
def test_what_is_not_approved_is_not_planned(one: Excepted, end: str) -> None:
    approval_id = one.asked()
    if end == "time":
        one.two.world.run_for(FederationSettings().approval_timeout_s + 60.0)
        reply = one.two.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
        assert reply.body["code"] in ("approval_expired", "approval_not_pending")
    else:
        one.decide(approval_id, end, {"reason": "no"} if end == "reject" else {})
    assert one.two.ask("GET", MIGRATIONS).data == []
    assert one.told("migration.residency_overridden") == []


def test_what_waits_ends_with_the_peering(one: Excepted) -> None:
    approval_id = one.asked()
    tag = one.two.ask("PATCH", f"{PEERS}/{one.two.b_at_a}", {"data_residency": "CH"}).data["approval_request_id"]
    assert one.two.ask("POST", f"{PEERS}/{one.two.b_at_a}/revoke", {}).status == 200
    one.two.world.run_for(60.0)
    shown = one.two.ask("GET", f"{APPROVALS}/{approval_id}").data["approval"]
    assert (shown["status"], shown["resolution"]) == ("cancelled", {"reason": "the peering has ended"})
    late = one.two.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
    assert (late.status, late.body["code"]) == (409, "approval_not_pending")
    # Where a platform keeps data is no matter of one peering.
    assert one.two.ask("GET", f"{APPROVALS}/{tag}").data["approval"]["status"] == "pending"


def test_other_records_than_those_that_were_shown_are_not_covered(one: Excepted) -> None:
    approval_id = one.asked()
    wrote(one.two.a, "ModuleVersion", node_module_id=one.module_id, number=1)
    failed = one.decide(approval_id)
    assert (failed["execution_status"], failed["resolution"]["code"]) == ("failed", "precondition_changed")
    assert one.two.ask("GET", MIGRATIONS).data == []


@pytest.mark.parametrize("act", ["apply", "validate"])
def test_what_is_added_after_the_approval_does_not_leave(one: Excepted, act: str) -> None:
    id = one.approved()
    wrote(one.two.a, "ModuleVersion", node_module_id=one.module_id, number=1)
    reply = one.act(id, act)
    assert (reply.status, reply.body["code"]) == (403, "residency_refused")
    assert one.record(id).status == "validating"


def test_another_place_than_the_one_that_was_shown_is_not_covered(one: Excepted) -> None:
    id = one.approved()
    reply = one.two.ask("PATCH", f"{PEERS}/{one.two.b_at_a}", {"data_residency": "KP"})
    one.decide(str(reply.data["approval_request_id"]))
    assert one.act(id, "apply").body["code"] == "residency_refused"


def test_a_further_attempt_needs_another_exception(one: Excepted) -> None:
    id = one.approved()
    grant = one.two.ask("GET", f"{PEERS}/{one.two.a_at_b}/grants", at=one.two.b).data[0]["id"]
    revoked = one.two.ask("POST", f"{PEERS}/{one.two.a_at_b}/grants/{grant}/revoke", {"immediate": True}, at=one.two.b)
    assert revoked.status == 200, revoked.body
    one.act(id, "apply")
    assert one.record(id).status == "failed"
    assert one.act(id, "retry").body["code"] == "residency_refused"
    assert one.record(id).status == "failed"


def test_the_rules_of_the_destination_are_its_own() -> None:
    one = exception(b={"data_residency": "US", "residency_mode": "refuse"})
    id = one.approved()
    assert (one.record(id).status, one.record(id).error) == ("failed", "residency_refused")


def test_an_unknown_place_is_excepted_too_and_marked_as_no_crossing() -> None:
    one = exception({"residency_unknown": "refuse"})
    id = one.approved()
    one.act(id, "apply")
    assert (one.record(id).status, one.record(id).cross_jurisdiction) == ("completed", False)


def test_where_the_rules_allow_it_nothing_waits() -> None:
    one = exception({"data_residency": "CH"})
    assert one.plan().status == 201


def test_what_waits_keeps_no_bearer(one: Excepted) -> None:
    reply = one.plan(bearer="fg-0190e1c4-1111-7000-8000-000000000001-abcdefghijklmnopqrstuvwxyz012345")
    assert (reply.status, reply.body["code"]) == (422, "bearer_not_kept")
    assert one.two.ask("GET", APPROVALS).data == []


def test_who_asks_does_not_approve_while_somebody_else_could(one: Excepted) -> None:
    another(one.two.a, "second@a.example", *PERMISSIONS)
    reply = one.two.ask("POST", f"{APPROVALS}/{one.asked()}/approve", {})
    assert (reply.status, reply.body["code"]) == (403, "self_approval_forbidden")


def test_an_approval_serves_once_though_it_is_told_twice_and_outlives_a_crash(one: Excepted) -> None:
    approval_id = one.asked()
    a = one.two.a
    a.crash()
    a.start()
    a.sign_in()
    id = one.decide(approval_id)["resolution"]["migration_id"]
    one.act(id, "cancel")
    row = a.store.load(KIND.name, approval_id)
    assert row is not None
    for other in (id, one.module_id):
        a.engine.tell(Ref(MIGRATION.name, other), Execute(approval=row.record, approved_by="somebody"))
    one.two.world.run_for(1.0)
    assert one.record(id).status == "cancelled"
    assert a.store.load(MIGRATION.name, one.module_id) is None
    assert len(one.told("migration.residency_overridden")) == 1
