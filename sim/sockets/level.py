"""The socket level of one world: the trio run, the TCP and the sockets that all its hosts of this level share.

Lives here: their making and their end. Must not live here: a platform (see `host`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.network import Path
from sim.sockets.brakes import Brakes
from sim.sockets.clock import VirtualLoop
from sim.sockets.sockets import Sockets
from sim.sockets.tcp import Process, Tcp

if TYPE_CHECKING:
    from sim.world import World


class SocketLevel:
    """Made with the first host of this level, and to be closed with the world.

    Attributes:
        joined: of two paths that a hub has made one, the other one.
        strangers: whose calls come on a path that no platform has opened.
    """

    def __init__(self, world: World) -> None:
        self.loop = VirtualLoop(world.timeline, world.chance.stream("tasks"))
        self.tcp = Tcp(world.timeline, world.network, world.record)
        self.sockets = Sockets(self.tcp, self.loop)
        self.brakes = Brakes(self.loop, self.sockets)
        self.processes: dict[Process, None] = {}
        self.joined: dict[Path, Path] = {}
        self.strangers: dict[Path, str] = {}
        self.loop.call(self.sockets.install)

    def process(self, machine: str, name: str) -> Process:
        """A new process on a machine."""
        process = Process(self.tcp.machine(machine), name)
        self.processes[process] = None
        return process

    def close(self) -> None:
        """Kill every process, and end the run."""
        self.brakes.release_all()
        for process in self.processes:
            process.kill(silently=True)
        self.processes.clear()
        self.loop.close()


def level_of(world: World) -> SocketLevel:
    """The socket level of a world."""
    if world.sockets is None:
        world.sockets = SocketLevel(world)
    return world.sockets
