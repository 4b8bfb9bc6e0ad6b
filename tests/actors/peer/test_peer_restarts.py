"""A process killed at any commit of a pairing: the pair ends active, or an operator can still make it so."""

from __future__ import annotations

import pytest

from actors.peer.messages import Accepted, AcceptRemote
from tests.support.federation import Moment, Pair, Platform, pair

EVERY_STEP = ["proposed", "accepted", "enrolled", "active"]
COMMITS = {None: {"a": 3, "b": 4}, "child": {"a": 3, "b": 4}}
"""How many commits at least a pairing takes on each side; the test of the happy case holds this table to the truth."""

CRASHES = [
    pytest.param(role, name, number, moment, id=f"{role or 'symmetric'}-{name}-{number}-{moment}")
    for role, sides in COMMITS.items()
    for name, count in sides.items()
    for number in range(1, count + 1)
    for moment in ("before", "after")
]


def start(role: str | None) -> Pair:
    return pair(role_of_b=role)


def side(two: Pair, name: str) -> Platform:
    return two.a if name == "a" else two.b


def check_history(two: Pair) -> None:
    """Every status passed exactly once, in order, with a chain without gaps."""
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        chain = platform.chain(peer_id)
        assert [entry.sequence for entry in chain] == list(range(1, len(chain) + 1))
        assert platform.steps(peer_id) == EVERY_STEP


@pytest.mark.parametrize("role", list(COMMITS))
def test_the_table_of_commits_is_true(role: str | None) -> None:
    two = start(role)
    before = two.a.commits, two.b.commits
    two.connect()
    after = two.a.commits - before[0], two.b.commits - before[1]
    expected = COMMITS[role]
    assert after[0] >= expected["a"]
    assert after[1] >= expected["b"]


@pytest.mark.parametrize(("role", "name", "number", "moment"), CRASHES)
def test_a_crash_at_any_commit_of_the_handshake_is_survived(role: str | None, name: str, number: int, moment: Moment) -> None:
    two = start(role)
    crashing = side(two, name)
    crashing.crash_at = (crashing.commits + number, moment)
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.advance(90.0)
    assert crashing.life == 2, "the crash has not happened"
    if (name, number, moment) == ("b", 1, "before"):
        # Nothing was saved and nothing was sent: the operator's own retry is the first that anybody hears of it.
        assert two.statuses == ("proposed", "proposed")
        assert isinstance(two.accept(), Accepted)
        two.network.advance(3.0)
    assert two.statuses == ("active", "active")
    check_history(two)


@pytest.mark.parametrize("name", ["a", "b"])
def test_an_active_pair_goes_on_after_a_restart(name: str) -> None:
    two = pair()
    two.connect()
    restarted = side(two, name)
    other, peer_id = (two.b, two.at_b.peer_id) if name == "a" else (two.a, two.at_a.peer_id)
    restarted.restart()
    two.network.advance(3.0)
    evidence = other.evidence(peer_id)
    assert evidence.remote_boot_epoch == 2
    assert evidence.remote_sequence >= 1
    assert evidence.epoch_flips == 0
    check_history(two)


def test_an_interrupted_accept_is_taken_up_without_an_operator() -> None:
    two = pair()
    two.network.lost_answers["/federation_api/accept"] = 100
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.run()
    assert two.a.record(two.at_a.peer_id).status == "accepted"
    two.network.lost_answers.clear()
    two.b.restart()
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    check_history(two)


def test_an_operator_may_join_an_accept_that_was_taken_up() -> None:
    two = pair()
    two.network.lost_requests["/federation_api/accept"] = 2
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.run()
    two.b.restart()
    two.network.run()
    other = two.b.told(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_b.token))
    assert other.code == "accept_in_progress"
    assert isinstance(two.accept(), Accepted)


@pytest.mark.parametrize("seed", range(4))
def test_an_unknown_commit_outcome_is_survived(seed: int) -> None:
    two = pair()
    two.b.chance.stream("store.torn_tail").seed(seed)
    two.b.store.fail_next_commit()
    outcomes = two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.run()
    assert outcomes[0].status == 503
    two.b.restart()
    assert isinstance(two.accept(), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
