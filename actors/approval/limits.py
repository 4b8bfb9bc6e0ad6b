"""Named limits of approvals, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

TIMEOUT_MIN_S: Final = 60.0
TIMEOUT_MAX_S: Final = 30 * 86_400.0
"""How long a request may wait until it is rejected by itself (`federation.approval_timeout`)."""

ANSWER_S: Final = 5.0
"""How long the answer to an approval waits for the outcome of what was approved."""

LOOK_S: Final = 30.0
"""Between two words to whoever carries out an approved operation and has not said that it is done."""

TEXT_CHARS_MAX: Final = 1_024
SUMMARY_CHARS_MAX: Final = 512

PENDING_PER_PEER_MAX: Final = 32
"""Requests of one peer that may wait at a time."""

assert ANSWER_S < LOOK_S < TIMEOUT_MIN_S < TIMEOUT_MAX_S
