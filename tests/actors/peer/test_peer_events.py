"""What a remote may tell us: each kind once, whoever says it proven, and never more than the status allows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors import certificates
from actors.governance.scanner import scan_peer
from actors.limits import LAST_WORD_RETRY_S, LAST_WORD_TRIES, PEER_EVENTS_REMEMBERED
from actors.peer.messages import Accepted, AcceptRemote, Cancel, ResumePeering, Revoke, Shown, Suspend, Update
from actors.peer.record import restored
from actors.peer.steps import subject_of
from actors.ports import IssueIdentity, RemoteReply
from actors.settings import FederationSettings
from runtime.ids import uuid7
from tests.support.federation import OPERATOR, Exchange, Pair, Platform, pair
from tests.support.rotations import rotate

EVENTS = "/federation_api/peer_events"
ACCEPT = "/federation_api/accept"
HEARTBEAT = "/federation_api/heartbeat"
DAY_S = 86_400.0


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


def presented(platform: Platform, peer_id: str) -> tuple[bytes, ...]:
    """The client certificate that a platform holds for a peer."""
    outbound = platform.record(peer_id).outbound
    assert outbound is not None
    der = certificates.pem_to_der(outbound.certificate_pem)
    assert isinstance(der, bytes)
    return (der,)


def say(two: Pair, kind: str, shown: tuple[bytes, ...] | None = None, **fields: Any) -> Any:
    """B tells A of an event, by hand; the one answer."""
    body = {"event_id": uuid7(two.network.clock.wall(), two.b.chance.stream("events")), "kind": kind, **fields}
    answers: list[Any] = []
    certificate = presented(two.b, two.at_b.peer_id) if shown is None else shown
    two.a.call("POST", EVENTS, json.dumps(body).encode(), answers.append, certificate)
    two.network.run()
    (answer,) = answers
    return answer


def actions(platform: Platform, peer_id: str) -> list[str]:
    return [entry.action for entry in platform.chain(peer_id)]


# --- the end --------------------------------------------------------------------------------------------------------


def test_the_end_is_told_and_ends_the_remotes_row_without_a_notice_back(two: Pair) -> None:
    two.network.passed.clear()
    assert isinstance(two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "contract ended")), Shown)
    two.network.advance(60.0)
    theirs = two.b.record(two.at_b.peer_id)
    assert (theirs.status, theirs.remote_state) == ("revoked", "revoked_us")
    assert theirs.metadata["revocation_reason"] == "remote_revoked: contract ended"
    assert two.network.passed == [("a", "b", EVENTS, 200)]
    assert "peer.notification_delivered" in actions(two.a, two.at_a.peer_id)
    assert two.a.record(two.at_a.peer_id).revocation.last_word is None


def test_a_lost_acknowledgement_is_made_up_for_by_what_the_remote_says_then(two: Pair) -> None:
    two.network.lost_answers[EVENTS] = 1
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR))
    two.network.advance(15.0)
    assert [status for _, _, path, status in two.network.passed if path == EVENTS] == [200, 403]
    assert "peer.notification_delivered" in actions(two.a, two.at_a.peer_id)
    assert two.b.steps(two.at_b.peer_id).count("revoked") == 1


def test_both_may_end_it_at_once(two: Pair) -> None:
    mine, theirs = two.a.ask(two.at_a.peer_id, Revoke(OPERATOR)), two.b.ask(two.at_b.peer_id, Revoke(OPERATOR))
    two.network.run()
    two.network.advance(60.0)
    assert two.statuses == ("revoked", "revoked")
    assert isinstance(mine[0], Shown)
    assert isinstance(theirs[0], Shown)
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        assert platform.steps(peer_id).count("revoked") == 1
        assert "peer.notification_undelivered" not in actions(platform, peer_id)


def test_a_paused_peer_may_still_say_that_it_has_ended_the_peering_and_nothing_else(two: Pair) -> None:
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR))
    for kind in ("peer.compromise_disclosed", "a.kind.of.tomorrow"):
        answer = say(two, kind)
        assert (answer.status, answer.body["code"]) == (403, "peer_suspended")
    assert say(two, "platform.peer.revoked", reason="gone").status == 200
    assert two.a.record(two.at_a.peer_id).metadata["revocation_reason"] == "remote_revoked: gone"


def test_the_end_is_heard_past_the_agreed_end(two: Pair) -> None:
    two.a.told(two.at_a.peer_id, Update(OPERATOR, {"expires_at": two.network.clock.wall() + 1.0}))
    two.network.clock.advance(2.0)
    assert say(two, "peer.compromise_disclosed").body["code"] == "peering_expired"
    assert say(two, "platform.peer.revoked").status == 200
    assert two.a.record(two.at_a.peer_id).status == "revoked"


# --- the tombstone --------------------------------------------------------------------------------------------------


def test_only_the_real_peer_learns_that_it_was_revoked_and_only_for_a_week(two: Pair) -> None:
    certificate = presented(two.b, two.at_b.peer_id)
    stranger = two.network.platform("c").authority.handle(IssueIdentity(subject_of(two.at_a.peer_id), two.b.instance_id, 30 * DAY_S))
    der = certificates.pem_to_der(stranger.certificate_pem)
    assert isinstance(der, bytes)
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR, immediate=True))
    two.network.advance(7 * DAY_S - 1.0)
    answer = say(two, "platform.peer.revoked", certificate)
    assert (answer.status, answer.body["code"]) == (403, "peer_revoked")
    answer = say(two, "platform.peer.revoked", (der,))
    assert (answer.status, answer.body["code"]) == (401, "client_certificate_invalid")
    two.network.advance(2.0)
    answer = say(two, "platform.peer.revoked", certificate)
    assert (answer.status, answer.body["code"]) == (401, "unknown_peer_subject")


@pytest.fixture
def family() -> Pair:
    joined = pair(role_of_b="child", mode="managed_child")
    joined.connect()
    return joined


def test_a_certificate_that_we_issued_is_revoked_with_the_peer_and_forgotten_when_it_would_have_ended(family: Pair) -> None:
    certificate = presented(family.b, family.at_b.peer_id)
    serial = family.a.record(family.at_a.peer_id).issued_serial
    assert serial is not None
    family.network.down.add(family.b.url)
    family.a.told(family.at_a.peer_id, Revoke(OPERATOR, immediate=True))
    answer = say(family, "platform.peer.revoked", certificate)
    assert (answer.status, answer.body["code"]) == (403, "peer_revoked")
    family.b.restart()
    family.network.platforms.pop(family.b.url)
    family.network.advance(7 * DAY_S)
    answer = say(family, "platform.peer.revoked", certificate)
    assert (answer.status, answer.body["code"]) == (401, "certificate_revoked")
    family.network.advance(90 * DAY_S)
    assert family.a.store.load("revoked_certificate", serial) is None


# --- kinds ----------------------------------------------------------------------------------------------------------


def test_a_repeated_event_takes_effect_once(two: Pair) -> None:
    event_id = "0190c0de-7777-7000-8000-000000000001"
    for _ in range(3):
        assert say(two, "peer.compromise_disclosed", event_id=event_id, reason="keys leaked").body["data"] == {"acknowledged": True}
    two.a.restart()
    two.network.run()
    say(two, "peer.compromise_disclosed", event_id=event_id)
    told = [event for event in two.a.store.events(0, 1000) if event.kind == "federation.peer.compromise_disclosed"]
    assert [(event.severity, event.payload["reason"]) for event in told] == [("critical", "keys leaked")]


def test_the_memory_of_events_is_bounded(two: Pair) -> None:
    for _ in range(PEER_EVENTS_REMEMBERED + 10):
        say(two, "peer.compromise_disclosed")
    assert len(two.a.record(two.at_a.peer_id).events_heard) == PEER_EVENTS_REMEMBERED


def test_an_unknown_kind_is_acknowledged_and_leaves_no_trace(two: Pair) -> None:
    before = two.a.record(two.at_a.peer_id)
    answer = say(two, "a.kind.of.tomorrow", payload={"x": 1}, something_new=[1, 2])
    assert (answer.status, answer.body["data"]) == (200, {"acknowledged": True, "ignored": True})
    assert two.a.record(two.at_a.peer_id) == before


def test_a_disclosed_compromise_changes_no_status_and_stands_until_an_operator_has_decided(two: Pair) -> None:
    say(two, "peer.compromise_disclosed", reason="a laptop was stolen")

    def kinds() -> set[str]:
        record = two.a.record(two.at_a.peer_id)
        return {finding.kind for finding in scan_peer(record, None, two.a.settings, two.network.clock.wall())}

    assert two.a.record(two.at_a.peer_id).status == "active"
    assert "peer_compromise_disclosed" in kinds()
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR))
    two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR))
    assert "peer_compromise_disclosed" not in kinds()


def test_a_child_that_stands_on_its_own_is_recorded_once_and_no_other_peer_can_say_so(family: Pair, two: Pair) -> None:
    for _ in range(2):
        assert say(family, "platform.peer.emancipated").status == 200
    assert "emancipated_at" in family.a.record(family.at_a.peer_id).metadata
    assert family.a.events().count("federation.peer.emancipated") == 1
    assert say(two, "platform.peer.emancipated").status == 200
    assert "emancipated_at" not in two.a.record(two.at_a.peer_id).metadata


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"event_id": None}, 400, "invalid_parameter"),
        ({"event_id": "x"}, 400, "invalid_parameter"),
        ({"kind": ""}, 400, "invalid_parameter"),
        ({"kind": "k" * 65}, 400, "invalid_parameter"),
        ({"effective_at": "soon"}, 400, "invalid_parameter"),
        ({"payload": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, 400, "invalid_parameter"),
        ({"reason": "r" * 513}, 422, "invalid_text"),
    ],
)
def test_what_cannot_be_read_is_refused_whole(two: Pair, fields: dict[str, Any], status: int, code: str) -> None:
    before = two.a.record(two.at_a.peer_id)
    answer = say(two, **{"kind": "platform.peer.revoked", **fields})
    assert (answer.status, answer.body["code"]) == (status, code)
    assert two.a.record(two.at_a.peer_id) == before


def test_thirty_events_a_minute_are_heard() -> None:
    limit = FederationSettings().rate_limits["peer_events_per_peer"]
    assert (limit.rate, limit.per_s, limit.burst) == (30, 60.0, 30)
    two = pair(rate_limits={**FederationSettings().rate_limits})
    two.connect()
    answers = [say(two, "a.kind.of.tomorrow").status for _ in range(31)]
    assert answers == [200] * 30 + [429]


# --- handshakes given up --------------------------------------------------------------------------------------------


def disagreeing(two: Pair) -> None:
    """A's next accept answers reach B with another contract than A recorded."""
    serve, hear = two.a.serve, two.b.hear

    def heard(exchange: Exchange, outcome: Any) -> None:
        if exchange.request.path == ACCEPT and isinstance(outcome, RemoteReply) and outcome.status == 200:
            outcome.body["data"]["contract_digest_agreed"] = "0" * 64  # type: ignore[index]
        hear(exchange, outcome)

    two.b.hear = heard  # type: ignore[method-assign]
    two.a.serve = serve  # type: ignore[method-assign]


@pytest.mark.parametrize("role", [None, "child"])
def test_a_contract_that_is_not_ours_is_told_to_the_remote_which_then_needs_a_new_invitation(role: str | None) -> None:
    two = pair(role_of_b=role, mode="managed_child" if role else None)
    hear = two.b.hear
    disagreeing(two)
    outcome = two.accept()
    assert not isinstance(outcome, Accepted)
    assert outcome.code == "contract_mismatch"
    two.network.advance(2.0)
    assert ("b", "a", EVENTS, 200) in two.network.passed
    row = two.a.record(two.at_a.peer_id)
    assert two.b.record(two.at_b.peer_id).status == "proposed"
    if role is None:
        assert (row.status, row.metadata["handshake_abandoned"], row.inbound_proven_at) == ("accepted", "contract_mismatch", None)
        two.b.hear = hear  # type: ignore[method-assign]
        token = two.a.regenerate(two.at_a.peer_id)
        assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)
        two.network.advance(2.0)
        assert two.statuses == ("active", "active")
        assert "handshake_abandoned" not in two.a.record(two.at_a.peer_id).metadata


def test_that_notice_is_proven_under_the_root_in_force() -> None:
    two = pair()
    rotate(two.b, force=True, reason="stolen")
    disagreeing(two)
    assert not isinstance(two.accept(), Accepted)
    two.network.advance(2.0)
    assert ("b", "a", EVENTS, 200) in two.network.passed
    assert two.a.record(two.at_a.peer_id).metadata["handshake_abandoned"] == "contract_mismatch"


def test_an_accept_withdrawn_while_its_answer_is_on_the_way_ends_the_remotes_row_too() -> None:
    two = pair()
    held: list[tuple[Exchange, Any]] = []
    hear = two.b.hear
    two.b.hear = lambda exchange, outcome: held.append((exchange, outcome))  # type: ignore[method-assign]
    outcomes = two.b.ask(two.at_b.peer_id, AcceptRemote(by=OPERATOR, token=two.at_a.token))
    two.network.run()
    assert two.statuses == ("accepted", "proposed")
    two.b.told(two.at_b.peer_id, Cancel(OPERATOR))
    two.b.hear = hear  # type: ignore[method-assign]
    for exchange, outcome in held:
        hear(exchange, outcome)
    two.network.run()
    assert outcomes[0].code == "invalid_transition"
    assert two.statuses == ("revoked", "revoked")
    assert two.a.record(two.at_a.peer_id).metadata["revocation_reason"] == "remote_revoked: withdrawn by the operator"


@pytest.mark.parametrize("role", [None, "child"])
def test_that_notice_outlives_a_crash(role: str | None) -> None:
    two = pair(role_of_b=role, mode="managed_child" if role else None)
    disagreeing(two)
    two.network.lost_requests[EVENTS] = 1
    assert not isinstance(two.accept(), Accepted)
    assert ("b", "a", EVENTS, 200) not in two.network.passed
    owed = two.b.record(two.at_b.peer_id).farewell
    assert owed is not None
    assert owed.tries == 1
    two.b.restart()
    two.network.advance(2 * LAST_WORD_RETRY_S)
    assert two.network.passed.count(("b", "a", EVENTS, 200)) == 1
    assert two.b.record(two.at_b.peer_id).farewell is None
    two.network.advance(600.0)
    assert two.network.passed.count(("b", "a", EVENTS, 200)) == 1


def test_a_withdrawal_that_crossed_the_answer_is_told_after_a_crash_too() -> None:
    two = pair()
    held: list[tuple[Exchange, Any]] = []
    hear = two.b.hear
    two.b.hear = lambda exchange, outcome: held.append((exchange, outcome))  # type: ignore[method-assign]
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=OPERATOR, token=two.at_a.token))
    two.network.run()
    two.b.told(two.at_b.peer_id, Cancel(OPERATOR))
    two.network.lost_requests[EVENTS] = 1
    two.b.hear = hear  # type: ignore[method-assign]
    for exchange, outcome in held:
        hear(exchange, outcome)
    two.network.run()
    assert two.statuses == ("accepted", "revoked")
    two.b.restart()
    two.network.advance(2 * LAST_WORD_RETRY_S)
    assert two.statuses == ("revoked", "revoked")


def test_a_notice_that_nobody_hears_is_given_up_with_its_key() -> None:
    two = pair(role_of_b="child", mode="managed_child")
    disagreeing(two)
    two.network.lost_requests[EVENTS] = 100
    assert not isinstance(two.accept(), Accepted)
    two.network.advance(10 * LAST_WORD_RETRY_S)
    assert two.network.lost_requests[EVENTS] == 100 - LAST_WORD_TRIES
    assert two.b.record(two.at_b.peer_id).farewell is None


def test_whoever_accepts_anew_tells_no_more_of_what_was_given_up() -> None:
    two = pair()
    hear = two.b.hear
    disagreeing(two)
    two.network.lost_requests[EVENTS] = 1
    assert not isinstance(two.accept(), Accepted)
    two.b.hear = hear  # type: ignore[method-assign]
    assert isinstance(two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id)), Accepted)
    two.network.advance(3 * LAST_WORD_RETRY_S)
    assert two.statuses == ("active", "active")
    assert ("b", "a", EVENTS, 200) not in two.network.passed


def test_a_restored_copy_tells_of_nothing_that_was_given_up() -> None:
    two = pair()
    disagreeing(two)
    two.network.lost_requests[EVENTS] = 1
    assert not isinstance(two.accept(), Accepted)
    assert restored(two.b.record(two.at_b.peer_id)).farewell is None
