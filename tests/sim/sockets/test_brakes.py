"""Processes at socket level that stand still or are slow: what their machine does goes on, what they would do themselves does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from sim.scenario.load import parse
from sim.scenario.run import run
from sim.sockets.brakes import Brakes
from tests.sim.sockets.test_tcp import Lab, laboratory

PAUSED_IN_CALLS = """
name = "paused in the middle"
description = "A process stands still while calls are under way, is killed so, and comes back."
world = { for = "40m", converge = true, level = "sockets" }
platform = [{ name = "a" }, { name = "b" }]
at = [
    { t = 0, do = "propose", on = "a", peer = "b" },
    { t = "5s", do = "accept_invitation", on = "b", peer = "a" },
    { t = "5.03s", do = "pause", on = "a" },
    { t = "12s", do = "unpause", on = "a" },
    { t = "10m", do = "pause", on = "b" },
    { t = "11m", do = "heartbeat", on = "a", peer = "b", name = "into the silence" },
    { t = "12m", do = "crash", on = "b" },
    { t = "13m", do = "restart", on = "b" },
    { t = "20m", do = "heartbeat", on = "a", peer = "b", name = "afterwards" },
]
expect = [
    { that = "code", call = "into the silence", is = "remote_unreachable" },
    { that = "code", call = "afterwards", is = "ok" },
    { that = "status", on = "a", peer = "b", is = "active" },
    { that = "status", on = "b", peer = "a", is = "active" },
]
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    found = laboratory()
    yield found
    found.loop.close()


def brakes_of(lab: Lab) -> Brakes:
    return Brakes(lab.loop, lab.sockets)


def test_what_comes_for_a_process_that_stands_still_waits_in_its_machine(lab: Lab) -> None:
    brakes = brakes_of(lab)

    async def main(lab: Lab) -> list[tuple[float, str]]:
        told: list[tuple[float, str]] = []
        listener = await lab.serve()

        async def server() -> None:
            stream = await listener.accept()
            told.append((trio.current_time(), "accepted"))
            told.append((trio.current_time(), (await stream.receive_some(100)).decode()))
            await stream.send_all(b"answer")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lab.on_b, server)
            await trio.sleep(1.0)
            brakes.pause(lab.b)
            client = await trio.open_tcp_stream("b.example.com", 443)
            await client.send_all(b"question")
            with trio.move_on_after(60.0):
                await client.receive_some(100)
            told.append((trio.current_time(), "still nothing"))
            brakes.unpause(lab.b)
            told.append((trio.current_time(), (await client.receive_some(100)).decode()))
        return told

    told = lab.run(main)
    assert [what for _, what in told] == ["still nothing", "accepted", "question", "answer"]
    gone_on = told[0][0]
    assert told[1][0] == told[2][0] == gone_on > 60.0


def test_time_limits_that_pass_meanwhile_have_passed_and_clocks_have_moved(lab: Lab) -> None:
    brakes = brakes_of(lab)
    told: list[tuple[float, bool]] = []

    async def main(lab: Lab) -> None:
        async def sleeper() -> None:
            with trio.move_on_after(5.0) as scope:
                await trio.sleep(100.0)
            told.append((trio.current_time(), scope.cancelled_caught))
            await trio.sleep(10.0)
            told.append((trio.current_time(), False))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lab.on_b, sleeper)
            await trio.sleep(1.0)
            brakes.pause(lab.b)
            await trio.sleep(59.0)
            assert told == []
            brakes.unpause(lab.b)

    lab.run(main)
    assert told == [(60.0, True), (70.0, False)]


def test_a_slow_process_takes_up_late_whatever_reaches_it_and_the_others_do_not(lab: Lab) -> None:
    brakes = brakes_of(lab)
    woken: dict[str, float] = {}

    async def main(lab: Lab) -> None:
        async def sleeper(name: str) -> None:
            await trio.sleep(1.0)
            # What follows from one stimulus is done in one go.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            woken[name] = trio.current_time()

        brakes.slow(lab.b, 0.5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lab.on_b, lambda: sleeper("b"))
            nursery.start_soon(sleeper, "a")

    lab.run(main)
    assert woken == {"a": 1.0, "b": 1.5}


def test_a_world_ends_although_a_process_stands_still() -> None:
    lab = laboratory()
    brakes = brakes_of(lab)

    async def main(lab: Lab) -> None:
        await trio.sleep(1.0)
        brakes.pause(lab.b)

    lab.loop.start(lab.sockets.as_process, lab.b, trio.sleep_forever)
    lab.run(main)
    brakes.release_all()
    lab.loop.close()


def test_a_process_that_stands_still_can_be_killed_and_comes_back() -> None:
    result = run(parse(PAUSED_IN_CALLS, "paused.toml"))
    assert result.passed, (result.failures, result.last)
