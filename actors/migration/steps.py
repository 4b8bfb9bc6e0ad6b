"""Steps of a plan as both platforms know them, and the digest that binds them.

Lives here: values and their canonical form. Must not live here: where steps come from (`planner`) or what they do (`applying`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from runtime.values import Value, as_dict

Operation = Literal["migrate", "duplicate"]
Action = Literal["create", "link_local", "skip"]
Policy = Literal["fail", "skip_if_exists", "overwrite", "rename_with_suffix"]

OPERATIONS: Final[tuple[Operation, ...]] = ("migrate", "duplicate")
ACTIONS: Final[tuple[Action, ...]] = ("create", "link_local", "skip")
POLICIES: Final[tuple[Policy, ...]] = ("fail", "skip_if_exists", "overwrite", "rename_with_suffix")


class Step(Value, frozen=True, kw_only=True):
    """One record of a plan.

    Attributes:
        order: place in the plan, from 0.
        id: at the source.
        action: `create` brings the record, `link_local` needs one of the destination's own, `skip` leaves it out.
        natural_key: the attributes that name the record.
        payload: all attributes of a record that is brought; empty otherwise, and in a plan that the source keeps.
    """

    order: int
    kind: str
    id: str
    action: Action = "create"
    conflict_policy: Policy = "fail"
    natural_key: Mapping[str, Any] = msgspec.field(default_factory=dict)
    payload: Mapping[str, Any] = msgspec.field(default_factory=dict)

    def to_json(self, *, payload: bool = True) -> dict[str, Any]:
        """The form on the wire and in the digest."""
        out: dict[str, Any] = {
            "order": self.order,
            "kind": self.kind,
            "id": self.id,
            "action": self.action,
            "conflict_policy": self.conflict_policy,
            "natural_key": dict(self.natural_key),
        }
        if payload:
            out["payload"] = dict(self.payload)
        return out


class Header(Value, frozen=True, kw_only=True):
    """What a plan is about."""

    operation: Operation
    root_resource_kind: str
    root_resource_id: str

    def to_json(self) -> dict[str, Any]:
        """The form on the wire and in the digest."""
        return as_dict(self)


def canonical(value: Any) -> bytes:
    """Compact JSON with sorted keys: equal values are equal bytes on both platforms."""
    return msgspec.json.encode(value, order="sorted")


def plan_digest(header: Header, steps: Sequence[Step]) -> str:
    """Hex SHA-256 of the whole plan, payloads included."""
    digest = hashlib.sha256(canonical(header.to_json()))
    for step in steps:
        digest.update(b"\n" + canonical(step.to_json()))
    return digest.hexdigest()


def receipt_digest(receipt: Mapping[str, Any]) -> str:
    """Hex SHA-256 of a receipt: the same on both platforms."""
    return hashlib.sha256(canonical(dict(receipt))).hexdigest()


def brought_kinds(steps: Sequence[Step]) -> tuple[str, ...]:
    """The kinds of the records that a plan brings, each once."""
    return tuple(dict.fromkeys(step.kind for step in steps if step.action == "create"))


def size(step: Step) -> int:
    """Bytes of a step on the wire."""
    return len(canonical(step.to_json()))
