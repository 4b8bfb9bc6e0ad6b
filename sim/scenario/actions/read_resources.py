"""`read_resources`: a platform reads a list of a peer's catalogue, page after page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from sim.scenario.actions.registry import action
from sim.scenario.codes import ROUTE_CODES
from sim.scenario.failures import StageError
from sim.scenario.kinds import DURATION, PLATFORM, TEXT, WHOLE, key
from sim.scenario.reading import CatalogueReading

if TYPE_CHECKING:
    from sim.scenario.stage import Stage


@action("read_resources", answered=True, answers=(*ROUTE_CODES, "gap", "repeat"))
@attrs.frozen(kw_only=True)
class ReadResources:
    """A platform reads a whole list of a peer with the bearer lent to it: answered `ok`, `gap`, `repeat`, or by what ended it."""

    on: str = attrs.field(metadata=key(PLATFORM, "who reads"))
    peer: str = attrs.field(metadata=key(PLATFORM, "whose catalogue"))
    kind: str = attrs.field(default="NodeModule", metadata=key(TEXT, "which kind of resources"))
    lent_to: str | None = attrs.field(default=None, metadata=key(PLATFORM, "whose bearer it uses, if not its own"))
    limit: int = attrs.field(default=10, metadata=key(WHOLE, "records of a page"))
    pause_s: float = attrs.field(default=0.0, metadata=key(DURATION, "time between two pages", "pause"))

    def perform(self, stage: Stage, name: str | None) -> None:
        bearer = stage.bearer(self.peer, self.lent_to or self.on, self.kind)
        record = stage.row(self.on, self.peer)
        if record is None:
            raise StageError(f"{self.on} has no row of {self.peer}")
        host, home = stage.host(self.on), stage.host(self.peer)
        stage.read(CatalogueReading(name, host, home, record, self.kind, bearer, self.limit, self.pause_s, host.incarnation))
