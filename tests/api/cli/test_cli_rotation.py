"""`powernode trust rotate`, `status`, `finish` and `powernode peers rotate`: what is sent, and that success is never claimed early."""

from __future__ import annotations

import importlib.metadata
import json
from typing import Any

import pytest

from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted, peer, refused


def shown(progress: str, **more: Any) -> Any:
    left = progress in ("waiting", "must_approve", "must_pair_again")
    about = {
        "id": PEER_ID,
        "remote_instance_url": "https://b.example",
        "progress": progress,
        "told": True,
        "remedy": "Do it." if left else None,
    }
    found = {"rotating": False, "current": "sha256:1", "next": None, "complete": not left, "waiting": int(left), "peers": [about]}
    return granted({"rotation": found | more})


@pytest.mark.parametrize(
    ("progress", "code"), [("promoted", 0), ("given_up", 0), ("set_aside", 0), ("waiting", 1), ("must_approve", 1), ("must_pair_again", 1)]
)
def test_the_exit_code_tells_whether_anybody_is_left_behind(api: OperatorApi, run: Run, progress: str, code: int) -> None:
    api.answers["get_trust_rotation"] = shown(progress)
    result = run("trust", "status")
    assert result.exit_code == code
    assert f"https://b.example  {progress}" in result.stdout
    assert ("was told. Do it." in result.stdout) == bool(code)
    assert json.loads(run("trust", "status", "--json").stdout)["complete"] == (not code)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"waiting": 1}, "1 peer has not followed yet"),
        ({"waiting": 2}, "2 peers have not followed yet"),
        ({"waiting": 0, "open_tokens": 1}, "until 1 open token that pins it is used or over"),
        ({"waiting": 0, "open_tokens": 0}, "every peer has followed; the former root ends within a minute or two"),
    ],
)
def test_what_is_left_of_a_rotation_is_said_as_it_is(api: OperatorApi, run: Run, more: dict[str, Any], words: str) -> None:
    api.answers["get_trust_rotation"] = shown("promoted", rotating=True, complete=False, **more)
    result = run("trust", "status")
    assert result.exit_code == 1
    assert words in result.stderr


def test_the_overlap_that_is_usual_is_not_shown_as_that_of_the_rotation(api: OperatorApi, run: Run) -> None:
    api.answers["get_trust_rotation"] = shown("waiting", rotating=True, overlap_days=7.0, ends="2026-11-28T00:00:00.000Z")
    printed = run("trust", "status").stdout
    assert ("overlap_days" in printed, "2026-11-28" in printed) == (False, True)
    assert json.loads(run("trust", "status", "--json").stdout)["overlap_days"] == 7.0


def test_a_rotation_begins_with_what_was_asked(api: OperatorApi, run: Run) -> None:
    api.answers["rotate_trust"] = shown("waiting", rotating=True)
    assert run("trust", "rotate", "--overlap", "3d", "--yes").exit_code == 0
    assert api.named("rotate_trust")[0].body == {"overlap_days": 3}
    assert run("trust", "rotate", "--overlap", "3", "--yes").exit_code == 2
    assert run("trust", "rotate", "--force", "--yes").exit_code == 2
    assert run("trust", "rotate", "--force", "--reason", "stolen", "--yes").exit_code == 1
    assert api.named("rotate_trust")[1].body == {"force": True, "reason": "stolen"}
    assert run("trust", "rotate").exit_code == 2


def test_an_overlap_ends_with_whom_the_operator_names(api: OperatorApi, run: Run) -> None:
    api.answers["finish_trust_rotation"] = shown("given_up")
    assert run("trust", "finish", "--give-up", PEER_ID, "--yes").exit_code == 0
    assert api.named("finish_trust_rotation")[0].body == {"give_up": [PEER_ID]}
    run("trust", "finish", "--force", "--yes")
    assert api.named("finish_trust_rotation")[1].body == {"force": True}
    api.answers["finish_trust_rotation"] = refused(409, "peers_left_behind")
    assert "peers_left_behind" in run("trust", "finish", "--yes").stderr


def test_a_step_with_one_peer(api: OperatorApi, run: Run) -> None:
    api.answers["get_peer"] = granted({"peer": peer()})
    api.answers["rotate_peer_trust"] = granted({"peer": peer()})
    result = run("peers", "rotate", PEER_ID)
    assert (result.exit_code, "trust status" in result.stdout) == (0, True)


def test_a_drill_asks_for_the_peers_and_changes_nothing(api: OperatorApi, run: Run) -> None:
    about = {"id": PEER_ID, "remote_instance_url": "https://b.example", "status": "proposed", "trust_mode": "none", "progress": "set_aside"}
    api.answers["get_trust_rotation"] = granted({"rotation": {"rotating": False, "overlap_days": 2.0, "peers": [about]}})
    result = run("trust", "rotate", "--drill", "--seeds", "1", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["set_aside"] == [PEER_ID]
    assert json.loads(result.stdout)["overlap_days"] == 2
    assert json.loads(run("trust", "rotate", "--drill", "--overlap", "9d", "--seeds", "1", "--json").stdout)["overlap_days"] == 9
    assert {request.name for request in api.requests} == {"get_trust_rotation"}
    api.answers["get_trust_rotation"] = granted({"rotation": {"rotating": True, "peers": []}})
    assert run("trust", "rotate", "--drill").exit_code == 1
    assert run("trust", "rotate", "--drill", "--force", "--reason", "x").exit_code == 2


def test_a_drill_without_the_simulator_says_so(api: OperatorApi, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: ())
    result = run("trust", "rotate", "--drill")
    assert (result.exit_code, "simulator_missing" in result.stderr) == (1, True)
    assert api.requests == []
