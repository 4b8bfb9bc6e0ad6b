"""The peer channel between real daemons, one of which can only dial out: nobody listens where its invitation says that it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import PEERS, Daemon, both_active, poll, propose, reaches, reserved_port, started

pytestmark = pytest.mark.e2e

SETTINGS = """\
heartbeat_interval = "1s"
stale_after = "10s"
channel.enabled = true
[federation.rate_limits.heartbeat_per_peer]
rate = 100000
burst = 100000
"""


@pytest.fixture
def public_and_hidden(tmp_path: Path) -> Iterator[tuple[Daemon, Daemon]]:
    with reserved_port() as closed:
        hidden_url = f"https://localhost:{closed.getsockname()[1]}"
        public = Daemon("public", tmp_path / "public", SETTINGS)
        hidden = Daemon("hidden", tmp_path / "hidden", SETTINGS, environment={"POWERNODE_SERVER_PUBLIC_URL": hidden_url})
        with started(public, hidden):
            yield public, hidden


def shown(daemon: Daemon, peer_id: str) -> dict[str, Any]:
    peer: dict[str, Any] = daemon.call("GET", f"{PEERS}/{peer_id}").data["peer"]
    return peer


def beats(daemon: Daemon, peer_id: str) -> Any:
    return daemon.call("POST", f"{PEERS}/{peer_id}/heartbeat", {})


def test_a_platform_that_can_only_dial_out_is_called_over_its_own_channel(public_and_hidden: tuple[Daemon, Daemon]) -> None:
    public, hidden = public_and_hidden
    at_public, _, invitation = propose(public, hidden)
    accepted = hidden.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    at_hidden = str(accepted.data["peer"]["id"])
    both_active(public, at_public, hidden, at_hidden)
    told = poll(lambda: (reply := beats(public, at_public)).status == 200 and reply.data)
    assert told["heartbeat"]["url"] == "channel:"
    assert beats(hidden, at_hidden).status == 200
    # Both sides go on hearing each other.
    until = shown(public, at_public)["last_outbound_heartbeat_at"]
    poll(lambda: shown(public, at_public)["last_outbound_heartbeat_at"] > until)
    assert public.statuses(at_public).count("degraded") == hidden.statuses(at_hidden).count("degraded") == 0
    assert public.call("POST", f"{PEERS}/{at_public}/revoke", {"reason": "over"}).status == 200
    reaches(lambda: hidden.status(at_hidden), "revoked")
    poll(lambda: not shown(public, at_public)["notification_pending"])
    poll(lambda: all("a channel ended" in daemon.log_file.read_text() for daemon in public_and_hidden))
    assert shown(hidden, at_hidden)["metadata"]["revocation_reason"] == "remote_revoked: over"


RESOURCES = "/api/v1/system/platform/resources"


def lend(lender: Daemon, at_lender: str, holder: Daemon, at_holder: str, **more: Any) -> tuple[str, str]:
    """A module of the lender and a grant for it, whose bearer the holder keeps; the ids of both."""
    made = lender.call("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": "nginx", "variety": "subscription"}})
    assert made.status == 201, made.body
    body = {"remote_subject": "reader", "resource_kind": "NodeModule", "permission_scopes": ["read"], **more}
    given = lender.call("POST", f"{PEERS}/{at_lender}/grants", body)
    assert given.status == 201, given.body
    kept = holder.call("POST", f"{PEERS}/{at_holder}/received_grants", {"bearer_token": given.data["bearer_token"]})
    assert kept.status == 201, kept.body
    return str(made.data["resource"]["id"]), str(given.data["grant"]["id"])


def received(holder: Daemon, at_holder: str) -> str:
    (row,) = holder.call("GET", f"{PEERS}/{at_holder}/received_grants").data
    return str(row["state"])


def test_both_lend_to_each_other_and_take_back_though_one_can_only_dial_out(public_and_hidden: tuple[Daemon, Daemon]) -> None:
    public, hidden = public_and_hidden
    at_public, _, invitation = propose(public, hidden)
    accepted = hidden.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    at_hidden = str(accepted.data["peer"]["id"])
    both_active(public, at_public, hidden, at_hidden)
    reaches(lambda: beats(public, at_public).status, 200)
    for lender, at_lender, holder, at_holder in ((hidden, at_hidden, public, at_public), (public, at_public, hidden, at_hidden)):
        module, grant = lend(lender, at_lender, holder, at_holder)
        read = holder.call("GET", f"{PEERS}/{at_holder}/remote_resources/NodeModule/{module}")
        assert read.status == 200, read.body
        assert lender.call("POST", f"{PEERS}/{at_lender}/grants/{grant}/revoke", {}).status == 200
        reaches(partial(received, holder, at_holder), "refused")
