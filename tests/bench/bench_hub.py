"""What a hub costs: calls of a peer that go through it against the same calls at the platform's own port, in one run.

Lives here: two real daemons on loopback, a hub and a platform behind it that can also be dialled directly, and one client. Processor
time of both daemons together is compared, so that what else runs on the machine counts for neither side.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from runtime.clock import SystemClock
from tests.bench.bench_daemon import CONNECTIONS, RATES, become_peer, processor_s, running, scratch, together
from tests.bench.figures import Figure
from tests.support.certificates import PeerPki
from tests.support.daemons import PEERS, Daemon, poll, propose
from tests.support.tls_client import FEDERATION_API, connected

CALLS_PER_CONNECTION = 200
NEW_CONNECTIONS = 60
ROUNDS = 7
PATH = f"{FEDERATION_API}/trust_bundle"

CHANNELS = 'channel.enabled = true\nheartbeat_interval = "5s"\nstale_after = "1h"\n'
HUB = "hub.enabled = true\nhub.new_connections_per_peer = 1000000\nhub.new_connections_per_source = 1000000\nhub.rate_bytes = 1073741824\n"
HUB += "hub.rate_bytes_per_peer = 1073741824\n"
FETCHED = "[federation.rate_limits.relayed_per_peer]\nrate = 1000000\nburst = 1000000\n"

_CLOCK = SystemClock()


@attrs.frozen
class Relayed:
    """A hub, a platform behind it, and a peer of that platform."""

    hub: Daemon
    behind: Daemon
    pki: PeerPki

    def spent_s(self) -> float:
        """Processor seconds of both daemons until now."""
        assert self.hub.process is not None
        assert self.behind.process is not None
        return processor_s(self.hub.process.pid) + processor_s(self.behind.process.pid)

    def measured(self, work: Callable[[str | None], int], at: str | None) -> tuple[float, float]:
        """Operations of `work` per second of wall time, and per second of processor time."""
        began, spent = _CLOCK.now(), self.spent_s()
        count = work(at)
        return count / (_CLOCK.now() - began), count / (self.spent_s() - spent)

    def compared(self, work: Callable[[str | None], int]) -> dict[str, float]:
        """`work` through the hub against `work` at the platform's own port."""
        work(self.hub.public_url)
        pairs = []
        for number in range(ROUNDS):
            sides = [self.hub.public_url, None]
            found = {side: self.measured(work, side) for side in (sides if number % 2 == 0 else sides[::-1])}
            pairs.append((found[sides[0]], found[sides[1]]))
        return {
            "figure": statistics.median(relayed[1] / direct[1] for relayed, direct in pairs),
            "wall_ratio": statistics.median(relayed[0] / direct[0] for relayed, direct in pairs),
            "relayed_per_s": statistics.median(relayed[0] for relayed, _ in pairs),
            "direct_per_s": statistics.median(direct[0] for _, direct in pairs),
            "relayed_per_processor_s": statistics.median(relayed[1] for relayed, _ in pairs),
            "direct_per_processor_s": statistics.median(direct[1] for _, direct in pairs),
        }

    def calls(self, at: str | None) -> int:
        """Calls over connections that are kept."""
        with contextlib.ExitStack() as stack:
            presented = [self.pki.leaf()], self.pki.key
            clients = [stack.enter_context(connected(self.behind.public_url, presented, at=at)) for _ in range(CONNECTIONS)]
            together(clients, PATH, {}, CALLS_PER_CONNECTION)
        return CONNECTIONS * CALLS_PER_CONNECTION

    def connections(self, at: str | None) -> int:
        """One call for each connection."""
        presented = [self.pki.leaf()], self.pki.key
        for _ in range(NEW_CONNECTIONS):
            with connected(self.behind.public_url, presented, at=at) as client:
                assert client.request("GET", PATH).status == 200
        return NEW_CONNECTIONS


def named(folder: Path) -> Daemon:
    """A platform that is to be started, with a name that leads nowhere and a port of its own that whoever knows it can dial."""
    found = Daemon("b", folder / "b", CHANNELS + RATES + FETCHED)
    with running(found):
        port = found.public_url.rpartition(":")[2]
    found.environment = {"POWERNODE_SERVER_PUBLIC_URL": f"https://b.invalid:{port}"}
    return found


def join(hub: Daemon, behind: Daemon) -> None:
    """Pair the two, with the consent of both sides to relaying."""
    at_hub, _, invitation = propose(hub, behind)
    accepted = behind.call("POST", f"{PEERS}/accept", {"invitation": invitation})
    assert accepted.status == 200, accepted.body
    at_it = accepted.data["peer"]["id"]
    poll(lambda: behind.call("POST", f"{PEERS}/{at_it}/heartbeat", {}).status == 200)
    poll(lambda: hub.call("POST", f"{PEERS}/{at_hub}/heartbeat", {}).status == 200)
    assert hub.call("POST", f"{PEERS}/{at_hub}/hub/permit", {}).status == 200
    assert behind.call("POST", f"{PEERS}/{at_it}/hub/use", {}).status == 200


@contextlib.contextmanager
def relayed() -> Iterator[Relayed]:
    with scratch() as folder, running(Daemon("h", folder / "h", CHANNELS + HUB + RATES)) as hub, running(named(folder)) as behind:
        join(hub.login(), behind.login())
        yield Relayed(hub, behind, become_peer(behind))


@functools.cache
def figures() -> tuple[dict[str, float], dict[str, float]]:
    """Both comparisons, with the same daemons."""
    with relayed() as found:
        return found.compared(found.calls), found.compared(found.connections)


# A connection through a hub is three handshakes in place of one, and a message on the channel: a fifth is what that leaves.
FIGURES = (
    Figure("hub: calls, through it ÷ directly", ">= 0.5", "x", lambda: figures()[0], 0.5),
    Figure("hub: new connections, through it ÷ directly", ">= 0.2", "x", lambda: figures()[1], 0.2),
)
