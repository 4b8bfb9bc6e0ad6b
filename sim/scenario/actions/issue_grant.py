"""`issue_grant`: an operator lets a peer use resources of a kind, and the bearer is handed to the other operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, PLATFORMS, TEXT, TRUTH, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

DAY_S: Final = 86_400.0


@action("issue_grant", answered=True)
@attrs.frozen(kw_only=True)
class IssueGrant:
    """An operator issues a grant to a peer; the bearer goes to the peer's operator, or is delivered to the peer."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose resources"))
    peer: str = attrs.field(metadata=key(PLATFORM, "which peer"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    scope: str = attrs.field(default="read", metadata=key(one_of("read", "write", "migrate"), "what it allows"))
    ttl_s: float = attrs.field(default=DAY_S, metadata=key(DURATION, "how long the grant is good", "ttl"))
    source: str | None = attrs.field(default=None, metadata=key(TEXT, "the network from which calls may come; any if not given"))
    instances: tuple[str, ...] | None = attrs.field(
        default=None, metadata=key(PLATFORMS, "the platforms from whose instances calls may come; any if not given")
    )
    network: bool = attrs.field(
        default=False, metadata=key(TRUTH, "calls may come only through the newest overlay network of the catalogue")
    )
    deliver: bool = attrs.field(default=False, metadata=key(TRUTH, "whether the platforms hand the bearer over by themselves"))
    replace: bool = attrs.field(default=False, metadata=key(TRUTH, "whether the grant in force is revoked in the same write"))

    def perform(self, stage: Stage, name: str | None) -> None:
        days, rest = divmod(self.ttl_s, DAY_S)
        body: dict[str, Any] = {
            "remote_subject": f"{self.scope}@{self.peer}",
            "resource_kind": self.kind,
            "permission_scopes": [self.scope],
            **({"ttl_days": int(days)} if days >= 7 and rest == 0 else {"ttl_seconds": int(self.ttl_s)}),
            **({"source_cidrs": [self.source]} if self.source is not None else {}),
            **({"node_instance_ids": [stage.host(each).instance_id for each in self.instances]} if self.instances is not None else {}),
            **({"sdwan_network_ids": [stage.newest_network(self.on)]} if self.network else {}),
            **{word: True for word in ("deliver", "replace") if getattr(self, word)},
        }
        stage.call(name, self.on, "POST", f"/{stage.peer_id(self.on, self.peer)}/grants", body, hands_to=self.peer)
