"""Figures of the running daemon: calls of peers, pairing, start, memory.

Lives here: real processes on loopback, driven from outside. Must not live here: a timed assertion; the targets are shown, not tested.
Seconds are those of a machine that does nothing else; where other work shares its processors they grow with the waiting.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from runtime.clock import SystemClock
from tests.bench.figures import Figure
from tests.support.certificates import INSTANCE_ID, PeerPki
from tests.support.daemons import PEERS, Daemon
from tests.support.tls_client import FEDERATION_API, Connection, accept_body, connected

CONNECTIONS = 4
CALLS_PER_CONNECTION = 200
ROUNDS = 9

QUIET = """\
heartbeat_interval = "1h"
stale_after = "3h"
heartbeat.eager = false
"""
RATES = "".join(
    f"[federation.rate_limits.{name}]\nrate = 1000000\nburst = 1000000\n"
    for name in ("heartbeat_per_peer", "trust_bundle_per_peer", "propose_per_operator", "accept_per_source", "accept_overall")
)

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
    """Processor seconds that a process has used so far, by all its threads (proc(5), `utime` and `stime`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


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


def calls_per_s(daemon: Daemon, pki: PeerPki, path: str) -> tuple[float, float]:
    """Requests per second of wall time, and per second of the daemon's processor time, over connections already warm."""
    assert daemon.process is not None
    pid = daemon.process.pid
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(daemon.public_url, ([pki.leaf()], pki.key))) for _ in range(CONNECTIONS)]
        together(clients, path, 5)
        began, used = _CLOCK.now(), processor_s(pid)
        together(clients, path, CALLS_PER_CONNECTION)
        calls = CONNECTIONS * CALLS_PER_CONNECTION
        return calls / (_CLOCK.now() - began), calls / (processor_s(pid) - used)


def together(clients: list[Connection], path: str, times: int) -> None:
    """Ask on all connections at once, so that the daemon and not the client is what everybody waits for."""
    for _ in range(times):
        for client in clients:
            client.send("GET", path)
        for client in clients:
            assert client.receive().status == 200


def peer_calls() -> dict[str, float]:
    """Processor time is compared, not wall time: what else runs here must not count for or against either side."""
    with scratch() as folder:
        daemon = Daemon("a", folder / "a", QUIET + RATES, launcher=("-m", "tests.bench.daemon_with_bare_path"))
        with running(daemon):
            pki = become_peer(daemon.login())
            calls_per_s(daemon, pki, f"{FEDERATION_API}/trust_bundle")
            pairs = []
            for number in range(ROUNDS):
                paths = [f"{FEDERATION_API}/trust_bundle", "/bare"]
                found = {path: calls_per_s(daemon, pki, path) for path in (paths if number % 2 == 0 else paths[::-1])}
                pairs.append((found[paths[0]], found[paths[1]]))
    return {
        "figure": statistics.median(ours[1] / bare[1] for ours, bare in pairs),
        "wall_ratio": statistics.median(ours[0] / bare[0] for ours, bare in pairs),
        "ours_per_s": statistics.median(ours[0] for ours, _ in pairs),
        "bare_per_s": statistics.median(bare[0] for _, bare in pairs),
        "ours_per_processor_s": statistics.median(ours[1] for ours, _ in pairs),
        "bare_per_processor_s": statistics.median(bare[1] for _, bare in pairs),
    }


FIGURES = [
    Figure("calls of a peer over kept mTLS / a bare ASGI callable", ">= 0.75", "x", peer_calls, 0.75),
]
