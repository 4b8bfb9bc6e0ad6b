"""Named limits of migrations, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

from actors.limits import DAY_S
from actors.resource.limits import OWNED_MAX, RECORD_BYTES_MAX

STEPS_MAX: Final = 5_000
PAYLOAD_BYTES_MAX: Final = 262_144
PLAN_BYTES_MAX: Final = 64 * 1_048_576
"""All steps of a plan as canonical JSON."""

BODY_BYTES_MAX: Final = 1_048_576
"""One request between the platforms."""

BATCH_BYTES_MAX: Final = 786_432
"""Steps of one upload as JSON; the rest of the body is for its envelope."""

PREFLIGHT_BYTES_MAX: Final = 917_504
"""Names of all steps of a plan as JSON: a preflight is one request."""

STAGED_KEPT_S: Final = DAY_S
"""How long a plan that was opened and never committed is kept at the destination."""

RECOVERY_S: Final = 30.0
"""Between two looks at a migration whose outcome is not known, or that is not finished."""

FORGOTTEN_AFTER_S: Final = 600.0
"""How long a destination must go on not to know what it has signed for, before its word is taken: a copy that somebody has put back notices
within some heartbeats that it is one, and answers differently then."""

CONFLICTS_KEPT: Final = 200
"""Entries of a conflict log that a migration keeps, the newest."""

RENAMES_MAX: Final = 9
"""Names that `rename_with_suffix` tries."""

assert RECORD_BYTES_MAX <= PAYLOAD_BYTES_MAX < BATCH_BYTES_MAX < BODY_BYTES_MAX
assert FORGOTTEN_AFTER_S > 4 * RECOVERY_S
assert OWNED_MAX < STEPS_MAX
assert PREFLIGHT_BYTES_MAX < BODY_BYTES_MAX
