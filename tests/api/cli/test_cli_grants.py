"""`powernode grants` and `powernode audit` against two real daemons: what an operator types, from the first grant to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import attrs
import pytest

from actors.grant.explain import EditName
from api.cli.grants import EDIT_WORDS
from tests.support.daemons import PATIENCE_S, PEERS, Daemon, both_active, daemons, poll, propose
from tests.support.operator_api import PEER_ID, OperatorApi, Run, granted

pytestmark = pytest.mark.e2e

TESTS = """
[[tests]]
name = "b reads modules"
allowed = true
resource_kind = "NodeModule"
"""


@attrs.frozen
class Typed:
    """A terminal at one daemon."""

    daemon: Daemon
    peer_id: str
    folder: Path

    def run(self, *words: str, code: int = 0, text: str | None = None) -> str:
        """Type a command; its standard output."""
        environment = {**os.environ, "POWERNODE_URL": self.daemon.url, "POWERNODE_TOKEN": self.daemon.token, "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *words],
            capture_output=True,
            text=True,
            env=environment,
            input=text,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Typed, Typed]]:
    folder = tmp_path_factory.mktemp("grants")
    with daemons(folder, "a", "b") as (a, b):
        peer_id, _, invitation = propose(a, b)
        accepted = b.call("POST", f"{PEERS}/accept", {"invitation": invitation})
        assert accepted.status == 200
        other_id = accepted.body["data"]["peer"]["id"]
        both_active(a, peer_id, b, other_id)
        yield Typed(a, peer_id, folder), Typed(b, other_id, folder)


@pytest.fixture
def typed(both: tuple[Typed, Typed]) -> Typed:
    return both[0]


@pytest.fixture
def other(both: tuple[Typed, Typed]) -> Typed:
    return both[1]


def test_a_grant_from_its_issue_to_its_end(typed: Typed, tmp_path: Path) -> None:
    peer = typed.peer_id
    bearer = typed.run("grants", "issue", peer, "node_module", "--subject", "operator@b", "--source", "127.0.0.0/8").strip()
    grant_id, _, secret = bearer.removeprefix("fg-").partition(".")
    assert len(secret) == 43
    assert grant_id in typed.run("grants", "list", peer)
    shown = typed.run("grants", "show", peer, grant_id)
    assert "127.0.0.0/8" in shown
    assert secret not in shown
    refused = typed.run("grants", "explain", peer, "--kind", "NodeModule", "--source", "203.0.113.9", code=1)
    assert "widen_axis" in refused
    assert "served" in typed.run("grants", "explain", peer, "--kind", "NodeModule", "--source", "127.0.0.1", "--subject", "operator@b")
    stranger = typed.run("grants", "explain", "--kind", "NodeModule", code=1)
    assert "issue_grant" in stranger
    assert "`powernode peers invite`" in stranger
    assert "`powernode grants issue`" in stranger
    file = tmp_path / "tests.toml"
    file.write_text(TESTS + 'source_address = "127.0.0.1"\n')
    typed.run("grants", "tests", peer, "--set", str(file))
    assert "passed" in typed.run("grants", "test", peer)
    typed.run("grants", "revoke", peer, grant_id, "--yes", code=5)
    rotated = typed.run("grants", "rotate", peer, grant_id).strip()
    assert rotated.startswith(f"fg-{grant_id}.")
    assert rotated != bearer
    typed.run("grants", "narrow", peer, grant_id, "--label", "looked at")
    typed.run("grants", "review", peer, grant_id)
    told = json.loads(typed.run("grants", "revoke", peer, grant_id, "--force", "--yes", "--reason", "done", "--json"))
    assert (told["state"], told["revocation_reason"]) == ("revoked", "done")
    assert "FAILED" in typed.run("grants", "test", peer, code=1)


NO_CHAIN = "01890000-0000-7000-8000-000000000009"


def test_the_audit_chain_verifies_from_outside(typed: Typed) -> None:
    assert "whole" in typed.run("audit", "verify")
    assert "whole" in typed.run("audit", "verify", typed.peer_id)
    assert json.loads(typed.run("audit", "ship", "--json"))["failures"] == 0
    assert typed.run("audit", "shipments", typed.peer_id) == ""
    listed = {row["kind"]: row for row in map(json.loads, typed.run("audit", "chains", "--json").splitlines())}
    assert (listed["peer"]["id"], listed["peer"]["shipped_up_to"]) == (typed.peer_id, 0)
    assert "peer.proposed" in typed.run("audit", "show", typed.peer_id)
    assert typed.run("audit", "show", "platform", code=4) == ""
    assert typed.run("audit", "verify", NO_CHAIN, code=4) == ""
    assert "peer.proposed" in typed.run("audit", "ask", typed.peer_id)


def test_a_grant_that_is_received_used_and_forgotten(typed: Typed, other: Typed, tmp_path: Path) -> None:
    bearer = typed.run("grants", "issue", typed.peer_id, "NodeTemplate", "--subject", "reader").strip()
    grant_id = bearer.removeprefix("fg-").partition(".")[0]
    poll(lambda: f'"{grant_id}"' in other.run("grants", "received", other.peer_id, "--json"))
    assert "announced" in other.run("grants", "received", other.peer_id)
    other.run("grants", "check", other.peer_id, grant_id, code=5)
    for words in (("-",), ()):
        other.run("grants", "receive", other.peer_id, *words, code=2, text="")
    other.run("grants", "receive", other.peer_id, bearer, code=2)
    file = tmp_path / "bearer"
    file.write_text(bearer + "\n")
    shown = other.run("grants", "receive", other.peer_id, "--file", str(file))
    other.run("grants", "receive", other.peer_id, "-", code=5, text=bearer)
    listed = other.run("grants", "received", other.peer_id)
    assert bearer.partition(".")[2] not in shown + listed
    assert "NodeTemplate" in listed
    assert "good: it opens NodeTemplate" in other.run("grants", "check", other.peer_id, grant_id)
    assert other.run("resources", "remote", other.peer_id, "NodeTemplate", "--json") == ""
    other.run("resources", "remote", other.peer_id, "NodeTemplate", "no-such", code=4)
    other.run("resources", "remote", other.peer_id, "NodeModule", code=5)
    other.run("grants", "forget", other.peer_id, "ffffffff", "--yes", code=4)
    assert "forgotten" in other.run("grants", "forget", other.peer_id, grant_id, "--yes")
    assert grant_id not in other.run("grants", "received", other.peer_id, "--json")


PLAN = """
[[grants]]
remote_subject = "reader"
resource_kind = "NodeModule"

[[tests]]
name = "reads"
allowed = true
resource_kind = "NodeModule"
"""


def test_planned_grants_are_tested_and_an_invitation_waits_for_it(api: OperatorApi, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    outcome = {"name": "reads", "expected": True, "allowed": False, "passed": False, "grant_id": None}
    api.answers["test_planned_grants"] = granted({"passed": False, "outcomes": [outcome]})
    assert run("grants", "test", "--planned", str(file)).exit_code == 1
    refused_invitation = run("peers", "invite", "https://b.example", "--grant-tests", str(file))
    assert (refused_invitation.exit_code, "reads" in refused_invitation.output) == (1, True)
    assert "propose_peer" not in [request.name for request in api.requests]
    assert run("grants", "test").exit_code == 2


def test_a_review_of_everything_lists_what_needs_a_second_look(api: OperatorApi, run: Run) -> None:
    entry = {"federation_peer_id": PEER_ID, "grant_id": PEER_ID, "resource_kind": "NodeModule"}
    category = {"category": "bare_tokens_in_use", "severity": "medium", "count": 1, "entries": [entry]}
    api.answers["review_grants"] = granted({"reviewed_at": "2026-01-01T00:00:00Z", "categories": [category]})
    assert "bare_tokens_in_use" in run("grants", "review").output
    assert run("grants", "review", PEER_ID).exit_code == 2


def test_every_change_that_the_explainer_knows_has_words() -> None:
    assert set(EDIT_WORDS) == set(get_args(EditName))
