"""A module goes from daemon to daemon to daemon, by the commands that docs/migrations.md and docs/approvals.md name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.support.daemons import PATIENCE_S, PEERS, Daemon, both_active, daemons, poll, propose

pytestmark = pytest.mark.e2e


@attrs.frozen
class Said:
    """What a command said to the operator who ran it."""

    code: int
    out: str
    err: str


def powernode(daemon: Daemon, *words: str, input: str = "", code: int = 0) -> Said:
    """Run a command as the daemon's operator, who reads text; it must end with `code`."""
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token, "POWERNODE_URL": daemon.url}
    command = [sys.executable, "-m", "api.cli", *words]
    done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return Said(done.returncode, done.stdout, done.stderr)


def paired(inviting: Daemon, invited: Daemon) -> None:
    peer_id, _, invitation = propose(inviting, invited)
    accepted = invited.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    both_active(inviting, peer_id, invited, accepted.data["peer"]["id"])


def lent(issuer: Daemon, holder: Daemon) -> None:
    """The operators of `issuer` let those of `holder` bring modules, and these keep the bearer."""
    issued = powernode(issuer, "grants", "issue", holder.public_url, "NodeModule", "--subject", "movers", "--scope", "migrate")
    powernode(holder, "grants", "receive", issuer.public_url, "-", input=issued.out)


def only_id(daemon: Daemon, *words: str) -> str:
    """The id in a list of one row."""
    rows = powernode(daemon, *words).out.splitlines()
    assert len(rows) == 2, rows
    return rows[1].split()[0]


def test_each_hop_of_a_chain_is_approved_on_the_command_line(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", "b", "c") as (a, b, c):
        for one, other in ((a, b), (a, c), (b, c)):
            paired(one, other)
        powernode(a, "resources", "import", "-", input=json.dumps({"resources": [{"kind": "NodeModule", "attributes": {"name": "nginx"}}]}))
        plan = ("migrations", "chains", "plan", "NodeModule", "nginx", b.public_url, c.public_url)
        assert "hop_peer_ids[0]: the peer has given us no grant" in powernode(a, *plan, code=5).err
        lent(b, a)
        assert "an operator, who lets it run or advances it" in powernode(a, *plan).out
        chain = only_id(a, "migrations", "chains", "list")

        # c has lent nothing to b yet: who lacks what must be told.
        powernode(a, "migrations", "chains", "run", chain)
        failed = poll(lambda: refused(a, chain))
        assert f"1 of 2 hops done; {b.public_url} holds it; {b.public_url} says: no_received_grant" in failed
        poll(lambda: "no_received_grant" in powernode(a, "findings", "list").out)
        lent(c, b)
        powernode(a, "migrations", "chains", "retry", chain)
        poll(lambda: "nothing waits" not in powernode(b, "approvals", "list", "--status", "pending").err)
        shown = powernode(b, "approvals", "show", only_id(b, "approvals", "list", "--status", "pending")).out
        assert f"{a.public_url} asks for hop 1 of its chain: NodeModule nginx moves to {c.public_url}" in shown
        assert f"1 record; the resource moves to {c.public_url}." in shown
        approve_and_follow(a, b, c, chain)


def refused(daemon: Daemon, chain: str) -> str | None:
    shown = powernode(daemon, "migrations", "chains", "show", chain).out
    return shown if "holds it; " in shown and "says:" in shown else None


def approve_and_follow(a: Daemon, b: Daemon, c: Daemon, chain: str) -> None:
    approval = only_id(b, "approvals", "list", "--status", "pending")
    assert "--yes" in powernode(b, "approvals", "approve", approval, code=2).err
    approved = powernode(b, "approvals", "approve", approval, "--yes").out
    assert "the request is approved" in approved
    assert "powernode migrations show" in approved
    powernode(b, "approvals", "approve", approval, "--yes", code=5)
    migration = only_id(b, "migrations", "list")
    assert migration in approved
    poll(lambda: "completed" in powernode(b, "migrations", "list").out)
    # The chain asks its holder once a minute; whoever lets it run again need not wait.
    powernode(a, "migrations", "chains", "run", chain)
    poll(lambda: f"2 of 2 hops done; {c.public_url} holds it" in powernode(a, "migrations", "chains", "show", chain).out)
    powernode(a, "migrations", "chains", "run", chain, code=5)
    assert "finalized" in powernode(c, "migrations", "list", "--arrived").out
    assert json.loads(powernode(c, "migrations", "receipt", only_id(c, "migrations", "list", "--arrived")).out)["receipt"]
    gone = powernode(a, "resources", "show", "NodeModule", "nginx", code=4).err
    assert "powernode resources list NodeModule" in gone
    assert "nginx" in powernode(c, "resources", "show", "NodeModule", "nginx").out
