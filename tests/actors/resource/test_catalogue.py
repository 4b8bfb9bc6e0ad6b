"""The catalogue's writes: matching, references, everything or nothing, order, deletion."""

from __future__ import annotations

from typing import Any

import pytest

from actors.resource.limits import RECORD_BYTES_MAX, TOMBSTONE_KEPT_S
from actors.resource.messages import Delete, Update, Written
from actors.resource.record import KIND
from runtime.errors import Fault
from runtime.store.port import Put, Query, Unit
from runtime.values import evolve
from tests.support.catalogue import catalogue, draft, stored, write, written
from tests.support.federation import ACCOUNT, OPERATOR, Network, Platform

FOREIGN = "0190c0de-0000-7000-8000-00000000ffff"


@pytest.fixture
def platform() -> Platform:
    return Network().platform("home")


def update(platform: Platform, id: str, kind: str = "NodeModule", expected_version: int | None = None, **changes: Any) -> Any:
    message = Update(account_id=ACCOUNT, by=OPERATOR, kind=kind, id=id, changes=changes, expected_version=expected_version)
    return catalogue(platform, message)


def delete(platform: Platform, id: str, kind: str = "NodeModule") -> Any:
    return catalogue(platform, Delete(account_id=ACCOUNT, by=OPERATOR, kind=kind, id=id))


def put(platform: Platform, id: str, **changes: Any) -> None:
    """Change a row as a migration would."""
    record = stored(platform, id)
    changed = evolve(record, version=record.version + 1, **changes)
    platform.store.commit([Unit((Put(KIND.name, changed, record.version),))], lambda result: None)
    platform.engine.directory.reopen(platform.store)


def everything(platform: Platform) -> list[Any]:
    return [row.record for row in platform.store.query(Query(KIND.name))]


def codes(outcome: Any) -> list[str]:
    assert isinstance(outcome, Fault), outcome
    return [problem["code"] for problem in outcome.details["problems"]]


def test_the_same_batch_twice_writes_once(platform: Platform) -> None:
    batch = [draft("NodeModule", name="nginx", tags=["web"]), draft("NodePlatform", name="debian")]
    first = write(platform, batch)
    before = everything(platform)
    second = write(platform, batch)
    assert [change for _, change in first.changes] == ["created", "created"]
    assert [change for _, change in second.changes] == ["unchanged", "unchanged"]
    assert everything(platform) == before
    assert [id for id, _ in first.changes] == [id for id, _ in second.changes]
    changed = write(platform, [draft("NodeModule", name="NGINX", variety="web")])
    assert changed.changes == ((first.changes[0][0], "updated"),)
    record = stored(platform, first.changes[0][0])
    assert (record.attributes, record.version) == ({"name": "NGINX", "variety": "web"}, 2)
    events = [event for event in platform.store.events(0, 100) if event.kind == "resource.changed"]
    assert [event.payload["resource_kind"] for event in events] == ["NodePlatform", "NodeModule", "NodeModule"]
    assert events[-1].payload["updated"] == 1


def test_references_by_natural_key_may_point_inside_the_batch_in_any_order(platform: Platform) -> None:
    template, version, module, debian = written(
        platform,
        draft("NodeTemplate", name="edge", node_platform_id={"name": "debian"}, node_module_ids=[{"name": "Nginx"}]),
        draft("ModuleVersion", node_module_id={"name": "nginx"}, number=1),
        draft("NodeModule", name="nginx", node_platform_id={"name": "debian"}),
        draft("NodePlatform", name="debian"),
    )
    assert module.attributes["node_platform_id"] == debian.id
    assert version.attributes["node_module_id"] == module.id
    assert template.attributes["node_module_ids"] == [module.id]
    (later,) = written(platform, draft("ModuleVersion", node_module_id={"name": "NGINX"}, number=2))
    assert later.attributes["node_module_id"] == module.id


def test_every_problem_is_told_and_nothing_is_written(platform: Platform) -> None:
    (taken,) = written(platform, draft("NodePlatform", name="debian"))
    outcome = write(
        platform,
        [
            draft("NodeModule", name="good"),
            draft("NodeModule", name="GOOD"),
            draft("NodeModule", name="lost", node_platform_id={"name": "plan9"}),
            draft("NodeModule", name="stray", node_platform_id=FOREIGN),
            draft("NodeModule", id=taken.id, name="other"),
            draft("NodePlatform", id=FOREIGN, name="debian"),
        ],
    )
    assert sorted(codes(outcome)) == sorted(
        ["duplicate_in_batch", "link_target_missing", "link_target_missing", "resource_id_taken", "resource_exists"]
    )
    assert everything(platform) == [taken]


def test_a_dry_run_tells_the_same_and_writes_nothing(platform: Platform) -> None:
    good = write(platform, [draft("NodeModule", name="nginx")], dry_run=True)
    assert isinstance(good, Written)
    assert [change for _, change in good.changes] == ["created"]
    bad = write(platform, [draft("NodeModule", name="nginx", node_platform_id=FOREIGN)], dry_run=True)
    assert [problem.code for problem in bad.problems] == ["link_target_missing"]
    assert bad.changes == ()
    assert everything(platform) == []


def test_new_only_refuses_what_is_there(platform: Platform) -> None:
    (record,) = written(platform, draft("NodeModule", name="nginx"))
    outcome = write(platform, [draft("NodeModule", name="Nginx")], new_only=True)
    assert (codes(outcome), outcome.status) == (["resource_exists"], 409)
    assert stored(platform, record.id) == record


def test_names_can_be_handed_on_in_one_batch(platform: Platform) -> None:
    one, two = written(platform, draft("NodeModule", name="one"), draft("NodeModule", name="two"))
    written(platform, draft("NodeModule", id=one.id, name="three"), draft("NodeModule", name="one"))
    assert stored(platform, one.id).attributes["name"] == "three"
    assert {record.attributes["name"] for record in everything(platform)} == {"one", "two", "three"}
    assert stored(platform, two.id) == two


def test_a_change_merges_and_null_unsets(platform: Platform) -> None:
    (record,) = written(platform, draft("NodeModule", name="nginx", variety="web", tags=["a"]))
    changed = update(platform, record.id, variety=None, description="proxy", expected_version=1)
    assert changed.attributes == {"name": "nginx", "description": "proxy", "tags": ["a"]}
    assert update(platform, record.id, name="x", expected_version=1).code == "version_conflict"
    assert codes(update(platform, record.id, node_platform_id=FOREIGN)) == ["link_target_missing"]
    assert update(platform, FOREIGN, name="x").code == "resource_not_found"
    assert update(platform, record.id, kind="NodePlatform", name="x").code == "resource_not_found"
    assert update(platform, record.id, description="proxy") == changed


def test_a_record_too_large_is_refused(platform: Platform) -> None:
    assert RECORD_BYTES_MAX == 65_536
    schema = {f"k{place}": {f"f{inner}": "x" * 1000 for inner in range(3)} for place in range(5)}
    outcome = write(platform, [evolve(draft("Skill", name="big"), attributes={"name": "big", "input_schema": {"a": [schema] * 5}})])
    assert (codes(outcome), outcome.status) == (["resource_too_large"], 413)


def test_deleting_takes_along_what_is_owned_and_frees_the_name(platform: Platform) -> None:
    module, version, other = written(
        platform,
        draft("NodeModule", name="nginx"),
        draft("ModuleVersion", node_module_id={"name": "nginx"}, number=1),
        draft("NodeModule", name="other"),
    )
    outcome = delete(platform, module.id)
    assert [record.id for record in outcome.records] == [module.id, version.id]
    tombstone = stored(platform, module.id)
    assert (tombstone.lives, tombstone.attributes, tombstone.version) == (False, {}, 2)
    assert delete(platform, module.id).code == "resource_not_found"
    (again,) = written(platform, draft("NodeModule", name="nginx"))
    assert again.id != module.id
    assert stored(platform, other.id) == other


def test_a_tombstone_is_forgotten_when_its_time_has_come_unless_the_record_lives_again(platform: Platform) -> None:
    one, two = written(platform, draft("NodeModule", name="one"), draft("NodeModule", name="two"))
    delete(platform, one.id)
    delete(platform, two.id)
    written(platform, draft("NodeModule", id=two.id, name="two"))
    platform.network.advance(TOMBSTONE_KEPT_S - 60.0)
    assert platform.store.load(KIND.name, one.id) is not None
    platform.network.advance(120.0)
    assert platform.store.load(KIND.name, one.id) is None
    assert stored(platform, two.id).lives


@pytest.mark.parametrize(("changes", "code"), [({"frozen_by": FOREIGN}, "resource_frozen"), ({"incoming": True}, "resource_incoming")])
def test_a_record_in_a_migrations_hands_cannot_be_written(platform: Platform, changes: dict[str, Any], code: str) -> None:
    module, version = written(
        platform, draft("NodeModule", name="nginx"), draft("ModuleVersion", node_module_id={"name": "nginx"}, number=1)
    )
    put(platform, version.id, **changes)
    assert update(platform, version.id, "ModuleVersion", changelog="x").code == code
    assert codes(write(platform, [draft("ModuleVersion", node_module_id=module.id, number=1, changelog="x")])) == [code]
    refused = delete(platform, module.id)
    assert (refused.code, refused.status, refused.details["resource_id"]) == (code, 423, version.id)
    assert stored(platform, module.id).lives


def test_stamps_rise_even_when_the_clock_steps_back(platform: Platform) -> None:
    records = [*written(platform, *(draft("NodeModule", name=f"m{n}") for n in range(5)))]
    step = platform.network.clock
    wall = step.wall()
    step.wall = lambda: wall - 3600.0  # type: ignore[method-assign]
    records += written(platform, *(draft("NodeModule", name=f"n{n}") for n in range(5)))
    platform.restart()
    records += written(platform, draft("NodeModule", name="last"))
    stamps = [record.updated_at for record in records]
    assert stamps == sorted(set(stamps))
