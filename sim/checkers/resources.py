"""Resources of one platform: whole, or gone.

Lives here: what must hold between the records of one catalogue. Must not live here: where a record is at home (see `migrations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.store.port import Query
from sim.checkers.registry import Checker, checker

OWNERS: Final[Mapping[str, str]] = {"ModuleVersion": "node_module_id", "ModuleService": "node_module_id"}
"""Kind of what is part of another record, to the attribute that names that one."""


@checker("whole_resources", source="docs/resources.md")
class WholeResources(Checker):
    """At rest no part of a resource lives on a platform where the resource itself was deleted, or from which it has moved."""

    def on_rest(self, host: Any) -> None:
        records = {row.record.id: row.record for row in host.store.query(Query("resource"))}
        for record in records.values():
            whole = records.get(record.attributes.get(OWNERS.get(record.kind, ""), ""))
            if record.lives and whole is not None and not whole.lives:
                self.complain(host, f"{record.kind} {record.id} lives, and {whole.id}, of which it is a part, does not")
