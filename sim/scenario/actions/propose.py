"""`propose`: an operator registers the other platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, key, one_of

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("propose", answered=True)
@attrs.frozen(kw_only=True)
class Propose:
    """An operator proposes a peering; the token and the invitation are handed to the other operator."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    peer: str = attrs.field(metadata=key(PLATFORM, "with whom"))
    ttl_s: float | None = attrs.field(default=None, metadata=key(DURATION, "how long the token is valid", "ttl"))

    under: str | None = attrs.field(
        default=None, metadata=key(TEXT, "the `Idempotency-Key` of the call, under which it can be repeated", "key")
    )
    by: str | None = attrs.field(default=None, metadata=key(TEXT, "which operator of `add_operator`; the first one if not given"))
    role: str | None = attrs.field(
        default=None,
        metadata=key(one_of("symmetric", "parent", "child"), "what the row says of us; a parent certifies the key of its child"),
    )

    mode: str | None = attrs.field(
        default=None,
        metadata=key(
            one_of("managed_child", "autonomous_peer", "cluster_member"),
            "what comes with being parent or child; a managed child is operated by its parent",
        ),
    )

    def perform(self, stage: Stage, name: str | None) -> None:
        body: dict[str, object] = {"remote_instance_url": stage.host(self.peer).url}
        if self.ttl_s is not None:
            body["token_ttl_seconds"] = int(self.ttl_s)
        if self.role is not None:
            body["spawn_role"] = self.role
        if self.mode is not None:
            body["spawn_mode"] = self.mode
        stage.call(name, self.on, "POST", "", body, hands_to=self.peer, by=self.by, under=self.under)
