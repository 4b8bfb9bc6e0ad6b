"""A source that means no good: whatever it announces and uploads, the destination applies a plan that is right, or nothing at all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from actors.door.call import Answer
from actors.migration.record import ARRIVAL
from actors.migration.steps import Header, Step, plan_digest
from actors.resource.record import KIND as RESOURCE
from actors.settings import FederationSettings, Limit
from runtime.store.port import Query
from runtime.values import evolve
from tests.support.grants import Peers, call_as, code_of, peers

RESOURCES = "/api/v1/system/platform/resources"
_NUMBERS = itertools.count(1)


def fresh() -> str:
    """An id of the source's making that nobody has used."""
    return f"0190c0de-0000-7000-8000-{next(_NUMBERS):012x}"


@pytest.fixture(scope="module")
def two() -> Peers:
    limits = {**FederationSettings().rate_limits, "resources_per_peer": Limit(100_000, 1.0, 100_000)}
    return peers("migrations", rate_limits=limits)


@pytest.fixture(scope="module")
def bearer(two: Peers) -> str:
    return two.issue(permission_scopes=["migrate"])[1]


def module(id: str, name: str | None = None, **more: Any) -> Step:
    named = {"name": name or f"module {id}"}
    return Step(order=0, kind="NodeModule", id=id, action="create", conflict_policy="fail", natural_key=named, payload={**named, **more})


def version(order: int, of: str, number: int = 1) -> Step:
    key = {"node_module_id": of, "number": number}
    return Step(order=order, kind="ModuleVersion", id=fresh(), action="create", conflict_policy="fail", natural_key=key, payload=key)


def call(two: Peers, bearer: str, method: str, path: str, body: Any) -> Answer:
    return call_as(two.b, two.a_at_b, two.a, f"/migrations{path}", bearer, method=method, body=json.dumps(body).encode())


def header(root: Step) -> Header:
    return Header(operation="migrate", root_resource_kind="NodeModule", root_resource_id=root.id)


def opened(two: Peers, bearer: str, steps: Sequence[Step], /, **changes: Any) -> tuple[str, Answer]:
    """Announce a plan; its id and the answer."""
    head, id = header(steps[0]), fresh()
    body = {**head.to_json(), "migration_id": id, "plan_digest": plan_digest(head, tuple(steps)), "step_count": len(steps), **changes}
    return id, call(two, bearer, "POST", "", body)


def moved(two: Peers, bearer: str, steps: Sequence[Step], **changes: Any) -> str:
    """Announce, upload and commit a plan; `ok`, or the code of the first refusal."""
    id, answer = opened(two, bearer, steps, **changes)
    for method, path, body in (("PUT", "steps", {"steps": [step.to_json() for step in steps]}), ("POST", "commit", {})):
        if answer.status < 400:
            answer = call(two, bearer, method, f"/{id}/{path}", body)
    return code_of(answer)


def held(two: Peers) -> dict[str, Any]:
    return {row.record.id: row.record for row in two.a.store.query(Query(RESOURCE.name))}


def test_a_plan_that_is_right_arrives(two: Peers, bearer: str) -> None:
    root = module(fresh())
    assert moved(two, bearer, [root, version(1, root.id)]) == "ok"
    assert held(two)[root.id].incoming


WRONG: dict[str, tuple[Callable[[Step], list[Step]], str]] = {
    "a step that the root neither owns nor needs": (lambda root: [root, evolve(module(fresh()), order=1)], "step_outside_plan"),
    "a version of another module": (lambda root: [root, version(1, fresh())], "step_outside_plan"),
    "no root": (lambda root: [evolve(root, action="skip")], "step_outside_plan"),
    "a kind that stays": (
        lambda root: [
            root,
            evolve(root, order=1, id=fresh(), kind="Skill", natural_key={"name": "x"}, payload={"name": "x"}),
        ],
        "kind_not_movable",
    ),
    "a kind that nobody has": (lambda root: [root, evolve(module(fresh()), order=1, kind="Starship")], "unknown_resource_kind"),
    "a reserved kind": (lambda root: [root, evolve(module(fresh()), order=1, kind="ServiceOffering")], "unknown_resource_kind"),
    "an id that is no UUIDv7": (lambda root: [evolve(root, id="0190c0de-0000-4000-8000-00000000beef")], "step_invalid"),
    "an attribute that the kind has not": (lambda root: [evolve(root, payload={**root.payload, "owner": "me"})], "step_invalid"),
    "names that differ from the payload": (lambda root: [evolve(root, natural_key={"name": "another"})], "step_invalid"),
    "one record twice": (lambda root: [root, evolve(root, order=1)], "step_invalid"),
    "steps with a gap": (lambda root: [root, version(2, root.id)], "step_invalid"),
    "a reference to nothing": (lambda root: [evolve(root, payload={**root.payload, "node_platform_id": fresh()})], "link_target_missing"),
    "a need that is not here": (
        lambda root: [
            evolve(root, payload={**root.payload, "node_platform_id": "0190c0de-0000-7000-8000-0000000000ff"}),
            Step(
                order=1, kind="NodePlatform", id="0190c0de-0000-7000-8000-0000000000ff", action="link_local", conflict_policy="fail",
                natural_key={"name": "nowhere"}, payload={},
            ),
        ],
        "link_target_missing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_a_plan_that_is_wrong_brings_nothing(two: Peers, bearer: str, wrong: str) -> None:
    make, code = WRONG[wrong]
    before = held(two)
    assert moved(two, bearer, make(module(fresh()))) == code
    assert held(two) == before


def inline(two: Peers, bearer: str, steps: Sequence[Step], **changes: Any) -> tuple[str, Answer]:
    """Announce a plan together with its steps; its id and the answer."""
    return opened(two, bearer, steps, steps=[step.to_json() for step in steps], **changes)


def test_an_attribute_that_the_kind_has_not_names_its_step(two: Peers, bearer: str) -> None:
    root = module(fresh())
    child = version(1, root.id)
    _, answer = inline(two, bearer, [root, evolve(child, payload={**child.payload, "owner": "me"})])
    assert answer.body is not None
    assert (answer.status, answer.body["code"], answer.body["details"]["index"]) == (422, "step_invalid", 1)
    assert answer.body["details"]["field"] == "steps[1].payload.owner"


def test_a_small_plan_is_applied_by_its_announcement_and_once(two: Peers, bearer: str) -> None:
    root = module(fresh())
    steps = [root, version(1, root.id)]
    id, answer = inline(two, bearer, steps)
    assert answer.status == 201, answer.body
    assert answer.body is not None
    said = answer.body["data"]
    assert (said["migration_id"], said["status"], said["receipt"]["applied"]) == (id, "applied", 2)
    assert held(two)[root.id].incoming
    before = held(two)
    _, again = inline(two, bearer, steps, migration_id=id)
    assert again.status == 200
    assert again.body is not None
    assert again.body["data"]["receipt"] == said["receipt"]
    _, other = inline(two, bearer, [module(fresh())], migration_id=id)
    assert code_of(other) == "migration_id_conflict"
    assert held(two) == before


def test_a_plan_that_was_only_announced_may_still_come_whole(two: Peers, bearer: str) -> None:
    root = module(fresh())
    id, announced = opened(two, bearer, [root])
    assert (announced.status, (announced.body or {})["data"]["status"]) == (201, "staged")
    assert inline(two, bearer, [root], migration_id=id)[1].status == 201
    assert root.id in held(two)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_small_plan_that_is_wrong_brings_nothing_and_stays_refused(two: Peers, bearer: str, wrong: str) -> None:
    make, code = WRONG[wrong]
    steps = make(module(fresh()))
    before = held(two)
    id, answer = inline(two, bearer, steps)
    assert code_of(answer) == code
    assert code_of(inline(two, bearer, steps, migration_id=id)[1]) == code
    assert held(two) == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"steps": []}, "plan_empty"),
        ({"step_count": 2}, "step_invalid"),
        ({"steps": [{"order": 0}]}, "step_invalid"),
        ({"plan_digest": "0" * 64}, "plan_digest_mismatch"),
    ],
)
def test_steps_that_are_not_the_announced_plan_are_refused(two: Peers, bearer: str, changes: dict[str, Any], code: str) -> None:
    root = module(fresh())
    before = held(two)
    id, answer = opened(two, bearer, [root], **{"steps": [root.to_json()], **changes})
    assert (answer.status, code_of(answer)) == (422, code)
    assert held(two) == before
    row = two.a.store.load(ARRIVAL.name, id)
    assert row is None or row.record.verdict == "failed"


def test_a_fenced_plan_is_not_applied_by_an_announcement_with_steps(two: Peers, bearer: str) -> None:
    root = module(fresh())
    id, _ = opened(two, bearer, [root])
    call(two, bearer, "POST", f"/{id}/fence", header(root).to_json())
    assert code_of(inline(two, bearer, [root], migration_id=id)[1]) == "migration_fenced"
    assert root.id not in held(two)


@pytest.mark.parametrize("bad", [{"action": "explode"}, {"order": -1}, {"id": "x"}, {"natural_key": []}, {"payload": 3}, {"kind": None}])
def test_a_step_that_cannot_be_read_is_named_by_its_place(two: Peers, bearer: str, bad: dict[str, Any]) -> None:
    root = module(fresh())
    id, _ = opened(two, bearer, [root, version(1, root.id)])
    steps = [root.to_json(), {**version(1, root.id).to_json(), **bad}]
    for method, path, body in (("PUT", f"/{id}/steps", {}), ("POST", "/preflight", header(root).to_json())):
        if path == "/preflight" and "payload" in bad:
            continue
        answer = call(two, bearer, method, path, {**body, "steps": steps})
        assert (code_of(answer), answer.body["details"]["index"]) == ("step_invalid", 1), path


def test_a_plan_without_steps_is_announced_in_vain(two: Peers, bearer: str) -> None:
    _, answer = opened(two, bearer, [module(fresh())], step_count=0)
    assert (answer.status, code_of(answer)) == (422, "plan_empty")


@pytest.mark.parametrize("missing", ["migration_id", "operation", "root_resource_kind", "root_resource_id", "plan_digest", "step_count"])
def test_what_an_announcement_must_say_is_asked_for(two: Peers, bearer: str, missing: str) -> None:
    _, answer = opened(two, bearer, [module(fresh())], **{missing: None})
    assert (answer.status, code_of(answer)) == (422, "field_required")


def test_what_is_uploaded_is_what_was_announced(two: Peers, bearer: str) -> None:
    before = held(two)
    assert moved(two, bearer, [module(fresh())], plan_digest="0" * 64) == "plan_digest_mismatch"
    root = module(fresh())
    id, answer = opened(two, bearer, [root])
    assert answer.status == 201
    assert call(two, bearer, "PUT", f"/{id}/steps", {"steps": [root.to_json()]}).status == 200
    other = evolve(root, payload={**root.payload, "variety": "another"})
    assert code_of(call(two, bearer, "PUT", f"/{id}/steps", {"steps": [other.to_json()]})) == "step_invalid"
    assert code_of(call(two, bearer, "PUT", f"/{id}/steps", {"steps": [version(1, root.id).to_json()]})) == "step_invalid"
    assert held(two) == before


@pytest.mark.parametrize("policy", ["fail", "skip_if_exists", "overwrite", "rename_with_suffix"])
def test_an_id_that_is_here_is_never_taken_whatever_the_policy(two: Peers, bearer: str, policy: Any) -> None:
    made = two.ask("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": f"ours {policy}"}})
    ours = made.data["resource"]["id"]
    before = held(two)
    assert moved(two, bearer, [evolve(module(ours), conflict_policy=policy)]) == "migration_conflict"
    assert held(two) == before


def test_a_record_that_is_arriving_is_not_overwritten_by_another_migration(two: Peers, bearer: str) -> None:
    first = module(fresh(), "contested")
    assert moved(two, bearer, [first]) == "ok"
    before = held(two)
    assert moved(two, bearer, [evolve(module(fresh(), "contested"), conflict_policy="overwrite")]) == "migration_conflict"
    assert held(two) == before


def test_what_was_refused_or_fenced_stays_so(two: Peers, bearer: str) -> None:
    root = module(fresh())
    id, _ = opened(two, bearer, [root], plan_digest="0" * 64)
    call(two, bearer, "PUT", f"/{id}/steps", {"steps": [root.to_json()]})
    told = [code_of(call(two, bearer, "POST", f"/{id}/commit", {})) for _ in range(2)]
    assert told == ["plan_digest_mismatch", "plan_digest_mismatch"]
    other, _ = opened(two, bearer, [root])
    fenced = call(two, bearer, "POST", f"/{other}/fence", header(root).to_json())
    assert fenced.status == 200
    assert code_of(call(two, bearer, "POST", f"/{other}/commit", {})) == "migration_fenced"
    assert two.a.store.load(ARRIVAL.name, other).record.verdict == "fenced"
