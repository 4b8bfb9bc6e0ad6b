"""A log line for a part of an audit chain that is not safely in the archive.

Lives here: what is said, and how often. Must not live here: the event itself (`actors.audit_archive`), the finding (`actors.governance`).

An archive that is full fails every chain of a run. The first failure for each cause is told at once; those that follow within the pause are
counted, and told with the next line.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from runtime.store.port import Event

log = logging.getLogger("powernode.archive")

FAILED: Final = "federation.audit.seal_failed"
PAUSE_S: Final = 60.0


class FailedShipments:
    """Follows the events of one platform. `publish` is given them as they are committed."""

    def __init__(self) -> None:
        self._told_at: dict[str, float] = {}
        self._untold: dict[str, int] = {}

    def publish(self, events: Sequence[Event]) -> None:
        """Log what has failed. A clock that was put back makes it speak again, not fall silent."""
        for event in events:
            if event.kind == FAILED:
                self._failed(event)

    def _failed(self, event: Event) -> None:
        error = str(event.payload.get("error"))
        told_at = self._told_at.get(error)
        if told_at is not None and 0.0 <= event.at - told_at < PAUSE_S:
            self._untold[error] = self._untold.get(error, 0) + 1
            return
        self._told_at[error] = event.at
        log.error(
            "a part of an audit chain is not safely in the archive (%s; %d more since the last such line): look at the archive's folder, "
            "owner and space, then run `powernode audit ship`; `powernode findings list` names every chain",
            error,
            self._untold.pop(error, 0),
            extra={"chain": event.payload.get("chain"), "shipment_id": event.payload.get("shipment_id")},
        )
