"""Which client certificates a running daemon believes: the whole table of cases over real TLS.

A platform made of nothing but a certificate authority redeems a token as any other platform would; then it presents each case. A refused
caller gets the code of its refusal as JSON and leaves no trace in the peer: not in its audit chain, not in the evidence of its life.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from runtime.clock import SystemClock
from runtime.values import evolve
from tests.support.certificates import CASES, INSTANCE_ID, Case, PeerPki
from tests.support.daemons import PEERS, Daemon, Reply, daemons
from tests.support.tls_client import FEDERATION_API, accept_body, connected, until_limited

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

OUR_ROW = "fed:0190c0de-2222-7000-8000-000000000002"
QUIET = """\
heartbeat_interval = "1h"
stale_after = "3h"
heartbeat.eager = false
"""
RATES = "".join(
    f"[federation.rate_limits.{name}]\nrate = 100000\nburst = 100000\n"
    for name in ("unknown_certificate_per_source", "heartbeat_per_peer", "trust_bundle_per_peer")
)

# The table is exact to the second, which a clock that runs on is not.
ROOM_S = {"expired within the skew": 30.0, "not yet valid within the skew": -30.0, "expired": -30.0, "not yet valid": 30.0}


@attrs.frozen
class Planted:
    """A daemon, its row for the platform that the tests play, and that platform's certificates."""

    daemon: Daemon
    peer_id: str
    pki: PeerPki

    def trace(self) -> Any:
        """Everything that a call which reached a handler would have changed."""
        shown = self.daemon.call("GET", f"{PEERS}/{self.peer_id}").data
        trail = self.daemon.call("GET", f"{PEERS}/{self.peer_id}/audit_log?limit=200").data
        return shown, trail


def plant(daemon: Daemon) -> Planted:
    """Become a peer by a real accept, and prove the key once."""
    proposed = daemon.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:1"})
    assert proposed.status == 201, proposed.body
    peer_id = proposed.data["peer"]["id"]
    pki = PeerPki.make(common_name=f"fed:{peer_id}", now=SystemClock().wall())
    body = accept_body(
        proposed.data["acceptance_token"],
        peer_ca_bundle_pem=pki.ca.pem,
        caller_inbound_subject=OUR_ROW,
        instance={"id": INSTANCE_ID, "url": "https://127.0.0.1:1"},
    )
    with connected(daemon.public_url) as stranger:
        accepted = stranger.request("POST", f"{FEDERATION_API}/accept", body)
    assert accepted.status == 200, accepted.body
    assert accepted.data["trust_exchange"]["assigned_inbound_subject"] == pki.common_name
    with connected(daemon.public_url, ([pki.leaf()], pki.key)) as peer:
        assert peer.request("POST", f"{FEDERATION_API}/heartbeat", {}).status == 200
    assert daemon.status(peer_id) == "active"
    return Planted(daemon, peer_id, pki)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with daemons(tmp_path_factory.mktemp("certificates"), "a", more=QUIET + RATES) as (daemon,):
        yield plant(daemon)


@pytest.mark.parametrize("case", [case for case in CASES if case.end_to_end], ids=lambda case: case.name)
def test_the_daemon_decides_as_the_table_says(planted: Planted, case: Case) -> None:
    before = planted.trace()
    pki = evolve(planted.pki, now=SystemClock().wall() + ROOM_S.get(case.name, 0.0))
    with connected(planted.daemon.public_url, case.build(pki)) as caller:
        beat = caller.request("POST", f"{FEDERATION_API}/heartbeat", {"data_residency": "elsewhere"})
        bundle = caller.request("GET", f"{FEDERATION_API}/trust_bundle")
    for reply in (beat, bundle):
        if case.code is None:
            assert reply.status == 200, reply.body
        else:
            assert (reply.status, reply.body["code"]) == (401, case.code), reply.body
            wanted = None if case.code == "client_certificate_required" else case.reason
            assert reply.body["details"].get("reason") == wanted
    if case.code is None:
        assert planted.trace() != before
    else:
        assert planted.trace() == before


def test_a_certificate_says_who_calls_and_a_header_does_not(planted: Planted) -> None:
    before = planted.trace()
    with connected(planted.daemon.public_url) as stranger:
        reply = stranger.request("POST", f"{FEDERATION_API}/heartbeat", {}, {"x-federation-subject": planted.pki.common_name})
    assert (reply.status, reply.body["code"]) == (401, "client_certificate_required")
    assert planted.trace() == before


def test_the_verdict_of_one_connection_says_nothing_about_another(planted: Planted) -> None:
    url = planted.daemon.public_url
    with connected(url, ([planted.pki.leaf()], planted.pki.key)) as peer, connected(url) as stranger:
        statuses = [each.request("GET", f"{FEDERATION_API}/trust_bundle").status for each in (peer, stranger, peer, stranger, peer)]
    assert statuses == [200, 401, 200, 401, 200]


def test_callers_without_a_good_certificate_are_rate_limited_by_default_and_the_peer_is_not(tmp_path: Path) -> None:
    with daemons(tmp_path, "a", more=QUIET) as (daemon,):
        peer = plant(daemon)

        def ask() -> Reply:
            with connected(daemon.public_url) as stranger:
                return stranger.request("GET", f"{FEDERATION_API}/trust_bundle")

        served, refused = until_limited(ask, 30, 2.0)
        assert {reply.status for reply in served} == {401}
        assert refused.body["code"] == "rate_limited"
        assert int(refused.headers["retry-after"]) >= 1
        with connected(daemon.public_url, ([peer.pki.leaf()], peer.pki.key)) as caller:
            assert caller.request("GET", f"{FEDERATION_API}/trust_bundle").status == 200
