"""The first command of the README, as a new user runs it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_quickstart_pairs_two_platforms_and_reads_under_a_grant() -> None:
    ended = subprocess.run([sys.executable, "-m", "api.cli", "quickstart", "--json"], capture_output=True, text=True, timeout=400)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr
    *steps, last = [json.loads(line) for line in ended.stdout.splitlines()]
    assert last["ok"] is True
    assert [step["step"] for step in steps] == list(range(1, 9))
    assert steps[-1]["statuses"] == {side: ["proposed", "accepted", "enrolled", "active"] for side in "ab"}
    (read,) = [call["response"]["body"]["data"] for call in steps[-1]["calls"] if call["request"]["method"] == "GET"]
    assert [row["attributes"]["name"] for row in read] == ["nginx"]
    assert not re.search(r"fg-[0-9a-f-]{36}\.|eyJ[A-Za-z0-9]{20}|pn1\.[A-Za-z0-9]{20}", ended.stdout), "a secret was printed"


@pytest.mark.parametrize(("ended_at", "exit_code"), [('"step": 2', 130), ('"ok": true', 0)])
def test_whoever_ends_the_quickstart_ends_its_platforms(tmp_path: Path, ended_at: str, exit_code: int) -> None:
    # As in the background of a script, where a shell has it ignore Ctrl-C.
    quickstart = f"trap '' INT; exec {shlex.quote(sys.executable)} -m api.cli quickstart --keep --json"
    command = ["sh", "-c", quickstart]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert process.stdout is not None
    reached = next(line for line in process.stdout if ended_at in line)
    daemons = _serving(tmp_path)
    assert len(daemons) == 2
    for site in json.loads(reached).get("kept", {}).values():
        _signs_in(site, tmp_path)
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(timeout=120) == exit_code
    assert not _serving(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_kept_quickstart_ends_when_one_of_its_platforms_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "api.cli", "quickstart", "--keep", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert process.stdout is not None
    assert any('"ok": true' in line for line in process.stdout)
    os.kill(_serving(tmp_path)[0], signal.SIGKILL)
    told = json.loads(process.stdout.read())
    assert (told["ok"], process.wait(timeout=120)) == (False, 1)
    assert "has ended" in told["error"]
    assert not _serving(tmp_path)


def _signs_in(site: dict[str, str], folder: Path) -> None:
    """Whoever keeps the platforms goes on after the token has ended, with a session of their own."""
    assert stat.S_IMODE(os.stat(site["password_file"]).st_mode) == 0o600
    environment = {**os.environ, "POWERNODE_URL": site["operator_url"], "XDG_CONFIG_HOME": str(folder / "configuration")}
    login = ["login", site["email"], "--password-file", site["password_file"]]
    for words in (login, ["peers", "list", "--json"], ["logout"]):
        ended = subprocess.run([sys.executable, "-m", "api.cli", *words], capture_output=True, text=True, timeout=120, env=environment)
        assert ended.returncode == 0, ended.stderr
    shutil.rmtree(folder / "configuration")


def _serving(folder: Path) -> list[int]:
    """Daemons whose data lie in this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"serve" in words and any(word.startswith(os.fsencode(folder)) for word in words):
                found.append(int(entry.name))
    return found
