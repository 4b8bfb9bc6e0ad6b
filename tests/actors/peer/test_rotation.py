"""Rotation of a platform's root: both sides stay in contact, nothing unproven is applied, and a crash anywhere loses nothing."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from actors import certificates, cross_signature
from actors.limits import DAY_S
from actors.peer.messages import ApproveAnchor, Shown
from actors.ports import CrossSign, MadeRoot, MakeRoot
from actors.rotation.messages import Rotate, Rotating
from actors.rotation.record import KIND, RotationRecord
from runtime.actor import Ref
from runtime.errors import Fault
from tests.support.federation import OPERATOR, Pair, Platform, pair


def connected() -> Pair:
    two = pair()
    two.connect()
    return two


def rotate(two: Pair, platform: Platform, days: int = 7) -> Any:
    outcomes: list[Any] = []
    message = Rotate(by=OPERATOR, overlap_days=days)
    platform.engine.ask(Ref(KIND.name, platform.instance_id), message, 60.0, outcomes.append)
    two.network.run()
    return outcomes[0]


def rotation(platform: Platform) -> RotationRecord:
    row = platform.store.load(KIND.name, platform.instance_id)
    assert row is not None
    record: RotationRecord = row.record
    return record


def failed_heartbeats(two: Pair) -> list[Any]:
    return [entry for entry in two.network.passed if entry[2].endswith("heartbeat") and entry[3] != 200]


def test_a_rotation_passes_without_one_failed_heartbeat() -> None:
    two = connected()
    first = two.a.authority.ca_fingerprint
    assert isinstance(rotate(two, two.a, days=1), Rotating)
    second = rotation(two.a).next
    assert second is not None
    two.network.advance(3_600.0)
    row, own = two.b.record(two.at_b.peer_id), two.a.record(two.at_a.peer_id)
    assert own.outbound is not None
    assert own.outbound.issuer == second.fingerprint
    assert {a.fingerprint: a.state for a in row.trusted_anchors} == {first: "retiring", second.fingerprint: "current"}
    done = rotation(two.a)
    assert done.current == second
    assert done.next is None
    assert certificates.fingerprint(two.a.server_chain[-1]) == second.fingerprint
    two.network.advance(DAY_S)
    assert [a.fingerprint for a in two.b.record(two.at_b.peer_id).trusted_anchors] == [second.fingerprint]
    assert two.statuses == ("active", "active")
    assert failed_heartbeats(two) == []
    assert two.b.evidence(two.at_b.peer_id).last_error is None


def test_both_sides_may_rotate_at_once() -> None:
    two = connected()
    rotate(two, two.a)
    rotate(two, two.b)
    two.network.advance(3_600.0)
    assert two.statuses == ("active", "active")
    assert rotation(two.a).next is rotation(two.b).next is None
    assert failed_heartbeats(two) == []


def test_a_second_rotation_waits_for_the_first_one() -> None:
    two = connected()
    rotate(two, two.a)
    outcome = rotate(two, two.a)
    assert isinstance(outcome, Fault)
    assert outcome.code == "rotation_under_way"


@pytest.mark.parametrize("step", [1, 2, 4, 7])
@pytest.mark.parametrize("who", ["a", "b"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_any_commit_of_a_rotation_loses_nothing(step: int, who: str, moment: Any) -> None:
    two = connected()
    victim = two.a if who == "a" else two.b
    rotate(two, two.a)
    victim.crash_at = (victim.commits + step, moment)
    two.network.advance(3_600.0)
    assert two.statuses == ("active", "active")
    fingerprint = rotation(two.a).current
    assert fingerprint is not None
    held = {a.fingerprint: a.state for a in two.b.record(two.at_b.peer_id).trusted_anchors}
    assert held[fingerprint.fingerprint] == "current"


def test_a_peer_that_was_away_for_the_whole_overlap_needs_an_approval() -> None:
    two = connected()
    two.network.down.add(two.b.url)
    rotate(two, two.a, days=1)
    two.network.advance(1.1 * DAY_S)
    current = rotation(two.a).current
    assert current is not None
    two.network.down.clear()
    two.network.advance(600.0)
    row = two.b.record(two.at_b.peer_id)
    assert [a.fingerprint for a in row.trusted_anchors] == [two.a.authority.ca_fingerprint]
    assert row.unproven_anchor is not None
    assert row.unproven_anchor.fingerprint == current.fingerprint
    wrong = two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, "sha256:" + "0" * 64))
    assert wrong.code == "fingerprint_mismatch"
    assert isinstance(two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)), Shown)
    two.network.advance(600.0)
    assert two.statuses == ("active", "active")
    assert two.b.told(two.at_b.peer_id, ApproveAnchor(OPERATOR, current.fingerprint)).code == "nothing_to_approve"


@pytest.mark.parametrize("flaw", ["signature", "instance", "window", "another_root", "missing"])
def test_an_unproven_root_is_not_applied(flaw: str) -> None:
    two = connected()
    rotate(two, two.a)
    held = two.b.record(two.at_b.peer_id).trusted_anchors
    serve = two.a.call

    def tampered(method: str, path: str, body: bytes, done: Any, *more: Any, **named: Any) -> None:
        def spoilt(answer: Any) -> None:
            offered = answer.body.get("data", {}).get("rotation") if path.endswith("trust_bundle") else None
            if offered is not None:
                if flaw == "missing":
                    del answer.body["data"]["rotation"]
                else:
                    offered.update(_spoil(flaw, two, offered))
            done(answer)

        serve(method, path, body, spoilt, *more, **named)

    two.a.call = tampered  # type: ignore[method-assign]
    two.network.advance(600.0)
    row = two.b.record(two.at_b.peer_id)
    assert row.trusted_anchors == held
    assert row.unproven_anchor is not None
    assert two.statuses == ("active", "active")


def _spoil(flaw: str, two: Pair, offered: dict[str, Any]) -> dict[str, Any]:
    if flaw == "window":
        return {"ends": "2099-01-01T00:00:00.000Z"}
    if flaw == "another_root":
        made = two.a.authority.handle(MakeRoot())
        assert isinstance(made, MadeRoot)
        return {"next_ca_pem": made.key.certificate_pem}
    if flaw == "instance":
        record = rotation(two.a)
        assert record.next is not None
        statement = cross_signature.statement(
            new=record.next.fingerprint, old=two.a.authority.ca_fingerprint, rotating=two.a.instance_id, told=two.a.instance_id,
            begins=record.begins, ends=record.ends,
        )  # fmt: skip
        signature = two.a.authority.handle(CrossSign(statement, None))
        assert isinstance(signature, bytes)
        return {"signature": base64.b64encode(signature).decode()}
    return {"signature": base64.b64encode(b"\0" * 64).decode()}


def test_a_platform_that_signed_for_children_does_not_leave_them_behind() -> None:
    two = pair(role_of_b="child")
    two.connect()
    refused = rotate(two, two.a)
    assert (refused.code, refused.status, refused.details["peer_ids"]) == ("children_stay_behind", 409, [two.at_a.peer_id])
    assert isinstance(rotate(two, two.b), Rotating)
