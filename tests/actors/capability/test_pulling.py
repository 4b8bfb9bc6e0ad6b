"""Mirrors that are pulled: they follow their home through writes, deletions, cuts, lost pages and restored backups."""

from __future__ import annotations

from typing import Any

import pytest

from actors.capability.limits import FAILURES_TOLD, PAGE_RECORDS
from actors.capability.messages import Delete, Synced, Update
from actors.capability.record import KIND, state
from actors.grant.messages import Revoke as RevokeGrant
from actors.mirror.limits import MIRRORS_KEPT_S
from actors.mirror.record import KIND as MIRROR
from actors.peer.messages import Revoke, Suspend
from actors.ports import RemoteReply
from actors.resource.messages import Delete as DeleteResource
from actors.resource.messages import Update as UpdateResource
from runtime.actor import Ref
from runtime.errors import Fault, RemoteFault
from runtime.store.port import Query
from tests.support.capabilities import MODULES, Mirroring, mirroring
from tests.support.catalogue import BOOK, catalogue, draft, told, write, written
from tests.support.federation import ACCOUNT, OPERATOR, Exchange


@pytest.fixture
def two() -> Mirroring:
    return mirroring()


def modules(two: Mirroring, count: int, first: int = 0, note: str = "as it was") -> None:
    """Write modules at the home, many at once."""
    for start in range(first, first + count, 400):
        drafts = [draft("NodeModule", name=f"m{number:04}", description=note) for number in range(start, min(start + 400, first + count))]
        write(two.home, drafts)


def rename(two: Mirroring, id: str, **changes: Any) -> None:
    catalogue(two.home, UpdateResource(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id, changes=changes))


def test_mirrors_follow_their_home_and_say_so(two: Mirroring) -> None:
    modules(two, 3)
    id = two.pulling()
    first = two.sync(two.holder, id)
    assert isinstance(first, Synced), first
    assert (first.written, first.dropped, first.running) == (3, 0, False)
    assert two.shown() == two.truth()
    again = two.sync(two.holder, id)
    assert isinstance(again, Synced)
    assert (again.written, again.dropped) == (0, 0)
    changed, deleted, _ = sorted(two.truth())
    rename(two, changed, description="another")
    catalogue(two.home, DeleteResource(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=deleted))
    third = two.sync(two.holder, id)
    assert isinstance(third, Synced)
    assert (third.written, third.dropped) == (1, 1)
    assert two.shown() == two.truth()
    assert two.counted()
    record = two.capability(two.holder, id)
    assert (record.last_error, record.consecutive_failures, state(record)) == (None, 0, "idle")


def test_by_itself_within_its_interval_and_from_many_pages(two: Mirroring) -> None:
    two.pulling("auto_periodic", interval_seconds=60)
    two.pair.network.advance(1.0)
    modules(two, 2 * PAGE_RECORDS + 7)
    two.pair.network.advance(61.0)
    assert len(two.mirrors()) == 2 * PAGE_RECORDS + 7
    assert two.shown() == two.truth()
    asked = [path for _, _, path, _ in two.pair.network.passed if path.startswith(MODULES)]
    assert sum("cursor" in path for path in asked) >= 2


def test_a_cut_between_pages_loses_and_skips_nothing(two: Mirroring) -> None:
    id = two.pulling("auto_periodic", interval_seconds=60)
    synced_at = two.capability(two.holder, id).last_synced_at
    modules(two, 2 * PAGE_RECORDS + 5)
    pages = 0

    def cut(exchange: Exchange) -> Any:
        nonlocal pages
        if exchange.request.path.startswith(MODULES):
            pages += 1
            if pages in (2, 4, 5):
                return RemoteFault("remote_timeout", "no answer in time", 504)
        return None

    two.pair.network.answers = cut
    two.pair.network.advance(61.0)
    cut_off = two.capability(two.holder, id)
    assert (cut_off.consecutive_failures, cut_off.last_error, cut_off.last_synced_at) == (1, "remote_timeout", synced_at)
    assert len(two.mirrors()) == PAGE_RECORDS
    assert cut_off.pull.cursor is not None
    assert cut_off.pull.cursor.id in two.mirrors()
    modules(two, 5, first=9_000)
    two.pair.network.advance(600.0)
    assert two.shown() == two.truth()
    assert two.capability(two.holder, id).last_synced_at != synced_at
    assert pages > 5


def test_every_crash_of_the_holder_leaves_a_way_on() -> None:
    for number in range(1, 12):
        two = mirroring()
        id = two.pulling("auto_periodic", interval_seconds=60)
        modules(two, PAGE_RECORDS + 3)
        life = two.holder.life
        two.holder.crash_at = (two.holder.commits + number, "after" if number % 2 else "before")
        two.pair.network.advance(400.0)
        assert two.holder.life == life + 1
        assert two.shown() == two.truth(), number
        assert two.counted(), number
        assert two.capability(two.holder, id).last_error is None, number


def test_a_filter_is_applied_here_so_that_what_ceases_to_match_is_dropped(two: Mirroring) -> None:
    written(two.home, draft("NodeModule", name="a", variety="web"), draft("NodeModule", name="b", variety="db"))
    id = two.pulling("on_match_filter", filter={"variety": ["web", "proxy"]})
    two.sync(two.holder, id)
    assert [shown["name"] for shown in two.shown().values()] == ["a"]
    (mirrored,) = two.mirrors()
    rename(two, mirrored, variety="db")
    two.sync(two.holder, id)
    assert two.shown() == {}
    told(two.holder, Ref(KIND.name, id), Update(by=OPERATOR, changes={"filter": {"name": {"prefix": "B"}}}))
    two.pair.network.advance(1.0)
    assert [shown["name"] for shown in two.shown().values()] == ["b"]


def test_without_a_grant_it_is_blocked_and_tells_once(two: Mirroring) -> None:
    id = two.created(two.holder, "pull_remote_to_local", "auto_periodic", interval_seconds=60)
    two.pair.network.advance(200.0)
    assert state(two.capability(two.holder, id)) == "blocked_no_grant"
    assert two.capability(two.holder, id).consecutive_failures == 0
    assert two.holder.events().count("federation.sync.blocked_no_grant") == 1
    refused = two.sync(two.holder, id)
    assert isinstance(refused, Fault)
    assert refused.code == "no_received_grant"
    modules(two, 1)
    two.lend(two.home, "read")
    two.pair.network.advance(61.0)
    assert two.shown() == two.truth()


def test_a_grant_that_ends_amid_the_pages_ends_the_pass_and_another_goes_on(two: Mirroring) -> None:
    modules(two, 2 * PAGE_RECORDS)
    grant_id = two.lend(two.home, "read")
    done = False

    def revoke(exchange: Exchange) -> Any:
        nonlocal done
        if "cursor=" in exchange.request.path and not done:
            done = True
            message = RevokeGrant(grant_id=grant_id, by=OPERATOR, reason=None, immediate=True, force=False)
            two.home.engine.ask(Ref(BOOK, two.pair.at_a.peer_id), message, 60.0, lambda outcome: None)
            two.home.run()
        return None

    two.pair.network.answers = revoke
    id = two.created(two.holder, "pull_remote_to_local", "auto_periodic", interval_seconds=60)
    assert len(two.mirrors()) == PAGE_RECORDS
    assert state(two.capability(two.holder, id)) == "blocked_no_grant"
    two.lend(two.home, "read")
    two.pair.network.advance(61.0)
    assert two.shown() == two.truth()


def test_failures_are_told_after_five_and_the_waits_double(two: Mirroring) -> None:
    id = two.pulling("auto_periodic", interval_seconds=60)
    record = two.capability(two.holder, id)
    assert record.next_at is not None
    two.pair.network.advance(record.next_at - two.pair.network.clock.wall() - 0.5)
    two.pair.network.answers = lambda exchange: (
        RemoteFault("remote_timeout", "no answer", 504) if exchange.request.path.startswith(MODULES) else None
    )
    waits = []
    for _ in range(8):
        two.pair.network.advance(1.0)
        record = two.capability(two.holder, id)
        assert record.next_at is not None
        waits.append(round(record.next_at - two.pair.network.clock.wall() + 0.5))
        two.pair.network.advance(record.next_at - two.pair.network.clock.wall() - 0.5)
    assert waits == [60, 120, 240, 480, 960, 1_800, 1_800, 1_800]
    assert FAILURES_TOLD == 5
    assert two.holder.events().count("federation.sync.failing") == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"success": True, "data": "x", "meta": {}}),
        (200, {"success": True, "data": [{"kind": "NodeModule", "id": "../..", "etag": "x", "attributes": {}}], "meta": {}}),
        (422, {"success": False, "code": "unknown_resource_kind", "error": "no"}),
        (500, {}),
    ],
)
def test_what_cannot_be_used_is_an_error_and_never_an_empty_success(two: Mirroring, status: int, body: Any) -> None:
    modules(two, 2)
    id = two.pulling()
    two.sync(two.holder, id)
    before = two.capability(two.holder, id)
    two.pair.network.answers = lambda exchange: (
        RemoteReply(status, body, {}, "https://a.example", 0.01) if exchange.request.path.startswith(MODULES) else None
    )
    outcome = two.sync(two.holder, id, full=True)
    assert isinstance(outcome, Fault)
    after = two.capability(two.holder, id)
    assert (after.last_synced_at, after.consecutive_failures) == (before.last_synced_at, 1)
    assert two.shown() == two.truth()


def test_attributes_that_the_kind_does_not_declare_are_left_out(two: Mirroring) -> None:
    modules(two, 1)
    id = two.pulling()

    def answers(exchange: Exchange) -> Any:
        if not exchange.request.path.startswith(MODULES):
            return None
        record = {
            "kind": "NodeModule", "id": "0190c0de-0000-7000-8000-000000000001", "etag": 'W/"1.x"', "updated_at": "2026-01-01T00:00:00.000Z",
            "deleted": False, "attributes": {"name": "x", "account_id": "theirs", "colour": "red", "description": None},
        }  # fmt: skip
        return RemoteReply(200, {"success": True, "data": [record], "meta": {"next_cursor": None}}, {}, "https://a.example", 0.01)

    two.pair.network.answers = answers
    assert isinstance(two.sync(two.holder, id), Synced)
    assert list(two.shown().values()) == [{"name": "x"}]


def test_a_home_that_goes_back_to_a_backup_takes_its_mirrors_with_it(two: Mirroring) -> None:
    modules(two, 3)
    id = two.pulling("auto_periodic", interval_seconds=60)
    two.pair.network.advance(1.0)
    copy = two.home.store.image()
    changed, deleted, _ = sorted(two.truth())
    two.pair.network.advance(60.0)
    rename(two, changed, description="from a future that is lost")
    catalogue(two.home, DeleteResource(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=deleted))
    modules(two, 2, first=500)
    two.pair.network.advance(61.0)
    assert two.shown() == two.truth()
    two.restore(two.home, copy)
    two.pair.network.advance(200.0)
    assert len(two.truth()) == 3
    assert two.shown() == two.truth()
    assert two.capability(two.holder, id).last_error is None


def test_nothing_flows_while_the_peer_is_not_active_and_mirrors_go_after_its_end(two: Mirroring) -> None:
    modules(two, 3)
    id = two.pulling("auto_periodic", interval_seconds=60)
    two.pair.network.advance(1.0)
    peer_id = two.pair.at_b.peer_id
    two.holder.told(peer_id, Suspend(OPERATOR, None, None))
    asked = len(two.pair.network.passed)
    two.pair.network.advance(300.0)
    assert not [path for _, _, path, _ in two.pair.network.passed[asked:] if path.startswith(MODULES)]
    assert state(two.capability(two.holder, id)) == "peer_not_active"
    two.holder.told(peer_id, Revoke(OPERATOR, None, False, None))
    two.pair.network.advance(600.0)
    assert state(two.capability(two.holder, id)) == "ended"
    assert len(two.mirrors()) == 3
    two.pair.network.advance(MIRRORS_KEPT_S)
    assert two.holder.store.query(Query(MIRROR.name)) == []


def test_a_deleted_capability_takes_its_mirrors_with_it(two: Mirroring) -> None:
    modules(two, 3)
    id = two.pulling()
    two.sync(two.holder, id)
    told(two.holder, Ref(KIND.name, id), Delete(by=OPERATOR))
    two.pair.network.advance(5.0)
    assert two.holder.store.load(KIND.name, id) is None
    assert two.holder.store.query(Query(MIRROR.name)) == []
    assert two.counted()


def test_one_way_is_taken_once(two: Mirroring) -> None:
    two.created(two.holder, "pull_remote_to_local")
    for direction in ("pull_remote_to_local", "bidirectional"):
        refused = two.create(two.holder, direction)
        assert isinstance(refused, Fault)
        assert refused.code == "capability_exists"
    two.created(two.holder, "push_local_to_remote")
    two.created(two.holder, "migration_only")


@pytest.mark.parametrize(
    ("direction", "policy", "code"),
    [
        ("pull_remote_to_local", "auto_on_change", "policy_invalid"),
        ("migration_only", "auto_periodic", "policy_invalid"),
        ("push_local_to_remote", "on_match_filter", "filter_invalid"),
    ],
)
def test_what_does_not_fit_together_is_refused(two: Mirroring, direction: str, policy: str, code: str) -> None:
    refused = two.create(two.holder, direction, policy)
    assert isinstance(refused, Fault)
    assert (refused.code, refused.status) == (code, 422)


def test_migrations_only_is_never_driven(two: Mirroring) -> None:
    id = two.created(two.holder, "migration_only")
    refused = two.sync(two.holder, id)
    assert isinstance(refused, Fault)
    assert refused.code == "capability_not_driven"


def test_a_home_that_never_comes_to_an_end_is_not_followed_for_ever(two: Mirroring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.capability.pulling.PAGES_MAX", 7)
    id = two.pulling()
    asked = 0

    def answers(exchange: Exchange) -> Any:
        nonlocal asked
        if not exchange.request.path.startswith(MODULES):
            return None
        asked += 1
        return RemoteReply(200, {"success": True, "data": [], "meta": {"next_cursor": f"c{asked}"}}, {}, "https://a.example", 0.01)

    two.pair.network.answers = answers
    outcome = two.sync(two.holder, id)
    assert isinstance(outcome, Fault)
    assert (outcome.code, asked) == ("remote_rejected", 7)


def test_of_two_ways_the_one_is_taken_for_which_a_grant_is_held(two: Mirroring) -> None:
    two.lend(two.home, "read")
    modules(two, 2)
    written(two.holder, draft("NodeModule", name="of the holder"))
    id = two.created(two.holder, "bidirectional")
    assert isinstance(two.sync(two.holder, id), Synced)
    assert two.shown() == two.truth()
    assert two.mirrors(two.home) == {}
    two.lend(two.home, "write")
    assert isinstance(two.sync(two.holder, id), Synced)
    assert two.shown(two.home) == two.truth(two.holder)
