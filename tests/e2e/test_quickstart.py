"""The first command of the README, as a new user runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys


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
