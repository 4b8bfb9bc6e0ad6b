"""The daemon that the benchmarks start still is the real one, with the bare paths beside it."""

from __future__ import annotations

from tests.bench.bench_daemon import with_a_peer
from tests.bench.daemon_with_bare_path import BARE
from tests.support.tls_client import FEDERATION_API, connected


def test_the_bare_answer_is_the_answer_of_the_platform() -> None:
    path = f"{FEDERATION_API}/trust_bundle"
    with with_a_peer() as (daemon, pki), connected(daemon.public_url, ([pki.leaf()], pki.key)) as peer:
        real = peer.request("GET", path)
        bare = peer.request("GET", BARE + path)
    assert (real.status, bare.status) == (200, 200)
    assert bare.body == real.body
