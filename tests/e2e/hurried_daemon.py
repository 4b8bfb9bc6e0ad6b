"""The real daemon in a hurry: what it does once a minute it does several times a second, and its clock can be ahead of this machine's.

Run as `python -m tests.e2e.hurried_daemon serve …`; POWERNODE_TEST_AHEAD_S says by how many seconds its wall clock is ahead.
"""

from __future__ import annotations

import os

import actors.limits
from runtime.clock import SystemClock

AHEAD_S = float(os.environ.get("POWERNODE_TEST_AHEAD_S", "0"))
HURRY_S = 0.25

# Modules take these by name, so they must say so before anything else is imported.
for name in ("LIVENESS_INTERVAL_S", "ROTATION_LOOK_S", "BUNDLE_POLLED_AGAIN_S", "FOLLOW_PARENT_AGAIN_S"):
    setattr(actors.limits, name, HURRY_S)

original_wall = SystemClock.wall


def wall(self: SystemClock) -> float:
    return original_wall(self) + AHEAD_S


SystemClock.wall = wall  # type: ignore[method-assign]

if __name__ == "__main__":
    from api.cli import main

    main()
