"""An earlier copy of a platform's data: noticed, frozen, and opened again only as an operator decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.continuity.messages import Decide, Decided
from actors.continuity.record import KIND, LEAP, LEAPS_AT_ONCE_MAX, ContinuityRecord, epoch_floor, frozen_by, shown
from actors.governance.scanner import scan_peer
from actors.peer import standing
from actors.peer.messages import HeartbeatNow, Revoke, Shown
from actors.sanitize import INTEGER_MAX
from runtime.actor import Ref
from sim.store import MemoryStore
from tests.actors.peer.test_peer_events import presented
from tests.support.federation import OPERATOR, Pair, Platform, pair

ACCEPT = "/federation_api/accept"


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


def continuity(platform: Platform) -> ContinuityRecord | None:
    row = platform.store.load(KIND.name, platform.instance_id)
    return row.record if row is not None else None


def frozen(platform: Platform) -> str | None:
    return frozen_by(continuity(platform), platform.settings.identity)


def put_back(two: Pair, copy: MemoryStore) -> None:
    """A has gone on for three starts, and then somebody puts the copy in its place."""
    for _ in range(3):
        two.a.restart()
        two.network.advance(70.0)
    two.a.store, two.a.life = copy, 1
    two.a.restart()
    two.network.advance(70.0)


def decide(platform: Platform, decision: Any, **keep: bool) -> Any:
    outcomes: list[Any] = []
    platform.engine.ask(Ref(KIND.name, platform.instance_id), Decide(OPERATOR, decision, **keep), 10.0, outcomes.append)
    platform.network.run()
    return outcomes[0]


def test_a_copy_put_back_by_hand_is_noticed_by_what_a_peer_has_heard(two: Pair) -> None:
    put_back(two, two.a.store.image())
    record = continuity(two.a)
    assert record is not None
    assert (frozen(two.a), record.claimed_epoch, record.claimants) == ("echo", 4, (two.at_a.peer_id,))
    assert two.a.events().count("federation.trust.frozen") == 1
    row = two.a.record(two.at_a.peer_id)
    kinds = {found.kind for found in scan_peer(row, two.a.evidence(two.at_a.peer_id), two.a.settings, two.network.clock.wall())}
    assert "platform_restored_by_hand" in kinds
    assert frozen(two.b) is None


def put_back_at_once(two: Pair, copy: MemoryStore) -> None:
    """Something happens at A that the copy does not know, and one heartbeat follows; then somebody puts the copy in its place."""
    something_ends(two)
    two.network.advance(70.0)
    two.a.store = copy
    two.a.restart()
    two.network.advance(70.0)


def something_ends(two: Pair) -> None:
    c = two.network.platforms.get("https://c.example") or two.network.platform("c")
    assert isinstance(two.a.told(two.a.propose(c).peer_id, Revoke(OPERATOR)), Shown)
    two.network.run()


def test_a_copy_made_since_the_last_start_is_noticed_by_what_was_told_after_it(two: Pair) -> None:
    put_back_at_once(two, two.a.store.image())
    record = continuity(two.a)
    assert record is not None
    assert (frozen(two.a), record.claimed_epoch, record.claimants) == ("echo", 0, (two.at_a.peer_id,))
    assert two.a.events().count("federation.trust.frozen") == 1
    assert "platform_restored_by_hand" in found_at_a(two)
    assert frozen(two.b) is None
    assert isinstance(decide(two.a, "restored", keep_peerings=True), Decided)
    two.network.advance(600.0)
    assert (frozen(two.a), frozen(two.b)) == (None, None), "the same echo froze trust again"
    assert "platform_restored_by_hand" not in found_at_a(two)
    two.a.restart()
    two.network.advance(600.0)
    assert frozen(two.a) is None
    assert {two.a.record(two.at_a.peer_id).status, two.b.record(two.at_b.peer_id).status} == {"active"}


def found_at_a(two: Pair) -> set[str]:
    row = two.a.record(two.at_a.peer_id)
    return {found.kind for found in scan_peer(row, two.a.evidence(two.at_a.peer_id), two.a.settings, two.network.clock.wall())}


def test_a_copy_is_noticed_however_much_it_has_done_before_it_hears_a_peer(two: Pair) -> None:
    copy = two.a.store.image()
    something_ends(two)
    two.network.advance(70.0)
    two.a.store = copy
    two.network.down.add(two.b.url)
    two.a.restart()
    for _ in range(10):
        something_ends(two)
    two.network.down.discard(two.b.url)
    two.network.advance(300.0)
    assert frozen(two.a) == "echo"


def test_a_copy_that_lacks_nothing_freezes_nothing(two: Pair) -> None:
    two.network.advance(70.0)
    two.a.store = two.a.store.image()
    two.a.restart()
    two.network.advance(300.0)
    assert frozen(two.a) is None


def test_a_copy_whose_start_has_the_number_of_one_that_was_heard_is_noticed(two: Pair) -> None:
    """As when a platform is stopped, copied, started, and the copy put in its place: both began alike, so only chance tells them apart."""
    two.network.advance(70.0)
    copy = two.a.store.image()
    two.a.restart()
    two.network.advance(70.0)
    put_back_as(two, copy, 1)
    record = continuity(two.a)
    assert record is not None
    assert (frozen(two.a), record.claimed_epoch, two.a.life) == ("echo", 2, 2)
    decided = decide(two.a, "restored", keep_peerings=True)
    assert shown(decided.record, two.a.settings.identity)["restart_needed"] is True
    two.network.advance(300.0)
    assert frozen(two.a) is None
    two.a.restart()
    two.network.advance(300.0)
    assert frozen(two.a) is None
    assert {two.a.record(two.at_a.peer_id).status, two.b.record(two.at_b.peer_id).status} == {"active"}


def put_back_as(two: Pair, copy: MemoryStore, life: int) -> None:
    two.a.store, two.a.life = copy, life
    two.a.restart()
    two.network.advance(70.0)


def test_whoever_is_not_believed_about_our_past_does_not_freeze_trust_again(two: Pair) -> None:
    put_back_at_once(two, two.a.store.image())
    assert isinstance(decide(two.a, "not_restored"), Decided)
    two.network.advance(600.0)
    assert frozen(two.a) is None
    assert two.a.record(two.at_a.peer_id).status == two.b.record(two.at_b.peer_id).status == "active"


def test_a_peer_that_was_away_while_operators_decided_does_not_freeze_trust_again(two: Pair) -> None:
    copy = two.a.store.image()
    something_ends(two)
    two.network.advance(70.0)
    two.a.store, two.a.restored_at_epoch = copy, 1
    two.network.down.add(two.b.url)
    two.a.restart()
    two.network.advance(70.0)
    assert isinstance(decide(two.a, "restored", keep_peerings=True), Decided)
    two.network.down.discard(two.b.url)
    two.network.advance(600.0)
    assert frozen(two.a) is None
    two.a.restart()
    two.network.advance(600.0)
    assert frozen(two.a) is None


def test_the_same_copy_put_back_twice_is_noticed_twice_and_decided_once_each_time(two: Pair) -> None:
    copy = two.a.store.image()
    for _ in range(2):
        put_back_at_once(two, copy.image())
        assert frozen(two.a) == "echo"
        assert isinstance(decide(two.a, "restored", keep_peerings=True), Decided)
        two.network.advance(300.0)
        assert frozen(two.a) is None
        two.a.restart()
        two.network.advance(300.0)
        assert frozen(two.a) is None


def test_what_peers_have_heard_does_not_freeze_again_what_a_restore_by_command_has_frozen(two: Pair) -> None:
    copy = two.a.store.image()
    something_ends(two)
    two.network.advance(70.0)
    two.a.store, two.a.restored_at_epoch = copy, 1
    two.a.restart()
    two.network.advance(70.0)
    record = continuity(two.a)
    assert record is not None
    assert (frozen(two.a), record.frozen_at, record.claimants, record.claimed_history > 0) == ("restored", None, (), True)
    assert two.a.events().count("federation.trust.frozen") == 0


def test_a_start_tells_of_what_was_committed_before_it(two: Pair) -> None:
    two.network.advance(70.0)
    two.a.restart()
    held = two.a.store.last_cursor()
    two.network.advance(70.0)
    heard = two.b.evidence(two.at_b.peer_id)
    assert (heard.remote_boot_epoch, heard.remote_mark) == (2, two.a.settings.identity.start_mark)
    assert 0 < held <= heard.remote_history <= two.a.store.last_cursor()
    assert 0 < heard.former_history <= held


def test_a_second_decision_in_one_start_reaches_every_peer_again(two: Pair) -> None:
    for number, kept in ((98, True), (99, False)):
        echo = {"epoch": 1, "sequence": 1, "history": number * LEAP}
        body = json.dumps({"boot_epoch": 1, "sequence": number, "last_ack": echo}).encode()
        two.a.call("POST", "/federation_api/heartbeat", body, lambda answer: None, presented(two.b, two.at_b.peer_id))
        two.network.run()
        assert frozen(two.a) == "echo"
        assert isinstance(decide(two.a, "restored", keep_peerings=kept), Decided)
        two.network.advance(5.0)
        assert frozen(two.a) is None
    assert two.a.record(two.at_a.peer_id).status == "suspended"
    assert [entry.action for entry in two.a.chain(two.at_a.peer_id)].count("peer.restored") == 2


def test_a_copy_made_after_a_decision_is_noticed_without_a_start_in_between(two: Pair) -> None:
    put_back_at_once(two, two.a.store.image())
    decide(two.a, "restored", keep_peerings=True)
    two.network.advance(70.0)
    put_back_at_once(two, two.a.store.image())
    assert frozen(two.a) == "echo"


def test_the_number_of_a_liar_who_is_believed_is_not_taken_over(two: Pair) -> None:
    body = json.dumps({"boot_epoch": 1, "sequence": 99, "last_ack": {"epoch": 1, "sequence": 1, "history": INTEGER_MAX}}).encode()
    two.a.call("POST", "/federation_api/heartbeat", body, lambda answer: None, presented(two.b, two.at_b.peer_id))
    two.network.run()
    assert frozen(two.a) == "echo"
    decided = decide(two.a, "restored", keep_peerings=True)
    assert 0 < decided.record.leap <= (LEAPS_AT_ONCE_MAX + 1) * LEAP
    two.network.advance(300.0)
    assert two.b.record(two.at_b.peer_id).status == "active"


@pytest.mark.parametrize("lie", [{"history": -1}, {"history": "9"}, {"history": 2**63}, {"start_mark": 1.5}, {"start_mark": True}])
def test_a_malformed_echo_is_refused_and_freezes_nothing(two: Pair, lie: dict[str, Any]) -> None:
    answers: list[Any] = []
    body = json.dumps({"boot_epoch": 1, "sequence": 99, "last_ack": {"epoch": 1, "sequence": 1} | lie}).encode()
    two.a.call("POST", "/federation_api/heartbeat", body, answers.append, presented(two.b, two.at_b.peer_id))
    two.network.run()
    assert (answers[0].status, frozen(two.a)) == (400, None)


def test_a_crash_at_any_moment_freezes_nothing(two: Pair) -> None:
    for moment in range(40):
        if moment % 2:
            something_ends(two)
        two.network.advance(7.0 * moment % 61.0)
        # What was sent a moment ago is not stored yet.
        two.a.told(two.at_a.peer_id, HeartbeatNow(None))
        (two.a if moment % 3 else two.b).restart()
    two.network.advance(130.0)
    assert (frozen(two.a), frozen(two.b)) == (None, None)
    assert two.b.record(two.at_b.peer_id).status == "active"


def test_a_restore_of_a_backup_that_was_made_after_a_decision_about_later_starts_is_frozen(two: Pair) -> None:
    put_back(two, two.a.store.image())
    decide(two.a, "restored", keep_peerings=True)
    two.network.advance(70.0)
    assert frozen(two.a) is None
    # As `powernode restore` does with what is on the disk now; the decision was about starts up to the fourth.
    two.a.restored_at_epoch = two.a.life + 1
    put_back_as(two, two.a.store.image(), two.a.life + 1)
    assert frozen(two.a) == "restored"


def test_a_platform_that_only_restarts_is_never_frozen(two: Pair) -> None:
    for _ in range(4):
        two.a.restart()
        two.b.restart()
        two.network.advance(130.0)
    assert (frozen(two.a), frozen(two.b)) == (None, None)


def test_a_token_that_was_spent_since_opens_nothing_while_trust_is_frozen_and_is_dead_afterwards() -> None:
    two = pair()
    two.connect()
    c = two.network.platform("c")
    at_c = two.a.propose(c)
    copy = two.a.store.image()
    put_back(two, copy)
    assert two.a.record(at_c.peer_id).acceptance_token_digest is not None
    answers = two.a.redeem(at_c.token, c)
    two.network.run()
    assert (answers[0].status, answers[0].body["code"]) == (503, "trust_frozen")
    assert isinstance(decide(two.a, "restored"), Decided)
    two.network.advance(5.0)
    assert frozen(two.a) is None
    answers = two.a.redeem(at_c.token, c)
    two.network.run()
    assert (answers[0].status, answers[0].body["code"]) == (401, "acceptance_token_invalid")


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_granted_and_every_peering_waits_for_review_unless_kept(two: Pair, kept: bool) -> None:
    put_back(two, two.a.store.image())
    epoch = two.a.record(two.at_a.peer_id).peering_epoch
    decide(two.a, "restored", keep_peerings=kept, keep_grants=kept)
    two.network.advance(5.0)
    row = two.a.record(two.at_a.peer_id)
    assert row.status == ("active" if kept else "suspended")
    assert (row.peering_epoch, standing.in_force(row, epoch, two.network.clock.wall())) == ((epoch, True) if kept else (epoch + 1, False))
    assert "peer.restored" in [entry.action for entry in two.a.chain(two.at_a.peer_id)]
    assert (frozen(two.a), epoch_floor(continuity(two.a))) == (None, 4)
    two.network.advance(130.0)
    assert frozen(two.a) is None, "the same echo froze trust again"


def test_the_decision_reaches_every_peer_through_a_crash(two: Pair) -> None:
    others = [two.a.propose(two.network.platform(name)) for name in ("c", "d", "e")]
    put_back(two, two.a.store.image())
    two.a.crash_at = (two.a.commits + 2, "before")
    decide(two.a, "restored")
    two.network.advance(10.0)
    assert two.a.crashed is False
    assert frozen(two.a) is None
    for invited in others:
        record = two.a.record(invited.peer_id)
        assert (record.acceptance_token_digest, record.restored_epoch) == (None, 4)
        assert [entry.action for entry in two.a.chain(invited.peer_id)].count("peer.restored") == 1


def test_a_peer_that_lies_about_our_starts_is_disbelieved_when_an_operator_says_so(two: Pair) -> None:
    body = json.dumps({"boot_epoch": 1, "sequence": 99, "last_ack": {"epoch": 1_000, "sequence": 1}}).encode()

    def lie() -> None:
        two.a.call("POST", "/federation_api/heartbeat", body, lambda answer: None, presented(two.b, two.at_b.peer_id))
        two.network.run()

    lie()
    assert frozen(two.a) == "echo"
    assert isinstance(decide(two.a, "not_restored"), Decided)
    assert frozen(two.a) is None
    assert two.a.record(two.at_a.peer_id).status == "active"
    lie()
    assert frozen(two.a) is None
    assert decide(two.a, "not_restored").code == "trust_not_frozen"


def test_heartbeats_and_endings_go_on_while_trust_is_frozen(two: Pair) -> None:
    put_back(two, two.a.store.image())
    assert two.a.told(two.at_a.peer_id, HeartbeatNow(OPERATOR))["ok"] is True
    assert isinstance(two.a.told(two.at_a.peer_id, Revoke(OPERATOR)), Shown)
    two.network.run()
    assert two.statuses == ("revoked", "revoked")


def test_a_copy_restored_by_command_is_frozen_from_the_start_and_cannot_be_denied(two: Pair) -> None:
    two.a.restored_at_epoch = 2
    two.a.restart()
    assert frozen(two.a) == "restored"
    assert decide(two.a, "not_restored").code == "claim_disproved"
    assert isinstance(decide(two.a, "restored", keep_peerings=True), Decided)
    two.network.advance(5.0)
    assert frozen(two.a) is None
    two.a.restart()
    two.network.advance(5.0)
    assert frozen(two.a) is None
