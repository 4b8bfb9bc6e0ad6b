"""Simulated TCP: it passes trio's own conformance checks, behaves as the kernel's does, and has the faults that a network has."""

from __future__ import annotations

import errno
import random
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from sim.clock import Timeline
from sim.links import Links
from sim.network import Network
from sim.sockets.clock import DeadlockError, VirtualLoop
from sim.sockets.compat import EscapeError
from sim.sockets.sockets import Sockets
from sim.sockets.tcp import WINDOW_BYTES, Process, Tcp


@attrs.define
class Lab:
    """Two machines, a process on each, and the link between them."""

    timeline: Timeline
    links: Links
    network: Network
    tcp: Tcp
    loop: VirtualLoop
    sockets: Sockets
    a: Process
    b: Process

    def run(self, function: Callable[[Lab], Awaitable[Any]], process: Process | None = None) -> Any:
        return self.loop.run(self.sockets.as_process, process or self.a, partial(function, self))

    async def on_b(self, function: Callable[[], Awaitable[Any]]) -> Any:
        return await self.sockets.as_process(self.b, function)

    async def serve(self, port: int = 443) -> trio.SocketListener:
        listeners: list[trio.SocketListener] = []

        async def listen() -> None:
            listeners.extend(await trio.open_tcp_listeners(port, host=self.network.places["b"].address))

        await self.on_b(listen)
        return listeners[0]

    async def pair(self) -> tuple[trio.SocketStream, trio.SocketStream]:
        listener = await self.serve(0)
        accepted: list[trio.SocketStream] = []

        async def accept() -> None:
            accepted.append(await listener.accept())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.on_b, accept)
            client = await trio.open_tcp_stream("b.example.com", listener.socket.getsockname()[1])
        await listener.aclose()
        return client, accepted[0]


def laboratory(seed: int = 1) -> Lab:
    timeline = Timeline()
    network = Network(Links(random.Random(seed)), random.Random(seed + 1))
    tcp = Tcp(timeline, network)
    processes = [Process(tcp.machine(name), name) for name in ("a", "b")]
    for process in processes:
        machine = process.machine
        place = network.add(machine.name, lambda machine=machine: "listening" if machine.powered else "silent")
        network.names.set(f"{machine.name}.example.com", (place.address,))
    loop = VirtualLoop(timeline, random.Random(seed + 3))
    sockets = Sockets(tcp, loop)
    loop.call(sockets.install)
    return Lab(timeline, network.links, network, tcp, loop, sockets, *processes)


@pytest.fixture
def lab() -> Iterator[Lab]:
    found = laboratory()
    yield found
    found.loop.close()


def test_trios_own_conformance_checks_hold(lab: Lab) -> None:
    async def clogged() -> Any:
        left, right = await lab.pair()
        for stream in (left, right):
            with trio.move_on_after(0.5):
                while True:
                    await stream.socket.send(b"x" * WINDOW_BYTES)
        return left, right

    async def check(lab: Lab) -> None:
        await trio.testing.check_half_closeable_stream(lab.pair, clogged)

    lab.run(check)


def test_bytes_arrive_in_order_whatever_is_lost_or_cut_short(lab: Lab) -> None:
    lab.links.between("a", "b").loss = 0.3
    lab.links.between("a", "b").short_reads = 0.5
    sent = random.Random(5).randbytes(300_000)

    async def main(lab: Lab) -> bytes:
        client, server = await lab.pair()
        received = bytearray()

        async def send() -> None:
            await client.send_all(sent)
            await client.send_eof()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            async for piece in server:
                received.extend(piece)
        return bytes(received)

    assert lab.run(main) == sent
    assert lab.timeline.now > 0.2, "something was sent again"


def test_a_sender_waits_for_a_reader(lab: Lab) -> None:
    async def main(lab: Lab) -> tuple[int, int]:
        client, server = await lab.pair()
        sent = 0
        with trio.move_on_after(5):
            while True:
                sent += await client.socket.send(b"x" * 10_000)
        before = sent
        with trio.move_on_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.receive_some, 50_000)
                while True:
                    sent += await client.socket.send(b"x" * 10_000)
        return before, sent - before

    assert lab.run(main) == (WINDOW_BYTES, 50_000)


def failure(lab: Lab, connect: Callable[[Lab], Awaitable[Any]]) -> int | None:
    with pytest.raises(OSError) as caught:
        lab.run(connect)
    return caught.value.errno


async def dial(lab: Lab) -> None:
    await trio.socket.socket().connect((lab.network.places["b"].address, 443))


def test_a_closed_port_refuses_at_once_and_a_dark_machine_never_answers(lab: Lab) -> None:
    assert failure(lab, dial) == errno.ECONNREFUSED
    assert lab.timeline.now < 0.1
    lab.b.machine.powered = False
    assert failure(lab, dial) == errno.ETIMEDOUT
    assert lab.timeline.now == pytest.approx(127, abs=1)


@pytest.mark.parametrize("way", [("a", "b"), ("b", "a")])
def test_a_connection_needs_both_ways(lab: Lab, way: tuple[str, str]) -> None:
    async def main(lab: Lab) -> bool:
        await lab.serve()
        lab.links.partition(*way, oneway=True)
        with trio.move_on_after(30) as scope:
            await dial(lab)
        return scope.cancelled_caught

    assert lab.run(main) is True


def test_a_partition_holds_bytes_until_it_heals(lab: Lab) -> None:
    async def main(lab: Lab) -> float:
        client, server = await lab.pair()
        lab.links.partition("a", "b")
        await client.send_all(b"held")
        with trio.move_on_after(20):
            assert await server.receive_some() == b"", "nothing may come through"
        lab.links.heal()
        assert await server.receive_some() == b"held"
        return trio.current_time()

    assert 20 < lab.run(main) < 60


def test_a_partition_stops_what_is_under_way_which_comes_when_it_heals(lab: Lab) -> None:
    async def main(lab: Lab) -> float:
        client, server = await lab.pair()
        await client.send_all(b"under way")
        lab.links.partition("a", "b", oneway=True)
        with trio.move_on_after(20):
            assert await server.receive_some() == b"", "nothing may come through"
        lab.links.heal()
        assert await server.receive_some() == b"under way"
        return trio.current_time()

    assert 20 < lab.run(main) < 60


def test_what_was_sent_late_comes_in_order_after_its_sender_has_hung_up(lab: Lab) -> None:
    async def main(lab: Lab) -> tuple[float, float]:
        client, server = await lab.pair()
        for path in lab.network.paths("a", "b"):
            path.delay("a", 30.0)
        await client.send_all(b"late")
        await client.aclose()
        started = trio.current_time()
        other, _ = await lab.pair()
        quick = trio.current_time() - started
        assert [await server.receive_some(), await server.receive_some()] == [b"late", b""]
        await other.aclose()
        return quick, trio.current_time() - started

    quick, late = lab.run(main)
    assert quick < 1.0
    assert late == pytest.approx(30.0, abs=0.1)


def test_an_unacknowledged_sender_gives_up_when_it_was_told_to(lab: Lab) -> None:
    async def main(lab: Lab) -> float:
        client, server = await lab.pair()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000)
        lab.links.partition("b", "a", oneway=True)
        await client.send_all(b"arrives, but nobody can say so")
        assert await server.receive_some()
        started = trio.current_time()
        with pytest.raises(trio.BrokenResourceError, match="timed out"):
            await client.receive_some()
        return trio.current_time() - started

    assert lab.run(main) == pytest.approx(10, abs=0.1)


def test_a_killed_process_hangs_up_and_a_dark_one_does_not(lab: Lab) -> None:
    async def killed(lab: Lab, *, silently: bool) -> bytes | None:
        client, server = await lab.pair()
        process = Process(lab.b.machine, "b")
        lab.b.sockets, process.sockets = {}, lab.b.sockets
        process.kill(silently=silently)
        with pytest.raises(trio.ClosedResourceError):
            await server.send_all(b"from the grave")
        with trio.move_on_after(60):
            return await client.receive_some()
        return None

    assert lab.run(partial(killed, silently=False)) == b""
    assert lab.run(partial(killed, silently=True)) is None


def test_whoever_writes_to_a_forgotten_connection_is_reset(lab: Lab) -> None:
    async def main(lab: Lab) -> None:
        client, server = await lab.pair()
        await client.send_all(b"unread")
        await trio.sleep(1)
        await server.aclose()
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await client.receive_some()

    lab.run(main)


def test_a_middlebox_can_reset_stall_or_forget_a_connection(lab: Lab) -> None:
    async def main(lab: Lab) -> list[str]:
        seen = []
        client, server = await lab.pair()
        lab.links.between("a", "b").stalled_until = trio.current_time() + 40
        await client.send_all(b"x")
        with trio.move_on_after(30) as scope:
            await server.receive_some()
        seen.append("stalled" if scope.cancelled_caught else "came through")
        seen.append((await server.receive_some()).decode())
        lab.network.paths("a")[0].lose()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5_000)
        await client.send_all(b"y")
        with trio.move_on_after(60) as scope:
            await server.receive_some()
        seen.append("half open" if scope.cancelled_caught else "told")
        with pytest.raises(trio.BrokenResourceError, match="timed out"):
            await client.receive_some()
        client, server = await lab.pair()
        lab.network.paths("a", "b")[0].reset()
        for stream in (client, server):
            with pytest.raises(trio.BrokenResourceError, match="reset"):
                await stream.receive_some()
        return seen

    assert lab.run(main) == ["stalled", "x", "half open"]


def test_a_full_backlog_makes_callers_wait(lab: Lab) -> None:
    async def main(lab: Lab) -> tuple[bool, int]:
        listener = await lab.serve()
        listener.socket._backlog_max = 1
        connected = 0

        async def one() -> None:
            nonlocal connected
            await dial(lab)
            connected += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.sleep(1)
            nursery.start_soon(one)
            await trio.sleep(20)
            before = connected
            await listener.accept()
            await trio.sleep(60)
        return before == 1, connected

    assert lab.run(main) == (True, 2)


def test_names_are_the_networks_and_real_ones_unknown(lab: Lab) -> None:
    async def main(lab: Lab) -> list[str]:
        found = await trio.socket.getaddrinfo("b.example.com", 443)
        with pytest.raises(socket.gaierror):
            await trio.socket.getaddrinfo("www.example.org", 443)
        return [entry[4][0] for entry in found]

    assert lab.run(main) == [lab.network.places["b"].address]


def test_waiting_for_what_cannot_come_is_a_deadlock_that_shows_who_waits(lab: Lab) -> None:
    async def waits_for_nobody(lab: Lab) -> None:
        await trio.Event().wait()

    with pytest.raises(DeadlockError, match="waits_for_nobody"):
        lab.run(waits_for_nobody)


def test_a_dead_process_makes_no_sockets(lab: Lab) -> None:
    async def main(lab: Lab) -> None:
        lab.a.kill()
        with pytest.raises(OSError, match="down"):
            trio.socket.socket()

    lab.run(main)


def test_a_machine_that_moves_is_found_by_its_name_once_the_answer_has_aged(lab: Lab) -> None:
    async def main(lab: Lab) -> tuple[bool, bool]:
        found = []
        listener = await lab.serve()
        await (await trio.open_tcp_stream("b.example.com", 443)).aclose()
        lab.network.names.set("b.example.com", (lab.network.move("b"),))
        await listener.aclose()
        await lab.serve()
        for _ in range(2):
            try:
                await (await trio.open_tcp_stream("b.example.com", 443)).aclose()
                found.append(True)
            except OSError:
                found.append(False)
            await trio.sleep(400)
        return found[0], found[1]

    assert lab.run(main) == (False, True)


def test_nothing_of_a_world_is_left_behind(lab: Lab) -> None:
    def state() -> tuple[object, ...]:
        loop, threads = sys.modules["trio._core._run"], sys.modules["trio._threads"]
        return loop._r, loop._ALLOW_DETERMINISTIC_SCHEDULING, threads.start_thread_soon, sys.get_asyncgen_hooks()

    before = state()

    async def main(lab: Lab) -> bool:
        inside = await trio.to_thread.run_sync(threading.current_thread)
        return inside is threading.main_thread() and state() != before

    assert lab.run(main) is True
    assert state() == before
    assert trio.run(partial(trio.to_thread.run_sync, threading.current_thread)) is not threading.main_thread()


def test_a_real_file_descriptor_is_an_escape(lab: Lab) -> None:
    async def main(lab: Lab) -> None:
        left, right = socket.socketpair()
        with left, right:
            await trio.lowlevel.wait_readable(left)

    with pytest.raises(EscapeError):
        lab.run(main)


def test_the_seed_decides_about_the_order_of_tasks() -> None:
    def order(seed: int) -> list[int]:
        lab = laboratory(seed)

        async def main(lab: Lab) -> list[int]:
            found: list[int] = []

            async def one(number: int) -> None:
                found.append(number)

            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(one, number)
            return found

        try:
            return lab.run(main)
        finally:
            lab.loop.close()

    assert order(1) == order(1)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1
