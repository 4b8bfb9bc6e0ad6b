"""The end of an offering at once waits for approval: what waits, what is ended, and when nothing is."""

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
from tests.support.grants import Peers
from tests.support.services import OFFERINGS, data, offer, quiet_peers, step, subscribe


@attrs.define(eq=False)
class Cutoff:
    """An offering of `a` in which `b` has a seat."""

    two: Peers
    offering_id: str
    grant_id: str

    def retire(self, **headers: str) -> Reply:
        return self.two.ask("POST", f"{OFFERINGS}/{self.offering_id}/retire", {"immediate": True}, **headers)

    def asked(self) -> str:
        reply = self.retire()
        assert reply.status == 202, reply.body
        return str(reply.data["approval_request_id"])

    def decide(self, approval_id: str, act: str = "approve", body: Any = None) -> Any:
        reply = self.two.ask("POST", f"{APPROVALS}/{approval_id}/{act}", body or {})
        assert reply.status == 200, reply.body
        return reply.data["approval"]

    @property
    def now(self) -> tuple[str, str, str]:
        """How the offering, the seat and its grant stand."""
        offering = self.two.ask("GET", f"{OFFERINGS}/{self.offering_id}").data["offering"]
        (lease,) = self.two.ask("GET", f"{OFFERINGS}/{self.offering_id}/leases").data
        return offering["status"], lease["state"], self.two.ask("GET", self.grant_id).data["grant"]["state"]

    def told(self) -> list[Any]:
        return [each.payload for each in self.two.a.store.events(0, 10_000) if each.kind == "federation.offering.retired"]


OPEN = ("active", "live", "active")
CUT = ("retired", "revoked", "revoked")


@pytest.fixture
def cutoff() -> Cutoff:
    two = quiet_peers("cut-off")
    offering = offer(two)
    return Cutoff(two, offering["id"], data(subscribe(two))["grant_id"])


def test_a_cut_off_waits_and_takes_every_seat_with_the_approval(cutoff: Cutoff) -> None:
    approval_id = cutoff.asked()
    assert (cutoff.now, cutoff.told()) == (OPEN, [])
    shown = cutoff.two.ask("GET", f"{APPROVALS}/{approval_id}").data["approval"]
    assert (shown["action_category"], shown["status"], shown["blast_radius"]) == ("system.service_offering_cutoff", "pending", "high")
    assert shown["plan"] == {"status": "active", "live_leases": 1}
    assert shown["params_redacted"] == {"offering_id": cutoff.offering_id, "slug": "wiki", "immediate": True}
    done = cutoff.decide(approval_id)
    assert (done["execution_status"], done["resolution"]) == ("succeeded", {"offering_id": cutoff.offering_id})
    assert cutoff.now == CUT
    (told,) = cutoff.told()
    operator = cutoff.two.a.operator_id
    facts = {"by": operator, "approved_by": operator, "operation_id": shown["execution_id"], "immediate": True}
    assert facts.items() <= told.items()
    actions = [entry.action for entry in cutoff.two.a.store.audit(cutoff.offering_id, 0, 100)]
    assert actions.count("offering.retired") == 1


@pytest.mark.parametrize("end", ["reject", "cancel", "time"])
def test_what_is_not_approved_ends_nothing(cutoff: Cutoff, end: str) -> None:
    approval_id = cutoff.asked()
    if end == "time":
        cutoff.two.world.run_for(FederationSettings().approval_timeout_s + 60.0)
        reply = cutoff.two.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
        assert reply.body["code"] in ("approval_expired", "approval_not_pending")
    else:
        cutoff.decide(approval_id, end, {"reason": "no"} if end == "reject" else {})
    assert (cutoff.now, cutoff.told()) == (OPEN, [])


def test_an_offering_that_was_retired_meanwhile_keeps_its_thirty_days(cutoff: Cutoff) -> None:
    approval_id = cutoff.asked()
    step(cutoff.two, cutoff.offering_id, "retire")
    failed = cutoff.decide(approval_id)
    assert (failed["execution_status"], failed["resolution"]["code"]) == ("failed", "precondition_changed")
    assert cutoff.now == ("retired", "live", "active")


def test_a_step_that_cannot_be_taken_is_refused_before_anything_waits(cutoff: Cutoff) -> None:
    reply = cutoff.retire(if_match='"1"')
    assert (reply.status, reply.body["code"]) == (409, "version_conflict")
    step(cutoff.two, cutoff.offering_id, "retire")
    reply = cutoff.retire()
    assert (reply.status, reply.body["code"]) == (409, "offering_retired")
    assert cutoff.two.ask("GET", APPROVALS).data == []


def test_who_asks_does_not_approve_while_somebody_else_could(cutoff: Cutoff) -> None:
    a = cutoff.two.a
    token = another(a, "second@a.example", *PERMISSIONS)
    approval_id = cutoff.asked()
    reply = cutoff.two.ask("POST", f"{APPROVALS}/{approval_id}/approve", {})
    assert (reply.status, reply.body["code"]) == (403, "self_approval_forbidden")
    a.token = token
    assert cutoff.decide(approval_id)["execution_status"] == "succeeded"
    assert cutoff.now == CUT


def test_an_approval_is_carried_out_once_though_it_is_told_twice_and_outlives_a_crash(cutoff: Cutoff) -> None:
    approval_id = cutoff.asked()
    a = cutoff.two.a
    a.crash()
    a.start()
    a.sign_in()
    assert cutoff.decide(approval_id)["execution_status"] == "succeeded"
    row = a.store.load(KIND.name, approval_id)
    assert row is not None
    a.engine.tell(Ref("service_offering", cutoff.offering_id), Execute(approval=row.record, approved_by="somebody"))
    cutoff.two.world.run_for(1.0)
    assert cutoff.now == CUT
    assert len(cutoff.told()) == 1
