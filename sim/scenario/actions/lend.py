"""`lend`: an operator lets a peer read, or bring, resources of one kind, and hands the bearer over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from actors.grant.messages import Draft, Issue, Issued
from runtime.actor import Ref
from runtime.ids import uuid7
from sim.scenario.actions.registry import action
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("lend")
@attrs.frozen(kw_only=True)
class Lend:
    """A platform issues a grant to a peer, and the bearer is handed to the other side."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose resources"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    scope: str = attrs.field(default="read", metadata=key(one_of("read", "migrate"), "what it allows"))
    ttl_s: float = attrs.field(default=86_400.0, metadata=key(DURATION, "how long the grant is good", "ttl"))

    def perform(self, stage: Stage, name: str | None) -> None:
        host = stage.host(self.on)
        record = stage.row(self.on, self.peer)
        if record is None:
            raise StageError(f"{self.on} has no row of {self.peer}")
        grant_id = uuid7(host.clock.wall(), host.randomness.stream("scenario/grants"))
        draft = Draft(remote_subject=f"reader-{grant_id}", resource_kind=self.kind, ttl_s=self.ttl_s, permission_scopes=(self.scope,))
        message = Issue(account_id=record.account_id, grant_id=grant_id, draft=draft, by=None, grantor_type="system")

        def issued(outcome: Any) -> None:
            if isinstance(outcome, Issued) and outcome.bearer is not None:
                stage.bearers[self.on, self.peer, self.kind] = outcome.bearer.reveal()

        host.engine.ask(Ref("grant_book", record.id), message, 45.0, issued)
