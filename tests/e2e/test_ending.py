"""Pause, resume, end and begin again between real daemons; and the connections of a peer that is not served any more."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from runtime.store.backup import backup
from runtime.store.sqlite import DATABASE_NAME
from tests.e2e.test_certificates_over_tls import QUIET, RATES, plant
from tests.support.daemons import PEERS, Daemon, Reply, both_active, copy_of, daemons, poll, propose, reaches
from tests.support.tls_client import FEDERATION_API, Connection, connected

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

CLOSED_WITHIN_S = 5.0
TRUST = "/api/v1/system/platform/trust"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    with daemons(tmp_path_factory.mktemp("ending"), "a", "b", more=RATES) as made:
        yield made[0], made[1]


def paired(a: Daemon, b: Daemon) -> tuple[str, str]:
    """The ids of the two rows of an active pair."""
    at_a, _, invitation = propose(a, b)
    accepted = b.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    at_b = str(accepted.data["peer"]["id"])
    both_active(a, at_a, b, at_b)
    return at_a, at_b


def shown(daemon: Daemon, peer_id: str) -> dict[str, Any]:
    peer: dict[str, Any] = daemon.call("GET", f"{PEERS}/{peer_id}").data["peer"]
    return peer


def test_a_pair_is_paused_resumed_ended_and_made_anew(both: tuple[Daemon, Daemon]) -> None:
    a, b = both
    at_a, at_b = paired(a, b)
    paused = a.call("POST", f"{PEERS}/{at_a}/suspend", {"reason": "maintenance"})
    assert (paused.status, paused.data["peer"]["status"]) == (200, "suspended")
    reaches(lambda: shown(b, at_b)["remote_state"], "suspended_us")
    refused = b.call("POST", f"{PEERS}/{at_b}/heartbeat", {})
    assert (refused.status, refused.body["details"]["remote_code"]) == (502, "peer_suspended")
    assert a.call("POST", f"{PEERS}/{at_a}/resume", {}).data["peer"]["status"] == "enrolled"
    both_active(a, at_a, b, at_b)
    ended = a.call("POST", f"{PEERS}/{at_a}/revoke", {"reason": "contract ended"})
    assert (ended.data["peer"]["status"], ended.data["peer"]["revocation_phase"]) == ("revoked", "draining")
    reaches(lambda: b.status(at_b), "revoked")
    assert shown(b, at_b)["metadata"]["revocation_reason"] == "remote_revoked: contract ended"
    poll(lambda: not shown(a, at_a)["notification_pending"])
    assert a.call("POST", f"{PEERS}/{at_a}/revoke", {}).body["code"] == "already_revoked"
    again_at_a, again_at_b = paired(a, b)
    assert (again_at_a, again_at_b) != (at_a, at_b)
    assert a.call("POST", f"{PEERS}/{again_at_a}/revoke", {"immediate": True}).data["peer"]["revocation_phase"] == "complete"
    # Told nothing, the other side hears it from the answer to its own next call: to this one, unless one of its own came first.
    told = b.call("POST", f"{PEERS}/{again_at_b}/heartbeat", {})
    assert told.body["code"] == "already_revoked" or told.body["details"]["remote_code"] == "peer_revoked", told.body
    assert b.status(again_at_b) == "revoked"
    assert shown(b, again_at_b)["metadata"]["revocation_reason"] == "remote_revoked"


def test_a_revocation_survives_kill_nine_and_the_remote_still_hears_of_it(both: tuple[Daemon, Daemon]) -> None:
    a, b = both
    at_a, at_b = paired(a, b)
    b.kill()
    assert a.call("POST", f"{PEERS}/{at_a}/revoke", {"reason": "over"}).status == 200
    a.kill()
    b.start().login()
    a.start().login()
    reaches(lambda: b.status(at_b), "revoked")
    assert a.statuses(at_a).count("revoked") == 1


def refusal(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body["code"]


def ask_and_wait_for_the_end(kept: Connection, ended: tuple[int, str]) -> None:
    """Whoever asks at once still hears why; on a slow machine the end may come before the question."""
    assert refusal(kept.request("GET", f"{FEDERATION_API}/trust_bundle")) == ended
    kept.receive()


@pytest.mark.parametrize(("verb", "code"), [("suspend", "peer_suspended"), ("revoke", "peer_revoked")])
def test_the_connections_of_a_peer_close_within_five_seconds(tmp_path: Path, verb: str, code: str) -> None:
    ended = (403, code)
    with daemons(tmp_path, "a", more=QUIET) as (daemon,):
        peer = plant(daemon)
        certificate = ([peer.pki.leaf()], peer.pki.key)
        with connected(daemon.public_url, certificate) as kept, connected(daemon.public_url) as stranger:
            assert kept.request("GET", f"{FEDERATION_API}/trust_bundle").status == 200
            assert stranger.request("GET", f"{FEDERATION_API}/trust_bundle").status == 401
            assert daemon.call("POST", f"{PEERS}/{peer.peer_id}/{verb}", {}).status == 200
            began = time.monotonic()
            with pytest.raises(SSL.Error):
                ask_and_wait_for_the_end(kept, ended)
            assert time.monotonic() - began < CLOSED_WITHIN_S
            assert stranger.request("GET", f"{FEDERATION_API}/trust_bundle").status == 401
        with connected(daemon.public_url, certificate) as again:
            assert refusal(again.request("GET", f"{FEDERATION_API}/trust_bundle")) == ended


def test_a_copy_put_back_by_hand_opens_nothing_until_an_operator_has_decided(both: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    a, b = both
    at_a, at_b = paired(a, b)
    assert a.stop() == 0
    kept = copy_of(a.data, tmp_path / "copy")
    for _ in range(2):
        a.start().login()
        epoch = a.call("GET", TRUST).data["boot_epoch"]
        assert a.call("POST", f"{PEERS}/{at_a}/heartbeat", {}).status == 200
        assert a.stop() == 0
    shutil.rmtree(a.data)
    copy_of(kept, a.data)
    a.start().login()
    reaches(lambda: a.call("POST", f"{PEERS}/{at_a}/heartbeat", {}).status, 200)
    found = poll(lambda: (shown := a.call("GET", TRUST).data)["frozen"] and shown)
    assert (found["cause"], found["claimed_epoch"], found["claimants"]) == ("echo", epoch, [at_a])
    refused = a.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:1"})
    assert (refused.status, refused.body["code"]) == (409, "trust_frozen")
    decided = a.call("POST", f"{TRUST}/unfreeze", {"decision": "restored"})
    assert (decided.status, decided.data["restart_needed"]) == (200, True)
    poll(lambda: not a.call("GET", TRUST).data["frozen"])
    assert a.status(at_a) == "suspended"
    assert a.call("POST", f"{PEERS}/{at_a}/resume", {}).status == 200
    assert a.stop() == 0
    a.start().login()
    shown = a.call("GET", TRUST).data
    assert (shown["frozen"], shown["boot_epoch"] > epoch, shown["restart_needed"]) == (False, True, False)
    both_active(a, at_a, b, at_b)
    assert a.call("POST", f"{PEERS}/{at_a}/revoke", {}).status == 200
    reaches(lambda: b.status(at_b), "revoked")


def test_a_copy_of_the_running_platform_revives_no_revoked_grant(both: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    a, b = both
    at_a, at_b = paired(a, b)
    assert a.call("POST", "/api/v1/system/platform/resources/node_module", {"attributes": {"name": tmp_path.name}}).status == 201
    loan = {"remote_subject": "readers", "resource_kind": "NodeModule", "permission_scopes": ["read"]}
    lent = a.call("POST", f"{PEERS}/{at_a}/grants", loan)
    assert lent.status == 201, lent.body
    bearer = {"bearer_token": lent.data["bearer_token"]}
    backup(a.data / DATABASE_NAME, tmp_path / "copy", created_at=0.0)
    assert a.call("POST", f"{PEERS}/{at_a}/grants/{lent.data['grant']['id']}/revoke", {}).status == 200
    for _ in range(2):
        # The answer to the first may be that to a heartbeat which left before the end of the grant.
        assert a.call("POST", f"{PEERS}/{at_a}/heartbeat", {}).status == 200
    a.kill()
    for leftover in a.data.glob(f"{DATABASE_NAME}*"):
        leftover.unlink()
    with zipfile.ZipFile(tmp_path / "copy") as packed:
        packed.extract(DATABASE_NAME, a.data)
    a.start().login()
    reaches(lambda: a.call("POST", f"{PEERS}/{at_a}/heartbeat", {}).status, 200)
    found = poll(lambda: (shown := a.call("GET", TRUST).data)["frozen"] and shown)
    assert (found["cause"], found["claimants"]) == ("echo", [at_a])
    (held,) = a.call("GET", f"{PEERS}/{at_a}/grants").data
    assert held["revoked_at"] is None, "the copy does not know of the end"
    # Whoever has the bearer would be served, had nobody noticed.
    assert told(b.call("POST", f"{PEERS}/{at_b}/received_grants", bearer)) == (502, "trust_frozen")
    assert a.call("POST", f"{TRUST}/unfreeze", {"decision": "restored", "keep_peerings": True}).data["restart_needed"] is False
    poll(lambda: not a.call("GET", TRUST).data["frozen"])
    assert told(b.call("POST", f"{PEERS}/{at_b}/received_grants", bearer)) == (502, "grant_ended")
    assert a.call("POST", f"{PEERS}/{at_a}/revoke", {}).status == 200
    reaches(lambda: b.status(at_b), "revoked")


def told(reply: Reply) -> tuple[int, str]:
    """What the peer has said instead of giving what was asked for."""
    details = reply.body.get("details", {})
    return reply.status, details.get("remote_code") or details.get("reason") or str(reply.body)
