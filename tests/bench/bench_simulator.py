"""Figures of the simulator: events, seeds, a thousand platforms for a day, and the same scenario under SimPy.

An *event* is one of these, each counted once when it happens:

* something that fell due on the world's timeline: a timer of a platform, the arrival of a request or an answer, a step of a connection;
* a turn of an actor: one message handled;
* a frame between two hosts: a request or an answer, noted for the trace;
* a unit of writes that became durable.

Waking a platform that is ready to run is not counted. A heartbeat and its answer make about fifteen events on both sides together, with
the look at the evidence and its flushes. Turns, frames and exchanges per second stand beside the figure, since they mean the same to
everybody. Times are processor time of this process. Worlds are those of `sim run`: production actors, the trace, and (where a
scenario runs) every safety checker, and garbage is looked for as seldom as during any run of a scenario, on SimPy's side too.
"""

from __future__ import annotations

import gc
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import simpy

from runtime.actor import Actor, Ref, handles
from runtime.crash_policy import SupervisedCrashes
from runtime.engine import Engine
from runtime.random import SeededRandomness
from runtime.trace import Trace
from sim.clock import HostClock, Timeline
from sim.garbage import seldom_collected
from sim.links import Link
from sim.scenario.load import parse
from sim.scenario.run import Result, run
from sim.scenario.schema import Scenario
from sim.store import MemoryStore
from sim.sweep import quiet, sweep
from sim.world import Host, World
from tests.bench.figures import Figure, ratio

ROOT = Path(__file__).parent.parent.parent
PEERS = "/api/v1/system/platform/peers"
DAY_S = 86_400.0
HEARTBEAT_S = 60.0


def spent_s(work: Callable[[], Any]) -> float:
    """Processor time of `work`, seconds."""
    gc.collect()
    gc.freeze()
    started = time.process_time()
    with seldom_collected():
        work()
    spent = time.process_time() - started
    gc.unfreeze()
    return spent


# --- whole scenarios ------------------------------------------------------------------------------------------------


def federation(platforms: int, for_s: float) -> Scenario:
    """Platforms in a ring of pairs, each pair made by `propose` and `accept`, and then time."""
    names = [f"p{number}" for number in range(platforms)]
    pairs = list(zip(names, [*names[1:], names[0]], strict=True)) if platforms > 2 else [(names[0], names[1])]
    steps = []
    for one, other in pairs:
        steps += [("0s", "propose", one, other), ("0s", "propose", other, one), ("1s", "accept", other, one)]
    text = f'name = "bench"\ndescription = "a ring"\n[world]\nfor = {for_s}\n'
    text += "".join(f'[[platform]]\nname = "{name}"\n' for name in names)
    text += "".join(f'[[at]]\nt = "{t}"\ndo = "{do}"\non = "{on}"\npeer = "{peer}"\n' for t, do, on, peer in steps)
    return parse(text, "bench.toml")


def events_per_second() -> dict[str, float]:
    """Ten platforms for two hours, all checkers on."""
    quiet()
    scenario = federation(10, 7_200.0)
    run(scenario, 1)
    results: list[Result] = []
    spent = spent_s(lambda: results.append(run(scenario, 2)))
    (result,) = results
    assert result.passed
    return {
        "figure": result.events / spent,
        "turns_per_s": result.turns / spent,
        "events": result.events,
        "virtual_s_per_s": 7_200.0 / spent,
    }


def length_of(events: int) -> float:
    """How long two platforms must run until about so many events have happened."""
    for_s = 2.0
    while run(federation(2, for_s), 1).events < events:
        for_s += 20.0
    return for_s


def small(events: int, seeds: int) -> dict[str, float]:
    """Two platforms from the first proposal on, as many seeds per second as there are."""
    quiet()
    scenario = federation(2, length_of(events))
    counted = [run(scenario, seed).events for seed in range(20)]
    spent = spent_s(lambda: list(sweep((scenario, seed) for seed in range(100, 100 + seeds))))
    return {"figure": seeds / spent, "events": sum(counted) / len(counted), "virtual_s": scenario.world.for_s}


# --- a thousand platforms -------------------------------------------------------------------------------------------


def paired(platforms: int) -> World:
    """A world in which each platform has four active peers."""
    world = World(1)
    hosts = [world.platform(f"p{number:04}").sign_in() for number in range(platforms)]
    for index, host in enumerate(hosts):
        for step in (1, 2):
            pair(host, hosts[(index + step) % platforms])
    world.run_for(2 * HEARTBEAT_S)
    return world


def pair(one: Host, other: Host) -> None:
    """Make two platforms peers."""
    offered = one.call("POST", PEERS, {"remote_instance_url": other.url})
    registered = other.call("POST", PEERS, {"remote_instance_url": one.url})
    assert offered is not None
    assert registered is not None
    path = f"{PEERS}/{registered.data['peer']['id']}/accept"
    accepted = other.call("POST", path, {"acceptance_token": offered.data["acceptance_token"]})
    assert accepted is not None
    assert accepted.status == 200, accepted.body


def thousand_platforms() -> dict[str, float]:
    """250 platforms with four peers each for ten minutes; a thousand for a day is 576 times as many heartbeats."""
    quiet()
    platforms, minutes = 250, 10
    world = paired(platforms)
    frames, events = world.frames_count, world.events_count
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spent = spent_s(lambda: world.run_for(minutes * 60.0))
    exchanges = (world.frames_count - frames) / 2
    expected = platforms * 4 * minutes
    assert abs(exchanges - expected) < 0.05 * expected, (exchanges, expected)
    whole = 1_000 * 4 * DAY_S / HEARTBEAT_S
    return {
        "figure": spent / exchanges * whole,
        "microseconds_per_exchange": spent / exchanges * 1e6,
        "events_per_s": (world.events_count - events) / spent,
        "memory_growth_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


# --- against SimPy --------------------------------------------------------------------------------------------------

PLATFORMS = 5
PEERS_EACH = 10
INTERVAL_S = 10.0
SPAN_S = 1_200.0
LOSS = 0.01


@attrs.frozen
class Tick:
    """Time for a heartbeat."""


@attrs.frozen
class Beat:
    """A heartbeat, or its answer."""

    sequence: int
    answer: bool


class Pulse(Actor):
    """One peer: beats every ten seconds and answers what it hears."""

    passivate_after_s = None
    sequence = 0
    heard = 0

    @handles(Tick)
    def on_tick(self, message: Tick, ctx: Any) -> None:
        self.sequence += 1
        ctx.settings(self.ref, Beat(self.sequence, answer=False))
        ctx.after(INTERVAL_S * ctx.random.uniform(0.9, 1.1), Tick(), "tick")

    @handles(Beat)
    def on_beat(self, message: Beat, ctx: Any) -> None:
        self.heard += 1
        if not message.answer:
            ctx.settings(self.ref, Beat(message.sequence, answer=True))


def on_our_engine() -> float:
    """Messages per second with small actors on the engine, in the world's time, over its links, with the trace on."""
    timeline = Timeline()
    clock, randomness, link = HostClock(timeline), SeededRandomness(7), Link(loss=LOSS)
    chance, trace, sent = randomness.stream("link"), Trace(), 0
    alarm_at = float("inf")

    def send(source: Ref, message: Beat) -> None:
        nonlocal sent
        sent += 1
        target = Ref("pulse", source.id[::-1])
        delay_s = link.transit(timeline.now, 400, "frame", chance).delay_s
        if delay_s is not None:
            timeline.after(delay_s, lambda: engine.tell(target, message))

    def wake() -> None:
        timeline.soon(pump)

    def pump() -> None:
        nonlocal alarm_at
        while engine.run():
            pass
        next_at = engine.next_timer_at()
        if next_at < alarm_at:
            alarm_at = next_at
            timeline.at(next_at, ring)

    def ring() -> None:
        nonlocal alarm_at
        if timeline.now < alarm_at:
            return
        alarm_at = float("inf")
        pump()

    engine = Engine(
        store=MemoryStore(()), clock=clock, randomness=randomness, actors={"pulse": Pulse}, settings=send, ports={},
        crash_policy=SupervisedCrashes({"pulse"}, clock, randomness), trace=trace, wake=wake,
    )  # fmt: skip
    engine.start()
    for index in range(PLATFORMS * PEERS_EACH // 2):
        for id in (f"a{index:03}b", f"a{index:03}b"[::-1]):
            engine.tell(Ref("pulse", id), Tick())
    spent = spent_s(lambda: timeline.run_until(SPAN_S))
    assert sent > PLATFORMS * PEERS_EACH * SPAN_S / INTERVAL_S
    return sent / spent


def on_simpy() -> float:
    """The same with SimPy: a process for each peer, and one for each message under way."""
    chance, sent = random.Random(7), 0
    world = simpy.Environment()
    boxes = [simpy.Store(world) for _ in range(PLATFORMS * PEERS_EACH)]

    def message(target: int, what: Beat) -> Any:
        yield world.timeout(chance.uniform(0.005, 0.020))
        if chance.random() >= LOSS:
            yield boxes[target].put(what)

    def beating(me: int) -> Any:
        nonlocal sent
        sequence = 0
        while True:
            sequence += 1
            sent += 1
            world.process(message(me ^ 1, Beat(sequence, answer=False)))
            yield world.timeout(INTERVAL_S * chance.uniform(0.9, 1.1))

    def answering(me: int) -> Any:
        nonlocal sent
        while True:
            heard = yield boxes[me].get()
            if not heard.answer:
                sent += 1
                world.process(message(me ^ 1, Beat(heard.sequence, answer=True)))

    for number in range(len(boxes)):
        world.process(beating(number))
        world.process(answering(number))
    spent = spent_s(lambda: world.run(until=SPAN_S))
    assert sent > len(boxes) * SPAN_S / INTERVAL_S
    return sent / spent


# --- determinism ----------------------------------------------------------------------------------------------------


def differing_digests() -> dict[str, float]:
    """Runs whose digest differs between two processes with different hash seeds: a few seeds of short scenarios."""
    program = (
        "import sys; from pathlib import Path\n"
        "from sim.scenario.load import load; from sim.scenario.run import run; from sim.sweep import quiet\n"
        "quiet()\n"
        "for path in sys.argv[1:]:\n    for seed in range(3): print(path, seed, run(load(Path(path)), seed).digest)"
    )
    paths = sorted(str(path) for path in (ROOT / "scenarios").glob("*.toml") if path.stat().st_size < 4_000)[:20]
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, *paths],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for seed in ("1", "2")
    ]
    return {"figure": float(sum(one != other for one, other in zip(*outputs, strict=True))), "runs": float(len(outputs[0]))}


FIGURES = [
    Figure("simulator: events per second, ten platforms, all checkers and the trace", ">= 100000", "1/s", events_per_second, 100_000),
    Figure(
        "simulator: small actors on the engine ÷ SimPy, a process per message", ">= 3", "x", lambda: ratio(on_our_engine, on_simpy, 5), 3.0
    ),
    Figure("simulator: 1,000 platforms, 4 peers each, 24 hours (extrapolated)", "<= 240", "s", thousand_platforms, 240.0, "lower"),
    Figure("simulator: seeds per second, two platforms, 300 events", ">= 300", "1/s", lambda: small(300, 100), 300),
    Figure("simulator: seeds per second, two platforms, 1,000 events", ">= 100", "1/s", lambda: small(1_000, 50), 100),
    Figure("simulator: digests that differ between hash seeds", "<= 0", "runs", differing_digests, 0.0, "lower"),
]
