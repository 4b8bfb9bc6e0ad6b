"""TCP as far as an application can tell: order, windows, patience, resets, silence; over the paths of a simulated network.

Lives here: what happens between two sockets. Must not live here: trio (`sockets` gives tasks a way to wait), who reaches whom and how fast
(`sim.network`), or what is in the bytes.

Loss does not lose bytes: what is lost comes later. A way that is cut holds bytes back until it is open again, tried at growing intervals
as TCP would; whoever has sent them learns nothing until its patience is at an end. A process that dies has its sockets closed by its
machine; a machine that loses power says nothing any more.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs

from sim.clock import Timeline
from sim.links import RETRANSMIT_FIRST_S
from sim.network import FIRST_PORT, PORTS, Failure, Network, Path

if TYPE_CHECKING:
    from sim.sockets.sockets import SimSocket

WINDOW_BYTES: Final = 65_536
RETRANSMIT_MAX_S: Final = 120.0
SYN_FIRST_S: Final = 1.0
SYN_ATTEMPTS: Final = 7  # Linux, tcp_syn_retries: gives up after 127 s
PATIENCE_S: Final = 924.6  # Linux, tcp_retries2: how long unacknowledged bytes are tried without a user timeout

Tell = Callable[[str, str, str, str], None]
"""Gets (kind, source, target, what) of everything that travels between two machines."""


@attrs.define(eq=False)
class Machine:
    """One host of the network, by the name that it has there. `powered`: it answers at all."""

    name: str
    powered: bool = True
    listening: dict[tuple[str, int], SimSocket] = attrs.field(factory=dict)
    next_port: int = FIRST_PORT

    def listener(self, port: int, *, loopback: bool) -> SimSocket | None:
        """Who accepts connections to this port, from this machine or from others."""
        every = self.listening.get(("0.0.0.0", port))
        inside = self.listening.get(("127.0.0.1", port))
        outside = (found for (host, number), found in self.listening.items() if number == port and not host.startswith("127."))
        return (inside or every) if loopback else next(outside, None)

    def ephemeral_port(self) -> int:
        """A port for an outgoing connection or for `bind` with port 0."""
        port = self.next_port
        self.next_port = FIRST_PORT + (port + 1 - FIRST_PORT) % PORTS
        return port


@attrs.define(eq=False)
class Process:
    """What owns sockets and dies at once. What a dead process still tries has no effect.

    Attributes:
        sockets: those that are open, in order of their making.
    """

    machine: Machine
    name: str
    alive: bool = True
    sockets: dict[SimSocket, None] = attrs.field(factory=dict)

    def kill(self, *, silently: bool = False) -> None:
        """Fence it, and let the machine close its sockets as a kernel does; `silently` if the machine itself is gone."""
        self.alive = False
        for socket in list(self.sockets):
            socket.release(silently=silently)
        self.sockets.clear()


class Tcp:
    """The TCP of every machine of a network."""

    def __init__(self, timeline: Timeline, network: Network, tell: Tell = lambda kind, source, target, what: None) -> None:
        self.timeline = timeline
        self.network = network
        self.tell = tell
        self.machines: dict[str, Machine] = {}
        self._number = 0

    def machine(self, name: str) -> Machine:
        """The machine of this name, whose place the network knows."""
        return self.machines.setdefault(name, Machine(name))

    def next_number(self) -> int:
        """Numbers connections."""
        self._number += 1
        return self._number

    def address(self, machine: Machine) -> str:
        """Where a machine is, in its own network."""
        return self.network.places[machine.name].address


@attrs.define(eq=False)
class Segment:
    """One thing that travels in order: bytes, or a signal."""

    number: int
    kind: str
    data: bytes = b""


class Pipe:
    """One direction of a connection.

    Attributes:
        outstanding: bytes that were sent and that the receiver has not read, as far as the sender knows.
        on_arrival: gets each segment in order.
        on_room: called when more may be sent.
        on_broken: called with an errno when the sender gives up or is reset.
        dead: nothing arrives any more.
    """

    def __init__(self, connection: Connection, *, out: bool) -> None:
        self.connection = connection
        self.out = out
        self.outstanding = 0
        self.on_arrival: Callable[[Segment], None] = lambda segment: None
        self.on_room: Callable[[], None] = lambda: None
        self.on_broken: Callable[[int], None] = lambda number: None
        self.dead = False
        self._timeline = connection.tcp.timeline
        self._patience_s = PATIENCE_S
        self._held: list[Segment] = []
        self._next = 0
        self._last_arrival = 0.0
        self._in_flight = 0
        self._retrying = False
        self._credit_held = 0
        self._unacknowledged_since: float | None = None
        self._watch_number = 0
        self._watching = False

    @property
    def room(self) -> int:
        """How many bytes may be sent now."""
        return WINDOW_BYTES - self.outstanding

    def be_patient(self, patience_s: float) -> None:
        """How long something may stay unacknowledged before the sender gives up."""
        self._patience_s = patience_s
        self._watching = False
        self._watch()

    def readable(self, available: int) -> int:
        """How many of so many bytes one read gets."""
        path = self.connection.path
        return available if path is None else path.readable("out" if self.out else "back", available)

    def push(self, kind: str, data: bytes = b"") -> None:
        """Send one thing."""
        if self.dead:
            return
        self._next += 1
        segment = Segment(self._next, kind, data)
        self.outstanding += len(data)
        if self._unacknowledged_since is None:
            self._unacknowledged_since = self._timeline.now
        if self.connection.path is not None:
            self.connection.told(self.out, f"{kind} {len(data)}")
            self._watch()
        if self._held:
            self._held.append(segment)
        else:
            self._launch(segment)

    def kill(self) -> None:
        """Nothing arrives any more."""
        self.dead = True
        self._held.clear()

    # --- on the way ----------------------------------------------------------------------------------------------

    def _launch(self, segment: Segment) -> None:
        path, now = self.connection.path, self._timeline.now
        delay_s: float | None = 0.0
        if path is not None:
            transit = path.transit("out" if self.out else "back", len(segment.data), "segment", now)
            if transit.why == "reset":
                self.on_broken(errno.ECONNRESET)
                return
            delay_s = transit.delay_s
        if delay_s is None:
            self._hold(segment)
            return
        self._last_arrival = arrival = max(now + delay_s, self._last_arrival)
        self._in_flight += 1
        self._timeline.at(arrival, lambda: self._arrive(segment))

    def _arrive(self, segment: Segment) -> None:
        self._in_flight -= 1
        if self.dead:
            return
        if self._held or self._stopped() or not self.connection.machine(of_sender=not self.out).powered:
            self._hold(segment)
            return
        if not self._in_flight and not self._no_way_back():
            self._unacknowledged_since = None
        self.on_arrival(segment)

    def _stopped(self) -> bool:
        """Whether a cut has stopped what would arrive now."""
        path = self.connection.path
        return path is not None and path.is_cut("out" if self.out else "back", self._timeline.now)

    def _no_way_back(self) -> bool:
        """Whether an acknowledgement could not reach the sender now."""
        path = self.connection.path
        if path is None:
            return False
        source, target = (path.target, path.source) if self.out else (path.source, path.target)
        return path.state != "open" or self.connection.tcp.network.links.between(source, target).is_cut(self._timeline.now)

    def _hold(self, segment: Segment) -> None:
        self._held.append(segment)
        self._retry_from_now()

    def _retry_from_now(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._retry_in(RETRANSMIT_FIRST_S)

    def _retry_in(self, pause_s: float) -> None:
        def retry() -> None:
            if self.dead:
                return
            held, self._held = sorted(self._held, key=lambda segment: segment.number), []
            while held and not self._held and not self.dead:
                self._launch(held.pop(0))
            self._held += held
            if self._credit_held and not self._no_way_back():
                count, self._credit_held = self._credit_held, 0
                self._credited(count)
            if self._held or self._credit_held:
                self._retry_in(min(pause_s * 2, RETRANSMIT_MAX_S))
            else:
                self._retrying = False

        self._timeline.after(pause_s, retry)

    # --- acknowledgement -----------------------------------------------------------------------------------------

    def credit(self, count: int) -> None:
        """The receiver has read so many bytes. Its word travels back, which matters only to a sender whose window is nearly full."""
        path = self.connection.path
        if path is None or self.outstanding <= WINDOW_BYTES // 2:
            full = self.room <= 0
            self.outstanding -= count
            if full:
                self.on_room()
            return
        delay_s = path.transit("back" if self.out else "out", 0, "segment", self._timeline.now).delay_s
        if delay_s is None:
            self._credit_held += count
            self._retry_from_now()
        else:
            self._timeline.after(delay_s, lambda: self._credited(count))

    def _credited(self, count: int) -> None:
        if not self.dead:
            self.outstanding -= count
            self.on_room()

    def _watch(self) -> None:
        if not self._watching and self._unacknowledged_since is not None:
            self._watching = True
            self._watch_number += 1
            number = self._watch_number
            self._timeline.at(self._unacknowledged_since + self._patience_s, lambda: self._look(number))

    def _look(self, number: int) -> None:
        """Give up if something has waited too long for its acknowledgement."""
        if number != self._watch_number:
            return
        self._watching = False
        if self.dead or self._unacknowledged_since is None:
            return
        if not self._held and not self._in_flight and not self._no_way_back():
            self._unacknowledged_since = None
        elif self._timeline.now >= self._unacknowledged_since + self._patience_s:
            self.on_broken(errno.ETIMEDOUT)
        else:
            self._watch()


class Connection:
    """A TCP connection: a pipe each way, and the two sockets. `path` is None within one machine."""

    def __init__(self, tcp: Tcp, client: SimSocket, server: SimSocket, path: Path | None) -> None:
        self.tcp = tcp
        self.number = tcp.next_number()
        self.client = client
        self.server = server
        self.path = path
        self.there = Pipe(self, out=True)
        self.back = Pipe(self, out=False)
        if path is not None:
            path.on_end(self._reset_both)

    def machine(self, *, of_sender: bool) -> Machine:
        """The machine that called, or the one that was called."""
        return (self.client if of_sender else self.server).machine

    def told(self, out: bool, what: str) -> None:
        """Let the trace know what travels."""
        source, target = (self.client, self.server) if out else (self.server, self.client)
        self.tcp.tell("tcp", source.machine.name, target.machine.name, f"#{self.number} {what}")

    def _reset_both(self) -> None:
        """A box on the way has ended the connection, and both ends hear of it."""
        self.told(True, "cut off")
        self.end()
        for socket in (self.client, self.server):
            socket.broken(errno.ECONNRESET)

    def over(self) -> None:
        """Both ends have said goodbye."""
        if self.path is not None:
            self.path.close()

    def end(self) -> None:
        """Nothing travels any more."""
        self.there.kill()
        self.back.kill()
        self.over()


def connect(tcp: Tcp, client: SimSocket, address: str, port: int, refused: Callable[[int], None]) -> None:
    """Begin a connection. Ends with the client's `joined`, or with `refused`, which gets an errno."""
    pauses = deque(SYN_FIRST_S * 2**number for number in range(SYN_ATTEMPTS))
    machine = client.machine
    loopback = address.startswith("127.") or address == tcp.address(machine)

    def attempt() -> None:
        if not client.connecting:
            return
        if not pauses:
            refused(errno.ETIMEDOUT)
            return
        pause_s = pauses.popleft()
        found = None if loopback else tcp.network.connect(machine.name, address, port, tcp.timeline.now)
        if isinstance(found, Failure):
            if found.after_s is not None:
                number = errno.ECONNREFUSED if found.code == "connect_refused" else errno.EHOSTUNREACH
                tcp.timeline.after(found.after_s, lambda: refused(number))
            else:
                tcp.timeline.after(pause_s, attempt)
            return
        tcp.timeline.after(0.0 if found is None else found.opening_s, lambda: meet(found, pause_s))

    def meet(path: Path | None, pause_s: float) -> None:
        server = machine if path is None else tcp.machine(path.target)
        listener = server.listener(port if path is None else path.port, loopback=path is None)
        if not client.connecting or not server.powered or (listener is not None and listener.crowded):
            if path is not None:
                path.close()
            tcp.timeline.after(pause_s, attempt)
        elif listener is None:
            if path is not None:
                path.close()
            refused(errno.ECONNREFUSED)
        else:
            listener.meet(client, (address, port), path)

    attempt()
