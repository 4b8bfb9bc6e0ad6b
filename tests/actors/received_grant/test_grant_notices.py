"""The issuer of a grant tells its holder of every change, so that what the holder shows is true before it next calls."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.limits import NEWS_WAITING_MAX
from actors.peer.messages import Tell
from actors.peer.peer_events import EVENT_KINDS, GRANT_CHANGED, PeerEvent
from actors.received_grant.record import KIND
from runtime.actor import Ref
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.grants import PEERS, Peers, peers

SOON_S = 1.0


@pytest.fixture
def two() -> Peers:
    return peers()


def hold(two: Peers, **changes: Any) -> str:
    """A grant of `a` whose bearer `b` holds; its id."""
    grant_id, bearer = two.issue(**changes)
    reply = two.ask("POST", f"{PEERS}/{two.a_at_b}/received_grants", {"bearer_token": bearer}, at=two.b)
    assert reply.status == 201, reply.body
    return grant_id


def shown(two: Peers) -> dict[str, Any]:
    (row,) = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants", at=two.b).data
    found: dict[str, Any] = row
    return found


def test_a_revoked_grant_is_known_to_be_over_at_once(two: Peers) -> None:
    grant_id = hold(two)
    assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S)
    assert (shown(two)["state"], shown(two)["usable"], shown(two)["refused_code"]) == ("refused", False, "grant_revoked")
    kinds = [event.kind for event in two.b.store.events(0, 1_000)]
    assert kinds.count("federation.received_grant.refused") == 1


def test_a_narrowed_grant_shows_what_is_left_of_it(two: Peers) -> None:
    grant_id = hold(two, permission_scopes=["read", "write"])
    assert two.ask("PATCH", grant_id, {"permission_scopes": ["read"]}).status == 200
    two.world.run_for(SOON_S)
    assert shown(two)["permission_scopes"] == ["read"]
    assert [event.kind for event in two.b.store.events(0, 1_000)].count("federation.received_grant.changed") == 1


@pytest.mark.parametrize(("overlap_s", "state"), [(0, "refused"), (3_600, "active")])
def test_a_rotated_bearer_is_known_to_be_void_unless_it_still_works(two: Peers, overlap_s: int, state: str) -> None:
    grant_id = hold(two)
    assert two.ask("POST", f"{grant_id}/rotate_token", {"overlap_seconds": overlap_s}).status == 200
    two.world.run_for(SOON_S)
    assert shown(two)["state"] == state


def test_what_could_not_be_told_is_told_when_the_holder_is_there_again(two: Peers) -> None:
    grant_id = hold(two)
    two.b.crash()
    assert two.revoke(grant_id).status == 200
    two.world.run_for(30.0)
    two.b.start()
    assert two.world.run_until(lambda: two.b.store.query(Query(KIND.name))[0].record.refused_code == "grant_revoked", 120.0)


def test_news_of_a_grant_that_is_not_held_costs_nothing(two: Peers) -> None:
    grant_id, _ = two.issue()
    two.world.run_for(120.0)
    before = two.b.store.load("peer", two.a_at_b)
    assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S)
    after = two.b.store.load("peer", two.a_at_b)
    assert before is not None
    assert after is not None
    assert after.record.version == before.record.version


def test_a_peer_can_only_speak_of_grants_that_it_gave(two: Peers) -> None:
    grant_id = hold(two)
    gave = two.b.engine.directory.row("peer", two.a_at_b)
    assert gave is not None
    event = PeerEvent(id="e", kind=GRANT_CHANGED, payload={"grant_id": grant_id, "change": "revoked"})
    for record, told in ((gave.record, 1), (evolve(gave.record, id=two.b_at_a), 0)):
        turn = Turn(two)
        EVENT_KINDS[GRANT_CHANGED].apply(turn, record, event)  # type: ignore[arg-type]
        assert len(turn.sent) == told


@attrs.define
class Turn:
    """What an event needs of a turn at `b`."""

    two: Peers
    sent: list[Any] = attrs.field(factory=list)

    def find(self, kind: str, key: str, value: str) -> str | None:
        return self.two.b.store.lookup(kind, key, value)

    def send(self, ref: Ref, message: Any) -> None:
        self.sent.append((ref, message))


def test_news_of_one_subject_waits_once_and_no_more_than_so_many_wait(two: Peers) -> None:
    ref = Ref("peer", two.b_at_a)
    two.b.crash()
    for number in range(NEWS_WAITING_MAX + 20):
        for change in ("narrowed", "revoked"):
            two.a.engine.tell(ref, Tell(subject=str(number), body={"kind": "grant.changed", "payload": {"change": change}}))
    two.world.run_for(SOON_S)
    cell = two.a.engine._cells[ref]
    assert cell.actor is not None
    news = cell.actor.news  # type: ignore[attr-defined]
    assert len(news) == NEWS_WAITING_MAX
    assert {told.body["payload"]["change"] for told in news} == {"revoked"}
    assert news[-1].subject == str(NEWS_WAITING_MAX + 19)
