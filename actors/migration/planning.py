"""Planning over the committed catalogue.

Lives here: how the walk of `planner` looks at records. Must not live here: the walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from actors.migration import planner
from actors.migration.steps import Operation, Policy, Step
from actors.resource.plan import Committed, Select
from actors.resource.record import ResourceRecord, owned_by
from runtime.errors import Fault, OperatorFault


def current_steps(
    select: Select, account_id: str, kind: str, id: str, operation: Operation, policies: Mapping[int, Policy]
) -> tuple[Step, ...] | Fault:
    """The steps of a plan over the catalogue as it is."""
    committed = Committed(account_id, select)
    root = committed.record(id)
    if root is None or not root.lives or (root.account_id, root.kind) != (account_id, kind):
        return OperatorFault("resource_not_found", "there is no such resource", 404)

    def records(ids: Sequence[str]) -> Mapping[str, ResourceRecord]:
        committed.load(ids)
        found = {id: committed.record(id) for id in ids}
        return {id: each for id, each in found.items() if each is not None and each.lives and each.account_id == account_id}

    def owned(owner_id: str, limit: int) -> Iterable[ResourceRecord]:
        return [row.record for row in select(owned_by(owner_id, limit=limit)) if row.record.lives]

    return planner.walk(root, operation, records, owned, policies)
