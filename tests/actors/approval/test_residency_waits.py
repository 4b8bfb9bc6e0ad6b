"""Where a peer keeps data is decided by an approval: what waits, what is set, and when nothing is."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.approval.messages import Execute
from actors.approval.record import KIND
from actors.operator.permissions import PERMISSIONS
from actors.settings import FederationSettings
from runtime.actor import Ref
from sim.world import Reply
from tests.actors.approval.test_approvals import APPROVALS, another
from tests.support.grants import PEERS, Peers, peers

CHANGED = "federation.peer.data_residency_changed"


@attrs.define(eq=False)
class Residency:
    """What `a` decides about `b`."""

    peers: Peers

    def patch(self, body: Any, **headers: str) -> Reply:
        return self.peers.ask("PATCH", f"{PEERS}/{self.peers.b_at_a}", body, **headers)

    def decide(self, approval_id: str, act: str = "approve", body: Any = None) -> Any:
        reply = self.peers.ask("POST", f"{APPROVALS}/{approval_id}/{act}", body or {})
        assert reply.status == 200, reply.body
        return reply.data["approval"]

    def asked(self, value: str | None) -> str:
        reply = self.patch({"data_residency": value})
        assert reply.status == 202, reply.body
        return str(reply.data["approval_request_id"])

    @property
    def now(self) -> str | None:
        row = self.peers.a.store.load("peer", self.peers.b_at_a)
        assert row is not None
        found: str | None = row.record.data_residency
        return found

    def told(self) -> list[Any]:
        return [event.payload for event in self.peers.a.store.events(0, 10_000) if event.kind == CHANGED]


@pytest.fixture
def residency() -> Residency:
    return Residency(peers("residency"))


def test_a_tag_waits_is_approved_and_is_set_with_who_asked_and_who_approved(residency: Residency) -> None:
    approval_id = residency.asked("EU")
    assert (residency.now, residency.told()) == (None, [])
    shown = residency.peers.ask("GET", f"{APPROVALS}/{approval_id}").data["approval"]
    assert (shown["action_category"], shown["status"]) == ("sdwan.federation_peer_data_residency", "pending")
    assert shown["params_redacted"] == {"peer_id": residency.peers.b_at_a, "data_residency": "EU", "previous": None}
    done = residency.decide(approval_id)
    assert (done["execution_status"], done["resolution"]) == ("succeeded", {"data_residency": "EU"})
    assert residency.now == "EU"
    (told,) = residency.told()
    operator = residency.peers.a.operator_id
    facts = {"previous": None, "value": "EU", "declared_by": "local_decision", "by": operator, "approved_by": operator}
    assert facts.items() <= told.items()
    assert told["operation_id"] == shown["execution_id"]
    chain = residency.peers.ask("GET", f"{PEERS}/{residency.peers.b_at_a}/audit_log?limit=200").data
    assert [entry["action"] for entry in chain].count("peer.data_residency_decided") == 1


def test_the_stored_value_is_no_change_and_clearing_is_one(residency: Residency) -> None:
    residency.decide(residency.asked("EU"))
    assert residency.patch({"data_residency": " EU ", "overlay_only": True}).status == 200
    assert len(residency.told()) == 1
    residency.decide(residency.asked(None))
    assert residency.now is None
    assert residency.patch({"data_residency": ""}).status == 200


@pytest.mark.parametrize("body", [{"data_residency": "EU", "overlay_only": True}, {"data_residency": "EU", "metadata": {"site": "1"}}])
def test_what_waits_is_sent_by_itself(residency: Residency, body: Any) -> None:
    reply = residency.patch(body)
    assert (reply.status, reply.body["code"]) == (422, "residency_not_alone")
    row = residency.peers.a.store.load("peer", residency.peers.b_at_a)
    assert row is not None
    assert row.record.overlay_only is False


@pytest.mark.parametrize("value", ["EU", None])
def test_a_residency_beside_a_status_has_a_code_of_its_own(residency: Residency, value: str | None) -> None:
    reply = residency.patch({"data_residency": value, "status": "suspended"})
    assert (reply.status, reply.body["code"]) == (422, "residency_with_status_change")
    assert residency.patch({"status": "suspended"}).body["code"] == "field_not_editable"
    assert residency.now is None


def test_a_lost_race_is_said_before_anything_waits(residency: Residency) -> None:
    reply = residency.patch({"data_residency": "EU"}, if_match='"1"')
    assert (reply.status, reply.body["code"]) == (409, "version_conflict")


@pytest.mark.parametrize("end", ["reject", "cancel", "time"])
def test_what_is_not_approved_changes_nothing(residency: Residency, end: str) -> None:
    approval_id = residency.asked("EU")
    if end == "time":
        residency.peers.world.run_for(FederationSettings().approval_timeout_s + 60.0)
        reply = residency.peers.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
        assert reply.body["code"] in ("approval_expired", "approval_not_pending")
    else:
        residency.decide(approval_id, end, {"reason": "no"} if end == "reject" else {})
    assert (residency.now, residency.told()) == (None, [])


def test_nothing_is_set_once_the_tag_is_another_than_when_it_was_asked(residency: Residency) -> None:
    first, second = residency.asked("EU"), residency.asked("US")
    residency.decide(first)
    failed = residency.decide(second)
    assert (failed["execution_status"], failed["resolution"]["code"]) == ("failed", "precondition_changed")
    assert residency.now == "EU"


def test_who_asks_does_not_approve_while_somebody_else_could(residency: Residency) -> None:
    a = residency.peers.a
    token = another(a, "second@a.example", *PERMISSIONS)
    approval_id = residency.asked("EU")
    reply = residency.peers.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
    assert (reply.status, reply.body["code"]) == (403, "self_approval_forbidden")
    a.token = token
    assert residency.decide(approval_id)["execution_status"] == "succeeded"


def test_an_approval_is_carried_out_once_though_it_is_told_twice(residency: Residency) -> None:
    approval_id = residency.asked("EU")
    residency.decide(approval_id)
    a = residency.peers.a
    row = a.store.load(KIND.name, approval_id)
    assert row is not None
    a.engine.tell(Ref("peer", residency.peers.b_at_a), Execute(approval=row.record, approved_by="somebody"))
    residency.peers.world.run_for(1.0)
    assert len(residency.told()) == 1


def test_an_approval_outlives_a_crash_of_the_platform(residency: Residency) -> None:
    approval_id = residency.asked("EU")
    a = residency.peers.a
    a.crash()
    a.start()
    a.sign_in()
    assert residency.decide(approval_id)["execution_status"] == "succeeded"
    assert residency.now == "EU"
