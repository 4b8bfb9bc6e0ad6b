"""Figures of the running daemon: calls of peers, pairing, start, memory.

Lives here: real processes on loopback, driven from outside. Must not live here: a timed assertion; the targets are shown, not tested.
Seconds are those of a machine that does nothing else; where other work shares its processors they grow with the waiting.
"""

from __future__ import annotations

import contextlib
import functools
import json
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from actors.peer.record import OutboundIdentity, PeerRecord, TrustedAnchor
from actors.registry import KINDS
from api.daemon import store_file
from runtime.clock import SystemClock
from runtime.store.port import Put, Query, Unit
from runtime.store.sqlite import SqliteStore
from runtime.values import evolve
from tests.bench.daemon_with_bare_path import BARE
from tests.bench.figures import Figure
from tests.support.certificates import INSTANCE_ID, PeerPki
from tests.support.daemons import PEERS, Daemon, daemons, poll
from tests.support.tls_client import FEDERATION_API, Connection, accept_body, connected

CONNECTIONS = 4
CALLS_PER_CONNECTION = 60
TURNS = 7
ROUNDS = 7
PAIRINGS = 50
STARTS = 5
KNOWN_PEERS = 10_000

QUIET = """\
heartbeat_interval = "1h"
stale_after = "3h"
heartbeat.eager = false
"""
RATES = "".join(
    f"[federation.rate_limits.{name}]\nrate = 1000000\nburst = 1000000\n"
    for name in (
        "heartbeat_per_peer",
        "trust_bundle_per_peer",
        "propose_per_operator",
        "accept_per_source",
        "accept_overall",
        "resources_per_peer",
    )
)
MODULE = {"name": "nginx", "variety": "subscription", "current_version": 12, "oci_digest": f"sha256:{'0' * 64}"}
GRANT = {"remote_subject": "operator@far.example", "resource_kind": "NodeModule", "permission_scopes": ["read"]}

_CLOCK = SystemClock()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder on the disk of the working folder: the system's temporary folder may be memory, where durability costs nothing."""
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def running(daemon: Daemon) -> Iterator[Daemon]:
    """The daemon, started; ended with the block."""
    try:
        yield daemon.start()
    finally:
        if daemon.running:
            daemon.stop()


def processor_s(pid: int) -> float:
    """Processor seconds that a process has used so far, by all its threads, to the nanosecond.

    This is the number of its clock (clock_getcpuclockid(3)).
    """
    return time.clock_gettime(~pid << 3 | 2)


def resident_mb(pid: int) -> float:
    """Resident memory of a process in 10^6 bytes (proc(5), `VmRSS`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("the process has no memory")


# --- calls of a peer -------------------------------------------------------------------------------------------------


def become_peer(daemon: Daemon) -> PeerPki:
    """Redeem a token as any other platform would, and prove the key once."""
    proposed = daemon.call("POST", PEERS, {"remote_instance_url": "https://127.0.0.1:1"})
    assert proposed.status == 201, proposed.body
    pki = PeerPki.make(common_name=f"fed:{proposed.data['peer']['id']}", now=_CLOCK.wall())
    body = accept_body(
        proposed.data["acceptance_token"],
        peer_ca_bundle_pem=pki.ca.pem,
        caller_inbound_subject=f"fed:{INSTANCE_ID}",
        instance={"id": INSTANCE_ID, "url": "https://127.0.0.1:1"},
    )
    with connected(daemon.public_url) as stranger:
        accepted = stranger.request("POST", f"{FEDERATION_API}/accept", body)
    assert accepted.status == 200, accepted.body
    return pki


def calls_per_s(pid: int, clients: list[Connection], path: str, headers: Mapping[str, str]) -> tuple[float, float]:
    """Requests per second of wall time, and per second of the daemon's processor time, over connections already warm."""
    began, used = _CLOCK.now(), processor_s(pid)
    together(clients, path, headers, CALLS_PER_CONNECTION)
    calls = CONNECTIONS * CALLS_PER_CONNECTION
    return calls / (_CLOCK.now() - began), calls / (processor_s(pid) - used)


def together(clients: list[Connection], path: str, headers: Mapping[str, str], times: int) -> None:
    """Ask on all connections at once, so that the daemon and not the client is what everybody waits for."""
    for _ in range(times):
        for client in clients:
            client.send("GET", path, headers=headers)
        for client in clients:
            assert client.receive().status == 200


def turns_taken(daemon: Daemon, clients: list[Connection], paths: tuple[str, str], headers: Mapping[str, str]) -> list[Any]:
    """Calls per second of two paths, by turns: as often as connections last; the first turn is there to warm them."""
    assert daemon.process is not None
    pairs = []
    for number in range(TURNS):
        found = {path: calls_per_s(daemon.process.pid, clients, path, headers) for path in (paths if number % 2 == 0 else paths[::-1])}
        pairs.append((found[paths[0]], found[paths[1]]))
    return pairs


def against_bare(daemon: Daemon, pki: PeerPki, path: str, bearer: str | None = None) -> dict[str, float]:
    """Processor time is compared, not wall time: what else runs here must not count for or against either side.

    The two take turns on the same connections, each for a tenth of a second, so that a machine that slows down meets both.
    """
    headers = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
    pairs = []
    for _ in range(ROUNDS):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(connected(daemon.public_url, ([pki.leaf()], pki.key))) for _ in range(CONNECTIONS)]
            pairs += turns_taken(daemon, clients, (path, BARE + path), headers)[1:]
    return {
        "figure": statistics.median(ours[1] / bare[1] for ours, bare in pairs),
        "wall_ratio": statistics.median(ours[0] / bare[0] for ours, bare in pairs),
        "ours_per_s": statistics.median(ours[0] for ours, _ in pairs),
        "bare_per_s": statistics.median(bare[0] for _, bare in pairs),
        "ours_per_processor_s": statistics.median(ours[1] for ours, _ in pairs),
        "bare_per_processor_s": statistics.median(bare[1] for _, bare in pairs),
    }


@contextlib.contextmanager
def with_a_peer() -> Iterator[tuple[Daemon, PeerPki]]:
    """A daemon that has the bare paths too, and somebody who is its peer."""
    with scratch() as folder:
        daemon = Daemon("a", folder / "a", QUIET + RATES, launcher=("-m", "tests.bench.daemon_with_bare_path"))
        with running(daemon):
            yield daemon, become_peer(daemon.login())


def peer_calls() -> dict[str, float]:
    with with_a_peer() as (daemon, pki):
        return against_bare(daemon, pki, f"{FEDERATION_API}/trust_bundle")


def granted_reads() -> dict[str, float]:
    """One record of the catalogue, read under a grant with a bearer; each read is judged anew."""
    with with_a_peer() as (daemon, pki):
        with connected(daemon.public_url, ([pki.leaf()], pki.key)) as peer:
            assert peer.request("GET", f"{FEDERATION_API}/trust_bundle").status == 200
        made = daemon.call("POST", "/api/v1/system/platform/resources/NodeModule", {"attributes": MODULE})
        assert made.status == 201, made.body
        peer_id = daemon.call("GET", PEERS).data[0]["id"]
        granted = daemon.call("POST", f"{PEERS}/{peer_id}/grants", GRANT)
        assert granted.status == 201, granted.body
        path = f"{FEDERATION_API}/resources/NodeModule/{made.data['resource']['id']}"
        return against_bare(daemon, pki, path, granted.data["bearer_token"])


# --- pairing -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def far_platforms(folder: Path, count: int, more: str = "") -> Iterator[list[Daemon]]:
    """So many platforms in one process of their own, their operators signed in. `more`: lines of their section `[federation]`."""
    command = [sys.executable, "-m", "tests.bench.platforms", str(folder), str(count), more]
    with (folder / "far.log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            assert process.stdout is not None
            yield [_far(str(number), folder, process.stdout.readline()).login() for number in range(count)]
        finally:
            process.kill()


def _far(name: str, folder: Path, line: str) -> Daemon:
    facts = json.loads(line)
    return Daemon(name, folder / name, facts=facts, email=facts["first_operator"]["email"], password=facts["first_operator"]["password"])


def pair_once(hub: Daemon, far: Daemon) -> float:
    """Seconds from the invitation in the hands of the far operator until both platforms call each other active."""
    proposed = hub.call("POST", PEERS, {"remote_instance_url": far.public_url})
    assert proposed.status == 201, proposed.body
    began = _CLOCK.now()
    accepted = far.call("POST", f"{PEERS}/accept", {"invitation": proposed.data["invitation"]})
    assert accepted.status == 200, accepted.body
    poll(lambda: hub.status(proposed.data["peer"]["id"]) == "active", every_s=0.002)
    poll(lambda: far.status(accepted.data["peer"]["id"]) == "active", every_s=0.002)
    return _CLOCK.now() - began


@functools.cache
def paired() -> dict[str, float]:
    """A hub pairs with many platforms one after the other; what each took, and what the hub weighs afterwards."""
    with scratch() as folder, daemons(folder, "hub", more=RATES) as (hub,), far_platforms(folder, PAIRINGS) as others:
        times = sorted(pair_once(hub, far) for far in others)
        assert hub.process is not None
        weight = resident_mb(hub.process.pid)
    return {"p50_ms": 1e3 * statistics.median(times), "p99_ms": 1e3 * times[-1 - PAIRINGS // 100], "resident_mb": weight}


def pairing_median() -> dict[str, float]:
    return {"figure": paired()["p50_ms"]}


def pairing_slowest() -> dict[str, float]:
    return {"figure": paired()["p99_ms"]}


def weight_after_pairing() -> dict[str, float]:
    return {"figure": paired()["resident_mb"]}


# --- start -------------------------------------------------------------------------------------------------------------


def start_s(daemon: Daemon) -> tuple[float, float]:
    """Seconds from the start of the process to its ready line, and the processor seconds that it used until then."""
    began = _CLOCK.now()
    with running(daemon):
        took = _CLOCK.now() - began
        assert daemon.process is not None
        return took, processor_s(daemon.process.pid)


def starts(daemon: Callable[[int], Daemon]) -> dict[str, float]:
    found = [start_s(daemon(number)) for number in range(STARTS)]
    wall, processor = (statistics.median(times) for times in zip(*found, strict=True))
    return {"figure": 1e3 * wall, "best_ms": 1e3 * min(took for took, _ in found), "processor_ms": 1e3 * processor}


def fresh_start() -> dict[str, float]:
    """With an empty data folder: keys, certificates and the first operator are made on the way."""
    with scratch() as folder:
        return starts(lambda number: Daemon(str(number), folder / str(number), QUIET))


def start_with_peers() -> dict[str, float]:
    """With many peers in the store, every second of them active."""
    with scratch() as folder:
        daemon = Daemon("a", folder / "a", QUIET)
        start_s(daemon)
        plant_peers(store_file(daemon.data), KNOWN_PEERS)
        return starts(lambda number: daemon)


def list_of_peers() -> dict[str, float]:
    """The operator turns the pages of all peers, over loopback, answer and its reading included."""
    with scratch() as folder:
        daemon = Daemon("a", folder / "a", QUIET)
        start_s(daemon)
        plant_peers(store_file(daemon.data), KNOWN_PEERS)
        with running(daemon):
            times = sorted(page_times(daemon.login()))
    return {"figure": 1e3 * times[int(len(times) * 0.99)], "p50_ms": 1e3 * statistics.median(times), "pages": len(times)}


def page_times(daemon: Daemon) -> Iterator[float]:
    """Seconds of each page of a hundred, all peers twice over."""
    for _ in range(2):
        cursor = ""
        while cursor is not None:
            began = _CLOCK.now()
            page = daemon.call("GET", f"{PEERS}?limit=100{cursor and '&cursor='}{cursor}")
            yield _CLOCK.now() - began
            assert page.status == 200, page.body
            assert page.body is not None
            cursor = page.body["meta"].get("next_cursor")


def plant_peers(path: Path, count: int) -> None:
    """Write peers into the store of a daemon that does not run."""
    delivered: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    store = SqliteStore.open(path, KINDS, deliver=delivered.put)
    try:
        account_id = store.meta_get("account_id")
        assert account_id is not None
        pki = PeerPki.make(common_name=f"fed:{INSTANCE_ID}", now=_CLOCK.wall())
        make = functools.partial(planted_peer, account_id=account_id, pki=pki, wall=_CLOCK.wall())
        results: list[object] = []
        store.commit([Unit((Put("peer", make(number)),)) for number in range(count)], results.append)
        delivered.get()()
        assert isinstance(results[0], tuple), results
        assert store.count(Query("peer")) == count
    finally:
        store.close()


def planted_peer(number: int, *, account_id: str, pki: PeerPki, wall: float) -> PeerRecord:
    """Even numbers wait for their token to be redeemed, odd ones are active."""
    proposed = PeerRecord(
        id=f"0190c0de-0000-7000-8000-{number:012x}",
        account_id=account_id,
        remote_instance_url=f"https://peer-{number}.example:8443",
        status_since=wall,
        acceptance_token_digest=f"{number:064x}",
        acceptance_token_expires_at=wall + 86_400.0 + number,
        created_at=wall,
        updated_at=wall,
    )
    if number % 2 == 0:
        return proposed
    anchor = TrustedAnchor(pki.ca.fingerprint, pki.ca.pem, wall + 86_400.0 * 365)
    return evolve(
        proposed,
        status="active",
        acceptance_token_digest=None,
        acceptance_token_expires_at=None,
        inbound_subject=f"fed:{proposed.id}",
        remote_instance_id=f"0190c0de-1111-7000-8000-{number:012x}",
        outbound=OutboundIdentity(pki.ca.pem, b"sealed" * 20, f"{number:x}", wall, wall + 90 * 86_400.0),
        trusted_anchors=(anchor,),
        trust_mode="symmetric",
        trust_status="established",
        inbound_proven_at=wall,
    )


FIGURES = [
    Figure("calls of a peer over kept mTLS / a bare ASGI callable", ">= 0.75", "x", peer_calls, 0.75),
    Figure("reads of a resource under a grant / a bare ASGI callable", ">= 0.7", "x", granted_reads, 0.7),
    Figure("list of 100 of 10,000 peers, 99th percentile", "<= 30", "ms", list_of_peers, 30.0, "lower"),
    Figure("invitation to active on both sides, median of 50", "<= 300", "ms", pairing_median, 300.0, "lower"),
    Figure("invitation to active on both sides, 99th percentile", "<= 1000", "ms", pairing_slowest, 1000.0, "lower"),
    Figure("resident memory of a daemon after 50 pairings", "<= 100", "MB", weight_after_pairing, 100.0, "lower"),
    Figure("start of a fresh daemon to its ready line", "<= 1000", "ms", fresh_start, 1000.0, "lower"),
    Figure("start of a daemon with 10,000 peers", "<= 2000", "ms", start_with_peers, 2000.0, "lower"),
]
