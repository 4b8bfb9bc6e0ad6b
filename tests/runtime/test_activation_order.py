"""An actor class wakes up whatever was imported before it."""

from __future__ import annotations

import subprocess
import sys

_ACTORS_FIRST = """
from runtime.actor import Activated, Actor

class Early(Actor):
    pass

assert "runtime.engine" not in __import__("sys").modules
import runtime.engine
assert Activated in Early.handlers
"""


def test_a_class_made_before_the_engine_is_imported_still_handles_its_activation() -> None:
    subprocess.run([sys.executable, "-c", _ACTORS_FIRST], check=True, timeout=60)
