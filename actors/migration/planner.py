"""From a root record to the steps of its migration: what travels along, what must be there already, what stays.

Lives here: the walk, pure but for the two functions by which it looks at records. Must not live here: whether a step would conflict with
something (only the destination knows), or the writing of anything.

The walk goes breadth-first along the declared edges and within one generation by kind and id, so two walks over the same records give the
same plan; a record that was seen is not entered again, so a cycle ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from actors.inventory.kind import Movable, ResourceKind, ids_at, with_ids
from actors.inventory.registry import REGISTRY
from actors.migration.limits import PAYLOAD_BYTES_MAX, PLAN_BYTES_MAX, PREFLIGHT_BYTES_MAX, STEPS_MAX
from actors.migration.steps import Operation, Policy, Step, canonical
from actors.resource.record import ResourceRecord
from runtime.errors import Fault, OperatorFault
from runtime.values import evolve

Records = Callable[[Sequence[str]], Mapping[str, ResourceRecord]]
"""Living records of the account by id; unknown ids are absent."""

Owned = Callable[[str, int], Iterable[ResourceRecord]]
"""Living records that the record of this id owns, at most so many."""

TOO_LARGE = OperatorFault(
    "plan_too_large", "the plan is too large; move parts of it first", 413, {"steps_max": STEPS_MAX, "plan_bytes_max": PLAN_BYTES_MAX}
)


def movable(kind: ResourceKind, operation: Operation) -> Movable:
    """Whether records of the kind take part in the operation."""
    return kind.migratable if operation == "migrate" else kind.duplicable


def unmovable(kind: ResourceKind, operation: Operation) -> OperatorFault:
    """The refusal of a kind that does not take part."""
    text = f"records of {kind.kind} cannot be the root of a {operation}"
    return OperatorFault("kind_not_movable", text, 422, {"kind": kind.kind, "operation": operation})


def walk(
    root: ResourceRecord, operation: Operation, records: Records, owned: Owned, policies: Mapping[int, Policy]
) -> tuple[Step, ...] | Fault:
    """The steps of a plan, payloads included.

    Args:
        root: a living record.
        policies: what operators decided about steps, by order.

    Faults: `kind_not_movable`, `link_target_missing`, `plan_too_large`.
    """
    if movable(REGISTRY.kinds[root.kind], operation) != "alone":
        return unmovable(REGISTRY.kinds[root.kind], operation)
    found: dict[str, tuple[ResourceRecord, bool]] = {root.id: (root, True)}
    generation = [root]
    while generation:
        following: dict[str, tuple[ResourceRecord, bool]] = {}
        for record in generation:
            missing = _neighbours(record, records, owned, found, following)
            if missing is not None:
                return missing
            if len(found) + len(following) > STEPS_MAX:
                return TOO_LARGE
        ordered = sorted(following.values(), key=lambda entry: (entry[0].kind, entry[0].id))
        for record, _ in ordered:
            kind = REGISTRY.kinds[record.kind]
            if following[record.id][1] and movable(kind, operation) == "no":
                return unmovable(kind, operation)
        found.update((record.id, (record, travels)) for record, travels in ordered)
        generation = [record for record, travels in ordered if travels]
    steps = tuple(_step(order, record, travels, policies.get(order, "fail")) for order, (record, travels) in enumerate(found.values()))
    return oversize(steps) or steps


def _neighbours(
    record: ResourceRecord,
    records: Records,
    owned: Owned,
    found: Mapping[str, tuple[ResourceRecord, bool]],
    following: dict[str, tuple[ResourceRecord, bool]],
) -> Fault | None:
    """Add to `following` what `record` owns and what it needs."""
    kind = REGISTRY.kinds[record.kind]
    owns = {dependency.kind for dependency in kind.dependencies if dependency.edge == "owned"}
    if owns:
        for child in owned(record.id, STEPS_MAX + 1):
            if child.kind in owns and child.id not in found:
                following[child.id] = (child, True)
    for dependency in kind.dependencies:
        if dependency.edge != "link":
            continue
        ids = [id for id in ids_at(record.attributes, dependency.via) if id not in found]
        targets = records(ids)
        for id in ids:
            if id not in targets:
                text = f"{kind.kind} {record.id} refers to a {dependency.kind} that is not here"
                return OperatorFault("link_target_missing", text, 422, {"kind": dependency.kind, "id": id})
            following.setdefault(id, (targets[id], False))
    return None


def _step(order: int, record: ResourceRecord, travels: bool, policy: Policy) -> Step:
    kind = REGISTRY.kinds[record.kind]
    key = {name: record.attributes[name] for name in kind.natural_key if name in record.attributes}
    if not travels:
        return Step(order=order, kind=record.kind, id=record.id, action="link_local", natural_key=key)
    payload = without_skipped(kind, record.attributes)
    return Step(order=order, kind=record.kind, id=record.id, conflict_policy=policy, natural_key=key, payload=payload)


def without_skipped(kind: ResourceKind, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes without references to what is left out."""
    left_out = {dependency.via for dependency in kind.dependencies if dependency.edge == "skip"}
    return {name: value for name, value in attributes.items() if name not in left_out}


def oversize(steps: Sequence[Step]) -> Fault | None:
    """Why the plan is too large, or None."""
    whole = names = 0
    for step in steps:
        payload = len(canonical(dict(step.payload)))
        if payload > PAYLOAD_BYTES_MAX:
            return evolve(TOO_LARGE, details={**TOO_LARGE.details, "order": step.order, "payload_bytes_max": PAYLOAD_BYTES_MAX})
        named = len(canonical(step.to_json(payload=False)))
        whole, names = whole + named + payload, names + named
    return TOO_LARGE if len(steps) > STEPS_MAX or whole > PLAN_BYTES_MAX or names > PREFLIGHT_BYTES_MAX else None


def mapped(kind: ResourceKind, attributes: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The attributes with every declared reference to an id of `ids` pointing to what it maps to."""
    out = dict(attributes)
    for reference in kind.references:
        if reference.path.partition(".")[0] in out:
            out = with_ids(out, reference.path, lambda id: ids.get(id, id))
    return out
