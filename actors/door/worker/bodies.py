"""Answers of the routes of a worker."""

from __future__ import annotations

from typing import Final

from actors.door.shapes import Field, Identifier, Instant, Integer, ListOf, Object
from actors.limits import PEERS_SWEPT_MAX

SWEPT: Final = Object(
    (
        Field("swept", Integer(), required=True, description="Active peers that were looked at."),
        Field("degraded_ids", ListOf(Identifier(), PEERS_SWEPT_MAX), required=True, description="Those that are active no more."),
        Field("ran_at", Instant(), required=True),
    ),
    name="HeartbeatsSwept",
    unknown="ignore",
)
