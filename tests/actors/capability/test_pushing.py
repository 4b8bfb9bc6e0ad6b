"""Mirrors that their home brings: on change and in time, withdrawn when they are to be, and never older than what is there."""

from __future__ import annotations

from typing import Any

import pytest

from actors.capability.limits import DEBOUNCE_S, WITHDRAWAL_TOLD_FOR_S
from actors.capability.messages import Delete, Synced, Update
from actors.capability.record import KIND, PUSHED, state
from actors.mirror.limits import GONE_KEPT_S
from actors.mirror.record import KIND as MIRROR
from actors.resource.messages import Delete as DeleteResource
from actors.resource.messages import Update as UpdateResource
from runtime.actor import Ref
from runtime.errors import Fault, RemoteFault
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.capabilities import Mirroring, mirroring
from tests.support.catalogue import catalogue, draft, told, write, written
from tests.support.federation import ACCOUNT, OPERATOR, Exchange


@pytest.fixture
def two() -> Mirroring:
    return mirroring()


def changed(two: Mirroring, id: str, **changes: Any) -> None:
    catalogue(two.home, UpdateResource(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id, changes=changes))


def deleted(two: Mirroring, id: str) -> None:
    catalogue(two.home, DeleteResource(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id))


def puts(two: Mirroring) -> int:
    return sum(path.endswith("/mirror") for _, _, path, _ in two.pair.network.passed)


def test_a_change_is_brought_two_seconds_later_and_several_together(two: Mirroring) -> None:
    two.pushing("auto_on_change")
    two.pair.network.advance(5.0)
    (module,) = written(two.home, draft("NodeModule", name="nginx"))
    two.pair.network.advance(DEBOUNCE_S / 2)
    changed(two, module.id, description="twice")
    assert two.shown() == {}
    two.pair.network.advance(DEBOUNCE_S / 2)
    assert two.shown() == two.truth()
    assert puts(two) == 1
    deleted(two, module.id)
    two.pair.network.advance(DEBOUNCE_S)
    assert two.shown() == {}
    two.pair.network.advance(GONE_KEPT_S + 1.0)
    assert two.holder.store.query(Query(MIRROR.name)) == []
    assert two.counted()


def test_a_catalogue_that_never_rests_is_followed_all_the_same(two: Mirroring) -> None:
    two.pushing("auto_on_change")
    two.pair.network.advance(5.0)
    (module,) = written(two.home, draft("NodeModule", name="nginx"))
    for number in range(12):
        changed(two, module.id, description=str(number))
        two.pair.network.advance(0.5)
    assert int(two.shown()[module.id]["description"]) >= 4
    assert 2 <= puts(two) <= 4


def test_what_ceases_to_match_is_withdrawn_and_what_never_matched_is_never_named(two: Mirroring) -> None:
    secret, public = written(
        two.home, draft("NodeModule", name="secret", variety="internal"), draft("NodeModule", name="open", variety="public")
    )
    id = two.pushing("on_match_filter", filter={"variety": "public"})
    two.sync(two.home, id)
    assert list(two.mirrors()) == [public.id]
    changed(two, secret.id, description="still internal")
    changed(two, public.id, variety="internal")
    outcome = two.sync(two.home, id)
    assert isinstance(outcome, Synced)
    assert (outcome.written, outcome.dropped) == (0, 1)
    assert two.shown() == {}
    assert not [path for _, _, path, _ in two.pair.network.passed if secret.id in path]
    assert two.home.store.query(Query(PUSHED.name)) == []


def test_a_lost_answer_is_asked_for_again_and_the_cursor_waits(two: Mirroring) -> None:
    id = two.pushing("auto_periodic", interval_seconds=60)
    modules = written(two.home, *(draft("NodeModule", name=f"m{number}") for number in range(5)))
    lost = 0

    def lose(exchange: Exchange) -> Any:
        nonlocal lost
        if exchange.request.path.endswith(f"{modules[2].id}/mirror") and lost < 2:
            lost += 1
            return RemoteFault("remote_timeout", "no answer in time", 504)
        return None

    two.pair.network.answers = lose
    two.pair.network.advance(61.0)
    cursor = two.capability(two.home, id).push.cursor
    assert cursor is not None
    assert cursor.id == modules[1].id
    assert len(two.mirrors()) == 2
    two.pair.network.advance(400.0)
    assert two.shown() == two.truth()


def test_every_crash_on_either_side_leaves_a_way_on() -> None:
    for crashed in ("home", "holder"):
        for number in range(1, 9):
            two = mirroring()
            id = two.pushing("auto_on_change", interval_seconds=60)
            two.pair.network.advance(5.0)
            written(two.home, *(draft("NodeModule", name=f"m{index}") for index in range(4)))
            platform = two.home if crashed == "home" else two.holder
            life = platform.life
            platform.crash_at = (platform.commits + number, "after" if number % 2 else "before")
            two.pair.network.advance(300.0)
            assert platform.life == life + 1, (crashed, number)
            assert two.shown() == two.truth(), (crashed, number)
            assert two.counted(), (crashed, number)
            assert state(two.capability(two.home, id)) == "idle", (crashed, number)


def test_a_home_that_goes_back_to_a_backup_brings_its_present_and_withdraws_its_lost_future(two: Mirroring) -> None:
    kept, gone = written(two.home, draft("NodeModule", name="kept"), draft("NodeModule", name="gone"))
    two.pushing("auto_on_change", interval_seconds=60)
    two.pair.network.advance(5.0)
    copy = two.home.store.image()
    changed(two, kept.id, description="from a future that is lost")
    deleted(two, gone.id)
    written(two.home, draft("NodeModule", name="never was"))
    two.pair.network.advance(700.0)
    assert len(two.mirrors()) == 2
    two.restore(two.home, copy)
    two.pair.network.advance(200.0)
    assert set(two.truth()) == {kept.id, gone.id}
    assert two.shown() == two.truth()


def test_a_holder_that_goes_back_to_a_backup_is_brought_everything_again(two: Mirroring) -> None:
    (module,) = written(two.home, draft("NodeModule", name="nginx"))
    two.pushing("auto_on_change", interval_seconds=60)
    two.pair.network.advance(5.0)
    copy = two.holder.store.image()
    changed(two, module.id, description="later")
    two.pair.network.advance(5.0)
    two.restore(two.holder, copy)
    two.pair.network.advance(200.0)
    assert two.shown() == two.truth()


def test_a_record_that_moves_to_where_it_is_mirrored_is_there_once(two: Mirroring) -> None:
    (module,) = written(two.home, draft("NodeModule", name="nginx"))
    id = two.pushing()
    two.sync(two.home, id)
    assert list(two.mirrors()) == [module.id]
    refused = catalogue_write(two, module.id)
    assert "resource_id_taken" in repr(refused)


def catalogue_write(two: Mirroring, id: str) -> Any:
    """What comes of an operator's record at the holder under an id of the home."""
    return write(two.holder, [draft("NodeModule", id=id, name="another")])


def test_an_end_of_the_push_is_told_so_that_mirrors_do_not_pretend(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="nginx"))
    id = two.pushing()
    two.sync(two.home, id)
    assert len(two.mirrors()) == 1
    told(two.home, Ref(KIND.name, id), Delete(by=OPERATOR))
    two.pair.network.advance(5.0)
    assert two.mirrors() == {}
    assert two.home.store.query(Query(PUSHED.name)) == []


def test_both_ways_at_once_never_bring_an_echo(two: Mirroring) -> None:
    two.lend(two.home, "read")
    two.lend(two.home, "write")
    two.lend(two.holder, "read")
    two.lend(two.holder, "write")
    written(two.home, draft("NodeModule", name="of a"))
    written(two.holder, draft("NodeModule", name="of b"))
    for platform in (two.home, two.holder):
        two.created(platform, "bidirectional", "auto_on_change", interval_seconds=60)
    two.pair.network.advance(130.0)
    assert two.shown(two.holder) == two.truth(two.home)
    assert two.shown(two.home) == two.truth(two.holder)
    before = puts(two)
    two.pair.network.advance(130.0)
    assert puts(two) == before


def test_another_filter_withdraws_what_does_not_match_any_more(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"), draft("NodeModule", name="b"))
    id = two.pushing("auto_periodic")
    two.pair.network.advance(1.0)
    assert len(two.mirrors()) == 2
    told(two.home, Ref(KIND.name, id), Update(by=OPERATOR, changes={"filter": {"name": "A"}}))
    two.pair.network.advance(1.0)
    assert [shown["name"] for shown in two.shown().values()] == ["a"]


def test_residency_stops_a_flow_on_either_side() -> None:
    two = mirroring(residency_mode="warn", data_residency="eu")
    written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    assert isinstance(two.sync(two.home, id), Synced)
    refusing = mirroring(residency_mode="refuse", residency_unknown="refuse")
    written(refusing.home, draft("NodeModule", name="a"))
    id = refusing.pushing()
    refused = refusing.sync(refusing.home, id)
    assert isinstance(refused, Fault)
    assert refused.code == "residency_refused"
    assert state(refusing.capability(refusing.home, id)) == "residency_refused"
    assert refusing.mirrors() == {}


def test_a_boundary_is_told_before_the_first_record_crosses_it_and_told_once() -> None:
    two = mirroring(data_residency="eu")
    two.holder.federation = evolve(two.holder.federation, data_residency="us")
    two.holder.restart()
    two.pair.network.advance(120.0)
    (record,) = written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    # The answer is lost: the pass fails, and the record is over there.
    two.pair.network.lost_answers[f"/federation_api/resources/NodeModule/{record.id}/mirror"] = 1
    assert isinstance(two.sync(two.home, id), Fault)
    assert len(two.mirrors()) == 1
    assert two.home.events().count("federation.sync.cross_boundary") == 1
    assert isinstance(two.sync(two.home, id), Synced)
    assert two.home.events().count("federation.sync.cross_boundary") == 1


def test_a_place_that_nobody_knows_is_noted_once(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    for _ in range(2):
        assert isinstance(two.sync(two.home, id), Synced)
    actions = [entry.action for entry in two.home.store.audit(two.capability(two.home, id).federation_peer_id, 0, 1_000)]
    assert actions.count("sync.residency_unknown") == 1


def test_a_home_that_was_restored_brings_nothing_until_every_peer_has_answered(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"))
    pushes = two.pushing()
    two.lend(two.holder, "read")
    pulls = two.created(two.home, "pull_remote_to_local")
    silence = RemoteFault("remote_timeout", "no answer in time", 504)
    two.pair.network.answers = lambda exchange: silence if "/migrations/arrived" in exchange.request.path else None
    two.restore(two.home, two.home.store.image())
    two.pair.network.advance(5.0)
    refused = two.sync(two.home, pushes)
    assert isinstance(refused, Fault)
    assert refused.code == state(two.capability(two.home, pushes)) == "resource_in_question"
    assert two.mirrors() == {}
    # What the peer shows of its own is in no question.
    assert isinstance(two.sync(two.home, pulls), Synced)
    two.pair.network.answers = lambda exchange: None
    two.pair.network.advance(120.0)
    assert isinstance(two.sync(two.home, pushes), Synced)
    assert len(two.mirrors()) == 1


def test_a_peer_that_is_away_hears_of_a_withdrawal_when_it_is_back_also_after_a_restart(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    assert isinstance(two.sync(two.home, id), Synced)
    assert len(two.mirrors()) == 1
    two.pair.network.down.add(two.holder.url)
    told(two.home, Ref(KIND.name, id), Delete(by=OPERATOR))
    two.pair.network.advance(1_000.0)
    two.home.restart()
    two.pair.network.down.clear()
    two.pair.network.advance(1_000.0)
    assert two.mirrors() == {}
    assert two.home.store.load(KIND.name, id) is None


def test_what_another_capability_brings_by_now_is_not_withdrawn(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    two.sync(two.home, id)
    two.pair.network.down.add(two.holder.url)
    told(two.home, Ref(KIND.name, id), Delete(by=OPERATOR))
    two.pair.network.advance(10.0)
    again = two.created(two.home, "push_local_to_remote")
    two.pair.network.down.clear()
    two.pair.network.advance(1_000.0)
    assert isinstance(two.sync(two.home, again), Synced)
    two.pair.network.advance(1_000.0)
    assert len(two.mirrors()) == 1
    assert two.home.store.load(KIND.name, id) is None


def test_a_withdrawal_that_nobody_hears_is_given_up_after_a_week(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a"))
    id = two.pushing()
    two.sync(two.home, id)
    gone = RemoteFault("remote_timeout", "no answer in time", 504)
    two.pair.network.answers = lambda exchange: gone if exchange.request.path.endswith("/peer_events") else None
    told(two.home, Ref(KIND.name, id), Delete(by=OPERATOR))
    two.pair.network.clock.advance(WITHDRAWAL_TOLD_FOR_S - 60.0)
    two.pair.network.advance(30.0)
    assert two.home.store.load(KIND.name, id) is not None
    two.pair.network.advance(700.0)
    assert two.home.store.load(KIND.name, id) is None
