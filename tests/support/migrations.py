"""Two platforms between which resources move: catalogues, the grant for it, and the words of operators."""

from __future__ import annotations

from typing import Any

import attrs

from actors.grant.messages import Draft as GrantDraft
from actors.grant.messages import Issue, Issued
from actors.migration.messages import Act, Plan
from actors.migration.record import ARRIVAL, MIGRATION, ArrivalRecord, MigrationRecord
from actors.migration.steps import Header, Operation
from actors.resource.record import KIND as RESOURCE
from actors.resource.record import ResourceRecord
from runtime.actor import Ref
from runtime.errors import Fault
from runtime.ids import uuid7
from runtime.secret import Secret
from tests.support.catalogue import BOOK, draft, told, written
from tests.support.federation import ACCOUNT, OPERATOR, Pair, pair


@attrs.define(eq=False)
class Move:
    """A has a module with versions; B lets it come."""

    pair: Pair
    module: ResourceRecord
    versions: tuple[ResourceRecord, ...]
    bearer: Secret
    grant_id: str

    def plan(self, operation: Operation = "migrate", *, dry_run: bool = False, **changes: Any) -> MigrationRecord | Fault:
        """What planning the move of the module answers, after everything that follows by itself."""
        header = Header(operation=operation, root_resource_kind="NodeModule", root_resource_id=self.module.id)
        facts: dict[str, Any] = {
            "account_id": ACCOUNT, "by": OPERATOR, "header": header, "destination_peer_id": self.pair.at_a.peer_id, "bearer": self.bearer,
            "dry_run": dry_run, "acknowledge_residency": False, **changes,
        }  # fmt: skip
        id = uuid7(self.pair.network.clock.wall(), self.pair.a.chance.stream("migrations"))
        outcome = told(self.pair.a, Ref(MIGRATION.name, id), Plan(**facts))
        assert isinstance(outcome, MigrationRecord | Fault)
        return outcome

    def planned(self, operation: Operation = "migrate", **options: Any) -> str:
        """The id of a new plan."""
        outcome = self.plan(operation, **options)
        assert isinstance(outcome, MigrationRecord), outcome
        return outcome.id

    def act(self, id: str, act: str, **options: Any) -> Any:
        """What an operator's word answers, after everything that follows by itself."""
        return told(self.pair.a, Ref(MIGRATION.name, id), Act(by=OPERATOR, act=act, **options))

    def migration(self, id: str) -> MigrationRecord:
        """The row at the source."""
        row = self.pair.a.store.load(MIGRATION.name, id)
        assert row is not None
        record: MigrationRecord = row.record
        return record

    def arrival(self, id: str) -> ArrivalRecord | None:
        """The row at the destination."""
        row = self.pair.b.store.load(ARRIVAL.name, self.migration(id).transfer_id)
        return row.record if row is not None else None

    def homes(self, id: str) -> list[tuple[str, bool]]:
        """Where a record lives, and whether it can be written there."""
        out: list[tuple[str, bool]] = []
        for platform in (self.pair.a, self.pair.b):
            row = platform.store.load(RESOURCE.name, id)
            if row is not None and row.record.lives:
                out.append((platform.name, row.record.frozen_by is None and not row.record.incoming))
        return out

    @property
    def ids(self) -> tuple[str, ...]:
        """The module and its versions."""
        return (self.module.id, *(version.id for version in self.versions))


def move(versions: int = 2, **federation: Any) -> Move:
    """A pair with something to move."""
    both = pair(**federation)
    both.connect()
    both.network.run()
    for platform in (both.a, both.b):
        written(platform, draft("NodePlatform", name="debian", architecture="amd64"))
    (module,) = written(both.a, draft("NodeModule", name="nginx", node_platform_id={"name": "debian"}))
    children = tuple(
        written(both.a, draft("ModuleVersion", node_module_id=module.id, number=number))[0] for number in range(1, versions + 1)
    )
    grant_id = uuid7(both.network.clock.wall(), both.b.chance.stream("grants"))
    facts: dict[str, Any] = {
        "remote_subject": "mover@a",
        "resource_kind": "NodeModule",
        "ttl_s": 86_400.0,
        "permission_scopes": ("migrate",),
    }
    message = Issue(account_id=ACCOUNT, grant_id=grant_id, draft=GrantDraft(**facts), by=OPERATOR)
    issued = told(both.b, Ref(BOOK, both.at_b.peer_id), message)
    assert isinstance(issued, Issued), issued
    assert issued.bearer is not None
    return Move(both, module, children, issued.bearer, grant_id)
