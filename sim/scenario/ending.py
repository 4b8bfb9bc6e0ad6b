"""The end of a run: faults stop for a core of the platforms, the others stay as broken as they are, and the core finds together and rests.

Lives here: what is healed, the bounds, and the verdict. Must not live here: the steps of a scenario (see `run`), or what a platform at rest
may hold (the safety checkers that are touched by it).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from sim.mishaps import stop_all
from sim.scenario.failures import Failure
from sim.scenario.stage import Stage
from sim.world import Host

CONVERGENCE_INTERVALS: Final = 3
"""How many heartbeat intervals the platforms have to find each other after the last fault."""

REST_GRACE_S: Final = 30.0
"""How long beyond the deadline of a request each platform has for one moment with nothing under way."""


def end(stage: Stage, core: Sequence[str]) -> list[Failure]:
    """Heal the core, let it converge and come to rest; what does not is returned.

    Raises:
        BrokenError: a safety checker complains meanwhile.
    """
    hosts = [host for name, host in stage.world.hosts.items() if not core or name in core]
    _heal(stage, hosts)
    return _converge(stage, hosts) or _rest(stage, hosts)


def _heal(stage: Stage, hosts: list[Host]) -> None:
    """Stop every fault within the core; clocks, addresses and boxes are left as they are."""
    network = stage.world.network
    if len(hosts) == len(stage.world.hosts):
        network.heal()
    for one, other in itertools.permutations(hosts, 2):
        network.links.between(one.name, other.name).heal()
        network.hurry(network.paths(one.name, other.name))
    for host in hosts:
        network.names.trouble(host.url.removeprefix("https://"), None)
        network.names.blind(host.name, None)
        stop_all(host)
        if not host.running or not host.store.writable():
            stage.restart(host.name)


def _converge(stage: Stage, hosts: list[Host]) -> list[Failure]:
    within_s = CONVERGENCE_INTERVALS * max(host.federation.heartbeat_interval_s for host in hosts)
    if stage.run_until(lambda: next(_apart(stage, hosts), None) is None, within_s):
        return []
    return [Failure("convergence", stage.now, f"{text} after {within_s:g} s without faults") for text in _apart(stage, hosts)]


def _apart(stage: Stage, hosts: list[Host]) -> itertools.chain[str]:
    """Pairs that have shaken hands and are not both active."""
    pairs = itertools.combinations(sorted(host.name for host in hosts), 2)
    return itertools.chain.from_iterable(_pair_apart(stage, one, other) for one, other in pairs)


def _pair_apart(stage: Stage, one: str, other: str) -> Sequence[str]:
    statuses = stage.status(one, other), stage.status(other, one)
    begun = any(status not in (None, "proposed") for status in statuses)
    if not begun or {"revoked", "suspended"} & set(statuses) or statuses == ("active", "active"):
        return ()
    return (f"{other} on {one} is {statuses[0]} and {one} on {other} is {statuses[1]}",)


def _rest(stage: Stage, hosts: list[Host]) -> list[Failure]:
    """Each platform has one moment with nothing under way; then nothing may be left over on it."""
    busy = {host.name: host for host in hosts}

    def all_rested() -> bool:
        for host in [host for host in busy.values() if _idle(host)]:
            del busy[host.name]
            stage.watch.rested(host)
        return not busy

    within_s = REST_GRACE_S + max(host.federation.request_deadline_s for host in hosts)
    stage.run_until(all_rested, within_s)
    for host in busy.values():
        stage.watch.rested(host)
    stage.check()
    return [Failure("leaks", stage.now, f"{name}: has something under way for {within_s:g} s without a break") for name in busy]


def _idle(host: Host) -> bool:
    engine = host.engine
    if not engine.quiescent or engine.open_asks:
        return False
    states = (engine.state(ref) for ref in engine.in_memory)
    return not any(state["mailbox"] or state["open_calls"] or state["held_asks"] or state["committing"] for state in states)
