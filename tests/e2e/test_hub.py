"""Two daemons federate through a third one: each of them listens on a port that no other is told, and both can only dial out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.daemons import PATIENCE_S, PEERS, Daemon, both_active, poll, propose, reaches, started

pytestmark = pytest.mark.e2e

SETTINGS = """\
heartbeat_interval = "1s"
stale_after = "10s"
channel.enabled = true
{more}
[federation.rate_limits.heartbeat_per_peer]
rate = 100000
burst = 100000
"""
NAMED = ("-m", "tests.e2e.named_daemon")
HUB = "/api/v1/system/platform/hub"


@attrs.frozen
class Hidden:
    """A platform behind the hub, and how the two know each other."""

    daemon: Daemon
    at_hub: str
    hub_at_it: str


@attrs.frozen
class ThroughHub:
    """A hub `h` and two platforms behind it."""

    h: Daemon
    a: Hidden
    b: Hidden

    def accounting(self, hidden: Hidden) -> Any:
        return self.h.call("GET", f"{PEERS}/{hidden.at_hub}/hub").data["hub"]["accounting"]


def powernode(daemon: Daemon, *words: str) -> Any:
    """What a command against the daemon prints."""
    environment = {**os.environ, "POWERNODE_TOKEN": daemon.token}
    command = [sys.executable, "-m", "api.cli", *words, "--url", daemon.url, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def over_channel(h: Daemon, peer_id: str) -> bool:
    """Whether the hub reaches the peer on the channel that it keeps."""
    beat = h.call("POST", f"{PEERS}/{peer_id}/heartbeat", {})
    return beat.status == 200 and beat.data["heartbeat"]["url"] == "channel:"


def hub_in(folder: Path, ends: ExitStack) -> Daemon:
    """A hub that runs until `ends` is left."""
    h = Daemon("h", folder / "h", SETTINGS.format(more="hub.enabled = true"), NAMED)
    ends.enter_context(started(h))
    return h


def behind(h: Daemon, name: str, folder: Path, ends: ExitStack, domain: str = "test") -> Hidden:
    """A platform paired with the hub, with the consent of operators on both sides. Names under `test` lead to the hub, others nowhere."""
    url = f"https://{name}.{domain}:{h.public_url.rpartition(':')[2]}"
    daemon = Daemon(name, folder / name, SETTINGS.format(more=""), NAMED, {"POWERNODE_SERVER_PUBLIC_URL": url})
    ends.enter_context(started(daemon))
    at_hub, _, invitation = propose(h, daemon)
    accepted = daemon.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    hub_at_it = str(accepted.data["peer"]["id"])
    both_active(h, at_hub, daemon, hub_at_it)
    poll(lambda: over_channel(h, at_hub))
    assert h.call("POST", f"{PEERS}/{at_hub}/hub/permit", {}).data["hub"]["relaying"] == "permitted"
    assert daemon.call("POST", f"{PEERS}/{hub_at_it}/hub/use", {}).data["hub"]["relayed"] == "permitted"
    return Hidden(daemon, at_hub, hub_at_it)


@pytest.fixture(scope="module")
def through_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThroughHub]:
    tmp_path = tmp_path_factory.mktemp("hub")
    with ExitStack() as ends:
        h = hub_in(tmp_path, ends)
        yield ThroughHub(h, *(behind(h, name, tmp_path, ends) for name in ("a", "b")))


def test_two_platforms_that_only_dial_out_live_a_whole_peering_through_a_hub(through_hub: ThroughHub) -> None:
    a, b = through_hub.a.daemon, through_hub.b.daemon
    b_at_a, _, invitation = propose(a, b)
    accepted = b.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    a_at_b = str(accepted.data["peer"]["id"])
    both_active(a, b_at_a, b, a_at_b)
    for daemon, peer_id in ((a, b_at_a), (b, a_at_b)):
        assert daemon.call("POST", f"{PEERS}/{peer_id}/heartbeat", {}).status == 200

    # A grant given by the one and used by the other: these calls never travel on a channel.
    made = a.call("POST", "/api/v1/system/platform/resources/NodeModule", {"attributes": {"name": "nginx"}})
    assert made.status == 201, made.body
    grant = {"remote_subject": "reader", "resource_kind": "NodeModule", "permission_scopes": ["read"]}
    issued = a.call("POST", f"{PEERS}/{b_at_a}/grants", grant)
    assert issued.status == 201, issued.body
    kept = b.call("POST", f"{PEERS}/{a_at_b}/received_grants", {"bearer_token": issued.data["bearer_token"]})
    assert kept.status == 201, kept.body
    read = b.call("GET", f"{PEERS}/{a_at_b}/remote_resources/NodeModule")
    assert read.status == 200, read.body
    assert "nginx" in json.dumps(read.data)

    # A grant for certain addresses only: what the hub says of an address opens nothing.
    bound = {**grant, "remote_subject": "bound", "source_cidrs": ["0.0.0.0/0", "::/0"]}
    narrow = a.call("POST", f"{PEERS}/{b_at_a}/grants", bound)
    assert a.call("POST", f"{PEERS}/{b_at_a}/grants/{issued.data['grant']['id']}/revoke", {}).status == 200
    assert b.call("POST", f"{PEERS}/{a_at_b}/received_grants", {"bearer_token": narrow.data["bearer_token"]}).status == 201
    refused = b.call("GET", f"{PEERS}/{a_at_b}/remote_resources/NodeModule")
    assert "axis_denied" in json.dumps(refused.body), refused.body

    # The hub has counted, and knows nothing else. It tells now and then, at first perhaps of a connection that has hardly begun.
    counted = poll(lambda: min((found := through_hub.accounting(through_hub.a))["bytes_to"], found["bytes_from"]) > 1_000 and found)
    assert counted["connections"] >= 1
    assert through_hub.h.call("GET", HUB).data["enabled"] is True
    log = through_hub.h.log_file.read_text()
    assert "nginx" not in log
    assert issued.data["bearer_token"] not in log

    assert a.call("POST", f"{PEERS}/{b_at_a}/revoke", {"reason": "over"}).status == 200
    reaches(lambda: b.status(a_at_b), "revoked")
    # Nothing of this peering is on its way through the hub any more, whose refusals another test counts.
    reaches(lambda: a.call("GET", f"{PEERS}/{b_at_a}").data["peer"]["notification_pending"], False)


def test_each_word_of_the_operators_is_needed_and_taking_one_back_takes_effect_at_once(through_hub: ThroughHub) -> None:
    h, a, b = through_hub.h, through_hub.a.daemon, through_hub.b.daemon
    b_at_a, _, _ = propose(a, b)

    def probed() -> Any:
        return a.call("POST", f"{PEERS}/{b_at_a}/probe", {}).data["probed"][0]

    # B is not known to A yet, so that its server proves nothing; but a server answers.
    reached = "server_identity_unverified"
    assert probed()["error"] == reached
    assert powernode(b, "hub", "leave", through_hub.b.hub_at_it, "--yes")["relayed"] == "withdrawn"
    assert probed()["error"] == "not_relayed"
    assert powernode(b, "hub", "use", through_hub.b.hub_at_it)["relayed"] == "permitted"
    assert probed()["error"] == reached
    assert powernode(h, "hub", "permit", through_hub.b.at_hub, "--source", "192.0.2.0/24")["sources"] == ["192.0.2.0/24"]
    assert probed()["error"] == "not_relayed"
    assert h.call("POST", f"{PEERS}/{through_hub.b.at_hub}/hub/permit", {}).data["hub"]["sources"] == []
    assert h.call("POST", f"{PEERS}/{through_hub.b.at_hub}/suspend", {}).status == 200
    assert probed()["error"] == "not_relayed"
    poll(lambda: through_hub.accounting(through_hub.b)["refused"].get("peer_not_in_force"))
    (listed,) = [peer for peer in powernode(h, "hub", "status")["peers"] if peer["federation_peer_id"] == through_hub.b.at_hub]
    refused = listed["accounting"]["refused"]
    assert {refused.get(reason) for reason in ("peer_refused", "source_not_permitted", "peer_not_in_force")} == {1}
    actions = [each["action"] for each in h.call("GET", f"{PEERS}/{through_hub.b.at_hub}/audit_log?limit=200").data]
    assert actions.count("hub.relaying_permitted") == 3
    assert h.call("POST", f"{PEERS}/{through_hub.b.at_hub}/resume", {}).status == 200
    assert a.call("POST", f"{PEERS}/{b_at_a}/cancel", {}).status == 200
    poll(lambda: h.status(through_hub.b.at_hub) == "active" and over_channel(h, through_hub.b.at_hub))


def test_two_platforms_whose_names_lead_nowhere_are_dialled_at_the_hub_that_they_announce(tmp_path: Path) -> None:
    with ExitStack() as ends:
        h = hub_in(tmp_path, ends)
        a, b = (behind(h, name, tmp_path, ends, "invalid") for name in ("a", "b"))
        way = f"{a.daemon.public_url} via {h.public_url}"
        b_at_a, _, invitation = propose(a.daemon, b.daemon)
        accepted = b.daemon.call("POST", f"{PEERS}/accept", {"invitation": invitation})
        assert accepted.status == 200, accepted.body
        a_at_b = str(accepted.data["peer"]["id"])
        both_active(a.daemon, b_at_a, b.daemon, a_at_b)
        probed = b.daemon.call("POST", f"{PEERS}/{a_at_b}/probe", {}).data
        assert (probed["ok"], probed["endpoint"]) == (True, way)

        def known_of_b() -> list[tuple[str, list[str]]]:
            listed = a.daemon.call("GET", f"{PEERS}/{b_at_a}").data["peer"]["endpoints"]
            return [(each["url"], each["via"]) for each in listed]

        reaches(known_of_b, [(b.daemon.public_url, [h.public_url])])
        made = a.daemon.call("POST", "/api/v1/system/platform/resources/NodeModule", {"attributes": {"name": "nginx"}})
        assert made.status == 201, made.body
        grant = {"remote_subject": "reader", "resource_kind": "NodeModule", "permission_scopes": ["read"]}
        issued = a.daemon.call("POST", f"{PEERS}/{b_at_a}/grants", grant)
        assert b.daemon.call("POST", f"{PEERS}/{a_at_b}/received_grants", {"bearer_token": issued.data["bearer_token"]}).status == 201
        assert "nginx" in json.dumps(b.daemon.call("GET", f"{PEERS}/{a_at_b}/remote_resources/NodeModule").data)

        # Without being told of, the hub is no way: what is left is the name, which leads nowhere.
        assert powernode(a.daemon, "hub", "use", a.hub_at_it, "--not-announced")["announced"] is False
        reaches(lambda: b.daemon.call("GET", f"{PEERS}/{a_at_b}").data["peer"]["endpoints"], [])
        probed = b.daemon.call("POST", f"{PEERS}/{a_at_b}/probe", {}).data
        assert [each["error"] for each in probed["probed"]] == ["name_not_resolved"]
        assert powernode(a.daemon, "hub", "use", a.hub_at_it)["announced"] is True
        reaches(lambda: b.daemon.call("POST", f"{PEERS}/{a_at_b}/probe", {}).data["endpoint"], way)
