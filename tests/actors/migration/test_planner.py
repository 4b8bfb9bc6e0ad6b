"""The walk from a root to a plan, the digest, and the tables of a migration's life."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door.migrations.bodies import OPEN
from actors.door.shapes import read_value
from actors.migration import planner
from actors.migration.lifecycle import HOLDING, STATUSES, TERMINAL, TRANSITIONS, VERDICTS
from actors.migration.limits import STEPS_MAX
from actors.migration.steps import Header, Step, plan_digest
from actors.resource.record import ResourceRecord, owner_of
from runtime.errors import Fault, FaultError
from runtime.values import evolve

ACCOUNT = "0190c0de-0000-7000-8000-00000000acc0"


def id_of(number: int) -> str:
    return f"0190c0de-0000-7000-8000-{number:012x}"


def record(place: int, kind: str, **attributes: Any) -> ResourceRecord:
    return ResourceRecord(id=id_of(place), account_id=ACCOUNT, kind=kind, attributes=attributes, created_at=0.0, updated_at=0.0)


def planned(root: ResourceRecord, others: Sequence[ResourceRecord], operation: Any = "migrate") -> tuple[Step, ...] | Fault:
    by_id = {each.id: each for each in (root, *others)}

    def records(ids: Sequence[str]) -> Mapping[str, ResourceRecord]:
        return {id: by_id[id] for id in ids if id in by_id}

    def owned(id: str, limit: int) -> list[ResourceRecord]:
        return [each for each in by_id.values() if owner_of(each) == id][:limit]

    return planner.walk(root, operation, records, owned, {})


PLATFORM = record(1, "NodePlatform", name="debian")
MODULE = record(2, "NodeModule", name="nginx", node_platform_id=id_of(1))
VERSIONS = [record(10 + number, "ModuleVersion", node_module_id=id_of(2), number=number) for number in range(1, 4)]


def test_a_module_takes_its_versions_along_and_needs_its_platform() -> None:
    steps = planned(MODULE, [PLATFORM, *VERSIONS])
    assert isinstance(steps, tuple)
    assert [(step.kind, step.action) for step in steps] == [
        ("NodeModule", "create"), *[("ModuleVersion", "create")] * 3, ("NodePlatform", "link_local"),
    ]  # fmt: skip
    assert [step.order for step in steps] == [0, 1, 2, 3, 4]
    assert steps[4].payload == {}
    assert steps[4].natural_key == {"name": "debian"}


@given(st.permutations([PLATFORM, *VERSIONS]))
def test_the_order_in_which_records_are_found_does_not_matter(others: list[ResourceRecord]) -> None:
    assert planned(MODULE, others) == planned(MODULE, [PLATFORM, *VERSIONS])


def test_what_cannot_be_a_root_is_refused() -> None:
    for root in (VERSIONS[0], PLATFORM):
        fault = planned(root, [MODULE, PLATFORM])
        assert isinstance(fault, Fault)
        assert fault.code == "kind_not_movable"


def test_a_missing_target_and_too_many_steps_are_refused() -> None:
    fault = planned(MODULE, VERSIONS)
    assert isinstance(fault, Fault)
    assert fault.code == "link_target_missing"
    many = [record(100 + number, "ModuleVersion", node_module_id=id_of(2), number=number) for number in range(STEPS_MAX + 1)]
    fault = planned(MODULE, [PLATFORM, *many])
    assert isinstance(fault, Fault)
    assert fault.code == "plan_too_large"


@given(st.sampled_from(["kind", "id", "action", "conflict_policy", "natural_key", "payload"]), st.integers(0, 4))
def test_the_digest_covers_every_part_of_every_step(part: str, place: int) -> None:
    steps = planned(MODULE, [PLATFORM, *VERSIONS])
    assert isinstance(steps, tuple)
    header = Header(operation="migrate", root_resource_kind="NodeModule", root_resource_id=MODULE.id)
    changed: dict[str, Any] = {
        "kind": "Other", "id": id_of(77), "action": "skip", "conflict_policy": "overwrite", "natural_key": {"x": 1}, "payload": {"x": 1},
    }  # fmt: skip
    other = list(steps)
    other[place] = evolve(steps[place], **{part: changed[part]})
    assert plan_digest(header, other) != plan_digest(header, steps)
    assert plan_digest(evolve(header, operation="duplicate"), steps) != plan_digest(header, steps)


def test_what_is_held_ends_only_with_a_definite_word() -> None:
    for (source, trigger), target in TRANSITIONS.items():
        assert source in STATUSES
        assert target in STATUSES
        assert source not in TERMINAL
        if source in ("applying", "in_doubt") and target not in HOLDING:
            assert trigger == "refused"
        if source == "finalizing":
            assert (trigger, target) == ("departed", "completed")
    assert all(trigger != "cancel" for (source, trigger) in TRANSITIONS if source in ("applying", "in_doubt", "finalizing"))


def test_no_word_takes_back_what_the_destination_has_promised() -> None:
    reachable = {"fenced": {"fenced"}, "applied": {"applied", "finalized"}, "finalized": {"finalized"}}
    for (now, word), then in VERDICTS.items():
        if word == "release":
            # The one thing that only an operator says.
            assert (now, then) == ("applied", "released")
            continue
        if now in reachable:
            assert then in reachable[now]


def test_the_announcement_of_a_plan_that_is_too_large_is_refused() -> None:
    root = {"operation": "migrate", "root_resource_kind": "NodeModule", "root_resource_id": id_of(2)}
    body = {**root, "migration_id": id_of(1), "plan_digest": "0" * 64, "step_count": STEPS_MAX}
    assert read_value(OPEN, body)["step_count"] == STEPS_MAX
    with pytest.raises(FaultError) as refused:
        read_value(OPEN, {**body, "step_count": STEPS_MAX + 1})
    assert (refused.value.fault.code, refused.value.fault.status) == ("plan_too_large", 413)
