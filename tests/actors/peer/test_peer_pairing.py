"""Pairing of two platforms: from a token to two active peers, and every way in which that is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from actors.peer.messages import Accepted, AcceptRemote, Regenerate, Update
from actors.peer.record import PeerRecord
from runtime.errors import Fault
from runtime.secret import Secret
from tests.support.federation import Exchange, Invited, Pair, Platform, pair

EVERY_STEP = ["proposed", "accepted", "enrolled", "active"]
ACCEPT = "/federation_api/accept"


def code_of(outcome: Any) -> str:
    assert isinstance(outcome, Fault), outcome
    return outcome.code


def answer_of(two: Pair, answers: list[Any]) -> Any:
    two.network.run()
    assert len(answers) == 1
    return answers[0]


def test_pairing_makes_both_sides_active_at_once_and_audits_every_status() -> None:
    two = pair()
    outcome = two.accept()
    assert isinstance(outcome, Accepted)
    assert outcome.record.status == "accepted", "the remote's key is not proven by its answer alone"
    assert outcome.record.trust_status == "pending_proof"
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        assert platform.steps(peer_id) == EVERY_STEP
        told = [event for event in platform.events() if event.startswith("federation.peer.")]
        assert told == [f"federation.peer.{status}" for status in EVERY_STEP]


def test_pairing_binds_each_side_to_the_other() -> None:
    two = pair()
    two.connect()
    a, b = two.a.record(two.at_a.peer_id), two.b.record(two.at_b.peer_id)
    assert (a.remote_instance_id, b.remote_instance_id) == (two.b.instance_id, two.a.instance_id)
    assert (a.remote_peer_id, b.remote_peer_id) == (b.id, a.id)
    assert (a.inbound_subject, b.inbound_subject) == (f"fed:{a.id}", f"fed:{b.id}")
    assert [anchor.fingerprint for anchor in a.trusted_anchors] == [two.b.authority.ca_fingerprint]
    assert [anchor.fingerprint for anchor in b.trusted_anchors] == [two.a.authority.ca_fingerprint]
    assert (a.trust_status, b.trust_status) == ("established", "established")
    assert a.contract_digest_agreed == b.contract_digest_agreed is not None
    assert a.acceptance_token_digest is b.acceptance_token_digest is b.handshake is None
    assert None not in (a.inbound_proven_at, b.inbound_proven_at, a.last_handshake_at, b.last_handshake_at, a.signed_at, b.signed_at)


def test_without_eager_heartbeats_the_pair_waits_for_the_ordinary_one() -> None:
    two = pair(heartbeat_eager=False)
    two.accept()
    two.network.advance(50.0)
    assert two.statuses == ("accepted", "accepted")
    two.network.advance(20.0)
    assert two.statuses == ("active", "active")


def test_an_idle_pair_says_so_every_minute_and_writes_nothing() -> None:
    two = pair()
    two.connect()
    versions = two.a.record(two.at_a.peer_id).version, two.b.record(two.at_b.peer_id).version
    chain = len(two.a.chain(two.at_a.peer_id))
    two.network.passed.clear()
    two.network.advance(600.0)
    beats = [entry for entry in two.network.passed if entry[2] == "/federation_api/heartbeat" and entry[3] == 200]
    assert 18 <= len(beats) <= 24, "ten minutes, two senders, sixty seconds give or take a tenth"
    assert (two.a.record(two.at_a.peer_id).version, two.b.record(two.at_b.peer_id).version) == versions
    assert len(two.a.chain(two.at_a.peer_id)) == chain


# --- tokens ---------------------------------------------------------------------------------------------------------


def test_a_used_token_is_refused() -> None:
    two = pair()
    two.connect()
    third = two.network.platform("c")
    assert answer_of(two, two.a.redeem(two.at_a.token, third)).body["code"] == "acceptance_token_invalid"
    at_c = third.propose(two.a)
    assert code_of(third.accept(at_c.peer_id, two.at_a.token)) == "remote_rejected_token"
    assert third.record(at_c.peer_id).status == "proposed"


@pytest.mark.parametrize("advance_s", [60.0, 61.0, 86_400.0])
def test_an_expired_token_is_refused_and_its_digest_cleared(advance_s: float) -> None:
    two = pair()
    token = two.a.regenerate(two.at_a.peer_id, 60)
    two.network.advance(advance_s)
    assert code_of(two.b.accept(two.at_b.peer_id, token)) == "remote_rejected_token"
    row = two.a.record(two.at_a.peer_id)
    assert row.status == "proposed"
    assert row.acceptance_token_digest is None
    assert row.token_expired_at == pytest.approx(row.created_at + 60.0)
    assert two.b.record(two.at_b.peer_id).metadata["last_accept_error"] == "remote_rejected_token"


def test_a_token_works_until_its_last_second() -> None:
    two = pair()
    token = two.a.regenerate(two.at_a.peer_id, 60)
    two.network.advance(59.9)
    assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)


def test_tokens_that_do_not_work_are_answered_alike() -> None:
    two = pair()
    used, replaced = two.at_a.token, None
    two.connect()
    other = two.network.platform("c")
    at_a = two.a.propose(other)
    replaced = at_a.token
    two.a.regenerate(at_a.peer_id)
    unknown = Secret(used.reveal()[::-1][23:66] + used.reveal()[43:])
    answers = [answer_of(two, two.a.redeem(token, other)) for token in (used, replaced, unknown)]
    assert {answer.status for answer in answers} == {401}
    assert len({str({**answer.body, "request_id": None}) for answer in answers}) == 1


def test_of_a_hundred_rivals_with_one_token_exactly_one_wins() -> None:
    two = pair()
    rivals = [two.a.redeem(two.at_a.token, two.b) for _ in range(100)]
    two.network.run()
    statuses = [answers[0].status for answers in rivals]
    assert sorted(statuses) == [200] + [401] * 99
    assert two.a.steps(two.at_a.peer_id) == ["proposed", "accepted"]


def test_rivals_wait_for_the_one_that_came_first() -> None:
    two = pair()
    two.a.held = []
    first, second = two.a.redeem(two.at_a.token, two.b), two.a.redeem(two.at_a.token, two.network.platform("c"))
    two.network.run()
    assert (first, second) == ([], [])
    two.a.release()
    assert (first[0].status, second[0].status) == (200, 401)
    assert two.a.record(two.at_a.peer_id).remote_instance_id == two.b.instance_id


def test_a_token_replaced_while_it_is_being_redeemed_is_dead() -> None:
    two = pair()
    two.a.held = []
    answers = two.a.redeem(two.at_a.token, two.b)
    two.network.run()
    fresh = two.a.regenerate(two.at_a.peer_id)
    two.a.release()
    assert answers[0].status == 401
    assert two.a.steps(two.at_a.peer_id) == ["proposed"]
    assert isinstance(two.b.accept(two.at_b.peer_id, fresh), Accepted)


def test_an_expired_token_is_refused_before_its_deadline_is_noticed() -> None:
    two = pair()
    token = two.a.regenerate(two.at_a.peer_id, 60)
    two.network.clock.wall_at += 60.0
    assert code_of(two.b.accept(two.at_b.peer_id, token)) == "remote_rejected_token"


def test_a_hundred_copies_of_one_accept_get_one_answer() -> None:
    two = pair()
    handshake_id = "0190c0de-2222-7000-8000-000000000001"
    copies = [two.a.redeem(two.at_a.token, two.b, handshake_id=handshake_id) for _ in range(100)]
    two.network.run()
    bodies = [answers[0].body["data"] for answers in copies]
    assert sum("replayed" not in body for body in bodies) == 1
    assert len({str({**body, "replayed": True}) for body in bodies}) == 1
    assert two.a.steps(two.at_a.peer_id) == ["proposed", "accepted"]


def test_a_regenerated_token_kills_the_former_one() -> None:
    two = pair()
    fresh = two.a.regenerate(two.at_a.peer_id)
    assert code_of(two.accept()) == "remote_rejected_token"
    assert isinstance(two.b.accept(two.at_b.peer_id, fresh), Accepted)


# --- lost answers, repeats ------------------------------------------------------------------------------------------


def test_a_lost_answer_is_fetched_again_by_the_same_handshake() -> None:
    two = pair()
    two.network.lost_answers[ACCEPT] = 2
    assert isinstance(two.accept(), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    assert two.a.steps(two.at_a.peer_id) == EVERY_STEP


def test_when_every_answer_is_lost_the_operator_may_accept_again_with_the_same_token() -> None:
    two = pair()
    two.network.lost_answers[ACCEPT] = 100
    assert code_of(two.accept()) == "remote_timeout"
    row = two.b.record(two.at_b.peer_id)
    assert row.status == "proposed"
    assert row.handshake is not None
    assert two.a.record(two.at_a.peer_id).status == "accepted"
    two.network.lost_answers.clear()
    assert isinstance(two.accept(), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")


def test_an_unreachable_remote_leaves_everything_as_it_was() -> None:
    two = pair()
    two.network.down.add(two.a.url)
    assert code_of(two.accept()) == "remote_unreachable"
    assert two.statuses == ("proposed", "proposed")
    assert two.b.record(two.at_b.peer_id).metadata["last_accept_error"] == "remote_unreachable"
    two.network.down.clear()
    two.connect()
    assert "last_accept_error" not in two.b.record(two.at_b.peer_id).metadata


def test_an_unanswered_token_is_forgotten_after_a_day() -> None:
    two = pair()
    two.network.lost_requests[ACCEPT] = 100
    two.accept()
    assert two.b.record(two.at_b.peer_id).handshake is not None
    two.network.advance(86_400.0)
    assert two.b.record(two.at_b.peer_id).handshake is None


def test_the_receipt_ends_after_fifteen_minutes() -> None:
    two = pair()
    two.network.lost_answers[ACCEPT] = 100
    two.accept()
    two.network.lost_answers.clear()
    two.network.advance(900.0)
    assert two.a.record(two.at_a.peer_id).receipt is None
    assert code_of(two.accept()) == "remote_rejected_token"
    # The way out: the inviting side mints again, since the other has never proven itself.
    assert isinstance(two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id)), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")


def test_another_caller_does_not_get_the_receipt() -> None:
    two = pair()
    handshake_id = "0190c0de-2222-7000-8000-000000000001"
    answer_of(two, two.a.redeem(two.at_a.token, two.b, handshake_id=handshake_id))
    third = two.network.platform("c")
    stolen = answer_of(two, two.a.redeem(two.at_a.token, third, handshake_id=handshake_id))
    assert (stolen.status, stolen.body["code"]) == (401, "acceptance_token_invalid")


# --- crossed accepts ------------------------------------------------------------------------------------------------


def test_crossed_accepts_converge() -> None:
    two = pair()
    from_b = two.b.ask(two.at_b.peer_id, _accept(two.at_a))
    from_a = two.a.ask(two.at_a.peer_id, _accept(two.at_b))
    two.network.advance(3.0)
    assert isinstance(from_a[0], Accepted), from_a
    assert isinstance(from_b[0], Accepted), from_b
    two.network.advance(3.0)
    assert two.statuses == ("active", "active")
    assert two.a.steps(two.at_a.peer_id) == two.b.steps(two.at_b.peer_id) == EVERY_STEP


def test_an_answer_that_comes_after_the_proof_undoes_nothing() -> None:
    two = pair()
    late: list[Callable[[], None]] = []
    serve = two.b.serve

    def delaying(exchange: Exchange) -> None:
        done = exchange.done
        if exchange.request.path == ACCEPT:
            exchange.done = lambda outcome: late.append(lambda: done(outcome))
        serve(exchange)

    two.b.serve = delaying  # type: ignore[method-assign]
    from_b = two.b.ask(two.at_b.peer_id, _accept(two.at_a))
    from_a = two.a.ask(two.at_a.peer_id, _accept(two.at_b))
    two.network.advance(2.0)
    assert isinstance(from_b[0], Accepted)
    assert from_a == []
    assert two.statuses == ("active", "active")
    proven = two.a.record(two.at_a.peer_id)
    late[0]()
    two.network.run()
    assert isinstance(from_a[0], Accepted)
    row = two.a.record(two.at_a.peer_id)
    assert (row.status, row.trust_status, row.inbound_proven_at) == ("active", "established", proven.inbound_proven_at)
    assert row.handshake is None


def test_the_second_of_two_crossed_accepts_is_a_success_without_effect() -> None:
    two = pair()
    two.connect()
    late = two.a.accept(two.at_a.peer_id, two.at_b.token)
    assert code_of(late) == "invalid_transition"
    assert two.statuses == ("active", "active")


def _accept(invited: Invited) -> AcceptRemote:
    return AcceptRemote(by=None, token=invited.token)


# --- refusals of the chain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"contract_version": 99}, "unsupported_contract_version"),
        ({"contract_digest": "0" * 64}, "contract_digest_mismatch"),
        ({"peer_ca_bundle_pem": "junk"}, "invalid_ca_bundle"),
        ({"csr_pem": "junk"}, "ambiguous_trust_material"),
        ({"csr_pem": "junk", "peer_ca_bundle_pem": None}, "invalid_csr"),
        ({"caller_inbound_subject": None}, "inbound_subject_required"),
        ({"instance": {}}, "instance_san_mismatch"),
        ({"spawn_role": "child"}, "spawn_mismatch"),
        ({"endpoints": [{"url": "ftp://x"}]}, "invalid_endpoint"),
        ({"capabilities": {"a": {"b": {"c": {"d": {"e": {}}}}}}}, "invalid_capabilities"),
    ],
)
def test_a_refused_chain_changes_nothing_and_leaves_the_token_usable(change: dict[str, Any], code: str) -> None:
    two = pair()
    before = two.a.record(two.at_a.peer_id)
    answer = answer_of(two, two.a.redeem(two.at_a.token, two.b, **change))
    assert (answer.status, answer.body["code"]) == (422, code)
    assert two.a.record(two.at_a.peer_id) == before
    two.connect()


def test_our_own_ca_is_no_anchor_for_a_stranger() -> None:
    two = pair()
    answer = answer_of(two, two.a.redeem(two.at_a.token, two.b, peer_ca_bundle_pem=two.a.authority.ca_bundle_pem))
    assert (answer.status, answer.body["code"]) == (422, "anchor_is_ours")


def test_a_platform_does_not_peer_with_itself() -> None:
    two = pair()
    answer = answer_of(two, two.a.redeem(two.at_a.token, two.b, instance={"id": two.a.instance_id}))
    assert (answer.status, answer.body["code"]) == (409, "self_peering")
    two.connect()


def test_one_instance_cannot_be_bound_to_two_rows() -> None:
    two = pair()
    two.connect()
    elsewhere = Platform(two.network, "b2", {})
    second = two.a.propose(elsewhere)
    answer = answer_of(two, two.a.redeem(second.token, two.b))
    assert (answer.status, answer.body["code"]) == (409, "peer_identity_conflict")
    row = two.a.record(second.peer_id)
    assert row.status == "proposed"
    assert row.acceptance_token_digest is not None


def test_while_the_authority_is_out_the_token_stays_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    two = pair()
    with monkeypatch.context() as patch:
        down = Fault("ca_unavailable", "down", 503)
        patch.setattr(two.a.authority, "handle", lambda request: down)
        answer = answer_of(two, two.a.redeem(two.at_a.token, two.b))
        assert (answer.status, answer.body["code"]) == (503, "ca_unavailable")
    two.connect()


# --- the remote's answer is hostile ---------------------------------------------------------------------------------


def _forged(two: Pair, change: Any) -> Any:
    """The accept of B, with the data of A's answer changed on the way."""
    real = two.a.serve

    def serve(exchange: Exchange) -> None:
        done = exchange.done

        def changed(outcome: Any) -> None:
            if exchange.request.path == ACCEPT and not isinstance(outcome, Fault):
                change(outcome.body["data"])
            done(outcome)

        exchange.done = changed
        real(exchange)

    two.a.serve = serve  # type: ignore[method-assign]
    return two.accept()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: data.update(contract_version_agreed=2), "contract_mismatch"),
        (lambda data: data.update(contract_digest_agreed="0" * 64), "contract_mismatch"),
        (lambda data: data.update(peer_id="x"), "remote_rejected"),
        (lambda data: data["trust_exchange"].update(assigned_inbound_subject="fed:else"), "remote_rejected"),
        (lambda data: data["trust_exchange"].update(ca_bundle_pem="junk"), "remote_rejected"),
        (lambda data: data["our_instance"].update(id="x"), "remote_rejected"),
    ],
)
def test_an_answer_that_cannot_be_believed_is_not_absorbed(change: Any, code: str) -> None:
    two = pair()
    assert code_of(_forged(two, change)) == code
    row = two.b.record(two.at_b.peer_id)
    assert (row.status, row.trusted_anchors, row.outbound) == ("proposed", (), None)


@pytest.mark.parametrize("pinned", [False, True])
def test_an_answer_with_another_ca_than_the_pinned_one_is_refused(pinned: bool) -> None:
    two = pair()
    if pinned:
        two.b.told(two.at_b.peer_id, Update(None, {"remote_ca_fingerprint": two.a.authority.ca_fingerprint}))
    other = two.network.platform("c").authority.ca_bundle_pem
    assert code_of(_forged(two, lambda data: data["trust_exchange"].update(ca_bundle_pem=other))) == "server_identity_unverified"
    assert two.b.record(two.at_b.peer_id).status == "proposed"


def test_nothing_is_sent_to_a_server_that_the_token_does_not_pin() -> None:
    two = pair()
    impostor = two.network.platform("c")
    two.network.platforms[two.a.url] = impostor
    assert code_of(two.accept()) == "server_identity_unverified"
    assert two.network.passed == []


# --- trust ----------------------------------------------------------------------------------------------------------


def test_a_child_is_certified_by_its_parent_and_enrols_with_the_accept() -> None:
    two = pair(role_of_b="child")
    outcome = two.accept()
    assert isinstance(outcome, Accepted)
    assert outcome.record.status == "enrolled"
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    parent, child = two.a.record(two.at_a.peer_id), two.b.record(two.at_b.peer_id)
    assert (parent.trust_mode, child.trust_mode) == ("hierarchical", "hierarchical")
    assert [anchor.fingerprint for anchor in parent.trusted_anchors] == [two.a.authority.ca_fingerprint]
    assert child.outbound is not None
    assert parent.issued_serial == child.outbound.serial
    assert two.a.steps(two.at_a.peer_id) == two.b.steps(two.at_b.peer_id) == EVERY_STEP


def test_without_trust_material_the_peer_is_inert() -> None:
    two = pair()
    minimal = {"peer_ca_bundle_pem": None, "caller_inbound_subject": None, "instance": {}}
    answer = answer_of(two, two.a.redeem(two.at_a.token, two.b, **minimal))
    assert answer.status == 200
    assert answer.body["data"]["enrollment"] == "blocked_no_trust"
    assert "trust_material_missing" in answer.body["data"]["warnings"]
    two.network.advance(180.0)
    row = two.a.record(two.at_a.peer_id)
    assert (row.status, row.trust_mode, row.inbound_subject, row.outbound) == ("accepted", "none", None, None)
    assert [entry for entry in two.network.passed if entry[0] == "a"] == []
    # Completed by a fresh token and an accept with material.
    assert isinstance(two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id)), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")


def test_trust_material_can_be_required() -> None:
    two = pair(accept_without_trust="refuse")
    minimal = {"peer_ca_bundle_pem": None, "caller_inbound_subject": None, "instance": {}}
    answer = answer_of(two, two.a.redeem(two.at_a.token, two.b, **minimal))
    assert (answer.status, answer.body["code"]) == (422, "trust_material_required")
    two.connect()


def test_identities_can_be_required_before_a_peer_enrols() -> None:
    two = pair(require_identity_disclosure=True)
    two.accept()
    two.network.advance(120.0)
    assert two.statuses == ("accepted", "accepted")


def test_a_rehandshake_repairs_a_pair_until_the_other_side_has_proven_itself() -> None:
    two = pair()
    two.network.lost_answers["/federation_api/heartbeat"] = 10_000
    two.network.answers = lambda exchange: (
        Fault("remote_unreachable", "", 502) if exchange.request.path != ACCEPT and exchange.sender is two.b else None
    )
    two.accept()
    two.network.advance(5.0)
    # B has heard A; A has heard nothing of B, so A may mint again.
    assert two.b.record(two.at_b.peer_id).status == "active"
    assert two.a.record(two.at_a.peer_id).status == "accepted"
    fresh = two.a.regenerate(two.at_a.peer_id)
    assert two.a.record(two.at_a.peer_id).acceptance_token_digest is not None
    assert answer_of(two, two.a.redeem(fresh, two.b)).status == 200
    assert two.a.record(two.at_a.peer_id).status == "accepted"
    assert two.a.steps(two.at_a.peer_id) == ["proposed", "accepted"], "a re-handshake is no transition"


def test_a_proven_peer_gets_no_further_token() -> None:
    two = pair()
    two.connect()
    outcome = two.a.told(two.at_a.peer_id, Regenerate(None, 3600))
    assert (code_of(outcome), outcome.status) == ("token_not_applicable", 409)


def test_an_active_peer_gets_no_further_token_even_if_only_one_direction_works() -> None:
    two = pair()
    two.network.answers = lambda exchange: Fault("remote_unreachable", "", 502) if exchange.sender is two.a else None
    two.accept()
    two.network.advance(2.0)
    assert two.b.record(two.at_b.peer_id).inbound_proven_at is None
    assert code_of(two.b.told(two.at_b.peer_id, Regenerate(None, 3600))) == "token_not_applicable"


def test_a_wrong_token_of_a_rehandshake_is_no_success() -> None:
    two = pair()
    two.network.answers = lambda exchange: Fault("remote_unreachable", "", 502) if exchange.request.path != ACCEPT else None
    two.accept()
    two.network.advance(1000.0)
    assert two.statuses == ("accepted", "accepted")
    assert code_of(two.b.accept(two.at_b.peer_id, two.at_a.token)) == "remote_rejected_token"


def test_no_secret_reaches_the_disk_in_the_clear() -> None:
    two = pair()
    two.network.lost_answers[ACCEPT] = 100
    two.accept()
    token = two.at_a.token.reveal()
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        record: PeerRecord = platform.record(peer_id)
        everything = f"{record!r} {platform.chain(peer_id)!r} {platform.store.events(0, 1000)!r}"
        assert token not in everything
        assert token.partition(".")[0] not in everything
        assert "PRIVATE KEY" not in everything
