"""`ManagedChildOperator`: not a record but a right, the one by which a parent operates its managed child."""

from __future__ import annotations

from typing import Final

from actors.inventory.kind import ResourceKind

KIND: Final = ResourceKind(
    kind="ManagedChildOperator",
    alias="managed_child_operator",
    title="Operator's right over a managed child",
    exports=(),
    duplicable="no",
    mirrorable=False,
    reserved=True,
    listable=False,
    catalogued=False,
)
