"""A platform behind a proxy that ends TLS: peers pair, beat and read through it, by the certificate and the address that it hands on."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import attrs
import pytest

from actors.certificates import fingerprint
from runtime.clock import SystemClock
from tests.e2e.test_channel import beats, lend, shown
from tests.net.certs import Authority
from tests.support.certificates import INSTANCE_ID, PeerPki
from tests.support.daemons import PEERS, Daemon, both_active, poll, propose, reaches, reserved_port, started
from tests.support.tls_client import FEDERATION_API, accept_body, connected
from tests.support.tls_proxy import Proxy, running

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

SETTINGS = """\
heartbeat_interval = "1s"
stale_after = "10s"
[federation.rate_limits.heartbeat_per_peer]
rate = 100000
burst = 100000
"""
ADDRESS = "198.51.100.7"
PROXY = "the proxy"
UPGRADE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    "sec-websocket-protocol": "powernode.channel.v1",
}


@attrs.frozen
class Behind:
    """A platform, the proxy before it, and a platform elsewhere that trusts the same public root."""

    platform: Daemon
    proxy: Proxy
    elsewhere: Daemon


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder = tmp_path_factory.mktemp("proxy")
    public = Authority("a public root", p256=True, now=SystemClock().wall())
    leaf, own = public.server(p256=True), public.client(INSTANCE_ID, name=PROXY)
    for name, content in {"root.pem": public.pem.encode(), "chain.pem": leaf.pem, "key.pem": leaf.key_pem}.items():
        (folder / name).write_bytes(content)
    listener = reserved_port()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    trusted = f'trusted_proxies = ["{fingerprint(own.der)}"]\n'
    places = {"PUBLIC_URL": url, "CERTIFICATE_FILE": str(folder / "chain.pem"), "KEY_FILE": str(folder / "key.pem")}
    given = {f"POWERNODE_SERVER_{name}": value for name, value in places.items()}
    platform = Daemon("platform", folder / "platform", trusted + SETTINGS, environment=given)
    # Without channels, so that all that it says goes through the proxy.
    elsewhere = Daemon(
        "elsewhere", folder / "elsewhere", "channel.enabled = false\n" + SETTINGS, environment={"SSL_CERT_FILE": str(folder / "root.pem")}
    )
    with started(platform, elsewhere):
        proxy = Proxy(listener, platform.places[0].getsockname()[1], leaf, own, ADDRESS)
        with running(proxy):
            yield Behind(platform, proxy, elsewhere)


def test_peers_pair_beat_and_read_through_a_proxy_that_ends_tls(behind: Behind) -> None:
    platform, elsewhere, proxy = behind.platform, behind.elsewhere, behind.proxy
    at_platform, _, invitation = propose(platform, elsewhere)
    accepted = elsewhere.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    at_elsewhere = str(accepted.data["peer"]["id"])
    both_active(platform, at_platform, elsewhere, at_elsewhere)
    assert beats(elsewhere, at_elsewhere).status == 200
    heard = shown(platform, at_platform)["last_inbound_heartbeat_at"]
    poll(lambda: shown(platform, at_platform)["last_inbound_heartbeat_at"] > heard)

    module, grant = lend(platform, at_platform, elsewhere, at_elsewhere, source_cidrs=[f"{ADDRESS}/32"])
    path = f"{PEERS}/{at_elsewhere}/remote_resources/NodeModule/{module}"
    assert elsewhere.call("GET", path).status == 200
    through = {(method, path.partition("?")[0].removeprefix(FEDERATION_API)) for method, path, status in proxy.calls() if status == 200}
    assert {("POST", "/accept"), ("POST", "/heartbeat"), ("GET", f"/resources/NodeModule/{module}")} <= through
    # The address is the one that the proxy tells: that of its connection does not count.
    assert platform.call("POST", f"{PEERS}/{at_platform}/grants/{grant}/revoke", {}).status == 200
    reaches(lambda: elsewhere.call("GET", f"{PEERS}/{at_elsewhere}/received_grants").data[0]["state"], "refused")
    body = {"remote_subject": "reader", "resource_kind": "NodeModule", "permission_scopes": ["read"], "source_cidrs": ["127.0.0.0/8"]}
    bearer = platform.call("POST", f"{PEERS}/{at_platform}/grants", body).data["bearer_token"]
    assert elsewhere.call("POST", f"{PEERS}/{at_elsewhere}/received_grants", {"bearer_token": bearer}).status == 201
    assert elsewhere.call("GET", path).body["details"]["remote_code"] == "axis_denied"


def test_who_calls_is_the_certificate_that_the_proxy_was_shown_and_nobody_elses_word(behind: Behind) -> None:
    platform, proxy = behind.platform, behind.proxy
    proposed = platform.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:1"})
    peer_id = str(proposed.data["peer"]["id"])
    pki = PeerPki.make(common_name=f"fed:{peer_id}", now=SystemClock().wall())
    body = accept_body(
        proposed.data["acceptance_token"],
        peer_ca_bundle_pem=pki.ca.pem,
        caller_inbound_subject="fed:0190c0de-2222-7000-8000-000000000002",
        instance={"id": INSTANCE_ID, "url": "https://127.0.0.1:1"},
    )
    with connected(proxy.url) as stranger:
        assert stranger.request("POST", f"{FEDERATION_API}/accept", body).status == 200
    mine = ([pki.leaf()], pki.key)
    written = {"client-cert": f":{base64.b64encode(pki.leaf()).decode()}:"}
    with connected(proxy.url, mine) as peer:
        assert peer.request("POST", f"{FEDERATION_API}/heartbeat", {}).status == 200
        refused = peer.request("GET", f"{FEDERATION_API}/channel", None, UPGRADE)
        assert (refused.status, refused.body["code"]) == (409, "channel_behind_proxy")
    at_platform = f"https://127.0.0.1:{proxy.upstream}"
    for url, shown_by_caller in ((proxy.url, None), (at_platform, None), (at_platform, ([PeerPki.make().leaf()], PeerPki.make().key))):
        with connected(url, shown_by_caller) as stranger:
            told = stranger.request("GET", f"{FEDERATION_API}/trust_bundle", None, written)
            assert told.status == 401, told.body
    with connected(at_platform, mine) as peer:
        assert peer.request("GET", f"{FEDERATION_API}/trust_bundle", None, written).status == 200

    def told_of() -> list[str]:
        return [entry["action"] for entry in platform.call("GET", f"{PEERS}/{peer_id}/audit_log?limit=200").data]

    poll(lambda: "grant.header_spoof" in told_of())


def test_a_proxy_that_passes_on_what_it_should_replace_is_refused_where_that_cannot_be_read(behind: Behind) -> None:
    proxy = behind.proxy
    proxy.sloppy = True
    try:
        with connected(proxy.url) as stranger:
            told = stranger.request("GET", f"{FEDERATION_API}/trust_bundle", None, {"client-cert": "%2D%2D"})
        assert (told.status, told.body["code"]) == (401, "client_certificate_invalid")
        assert told.body["details"]["reason"] == "forwarded_malformed"
    finally:
        proxy.sloppy = False
