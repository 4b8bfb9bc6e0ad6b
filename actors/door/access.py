"""The access log: one line for each call that a grant has allowed.

Lives here: what such a line is made of. Must not live here: where lines go, or how they look (the daemon's logs).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

log: Final = logging.getLogger("powernode.access")

MESSAGE: Final = "served"

AccessLine = Callable[[Mapping[str, Any]], None]
"""Writes a line of level `info` with these facts; called only where the logger takes that level."""


def through_logging(facts: Mapping[str, Any]) -> None:
    """Write a line as every other line of the log is written."""
    log.info(MESSAGE, extra=facts)
