"""A platform that runs on an earlier copy of its data: what has moved since is not changed, and nothing is given up on a claim."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.continuity.messages import Decide, Decided
from actors.homecoming.actor import parse
from actors.homecoming.record import unanswered
from actors.migration.messages import Resolve
from actors.migration.record import MIGRATION
from actors.migration.steps import Header
from actors.peer.messages import ResumePeering, Revoke
from actors.resource.messages import Update, Written
from runtime.actor import Ref
from runtime.errors import Fault, RemoteFault
from tests.support.catalogue import catalogue, draft, reader, told, write, written
from tests.support.federation import ACCOUNT, OPERATOR
from tests.support.migrations import Move, move


def change(moving: Move, id: str, tags: tuple[str, ...] = ("x",)) -> str:
    """What changing a module at home answers: a code, or `ok`."""
    outcome = catalogue(moving.pair.a, Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id, changes={"tags": list(tags)}))
    return outcome.code if isinstance(outcome, Fault) else "ok"


def went_back(moving: Move, copy: Any) -> None:
    """A is restored by command from this copy of its disk."""
    moving.pair.a.store = copy
    moving.pair.a.restored_at_epoch = moving.pair.a.life + 1
    moving.pair.a.restart()
    moving.pair.network.run()


def decide(moving: Move, **options: Any) -> None:
    a = moving.pair.a
    decided = told(a, Ref("continuity", a.instance_id), Decide(by=OPERATOR, decision="restored", **options))
    assert isinstance(decided, Decided), decided
    moving.pair.network.advance(5.0)


@pytest.fixture
def restored() -> tuple[Move, str, str]:
    """A was restored to a time before its module moved to B. The id of the migration, and that of a module that stayed."""
    moving = move()
    (other,) = written(moving.pair.a, draft("NodeModule", name="stays", node_platform_id={"name": "debian"}))
    copy = moving.pair.a.store.image()
    id = moving.planned()
    moving.act(id, "apply")
    assert moving.homes(moving.module.id) == [("b", True)]
    went_back(moving, copy)
    return moving, id, other.id


def test_nothing_of_the_copy_is_changed_until_every_peer_has_answered(restored: tuple[Move, str, str]) -> None:
    moving, _, other = restored
    assert change(moving, moving.module.id) == change(moving, other) == "resource_in_question"
    header = Header(operation="migrate", root_resource_kind="NodeModule", root_resource_id=other)
    leaving = moving.planned(header=header)
    moving.act(leaving, "apply")
    assert (moving.migration(leaving).status, moving.migration(leaving).error) == ("failed", "resource_in_question")
    moving.pair.network.down.add(moving.pair.b.url)
    decide(moving, keep_peerings=True, keep_grants=True)
    moving.pair.network.advance(120.0)
    assert unanswered(ACCOUNT, moving.pair.a.store.query) == (moving.pair.at_a.peer_id,)
    assert change(moving, other) == "resource_in_question"
    # What is new was in no copy.
    assert isinstance(write(moving.pair.a, [draft("NodeModule", name="new", node_platform_id={"name": "debian"})]), Written)


def test_what_a_peer_claims_is_held_and_the_rest_goes_on(restored: tuple[Move, str, str]) -> None:
    moving, id, other = restored
    decide(moving, keep_peerings=True)
    moving.pair.network.advance(120.0)
    assert unanswered(ACCOUNT, moving.pair.a.store.query) == ()
    assert (change(moving, moving.module.id), change(moving, other)) == ("resource_frozen", "ok")
    record = moving.migration(id)
    assert (record.status, record.claimed, record.error) == ("in_doubt", True, "claimed_by_peer")
    # Nothing is given up by itself, however long nobody decides.
    moving.pair.network.advance(3_600.0)
    assert moving.migration(id).status == "in_doubt"
    resolved = told(moving.pair.a, Ref(MIGRATION.name, id), Resolve(by=OPERATOR, keep=False, word="Bea has them"))
    assert not isinstance(resolved, Fault), resolved
    moving.pair.network.run()
    assert moving.migration(id).status == "completed"
    for each in moving.ids:
        assert moving.homes(each) == [("b", True)]


def test_nothing_of_the_copy_is_shown_until_every_peer_has_answered() -> None:
    moving = move()
    lent = reader(moving.pair)
    assert lent.get("/NodeModule").status == 200
    went_back(moving, moving.pair.a.store.image())
    silence = RemoteFault("remote_timeout", "no answer in time", 504)
    moving.pair.network.answers = lambda exchange: silence if "/migrations/arrived" in exchange.request.path else None
    decide(moving, keep_peerings=True, keep_grants=True)
    for path in ("/NodeModule", f"/NodeModule/{moving.module.id}"):
        answer = lent.get(path)
        assert answer.body is not None
        assert (answer.status, answer.body["code"]) == (503, "resource_in_question")
    # Which kind the grant reaches is no record.
    assert lent.get("").status == 200
    moving.pair.network.answers = lambda exchange: None
    moving.pair.network.advance(120.0)
    assert unanswered(ACCOUNT, moving.pair.a.store.query) == ()
    assert lent.get("/NodeModule").status == 200


def test_trust_is_frozen_until_the_questions_are_durable() -> None:
    moving = move()
    went_back(moving, moving.pair.a.store.image())
    a = moving.pair.a
    frozen: list[bool] = []

    def look(exchange: Any) -> None:
        record = a.store.load("continuity", a.instance_id)
        asked = a.store.load("homecoming", moving.pair.at_a.peer_id)
        frozen.append(record is not None and (record.record.closing is not None or asked is not None))

    moving.pair.network.answers = look
    decide(moving, keep_peerings=True, keep_grants=True)
    assert frozen
    assert all(frozen)


def test_a_false_claim_takes_nothing(restored: tuple[Move, str, str]) -> None:
    moving, id, _ = restored
    decide(moving, keep_peerings=True)
    moving.pair.network.advance(120.0)
    told(moving.pair.a, Ref(MIGRATION.name, id), Resolve(by=OPERATOR, keep=True, word="Bea has nothing of ours"))
    moving.pair.network.run()
    assert change(moving, moving.module.id) == "ok"


def test_a_peer_that_is_paused_is_asked_when_it_goes_on_and_one_that_is_gone_is_not_waited_for(restored: tuple[Move, str, str]) -> None:
    moving, _, other = restored
    decide(moving)
    moving.pair.network.advance(300.0)
    assert change(moving, other) == "resource_in_question"
    peer = Ref("peer", moving.pair.at_a.peer_id)
    told(moving.pair.a, peer, ResumePeering(by=OPERATOR, reason=None))
    moving.pair.network.advance(120.0)
    assert (change(moving, moving.module.id), change(moving, other)) == ("resource_frozen", "ok")
    again = move()
    went_back(again, again.pair.a.store.image())
    decide(again)
    told(again.pair.a, Ref("peer", again.pair.at_a.peer_id), Revoke(OPERATOR))
    again.pair.network.advance(120.0)
    assert change(again, again.module.id) == "ok"


def test_a_copy_from_the_middle_of_a_migration_ends_it_by_the_receipt() -> None:
    moving = move()
    id = moving.planned()
    moving.pair.network.lost_answers[f"/federation_api/migrations/{id}/commit"] = 1
    moving.act(id, "apply")
    assert moving.migration(id).status == "in_doubt"
    copy = moving.pair.a.store.image()
    moving.pair.network.advance(120.0)
    assert moving.homes(moving.module.id) == [("b", True)]
    went_back(moving, copy)
    decide(moving, keep_peerings=True)
    moving.pair.network.advance(180.0)
    assert moving.migration(id).status == "completed"
    assert moving.homes(moving.module.id) == [("b", True)]


def test_a_destination_that_went_back_keeps_what_arrived_locked() -> None:
    moving = move()
    id = moving.planned()
    copies: list[Any] = []
    finalize = f"/federation_api/migrations/{id}/finalize"
    moving.pair.network.lost_requests[finalize] = 1
    moving.act(id, "apply")
    copies.append(moving.pair.b.store.image())
    moving.pair.network.advance(120.0)
    assert moving.homes(moving.module.id) == [("b", True)]
    moving.pair.b.store = copies[0]
    moving.pair.b.restored_at_epoch = moving.pair.b.life + 1
    moving.pair.b.restart()
    moving.pair.network.advance(120.0)
    assert moving.homes(moving.module.id) == [("b", False)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(value=JSON)
def test_no_claim_can_break_the_reading(value: Any) -> None:
    assert parse(value) is None
    names = ("migration_id", "plan_digest", "ids", "root_resource_kind", "root_resource_id")
    assert parse(dict.fromkeys(names, value)) is None
