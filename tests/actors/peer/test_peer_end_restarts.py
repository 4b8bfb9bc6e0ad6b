"""The end of a peering through crashes, for those who depend on it, and over a hundred rounds."""

from __future__ import annotations

from collections import Counter

import attrs
import pytest

from actors.peer import dependants, ending, standing
from actors.peer.dependants import Dependant
from actors.peer.messages import Accepted, PeeringEnded, Regenerate, ResumePeering, Revoke, Suspend
from actors.peer.record import KIND as PEER
from actors.peer.record import RevocationPhase
from runtime.actor import Actor, handles
from runtime.context import Context
from runtime.store.port import Kind, Put, Query, Unit
from runtime.values import evolve
from tests.support import federation as support
from tests.support.federation import OPERATOR, Moment, Pair, pair

EVENTS = "/federation_api/peer_events"
COMMITS_OF_THE_END = 4
"""The revocation, the try of the last word, its delivery, and the end of the grace."""


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, COMMITS_OF_THE_END + 1))
def test_a_crash_at_any_commit_of_the_end_is_survived(two: Pair, number: int, moment: Moment) -> None:
    two.a.crash_at = (two.a.commits + number, moment)
    two.a.ask(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    two.network.advance(400.0)
    assert two.a.life == 2, "the crash has not happened"
    if (number, moment) == (1, "before"):
        assert two.statuses == ("active", "active")
        two.a.told(two.at_a.peer_id, Revoke(OPERATOR, "over"))
        two.network.advance(400.0)
    assert two.statuses == ("revoked", "revoked")
    row = two.a.record(two.at_a.peer_id)
    assert (row.revocation.phase, row.revocation.last_word, row.outbound) == ("complete", None, None)
    assert two.a.steps(two.at_a.peer_id).count("revoked") == two.b.steps(two.at_b.peer_id).count("revoked") == 1
    done = Counter(entry.action for entry in two.a.chain(two.at_a.peer_id))
    assert done["peer.notification_delivered"] + done["peer.notification_undelivered"] == 1
    assert done["peer.revocation_complete"] == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_pausing_and_resuming_leaves_either_all_or_nothing(two: Pair, moment: Moment) -> None:
    for message, reached in ((Suspend(OPERATOR), "suspended"), (ResumePeering(OPERATOR), "active")):
        before = two.a.record(two.at_a.peer_id).status
        two.a.crash_at = (two.a.commits + 1, moment)
        two.a.ask(two.at_a.peer_id, message)
        two.network.advance(130.0)
        assert two.a.record(two.at_a.peer_id).status == (before if moment == "before" else reached)
        if moment == "before":
            two.a.told(two.at_a.peer_id, message)
    two.network.advance(130.0)
    assert two.statuses == ("active", "active")


def test_the_last_word_is_not_sent_more_often_than_three_times_whatever_crashes(two: Pair) -> None:
    two.network.down.add(two.b.url)
    two.a.told(two.at_a.peer_id, Revoke(OPERATOR))
    for _ in range(20):
        two.network.advance(2.0)
        two.a.restart()
    two.network.advance(60.0)
    (entry,) = [entry for entry in two.a.chain(two.at_a.peer_id) if entry.action == "peer.notification_undelivered"]
    assert entry.payload["tries"] == 3


# --- those who depend on it -----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Leaf:
    """A row that depends on a peering."""

    id: str
    version: int = 1
    peer_id: str
    ended: str | None = None


LEAF = Kind(
    name="leaf",
    record=Leaf,
    columns={"open_peer_id": "text", "peer_id": "text"},
    project=lambda leaf: {"open_peer_id": leaf.peer_id if leaf.ended is None else None, "peer_id": leaf.peer_id},
)


class LeafActor(Actor):
    """Marks its row once, as the protocol asks."""

    kind = LEAF

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        if self.record is not None and self.record.ended is None:
            ctx.save(evolve(self.record, ended=f"{message.phase} {message.peering_epoch} {message.reason}"))


class DeafActor(LeafActor):
    """Never marks its row."""

    @handles(PeeringEnded)
    def on_peering_ended(self, message: PeeringEnded, ctx: Context) -> None:
        """Not a word."""


def leaves(monkeypatch: pytest.MonkeyPatch, phase: RevocationPhase, actor: type[Actor] = LeafActor) -> tuple[Pair, list[Leaf]]:
    """A pair on which seven rows of A depend, told three at a time."""
    monkeypatch.setattr(support, "KINDS", (*support.KINDS, LEAF))
    monkeypatch.setattr(support, "ACTORS", {**support.ACTORS, LEAF.name: actor})
    monkeypatch.setattr(dependants, "DEPENDANTS", [Dependant(kind=LEAF.name, phase=phase, open=(), peer_column="open_peer_id")])
    monkeypatch.setattr(ending, "DEPENDANTS", dependants.DEPENDANTS)
    monkeypatch.setattr(ending, "DEPENDANTS_SLICE", 3)
    two = pair()
    two.connect()
    mine = [Leaf(id=f"0190c0de-5555-7000-8000-{number:012d}", peer_id=two.at_a.peer_id) for number in range(7)]
    other = Leaf(id="0190c0de-5555-7000-8000-00000000ffff", peer_id="somebody else")
    two.a.store.commit([Unit((Put(LEAF.name, leaf),)) for leaf in (*mine, other)], lambda result: None)
    return two, mine


def marks(two: Pair) -> list[str | None]:
    """What became of A's dependent rows, in order."""
    return [row.record.ended for row in two.a.store.query(Query(LEAF.name, newest_first=False))]


@pytest.mark.parametrize("moment", [None, "before", "after"])
@pytest.mark.parametrize("number", range(2, 9))
def test_every_dependent_row_is_told_of_the_end_through_any_crash(
    monkeypatch: pytest.MonkeyPatch, number: int, moment: Moment | None
) -> None:
    two, mine = leaves(monkeypatch, "draining")
    two.a.crash_at = (two.a.commits + number, moment) if moment is not None else None
    two.a.ask(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    two.network.advance(60.0)
    assert marks(two) == ["draining 0 over"] * len(mine) + [None]
    row = two.a.record(two.at_a.peer_id)
    assert (row.revocation.untold, row.revocation.look_at) == ((), None)


def test_what_work_under_way_may_need_is_ended_only_with_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    two, mine = leaves(monkeypatch, "complete")
    two.a.ask(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    two.network.advance(299.0)
    assert marks(two) == [None] * (len(mine) + 1)
    two.network.advance(10.0)
    assert marks(two) == ["complete 0 over"] * len(mine) + [None]


def test_an_immediate_end_tells_of_both_phases_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    two, mine = leaves(monkeypatch, "complete")
    two.a.ask(two.at_a.peer_id, Revoke(OPERATOR, "over", immediate=True))
    two.network.advance(10.0)
    assert marks(two) == ["complete 0 over"] * len(mine) + [None]


def test_an_owner_that_never_marks_its_row_is_asked_ever_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    two, _ = leaves(monkeypatch, "draining", DeafActor)
    two.a.ask(two.at_a.peer_id, Revoke(OPERATOR, "over"))
    two.network.advance(3_600.0)
    assert 50 < two.a.record(two.at_a.peer_id).revocation.looked < 80


def test_a_pause_tells_nobody_and_takes_effect_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    two, mine = leaves(monkeypatch, "draining")
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR))
    wall = two.network.clock.wall()
    assert not standing.in_force(two.a.record(two.at_a.peer_id), 0, wall)
    two.a.told(two.at_a.peer_id, ResumePeering(OPERATOR))
    assert standing.in_force(two.a.record(two.at_a.peer_id), 0, wall)
    assert marks(two) == [None] * (len(mine) + 1)


# --- again and again ------------------------------------------------------------------------------------------------


def test_the_same_two_platforms_peer_and_part_a_hundred_times_and_little_stays() -> None:
    two = pair()
    a, b = two.a, two.b
    at_a, at_b = two.at_a, two.at_b
    for number in range(100):
        if number:
            at_a, at_b = a.propose(b), b.propose(a)
        outcome = b.accept(at_b.peer_id, at_a.token)
        assert isinstance(outcome, Accepted), (number, outcome)
        two.network.advance(2.0)
        assert (a.record(at_a.peer_id).status, b.record(at_b.peer_id).status) == ("active", "active")
        ends, peer_id = (a, at_a.peer_id) if number % 2 else (b, at_b.peer_id)
        ends.told(peer_id, Revoke(OPERATOR, immediate=number % 3 == 0))
        two.network.advance(70.0)
        assert (a.record(at_a.peer_id).status, b.record(at_b.peer_id).status) == ("revoked", "revoked")
    two.network.advance(8 * 86_400.0)
    for platform in (a, b):
        rows = [row.record for row in platform.store.query(Query(PEER.name))]
        assert len(rows) == 100
        for record in rows:
            assert (record.outbound, record.inbound_subject, record.trusted_anchors, record.receipt) == (None, None, (), None)
            assert PEER.due(record) is None
            assert not PEER.resume(record)
            assert not {name for name, value in PEER.keys(record).items() if value is not None}
        assert platform.engine.next_timer_at() - two.network.clock.now() > 0.0
        assert not list(platform.store.due())


# --- trust that has run out -----------------------------------------------------------------------------------------


def test_a_peering_whose_trust_has_expired_is_repaired_by_a_new_invitation() -> None:
    two = pair(cert_ttl_s=3_600.0, cert_auto_renew=False)
    two.connect()
    assert two.a.told(two.at_a.peer_id, Regenerate(OPERATOR, 600)).code == "token_not_applicable"
    two.network.advance(3_601.0 + 600.0)
    assert two.statuses == ("degraded", "degraded")
    token = two.a.regenerate(two.at_a.peer_id)
    outcome = two.b.accept(two.at_b.peer_id, token)
    assert isinstance(outcome, Accepted), outcome
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        assert platform.steps(peer_id) == ["proposed", "accepted", "enrolled", "active", "degraded", "active"]
        assert platform.record(peer_id).trust_status == "established"
        assert "peer.trust_repaired" in [entry.action for entry in platform.chain(peer_id)]


def test_a_hierarchical_childs_expired_certificate_is_repaired_by_its_parent() -> None:
    two = pair(role_of_b="child", mode="managed_child", cert_ttl_s=3_600.0, cert_auto_renew=False)
    two.connect()
    two.network.advance(3_601.0 + 600.0)
    token = two.a.regenerate(two.at_a.peer_id)
    assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")


def test_a_new_handshake_revokes_the_certificate_that_the_former_one_issued() -> None:
    two = pair(role_of_b="child", mode="managed_child")
    two.network.lost_answers["/federation_api/accept"] = 100
    assert not isinstance(two.accept(), Accepted)
    former = two.a.record(two.at_a.peer_id).issued_serial
    two.network.lost_answers.clear()
    assert isinstance(two.b.accept(two.at_b.peer_id, two.a.regenerate(two.at_a.peer_id)), Accepted)
    two.network.advance(2.0)
    assert two.statuses == ("active", "active")
    assert former is not None
    row = two.a.store.load("revoked_certificate", former)
    assert row is not None
    assert (row.record.reason, row.record.federation_peer_id) == ("superseded", two.at_a.peer_id)


def test_a_re_handshake_binds_no_other_platform_to_the_row() -> None:
    two = pair(cert_ttl_s=3_600.0, cert_auto_renew=False)
    two.connect()
    two.network.advance(3_601.0 + 600.0)
    other = two.network.platform("c")
    at_c = other.propose(two.b)
    two.network.platforms[two.a.url] = other
    outcome = two.b.accept(two.at_b.peer_id, at_c.token)
    assert not isinstance(outcome, Accepted)
    assert outcome.code in ("peer_identity_conflict", "server_identity_unverified")
    assert two.b.record(two.at_b.peer_id).remote_instance_id == two.a.instance_id
