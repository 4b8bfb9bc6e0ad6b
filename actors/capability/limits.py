"""Named limits of capabilities, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

from actors.limits import DAY_S, PAGE_MAX
from actors.resource.limits import TOMBSTONE_KEPT_S

INTERVAL_MIN_S: Final = 60
INTERVAL_DEFAULT_S: Final = 300
INTERVAL_MAX_S: Final = 86_400

CAPABILITIES_PER_PEER_MAX: Final = 64

FILTER_ATTRIBUTES_MAX: Final = 16
FILTER_VALUES_MAX: Final = 64
PREFIX_CHARS_MAX: Final = 256

DEBOUNCE_S: Final = 2.0
"""How long after the first of several changes they leave together."""

RETRY_FIRST_S: Final = 60.0
RETRY_MAX_S: Final = 1_800.0
FAILURES_TOLD: Final = 5
"""Failures in a row after which an event tells of them."""

PAGE_RECORDS: Final = PAGE_MAX
"""Records of one page, and so of one transaction."""

PAGES_MAX: Final = 1_000
"""Pages of one pull; a home that never comes to an end is not followed for ever."""

STEP_MAX_S: Final = 120.0
"""When a step of a pass whose answer never came (a crash) is taken again."""

ASKED_WAIT_S: Final = 20.0
"""How long an operator who asks for a pass waits for its end; then the answer says that it goes on."""

OVERLAP_S: Final = 0.002
"""How far before its cursor a pass begins: instants travel in milliseconds, and what is told twice changes nothing."""

WITHDRAWAL_AGAIN_S: Final = 300.0
"""After which a peer that has not heard of a withdrawal is told again."""

WITHDRAWAL_TOLD_FOR_S: Final = 7 * DAY_S
"""How long it is told; mirrors that nobody keeps fresh are shown as stale all the while."""

FULL_PASS_EVERY_S: Final = DAY_S
"""At least so often a pass looks at everything, whatever the cursor says."""

PAUSE_MAX_S: Final = 60.0
"""Longest wait that a busy peer may ask for within a pass."""

assert INTERVAL_MIN_S <= INTERVAL_DEFAULT_S <= INTERVAL_MAX_S
assert RETRY_FIRST_S <= RETRY_MAX_S <= INTERVAL_MAX_S
assert PAUSE_MAX_S < STEP_MAX_S
assert FULL_PASS_EVERY_S < TOMBSTONE_KEPT_S / 2, "a deletion must be readable until the next full pass"
