"""Named limits of the engine, with the relations between them asserted at import."""

from __future__ import annotations

from typing import Final

MAILBOX_USER_MAX: Final = 1_024
MESSAGES_PER_ACTOR: Final = 64
MESSAGES_PER_PASS: Final = 256
RECORDER_RING: Final = 64
RECORDER_RING_CROWDED: Final = 3
RECORDER_ROOMY_ACTORS: Final = 100
"""Beyond so many actors in memory, the flight recorder keeps fewer turns of each further one: a turn weighs about a kilobyte."""
RECORDER_RETIRED_ACTORS: Final = 1_000
BATCH_UNITS_MAX: Final = 512
ASK_TIMEOUT_MAX_S: Final = 3_600.0
PASSIVATE_AFTER_S: Final = 900.0
PASSIVATE_BUCKET_S: Final = 30.0
PASSIVATE_SLICE: Final = 2_000
EVIDENCE_FLUSH_S: Final = 1.0
WALL_RECHECK_S: Final = 30.0
WALL_STEP_S: Final = 60.0
"""A wall clock that is put back by more than this has set deadlines that nobody meant; less is what looks may be late by anyway."""
DUE_REPEAT_S: Final = 1.0
RESUME_SLICE: Final = 25
DUE_SLICE: Final = 250
SLICE_EVERY_S: Final = 0.05
DIRECTORY_ENTRIES: Final = 20_000
DIRECTORY_ABSENT_ENTRIES: Final = 4_096
CRASHES_TO_DEAD_LETTER: Final = 2

assert MESSAGES_PER_ACTOR <= MESSAGES_PER_PASS
assert PASSIVATE_BUCKET_S < PASSIVATE_AFTER_S
assert RECORDER_RING >= MESSAGES_PER_ACTOR // 2
