"""Figures of peer channels: what many peers on channels cost one daemon, and how soon a change here shows at a peer over there.

Lives here: a real hub on loopback, a crowd of peers that can only dial out in a process of its own (`tests.bench.crowd`), and real far
platforms in another. Must not live here: a timed assertion.

With N peers instead of 10,000 each beats so much more often that the hub has as many heartbeats a second as with 10,000 peers that beat
once a minute: processor time is measured at the full rate. Memory is scaled: what a hub weighs without peers, and 10,000 times what each
peer adds. Both processes share the machine's processors with whatever else runs there.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import trio
from trio_websocket import open_websocket_url

from actors.peer.peer_events import CATALOGUE_CHANGED
from runtime.clock import SystemClock
from tests.bench.bench_daemon import far_platforms, pair_once, processor_s, resident_mb, scratch
from tests.bench.crowd import peer_id, plant
from tests.bench.figures import Figure
from tests.support.daemons import PEERS, Daemon, daemons, poll
from tests.support.services import OFFERINGS, WIKI

CROWD = int(os.environ.get("BENCH_CHANNELS", "2000"))
"""How many peers; a variable, because a quiet machine can have all 10,000 (20,000 open files for each of the two processes)."""
SCALED_TO = 10_000
INTERVAL_SCALED_TO_S = 60.0
WATCHED_S = 60.0
CONNECTED = 1_000
CHANGES = 60
CATALOGUE_CHANGES = 20
FAR = 4
FEW = 10

LIMITS = ("heartbeat_per_peer", "channels_per_peer", "peer_events_per_peer", "propose_per_operator", "accept_per_source", "accept_overall")
RATES = "".join(f"[federation.rate_limits.{name}]\nrate = 1000000\nburst = 1000000\n" for name in LIMITS)

_CLOCK = SystemClock()


def settings(interval_s: float) -> str:
    return f'heartbeat_interval = "{int(1e3 * interval_s)}ms"\nstale_after = "24h"\nchannel.enabled = true\n{RATES}'


class Crowd:
    """The other process, and the pipe to it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.opened = self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the crowd has gone"
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.read()

    def heard(self, needle: str) -> list[float]:
        """When each member heard of it; waits until all have."""
        return poll(lambda: None not in (times := self.ask(f"heard {needle}")["heard"]) and times, every_s=0.1)  # type: ignore[no-any-return]


@contextlib.contextmanager
def hub_with(folder: Path, known: int, connected: int, interval_s: float, beats: bool) -> Iterator[tuple[Daemon, Crowd, float]]:
    """A hub that knows so many peers, of which so many hold channels; and what it weighed while it knew nobody, in MB."""
    hub = Daemon("hub", folder / "hub", settings(interval_s))
    hub.start().login()
    assert hub.process is not None
    empty = resident_mb(hub.process.pid)
    hub.stop()
    plant(hub.data, known, connected)
    hub.start().login()
    port = hub.public_url.rpartition(":")[2]
    command = [sys.executable, "-m", "tests.bench.crowd", port, "0", str(connected), str(interval_s if beats else 0)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield hub, Crowd(process), empty
        finally:
            process.kill()
            hub.kill()


@functools.cache
def crowded() -> dict[str, float]:
    """What a hub with a crowd of beating peers uses."""
    interval_s = INTERVAL_SCALED_TO_S * CROWD / SCALED_TO
    with scratch() as folder, hub_with(folder, CROWD, CROWD, interval_s, beats=True) as (hub, crowd, empty):
        assert hub.process is not None
        trio.run(trio.sleep, 2 * interval_s)
        began, used, load_used = _CLOCK.now(), processor_s(hub.process.pid), processor_s(crowd.process.pid)
        before = crowd.ask("count")
        trio.run(trio.sleep, WATCHED_S)
        took = _CLOCK.now() - began
        share = (processor_s(hub.process.pid) - used) / took
        load = (processor_s(crowd.process.pid) - load_used) / took
        after, weight = crowd.ask("count"), resident_mb(hub.process.pid)
    answered = after["statuses"].get("200", 0) - before["statuses"].get("200", 0)
    peer_mb = (weight - empty) / CROWD
    return {
        "peers": float(CROWD),
        "share_percent": 100 * share,
        "load_percent": 100 * load,
        "heartbeats_answered_per_s": answered / took,
        "channels_lost": float(after["ended"]),
        "measured_mb": weight,
        "empty_mb": empty,
        "peer_kb": 1e3 * peer_mb,
        "weight_mb": empty + SCALED_TO * peer_mb,
    }


@functools.cache
def told() -> dict[str, float]:
    """How soon the last of many connected peers hears of a change of the catalogue, which concerns all."""
    lasts: list[float] = []
    with scratch() as folder, hub_with(folder, CONNECTED, CONNECTED, 3_600.0, beats=False) as (hub, crowd, _):
        made = hub.call("POST", OFFERINGS, WIKI)
        assert made.status == 201, made.body
        path = f"{OFFERINGS}/{made.data['offering']['id']}"
        assert hub.call("POST", f"{path}/activate", {}).status == 200
        crowd.heard(CATALOGUE_CHANGED)
        for number in range(CATALOGUE_CHANGES):
            crowd.ask("forget")
            began = _CLOCK.now()
            assert hub.call("PATCH", path, {"name": f"Wiki {number}"}).status == 200
            lasts.append(max(crowd.heard(CATALOGUE_CHANGED)) - began)
    lasts.sort()
    return {"p50_ms": 1e3 * statistics.median(lasts), "p99_ms": 1e3 * lasts[-1]}


# --- one peer --------------------------------------------------------------------------------------------------------------


def grant(hub: Daemon, id: str) -> str:
    body = {"remote_subject": "bench", "resource_kind": "NodeModule", "permission_scopes": ["read", "write"]}
    reply = hub.call("POST", f"{PEERS}/{id}/grants", body)
    assert reply.status == 201, reply.body
    return str(reply.data["grant"]["id"])


def cost_of_changes(known: int) -> float:
    """Processor seconds of a hub for each grant that is given to one of so many known peers and taken back, told over its channel.

    Only few of them are active, so that nothing but the changes is measured.
    """
    with scratch() as folder, hub_with(folder, known, FEW, 3_600.0, beats=False) as (hub, crowd, _):
        assert hub.process is not None
        paths = [f"{PEERS}/{peer_id(number)}/grants" for number in range(FEW)]
        change(hub, crowd, 0, paths)
        used = processor_s(hub.process.pid)
        for number in range(CHANGES):
            change(hub, crowd, number % FEW, paths)
        return (processor_s(hub.process.pid) - used) / CHANGES


def change(hub: Daemon, crowd: Crowd, number: int, paths: list[str]) -> None:
    """Give a grant to one peer, take it back, and wait until that peer has heard of it."""
    id = grant(hub, peer_id(number))
    assert hub.call("POST", f"{paths[number]}/{id}/revoke", {}).status == 200
    taken_back = f'"{id}","change":"revoked"'
    poll(lambda: crowd.ask(f"heard {taken_back}")["heard"][number] is not None, every_s=0.01)


def one_peer_ratio() -> dict[str, float]:
    few, many = cost_of_changes(FEW), cost_of_changes(SCALED_TO)
    return {"figure": many / few, "few_ms": 1e3 * few, "many_ms": 1e3 * many}


@functools.cache
def shown() -> dict[str, float]:
    """Milliseconds from an operator's request that gives or takes back a grant to the event at the real platform that holds it."""
    more = settings(INTERVAL_SCALED_TO_S)
    with scratch() as folder, daemons(folder, "hub", more=more) as (hub,), far_platforms(folder, FAR, more) as far:
        for number, platform in enumerate(far, 1):
            pair_once(hub, platform)
            poll(lambda number=number: opened(hub) >= number, every_s=0.1)  # type: ignore[misc]
        given, taken = trio.run(changes, hub, far)
    return {
        f"{what}_{name}": 1e3 * seconds
        for what, waits in (("given", sorted(given)), ("taken", sorted(taken)))
        for name, seconds in (("p50_ms", statistics.median(waits)), ("p99_ms", waits[min(len(waits) - 1, len(waits) * 99 // 100)]))
    }


def opened(hub: Daemon) -> int:
    """How many channels the log of the hub says were opened."""
    return hub.log_file.read_text().count("a channel opened")


async def changes(hub: Daemon, far: list[Daemon]) -> tuple[list[float], list[float]]:
    """Grants to each platform, given and taken back one after the other while that platform's events are followed."""
    given: list[float] = []
    taken: list[float] = []
    by_url = {row["remote_instance_url"]: str(row["id"]) for row in hub.call("GET", f"{PEERS}?limit=200").data}
    for platform in far:
        at_hub = by_url[platform.public_url]
        (row,) = platform.call("GET", PEERS).data
        url = f"ws{platform.url.removeprefix('http')}/api/v1/events"
        async with open_websocket_url(url, extra_headers=[("authorization", f"Bearer {platform.token}")]) as stream:
            for _ in range(CHANGES // FAR):
                body = {"remote_subject": "bench", "resource_kind": "NodeModule", "permission_scopes": ["read"]}
                took_s, grant = await until_told(stream, "announced", functools.partial(hub.call, "POST", f"{PEERS}/{at_hub}/grants", body))
                given.append(took_s)
                kept = platform.call("POST", f"{PEERS}/{row['id']}/received_grants", {"bearer_token": grant["bearer_token"]})
                assert kept.status == 201, kept.body
                path = f"{PEERS}/{at_hub}/grants/{grant['grant']['id']}/revoke"
                took_s, _ = await until_told(stream, "refused", functools.partial(hub.call, "POST", path, {}))
                taken.append(took_s)
    return given, taken


async def until_told(stream: Any, what: str, call: Callable[[], Any]) -> tuple[float, Any]:
    """How long it takes, in seconds, from an operator's call here to the event over there; and the call's answer."""
    answers: list[Any] = []
    began = _CLOCK.now()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, lambda: answers.append(call()))
        while json.loads(await stream.get_message())["kind"] != f"federation.received_grant.{what}":
            pass
        took_s = _CLOCK.now() - began
    return took_s, answers[0].data


def named(measured: Callable[[], dict[str, float]], name: str) -> Callable[[], dict[str, float]]:
    def figure() -> dict[str, float]:
        values = measured()
        return {"figure": values[name], **values}

    return figure


FIGURES = (
    Figure("channel: an issued grant shows at its connected holder, p50, ms", "<= 10", "ms", named(shown, "given_p50_ms"), 10.0, "lower"),
    Figure("channel: an issued grant shows at its connected holder, p99, ms", "<= 50", "ms", named(shown, "given_p99_ms"), 50.0, "lower"),
    Figure("channel: a revoked grant shows at its connected holder, p50, ms", "<= 10", "ms", named(shown, "taken_p50_ms"), 10.0, "lower"),
    Figure("channel: a revoked grant shows at its connected holder, p99, ms", "<= 50", "ms", named(shown, "taken_p99_ms"), 50.0, "lower"),
    Figure("channel: a catalogue change at the last of 1,000 peers, p99, ms", "<= 500", "ms", named(told, "p99_ms"), 500.0, "lower"),
    Figure("channel: a change for one peer, 10,000 known / 10 known", "<= 1.5", "x", one_peer_ratio, 1.5, "lower"),
    Figure("channel: beats of 10,000 peers, % of a core", "<= 50", "%", named(crowded, "share_percent"), 50.0, "lower"),
    Figure("channel: weight with 10,000 peers, scaled, MB", "<= 800", "MB", named(crowded, "weight_mb"), 800.0, "lower"),
)
