"""Figures of peer channels: what heartbeats through them cost one daemon, and how soon a change shows at a connected peer.

Lives here: a real hub, and real far platforms in a process of their own, on loopback. Must not live here: a timed assertion.
The figures for 10,000 peers are scaled up from what was measured with fewer: processor time by the number of heartbeats, memory by what
each peer adds once the first ones have loaded what all share.
"""

from __future__ import annotations

import functools
import json
import statistics
from typing import Any

import trio
from trio_websocket import open_websocket_url

from runtime.clock import SystemClock
from tests.bench.bench_daemon import far_platforms, pair_once, processor_s, resident_mb, scratch
from tests.bench.figures import Figure
from tests.support.daemons import PEERS, Daemon, daemons, poll

PEERS_MEASURED = 24
PEERS_FIRST = 8
PEERS_SCALED_TO = 10_000
INTERVAL_S = 0.5
INTERVAL_SCALED_TO_S = 60.0
WATCHED_S = 20.0

SETTINGS = f"""\
heartbeat_interval = "{int(INTERVAL_S * 1000)}ms"
stale_after = "5m"
channel.enabled = true
"""
RATES = "".join(
    f"[federation.rate_limits.{name}]\nrate = 1000000\nburst = 1000000\n"
    for name in ("heartbeat_per_peer", "propose_per_operator", "accept_per_source", "accept_overall", "login_per_source")
)

_CLOCK = SystemClock()


@functools.cache
def measured() -> dict[str, float]:
    """A hub with a channel to each of several platforms: what a heartbeat costs it, what a peer weighs, how soon a pause shows."""
    more = SETTINGS + RATES
    with scratch() as folder, daemons(folder, "hub", more=more) as (hub,), far_platforms(folder, PEERS_MEASURED, more) as far:
        assert hub.process is not None
        light = 0.0
        for number, platform in enumerate(far, 1):
            pair_once(hub, platform)
            poll(lambda number=number: opened(hub) >= number, every_s=0.1)  # type: ignore[misc]
            if number == PEERS_FIRST:
                light = resident_mb(hub.process.pid)
        began, used = _CLOCK.now(), processor_s(hub.process.pid)
        trio.run(trio.sleep, WATCHED_S)
        share = (processor_s(hub.process.pid) - used) / (_CLOCK.now() - began)
        heavy = resident_mb(hub.process.pid)
        waits = sorted(trio.run(pauses, hub, far))
    per_beat_s = share * INTERVAL_S / (2 * PEERS_MEASURED)
    per_peer_mb = (heavy - light) / (PEERS_MEASURED - PEERS_FIRST)
    return {
        "beat_ms": 1e3 * per_beat_s,
        "share_percent": 100 * per_beat_s * 2 * PEERS_SCALED_TO / INTERVAL_SCALED_TO_S,
        "peer_mb": per_peer_mb,
        "weight_mb": light + per_peer_mb * (PEERS_SCALED_TO - PEERS_FIRST),
        "p50_ms": 1e3 * statistics.median(waits),
        "p99_ms": 1e3 * waits[-1],
    }


def opened(hub: Daemon) -> int:
    """How many channels the log of the hub says were opened."""
    return hub.log_file.read_text().count("a channel opened")


async def pauses(hub: Daemon, far: list[Daemon]) -> list[float]:
    """Seconds from an operator's request at the hub to the event that it causes at each far platform."""
    found: list[float] = []
    by_url = {row["remote_instance_url"]: str(row["id"]) for row in hub.call("GET", f"{PEERS}?limit=200").data}
    for platform in far:
        url = f"ws{platform.url.removeprefix('http')}/api/v1/events"
        async with open_websocket_url(url, extra_headers=[("authorization", f"Bearer {platform.token}")]) as stream:
            began = _CLOCK.now()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, hub.call, "POST", f"{PEERS}/{by_url[platform.public_url]}/suspend", {})
                while True:
                    event: dict[str, Any] = json.loads(await stream.get_message())
                    if event["kind"] == "federation.peer.degraded":
                        found.append(_CLOCK.now() - began)
                        break
    return found


def figure(name: str) -> dict[str, float]:
    values = measured()
    return {"figure": values[name], **values}


FIGURES = (
    Figure("channel: a pause shows at a connected peer, p50, ms", "<= 10", "ms", lambda: figure("p50_ms"), 10.0, "lower"),
    Figure("channel: a pause shows at a connected peer, slowest of 24, ms", "<= 50", "ms", lambda: figure("p99_ms"), 50.0, "lower"),
    Figure("channel: beats of 10,000 peers, scaled from 24, % of a core", "<= 50", "%", lambda: figure("share_percent"), 50.0, "lower"),
    Figure("channel: weight with 10,000 peers, scaled from 24, MB", "<= 800", "MB", lambda: figure("weight_mb"), 800.0, "lower"),
)
