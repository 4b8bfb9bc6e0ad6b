"""What the daemon loads before it serves: start time and memory are mostly imports, and they grow by one line of code at a time.

Lives here: names that must stay out and how much may come in, counted and never timed.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

KEPT_OUT = {
    "quart": "the REST face, loaded by `HttpApp.load` once the daemon is ready",
    "werkzeug": "comes with quart",
    "flask": "comes with quart",
    "jinja2": "comes with quart",
    "asyncio": "comes with quart; the daemon runs on trio",
    "sqlite_utils": "loaded only while a schema changes",
    "api.quickstart": "a command of its own",
    "sim": "the simulator",
    "hypothesis": "belongs to tests",
    "pytest": "belongs to tests",
    "argparse": "belongs to tools",
    "pdb": "belongs to people",
}
"""Package or module to the reason why a daemon starts without it."""

OWN_MODULES_MAX = 460
FOREIGN_MODULES_MAX = 530
"""A little above what is loaded today. Raise a limit only together with a measured start (`python -m tests.bench --only start`)."""

OWN = frozenset({"actors", "api", "net", "runtime"})
COMMANDS_LOADED = frozenset({"application", "config", "failures", "help", "lazy", "output", "serve", "text"})
"""Modules of the command line that `powernode serve` may load."""


@pytest.fixture(scope="module")
def loaded() -> frozenset[str]:
    """The modules of a process that is about to serve."""
    code = "import json, sys, api.cli.serve, api.daemon; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(json.loads(done.stdout))


def intruders(loaded: frozenset[str]) -> dict[str, str]:
    """What of the modules must stay out, with the reason."""
    return {name: KEPT_OUT[part] for name in loaded for part in KEPT_OUT if name == part or name.startswith(part + ".")}


def own_modules(loaded: frozenset[str]) -> set[str]:
    return {name for name in loaded if name.partition(".")[0] in OWN}


def test_an_intruder_is_seen() -> None:
    assert set(intruders(frozenset({"quart.app", "sim", "simple", "api.daemon"}))) == {"quart.app", "sim"}


def test_what_the_daemon_can_start_without_stays_out(loaded: frozenset[str]) -> None:
    assert "api.daemon" in loaded
    assert intruders(loaded) == {}


def test_commands_of_the_command_line_stay_out(loaded: frozenset[str]) -> None:
    prefix = "api.cli."
    assert {name.removeprefix(prefix) for name in loaded if name.startswith(prefix)} <= COMMANDS_LOADED


def test_the_number_of_modules_stays_within_its_limits(loaded: frozenset[str]) -> None:
    own = own_modules(loaded)
    assert len(own) <= OWN_MODULES_MAX
    assert len(loaded - own) <= FOREIGN_MODULES_MAX
