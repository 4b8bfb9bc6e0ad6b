"""What operators do to a peer row by itself: propose, cancel, update, probe, repeat."""

from __future__ import annotations

from typing import Any

import pytest

from actors.idempotency.record import KIND as REMEMBERED
from actors.idempotency.record import Mark
from actors.peer import invitation, roles
from actors.peer.endpoints import Endpoint
from actors.peer.messages import Accepted, AcceptRemote, Cancel, HeartbeatNow, Minted, ProbeNow, Propose, Regenerate, Shown, Update
from runtime.secret import Secret
from tests.support.federation import ACCOUNT, OPERATOR, Pair, pair

NOBODY = "0190c0de-3333-7000-8000-000000000001"


@pytest.fixture
def two() -> Pair:
    return pair()


def test_residency_changes_by_an_approval_alone(two: Pair) -> None:
    refused = two.a.told(two.at_a.peer_id, Update(OPERATOR, {"data_residency": "EU"}))
    assert refused.code == "field_not_editable"
    assert two.a.record(two.at_a.peer_id).data_residency is None


def test_a_proposal_mints_a_token_and_an_invitation_and_remembers_who(two: Pair) -> None:
    message = Propose(
        account_id=ACCOUNT, by=OPERATOR, url="https://c.example", pairing=roles.Pairing("symmetric", "out_of_band"), token_ttl_s=60,
        metadata={"note": "hello"},
    )  # fmt: skip
    minted = two.a.told(NOBODY, message)
    assert isinstance(minted, Minted)
    decoded = invitation.decode(minted.invitation.reveal())
    assert isinstance(decoded, invitation.Invitation)
    assert (decoded.url, decoded.ca_fingerprint) == (two.a.url, two.a.authority.ca_fingerprint)
    assert decoded.token == minted.token
    row = two.a.record(NOBODY)
    assert row.acceptance_token_expires_at == pytest.approx(two.network.clock.wall() + 60)
    assert row.metadata["invited_by_user_id"] == OPERATOR
    assert row.metadata["note"] == "hello"
    assert two.a.steps(NOBODY) == ["proposed"]


def test_two_rows_for_one_url_are_refused_until_the_first_has_ended(two: Pair) -> None:
    message = Propose(account_id=ACCOUNT, by=None, url=two.b.url, pairing=roles.Pairing("symmetric", "out_of_band"), token_ttl_s=60)
    outcome = two.a.told(NOBODY, message)
    assert (outcome.code, outcome.status) == ("peer_exists", 409)
    assert two.a.store.load("peer", NOBODY) is None
    assert isinstance(two.a.told(two.at_a.peer_id, Cancel(OPERATOR)), Shown)
    assert isinstance(two.a.told(NOBODY, message), Minted)


@pytest.mark.parametrize("remembered", ["propose", "regenerate"])
def test_a_repeated_request_finds_the_answer_without_its_secrets(two: Pair, remembered: str) -> None:
    mark = Mark("m" * 64, "d" * 64)
    if remembered == "propose":
        pairing = roles.Pairing("symmetric", "out_of_band")
        message = Propose(account_id=ACCOUNT, by=None, url="https://c.example", pairing=pairing, token_ttl_s=60, mark=mark)
        minted = two.a.told(NOBODY, message)
    else:
        minted = two.a.told(two.at_a.peer_id, Regenerate(OPERATOR, 60, mark))
    row = two.a.store.load(REMEMBERED.name, mark.id)
    assert row is not None
    assert (row.record.status, row.record.request_digest) == (201, mark.request_digest)
    body: Any = row.record.body
    assert (body["acceptance_token"], body["invitation"], body["token_already_revealed"]) == (None, None, True)
    assert body["peer"]["id"] == minted.record.id
    assert body["ca_fingerprint"] == two.a.authority.ca_fingerprint
    assert minted.token.reveal() not in repr(row)
    two.network.advance(86_401.0)
    assert two.a.store.load(REMEMBERED.name, mark.id) is None


def test_a_refused_proposal_is_not_remembered(two: Pair) -> None:
    mark = Mark("m" * 64, "d" * 64)
    pairing = roles.Pairing("symmetric", "out_of_band")
    two.a.told(NOBODY, Propose(account_id=ACCOUNT, by=None, url=two.b.url, pairing=pairing, token_ttl_s=60, mark=mark))
    assert two.a.store.load(REMEMBERED.name, mark.id) is None


def test_a_remembered_accept_tells_the_peer(two: Pair) -> None:
    mark = Mark("m" * 64, "d" * 64)
    assert isinstance(two.b.told(two.at_b.peer_id, AcceptRemote(by=OPERATOR, token=two.at_a.token, mark=mark)), Accepted)
    row = two.b.store.load(REMEMBERED.name, mark.id)
    assert row is not None
    assert row.record.body["peer"]["status"] == "accepted"


# --- cancel ---------------------------------------------------------------------------------------------------------


def test_a_cancelled_proposal_is_over_and_its_token_dead(two: Pair) -> None:
    shown = two.a.told(two.at_a.peer_id, Cancel(OPERATOR))
    assert shown.record.status == "revoked"
    assert two.a.steps(two.at_a.peer_id) == ["proposed", "revoked"]
    outcome = two.accept()
    assert not isinstance(outcome, Accepted)
    assert outcome.code == "remote_rejected_token"
    again = two.a.told(two.at_a.peer_id, Cancel(OPERATOR))
    assert (again.code, again.status) == ("already_revoked", 409)


def test_an_accepted_peer_cannot_be_cancelled(two: Pair) -> None:
    two.connect()
    outcome = two.a.told(two.at_a.peer_id, Cancel(OPERATOR))
    assert (outcome.code, outcome.status) == ("invalid_transition", 422)
    assert outcome.details["from"] == "active"


def test_an_accept_under_way_ends_with_the_cancellation(two: Pair) -> None:
    two.network.lost_requests["/federation_api/accept"] = 100
    outcomes = two.b.ask(two.at_b.peer_id, AcceptRemote(by=OPERATOR, token=two.at_a.token))
    two.network.run()
    two.b.told(two.at_b.peer_id, Cancel(OPERATOR))
    two.network.advance(2.0)
    assert outcomes[0].code == "invalid_transition"
    assert two.b.record(two.at_b.peer_id).status == "revoked"
    assert two.b.record(two.at_b.peer_id).handshake is None


# --- accept, before anything is sent --------------------------------------------------------------------------------


def test_a_mistyped_token_sends_nothing(two: Pair) -> None:
    outcome = two.b.told(two.at_b.peer_id, AcceptRemote(by=None, token=Secret("typo")))
    assert (outcome.code, outcome.status) == ("acceptance_token_malformed", 422)
    outcome = two.b.told(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token, contract_version=9))
    assert (outcome.code, outcome.status) == ("unsupported_contract_version", 422)
    pinned = AcceptRemote(by=None, token=two.at_a.token, ca_fingerprint="sha256:" + "0" * 64)
    two.b.told(two.at_b.peer_id, Update(None, {"remote_ca_fingerprint": two.a.authority.ca_fingerprint}))
    assert two.b.told(two.at_b.peer_id, pinned).code == "fingerprint_mismatch"
    assert two.network.passed == []


def test_one_accept_at_a_time(two: Pair) -> None:
    two.network.lost_requests["/federation_api/accept"] = 1
    first = two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.run()
    assert two.b.told(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token)).code == "accept_in_progress"
    two.network.advance(2.0)
    assert isinstance(first[0], Accepted)


# --- update ---------------------------------------------------------------------------------------------------------


def test_an_update_merges_metadata_and_keeps_what_the_platform_wrote(two: Pair) -> None:
    two.a.told(two.at_a.peer_id, Update(OPERATOR, {"metadata": {"team": "x", "gone": 1}}))
    shown = two.a.told(two.at_a.peer_id, Update(OPERATOR, {"metadata": {"team": "y", "gone": None}}))
    assert shown.record.metadata["team"] == "y"
    assert "gone" not in shown.record.metadata
    assert shown.record.metadata["invited_by_user_id"] == OPERATOR
    assert [entry.action for entry in two.a.chain(two.at_a.peer_id)][-2:] == ["peer.updated", "peer.updated"]


def test_metadata_cannot_grow_without_bound(two: Pair) -> None:
    outcomes = [two.a.told(two.at_a.peer_id, Update(OPERATOR, {"metadata": {f"key{number}": "x" * 1000}})) for number in range(20)]
    assert outcomes[-1].code == "invalid_metadata"
    assert len(str(two.a.record(two.at_a.peer_id).metadata)) < 20_000


def test_an_update_of_another_version_conflicts(two: Pair) -> None:
    version = two.a.record(two.at_a.peer_id).version
    outcome = two.a.told(two.at_a.peer_id, Update(OPERATOR, {"overlay_only": True}, version + 1))
    assert (outcome.code, outcome.status) == ("version_conflict", 409)
    assert two.a.told(two.at_a.peer_id, Update(OPERATOR, {"overlay_only": True}, version)).record.version == version + 1


def test_an_update_that_changes_nothing_writes_nothing(two: Pair) -> None:
    before = two.a.record(two.at_a.peer_id)
    assert two.a.told(two.at_a.peer_id, Update(OPERATOR, {"overlay_only": False})).record == before
    assert two.a.record(two.at_a.peer_id).version == before.version


def test_an_operators_endpoints_replace_the_former_ones(two: Pair) -> None:
    two.a.told(two.at_a.peer_id, Update(None, {"endpoints": (Endpoint("https://hub.example"), Endpoint("https://y.example"))}))
    changed = (Endpoint("https://hub.example", priority=5), Endpoint("https://x.example"))
    shown = two.a.told(two.at_a.peer_id, Update(None, {"endpoints": changed}))
    assert [(each.url, each.priority) for each in shown.record.endpoints] == [("https://hub.example", 5), ("https://x.example", 100)]


@pytest.mark.parametrize("field", ["remote_instance_url", "remote_ca_fingerprint"])
def test_where_a_peer_is_cannot_change_once_it_is_accepted(two: Pair, field: str) -> None:
    two.connect()
    outcome = two.a.told(two.at_a.peer_id, Update(OPERATOR, {field: None}))
    assert (outcome.code, outcome.status) == ("field_not_editable", 422)


@pytest.mark.parametrize("message", [Cancel(None), Update(None, {}), Regenerate(None, 60), ProbeNow(None), HeartbeatNow(None)])
def test_an_absent_peer_is_not_found(two: Pair, message: Any) -> None:
    assert two.a.told(NOBODY, message).status == 404
    assert two.a.store.load("peer", NOBODY) is None


def test_a_proposed_peer_gets_no_heartbeats(two: Pair) -> None:
    outcome = two.a.told(two.at_a.peer_id, HeartbeatNow(None))
    assert (outcome.code, outcome.status) == ("heartbeat_not_applicable", 409)
