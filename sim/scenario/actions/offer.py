"""`offer`: an operator drafts an offering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.kinds import PLATFORM, TEXT, TRUTH, WHOLE, key

if TYPE_CHECKING:
    from sim.scenario.stage import Stage

OFFERINGS = "/api/v1/system/federation/service_offerings"


@action("offer", answered=True)
@attrs.frozen(kw_only=True)
class Offer:
    """An operator drafts an offering of a web service; `offering` opens it to peers."""

    on: str = attrs.field(metadata=key(PLATFORM, "whose operator"))
    slug: str = attrs.field(default="wiki", metadata=key(TEXT, "its name"))
    seats: int | None = attrs.field(default=None, metadata=key(WHOLE, "how many may subscribe; any number when absent"))
    ttl_days: int = attrs.field(default=30, metadata=key(WHOLE, "days of a term"))
    sensitive: bool = attrs.field(default=False, metadata=key(TRUTH, "rules about data residency are asked before a peer gets a seat"))

    def perform(self, stage: Stage, name: str | None) -> None:
        body = {
            "slug": self.slug,
            "name": self.slug,
            "protocol": "http",
            "backend_host": "10.7.0.9",
            "backend_port": 8080,
            "max_subscribers": self.seats,
            "default_grant_ttl_days": self.ttl_days,
            "residency_sensitive": self.sensitive,
        }
        stage.call(name, self.on, "POST", "", body, surface=OFFERINGS)
