"""What a plan comes to at the destination: the records that it would write and the receipt's facts, or everything that stands in its way.

Lives here: the judgement, pure but for `Committed`, through which it looks at the destination's own records. A preflight is judged by the
same code as the real thing, with the names of records in place of their attributes. Must not live here: writing, or who may ask.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from actors.inventory.kind import ResourceKind, ids_at
from actors.inventory.registry import REGISTRY, find
from actors.migration.limits import RENAMES_MAX
from actors.migration.planner import mapped, movable, oversize, unmovable
from actors.migration.steps import Header, Operation, Policy, Step
from actors.problems import Problem, refusal
from actors.resource.plan import ORDER, Committed, Planned, lock_of
from actors.resource.record import ResourceRecord
from runtime.errors import Fault, OperatorFault
from runtime.ids import is_uuid7
from runtime.values import Value, evolve

_SUGGESTED: Final[Mapping[Operation, Policy]] = {"migrate": "rename_with_suffix", "duplicate": "rename_with_suffix"}


class Sender(Value, frozen=True, kw_only=True):
    """Where the records come from, as they will say of themselves."""

    peer_id: str
    instance_id: str
    migration_id: str


class Judged(Value, frozen=True, kw_only=True):
    """What a plan that may be applied comes to; `writes` follow the order in which records can be written."""

    writes: tuple[Planned, ...]
    skipped: int
    renamed: tuple[Mapping[str, Any], ...]
    id_map: Mapping[str, str]


@attrs.define
class _Course:
    """A judgement under way."""

    header: Header
    sender: Sender
    committed: Committed
    new_id: Callable[[], str]
    named_only: bool
    at: str
    ids: dict[str, str] = attrs.field(factory=dict)
    keys: dict[tuple[str, str], str] = attrs.field(factory=dict)
    taken: set[str] = attrs.field(factory=set)
    writes: list[Planned] = attrs.field(factory=list)
    skipped: int = 0
    renamed: list[Mapping[str, Any]] = attrs.field(factory=list)
    conflicts: list[Mapping[str, Any]] = attrs.field(factory=list)
    missing: list[Mapping[str, Any]] = attrs.field(factory=list)

    def conflict(self, step: Step, conflicting_id: str | None, code: str = "resource_exists") -> None:
        """Note that the step meets a record that stands in its way."""
        policy = _SUGGESTED[self.header.operation] if code == "resource_exists" else None
        self.conflicts.append(
            {
                "step": step.order, "kind": step.kind, "id": step.id, "key": dict(step.natural_key), "conflicting_id": conflicting_id,
                "code": code, "suggested_policy": policy, "at": self.at,
            }
        )  # fmt: skip


def judge(
    header: Header,
    steps: Sequence[Step],
    sender: Sender,
    committed: Committed,
    new_id: Callable[[], str],
    *,
    named_only: bool,
    at: str,
) -> Judged | Fault:
    """Judge a plan against the destination's records.

    Args:
        named_only: the steps carry names and no payloads, as in a preflight; nothing of the answer may then be written.
        at: the time of day, ISO-8601, for the conflict log.
    """
    fault = form_fault(header, steps, named_only=named_only)
    if fault is not None:
        return fault
    course = _Course(header, sender, committed, new_id, named_only, at)
    committed.load(step.id for step in steps)
    for step in sorted(steps, key=lambda each: (each.action != "link_local", ORDER[each.kind], each.order)):
        if step.action == "link_local":
            _link(course, step)
        elif step.action == "create":
            _create(course, step)
        else:
            course.skipped += 1
    if course.missing:
        text = "records that the plan needs are not at the destination"
        details = {"missing": course.missing, **({"conflicts": course.conflicts} if course.conflicts else {})}
        return OperatorFault("link_target_missing", text, 422, details)
    if course.conflicts:
        text = "records of the destination stand in the way; decide about these steps"
        return OperatorFault("migration_conflict", text, 422, {"conflicts": course.conflicts})
    id_map = {old: new for old, new in course.ids.items() if old != new}
    return Judged(writes=tuple(course.writes), skipped=course.skipped, renamed=tuple(course.renamed), id_map=id_map)


# --- the form of a plan ----------------------------------------------------------------------------------------------


def form_fault(header: Header, steps: Sequence[Step], *, named_only: bool) -> Fault | None:
    """What is wrong with the plan itself, whatever the destination holds; every wrong step is told."""
    if not steps:
        return OperatorFault("plan_empty", "the plan has no steps", 422)
    problems: list[Problem] = []
    for place, step in enumerate(steps):
        _check_step(header, step, place, problems, named_only=named_only)
    if not problems and len({step.id for step in steps}) < len(steps):
        problems.append(Problem("steps", "step_invalid", "two steps name the same record", 422))
    if problems:
        return refusal(problems)
    return oversize(steps) or _unreached(header, steps, named_only=named_only)


def _check_step(header: Header, step: Step, place: int, problems: list[Problem], *, named_only: bool) -> None:
    path = f"steps[{step.order}]"
    kind = find(step.kind)
    if step.order != place:
        problems.append(_invalid(step, path, "steps are numbered from 0 without gaps"))
    elif kind is None or not kind.catalogued or kind.kind != step.kind:
        problems.append(Problem(f"{path}.kind", "unknown_resource_kind", "there is no such kind of resource here", 422))
    elif step.action == "create" and movable(kind, header.operation) == "no":
        problems.append(Problem(f"{path}.kind", "kind_not_movable", f"records of {kind.kind} stay where they are", 422))
    elif step.action == "create" and header.operation == "migrate" and not is_uuid7(step.id):
        problems.append(_invalid(step, f"{path}.id", "an id that moves is a UUIDv7"))
    elif step.action == "create" and not named_only:
        found: list[Problem] = []
        built = kind.builder(dict(step.payload), found, f"{path}.payload")
        # What is no argument of an operator's call is, from a peer, a step that this platform cannot read.
        problems += [_invalid(step, each.field, each.message) if each.code == "unknown_argument" else each for each in found]
        if built is not None and kind.natural_key_of(built) != _key_of(kind, step.natural_key):
            problems.append(_invalid(step, f"{path}.natural_key", "the names differ from those in the payload"))


def _invalid(step: Step, field: str, message: str) -> Problem:
    return Problem(field, "step_invalid", message, 422, {"index": step.order})


def _key_of(kind: ResourceKind, named: Mapping[str, Any]) -> str | None:
    return kind.natural_key_of(named) if set(named) == set(kind.natural_key) else None


def _unreached(header: Header, steps: Sequence[Step], *, named_only: bool) -> Fault | None:
    """The refusal of a plan that holds what the root does not own or need."""
    by_id = {step.id: step for step in steps}
    root = by_id.get(header.root_resource_id)
    if root is None or root.kind != header.root_resource_kind or root.action != "create":
        return OperatorFault("step_outside_plan", "the plan does not bring its own root", 422)
    if movable(REGISTRY.kinds[root.kind], header.operation) != "alone":
        return unmovable(REGISTRY.kinds[root.kind], header.operation)
    if named_only:
        return None
    children: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        for via, owner_kind in _OWNERS.get(step.kind, ()):
            children.setdefault((owner_kind, str(step.payload.get(via))), []).append(step)
    reached, ahead = {root.id}, [root]
    while ahead:
        step = ahead.pop()
        near = [child.id for child in children.get((step.kind, step.id), ())]
        for dependency in REGISTRY.kinds[step.kind].dependencies:
            if dependency.edge == "link":
                near += [id for id in ids_at(step.payload, dependency.via) if id in by_id and by_id[id].kind == dependency.kind]
        for id in near:
            if id not in reached:
                reached.add(id)
                ahead.append(by_id[id])
    outside = sorted(step.order for step in steps if step.id not in reached)
    if outside:
        return OperatorFault("step_outside_plan", "these steps are no part of what the root owns or needs", 422, {"orders": outside[:64]})
    return None


def _owners() -> dict[str, tuple[tuple[str, str], ...]]:
    out: dict[str, list[tuple[str, str]]] = {}
    for kind in REGISTRY:
        for dependency in kind.dependencies:
            if dependency.edge == "owned":
                out.setdefault(dependency.kind, []).append((dependency.via, kind.kind))
    return {kind: tuple(owners) for kind, owners in out.items()}


_OWNERS: Final = _owners()
"""Owned kind to its attributes that hold the owner's id, each with the owner's kind."""


# --- one step --------------------------------------------------------------------------------------------------------


def _link(course: _Course, step: Step) -> None:
    kind = REGISTRY.kinds[step.kind]
    same = course.committed.record(step.id)
    if same is not None and same.lives and (same.kind, same.account_id) == (step.kind, course.committed.account_id):
        course.ids[step.id] = step.id
        return
    named = mapped(kind, step.natural_key, course.ids)
    key = _key_of(kind, named)
    holder = course.committed.holder(kind.kind, key) if key is not None else None
    if holder is None:
        course.missing.append(
            {
                "step": step.order, "kind": step.kind, "id": step.id, "key": dict(step.natural_key), "conflicting_id": None,
                "code": "link_target_missing", "suggested_policy": None, "at": course.at,
            }
        )  # fmt: skip
    else:
        course.ids[step.id] = holder.id


def _create(course: _Course, step: Step) -> None:
    kind = REGISTRY.kinds[step.kind]
    id = step.id if course.header.operation == "migrate" else course.new_id()
    former = course.committed.record(id)
    returning = former is not None and former.moved is not None and former.account_id == course.committed.account_id
    if former is not None and not returning:
        # An id has one home. Nothing that is there under it, of whatever account, may be touched.
        course.conflict(step, id if former.account_id == course.committed.account_id else None, "resource_id_taken")
        return
    attributes = mapped(kind, step.natural_key if course.named_only else step.payload, course.ids)
    key = kind.natural_key_of(attributes)
    holder = course.committed.holder(kind.kind, key) if key is not None else None
    taken = course.keys.get((kind.kind, key)) if key is not None else None
    if holder is not None or taken is not None:
        resolved = _resolved(course, step, kind, attributes, holder)
        if resolved is None:
            return
        attributes, key = resolved
    _write(course, step, kind, attributes, key, id, former)


def _resolved(
    course: _Course, step: Step, kind: ResourceKind, attributes: dict[str, Any], holder: ResourceRecord | None
) -> tuple[dict[str, Any], str | None] | None:
    """What the step's policy makes of a name that is taken: another name to write under, or None where nothing more is to be written."""
    if step.conflict_policy == "rename_with_suffix":
        renamed = _renamed(course, kind, attributes)
        if renamed is not None:
            last = kind.natural_key[-1]
            course.renamed.append({"step": step.order, "field": last, "from": attributes[last], "to": renamed[0][last]})
            return renamed
    if holder is None or step.conflict_policy in ("fail", "rename_with_suffix"):
        course.conflict(step, holder.id if holder is not None else None)
        return None
    if step.conflict_policy == "overwrite":
        locked = lock_of(holder)
        if locked is not None or holder.id in course.taken:
            course.conflict(step, holder.id, locked[0] if locked is not None else "resource_exists")
            return None
        course.taken.add(holder.id)
        course.ids[step.id] = holder.id
        course.writes.append(Planned(evolve(holder, attributes=_ordered(kind, attributes), origin=_origin(course, step)), holder))
        return None
    course.ids[step.id] = holder.id
    course.skipped += 1
    return None


def _write(
    course: _Course, step: Step, kind: ResourceKind, attributes: dict[str, Any], key: str | None, id: str, former: ResourceRecord | None
) -> None:
    course.ids[step.id] = id
    if key is not None:
        course.keys[kind.kind, key] = id
    record = ResourceRecord(
        id=id,
        account_id=course.committed.account_id,
        kind=kind.kind,
        attributes=_ordered(kind, attributes),
        created_at=0.0,
        updated_at=0.0,
        incoming=course.header.operation == "migrate",
        origin=_origin(course, step),
    )
    course.writes.append(Planned(record, former))


def _renamed(course: _Course, kind: ResourceKind, attributes: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The attributes under the first free name, or None if there is none."""
    last = kind.natural_key[-1]
    name = attributes.get(last)
    if not isinstance(name, str):
        return None
    suffix = hashlib.sha256(course.sender.instance_id.encode()).hexdigest()[:8]
    for number in range(1, RENAMES_MAX + 1):
        candidate = {**attributes, last: f"{name}-{suffix}" if number == 1 else f"{name}-{suffix}-{number}"}
        key = kind.natural_key_of(candidate)
        assert key is not None
        problems: list[Problem] = []
        if not course.named_only and kind.builder(dict(candidate), problems, "") is None:
            return None
        if course.committed.holder(kind.kind, key) is None and (kind.kind, key) not in course.keys:
            return candidate, key
    return None


def _origin(course: _Course, step: Step) -> dict[str, Any]:
    sender = course.sender
    lineage = {"uuid": step.id, "kind": step.kind, "peer": sender.peer_id, "instance": sender.instance_id, "at": course.at}
    word = "migrated_from" if course.header.operation == "migrate" else "duplicated_from"
    return {word: {**lineage, "migration_id": sender.migration_id}}


def _ordered(kind: ResourceKind, attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: attributes[name] for name in kind.fields if name in attributes}


def dangling(judged: Judged, committed: Committed) -> Fault | None:
    """The refusal of records that would refer to something that is not there."""
    brought = {planned.record.id: planned.record for planned in judged.writes}
    missing: list[dict[str, str]] = []
    for record in brought.values():
        for reference in REGISTRY.kinds[record.kind].references:
            for id in ids_at(record.attributes, reference.path):
                target = brought.get(id) or committed.record(id)
                here = target is not None and target.lives and target.account_id == committed.account_id
                if target is None or not here or target.kind != reference.kind:
                    missing.append({"kind": reference.kind, "id": id, "of": record.id})
    if missing:
        text = "records that the plan needs are not at the destination"
        return OperatorFault("link_target_missing", text, 422, {"missing": missing[:64]})
    return None
