"""Bodies about the platform's clock."""

from __future__ import annotations

from typing import Final

from actors.door.bodies import REASON_CHARS_MAX
from actors.door.shapes import Boolean, Choice, Field, Instant, Integer, Object, Text

CONFIRM: Final = Object(
    (
        Field(
            "time",
            Instant(),
            required=True,
            description="What you hold to be the time, by another clock than the platform's. Refused if the platform's shows another.",
        ),
        Field(
            "reason",
            Text(chars_min=1, chars_max=REASON_CHARS_MAX, trim=True),
            required=True,
            description="How you found out; kept in the audit trail.",
        ),
    ),
    name="ConfirmClockRequest",
)
CLOCK: Final = Object(
    (
        Field("time", Instant(), required=True, description="What the clock shows."),
        Field(
            "settled",
            Boolean(),
            required=True,
            description="Whether it is known how right it is, in this start and as it is set now.",
        ),
        Field("settled_by", Choice(("peers", "time", "operator")), nullable=True, description="`time`: seven days without a word."),
        Field("settled_at", Instant(), nullable=True),
        Field("ahead_s", Integer(), nullable=True, description="By how much it is ahead of what most peers say; 0 if it is not."),
        Field("overruled_s", Integer(), nullable=True, description="What `ahead_s` was when an operator decided against the peers."),
        Field("held_back_since", Instant(), nullable=True, description="By our clock; since then what ends for good has been held back."),
    ),
    name="PlatformClock",
    unknown="ignore",
)
