"""Sockets as trio has them, over the simulated network; and what hands them out.

Lives here: `SimSocket`, the socket factory and the resolver. Must not live here: how bytes travel (`tcp`).

Waiting is a task that a segment's arrival wakes. An abort only undoes: the order in which trio aborts tasks is not the seed's.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import math
import operator
import os
import socket as stdlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import trio

from sim.names import Unresolved
from sim.network import Path
from sim.sockets.clock import VirtualLoop
from sim.sockets.tcp import Connection, Machine, Pipe, Process, Segment, Tcp, connect

FIRST_DESCRIPTOR: Final = 1_000_000
"""No real file descriptor is as high, so that whoever takes one of ours to the kernel fails at once."""

SocketType: Any = trio.socket.SocketType


class Waiter:
    """The one task that may wait for one thing on one socket, as with a real file descriptor."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._task: trio.lowlevel.Task | None = None

    async def wait(self) -> None:
        """Until woken; the caller looks again at what it waits for.

        Raises:
            trio.BusyResourceError: another task waits.
        """
        if self._task is not None:
            raise trio.BusyResourceError("another task waits for the same thing on this socket")
        self._task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def wake(self) -> None:
        """Let it look again."""
        task, self._task = self._task, None
        if task is not None:
            self._loop.wake(task)


class SimSocket(SocketType):  # type: ignore[misc]
    """A TCP socket of one process."""

    def __init__(self, sockets: Sockets, process: Process, family: int) -> None:
        super().__init__()
        self._sockets = sockets
        self._process = process
        self._family = family
        self.machine: Machine = process.machine
        self.connecting = False
        self.connection: Connection | None = None
        self._descriptor = next(sockets.descriptors)
        self._name: tuple[str, int] = ("0.0.0.0", 0)
        self._peer: tuple[str, int] | None = None
        self._options: dict[tuple[int, int], Any] = {}
        self._backlog: deque[SimSocket] | None = None
        self._backlog_max = 0
        self._buffer = bytearray()
        self._rx: Pipe | None = None
        self._tx: Pipe | None = None
        self._ended = False
        self._shut = False
        self._closed = False
        self._error: int | None = None
        self._reader = Waiter(sockets.loop)
        self._writer = Waiter(sockets.loop)
        process.sockets[self] = None

    # --- what trio asks of every socket ---------------------------------------------------------------------------

    @property
    def family(self) -> Any:
        return stdlib.AddressFamily(self._family)

    @property
    def type(self) -> Any:
        return stdlib.SOCK_STREAM

    @property
    def proto(self) -> int:
        return stdlib.IPPROTO_TCP

    @property
    def did_shutdown_SHUT_WR(self) -> bool:
        return self._shut

    def __repr__(self) -> str:
        return f"<simulated socket of {self._process.name}, {self._name} to {self._peer}>"

    def __enter__(self) -> SimSocket:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        return -1 if self._closed else self._descriptor

    def getsockname(self) -> Any:
        self._check_open()
        return self._name

    def getpeername(self) -> Any:
        self._check_open()
        if self._peer is None:
            raise _error(errno.ENOTCONN)
        return self._peer

    def setsockopt(self, level: int, optname: int, value: Any, optlen: int | None = None) -> None:
        self._check_open()
        self._options[(level, optname)] = value
        if (level, optname) == (stdlib.IPPROTO_TCP, stdlib.TCP_USER_TIMEOUT) and self._tx is not None:
            self._tx.be_patient(value / 1000.0)

    def getsockopt(self, level: int, optname: int, buflen: int | None = None) -> Any:
        self._check_open()
        if (level, optname) == (stdlib.SOL_SOCKET, stdlib.SO_ACCEPTCONN):
            return int(self._backlog is not None)
        return self._options.get((level, optname), 0)

    def is_readable(self) -> bool:
        return bool(self._buffer or self._ended or self._error or self._closed or self._backlog)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._writable_error() is None and self._tx is not None and not self._tx.room:
            await self._writer.wait()
        self._check_open()

    # --- listening ------------------------------------------------------------------------------------------------

    async def bind(self, address: Any) -> None:
        await trio.lowlevel.checkpoint()
        self._check_open()
        host, port = str(address[0]) or "0.0.0.0", int(address[1])
        if host not in ("0.0.0.0", "127.0.0.1", self._sockets.tcp.address(self.machine)):
            raise _error(errno.EADDRNOTAVAIL)
        self._name = (host, port or self.machine.ephemeral_port())

    def listen(self, backlog: int = 128) -> None:
        self._check_open()
        if self._name in self.machine.listening:
            raise _error(errno.EADDRINUSE)
        self.machine.listening[self._name] = self
        self._backlog, self._backlog_max = deque(), backlog

    @property
    def crowded(self) -> bool:
        """Whether too many connections wait to be accepted."""
        return self._backlog is not None and len(self._backlog) >= self._backlog_max

    def meet(self, client: SimSocket, address: tuple[str, int], path: Path | None) -> None:
        """The handshake of somebody's connection to this listening socket is done but for its last word, which is on its way."""
        server = SimSocket(self._sockets, self._process, self._family)
        connection = Connection(self._sockets.tcp, client, server, path)
        server._attach(connection, connection.there, connection.back, address, client._name if path is None else path.seen)
        connection.there.on_arrival = lambda segment: server._arrived(segment, self)
        client._attach(connection, connection.back, connection.there, client._name, address)
        client._writer.wake()
        connection.there.push("ack")

    def _attach(self, connection: Connection, rx: Pipe, tx: Pipe, name: tuple[str, int], peer: tuple[str, int]) -> None:
        self.connection, self._rx, self._tx = connection, rx, tx
        self._name, self._peer = name, peer
        rx.on_arrival = self._arrived
        tx.on_room = self._writer.wake
        tx.on_broken = self._give_up
        patience = self._options.get((stdlib.IPPROTO_TCP, stdlib.TCP_USER_TIMEOUT))
        if patience:
            tx.be_patient(patience / 1000.0)

    async def accept(self) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            self._check_open()
            if self._backlog is None:
                raise _error(errno.EINVAL)
            if self._backlog:
                found = self._backlog.popleft()
                await trio.lowlevel.cancel_shielded_checkpoint()
                return found, found._peer
            await self._reader.wait()

    # --- connecting -----------------------------------------------------------------------------------------------

    async def connect(self, address: Any) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        host = str(ipaddress.ip_address(address[0]))
        source = "127.0.0.1" if host.startswith("127.") else self._sockets.tcp.address(self.machine)
        self._name, self.connecting = (source, self.machine.ephemeral_port()), True
        failure: list[int] = []

        def refused(number: int) -> None:
            if self.connecting:
                failure.append(number)
                self._writer.wake()

        connect(self._sockets.tcp, self, host, int(address[1]), refused)
        try:
            while not (failure or self._closed or self.connection is not None):
                await self._writer.wait()
        except trio.Cancelled:
            # As with a real socket, a connection whose making was interrupted is of no use.
            self.close()
            raise
        finally:
            self.connecting = False
        self._check_open()
        if failure or self._error is not None:
            raise _error(failure[0] if failure else self._error or errno.ECONNREFUSED)

    # --- bytes ----------------------------------------------------------------------------------------------------

    async def send(self, data: Any, flags: int = 0) -> int:
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            try:
                count = self.write_now(data)
            except BlockingIOError:
                await self._writer.wait()
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return count

    def write_now(self, data: Any) -> int:
        """Take what there is room for (see `net.tls.write_now`)."""
        broken = self._writable_error()
        if broken is not None:
            raise _error(broken)
        assert self._tx is not None
        if self._tx.room <= 0:
            raise _error(errno.EAGAIN)
        count = min(len(data), self._tx.room)
        self._tx.push("data", bytes(memoryview(data)[:count]))
        return count

    async def recv(self, buflen: int, flags: int = 0) -> bytes:
        buflen = operator.index(buflen)
        await trio.lowlevel.checkpoint_if_cancelled()
        self._check_open()
        while not self._buffer:
            if self._error is not None and not self._ended:
                self._ended = True
                raise _error(self._error)
            if self._ended:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return b""
            if self._rx is None:
                raise _error(errno.ENOTCONN)
            await self._reader.wait()
            self._check_open()
        assert self._rx is not None
        count = self._rx.readable(min(buflen, len(self._buffer)))
        found = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        self._rx.credit(count)
        await trio.lowlevel.cancel_shielded_checkpoint()
        return found

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        view = memoryview(buffer)
        found = await self.recv(nbytes or len(view), flags)
        view[: len(found)] = found
        return len(found)

    def shutdown(self, flag: int) -> None:
        self._check_open()
        if self._tx is None:
            raise _error(errno.ENOTCONN)
        if flag in (stdlib.SHUT_WR, stdlib.SHUT_RDWR) and not self._shut:
            self._shut = True
            self._tx.push("fin")
        if flag in (stdlib.SHUT_RD, stdlib.SHUT_RDWR):
            self._ended = True
            self._reader.wake()

    def close(self) -> None:
        if self._closed:
            return
        self._process.sockets.pop(self, None)
        self.release()
        self._reader.wake()
        self._writer.wake()

    def release(self, *, silently: bool = False) -> None:
        """What the kernel does with a socket that nobody holds any more: say goodbye, or reset if something was left unread.

        Args:
            silently: the kernel itself is gone.
        """
        self._closed, self.connecting = True, False
        if self._backlog is not None:
            del self.machine.listening[self._name]
            for waiting in list(self._backlog):
                waiting.release(silently=silently)
            return
        connection, tx = self.connection, self._tx
        if connection is None or tx is None or self._error is not None or silently:
            return
        lingering = self._options.get((stdlib.SOL_SOCKET, stdlib.SO_LINGER), b"")
        at_once = len(lingering or b"") == 8 and lingering[:4] != b"\0\0\0\0" and lingering[4:] == b"\0\0\0\0"
        if self._buffer or at_once:
            tx.push("reset")
        elif not self._shut:
            self._shut = True
            tx.push("fin")
        if self._ended and self._shut:
            connection.over()

    # --- what arrives ---------------------------------------------------------------------------------------------

    def _arrived(self, segment: Segment, listener: SimSocket | None = None) -> None:
        connection = self.connection
        assert connection is not None
        if self._closed:
            self._answer_for_nobody(connection, segment)
        elif segment.kind == "data":
            self._buffer += segment.data
            self._reader.wake()
        elif segment.kind == "fin":
            self._ended = True
            self._reader.wake()
            if self._shut:
                connection.over()
        elif segment.kind == "reset":
            self.broken(errno.ECONNRESET)
            connection.end()
        elif segment.kind == "ack":
            self._join(listener)

    def _join(self, listener: SimSocket | None) -> None:
        """The handshake is complete: whoever listens may accept the connection."""
        if listener is None or listener._closed or listener._backlog is None:
            self.close()
            return
        listener._backlog.append(self)
        listener._reader.wake()

    def _answer_for_nobody(self, connection: Connection, segment: Segment) -> None:
        """Something came for a socket that is gone: data is answered by a reset."""
        if segment.kind == "reset":
            connection.end()
        elif segment.kind == "data" and self._tx is not None:
            self._tx.push("reset")

    def broken(self, number: int) -> None:
        """The connection is no more; whoever waits on it is told."""
        if self._closed or self._error is not None:
            return
        self._error = number
        self._buffer.clear()
        self._reader.wake()
        self._writer.wake()

    def _give_up(self, number: int) -> None:
        """What was sent is not acknowledged; the other end, if it is there, learns nothing of it."""
        self.broken(number)
        for pipe in (self._rx, self._tx):
            if pipe is not None:
                pipe.kill()
        if self.connection is not None:
            self.connection.over()

    def _check_open(self) -> None:
        if self._closed:
            raise _error(errno.EBADF)

    def _writable_error(self) -> int | None:
        """Why nothing can be sent, or None."""
        if self._closed:
            return errno.EBADF
        if self._error is not None or self._shut:
            return errno.EPIPE if self._shut else self._error
        return errno.ENOTCONN if self._tx is None else None


class Sockets(trio.abc.SocketFactory, trio.abc.HostnameResolver):
    """Hands sockets to tasks: each belongs to the process in whose tree of tasks it was made.

    Attributes:
        descriptors: numbers of sockets.
    """

    def __init__(self, tcp: Tcp, loop: VirtualLoop) -> None:
        self.tcp = tcp
        self.loop = loop
        self.descriptors = itertools.count(FIRST_DESCRIPTOR)
        self._roots: dict[trio.lowlevel.Task, Process] = {}

    def install(self) -> None:
        """Use these sockets in the current trio run. Call it inside."""
        trio.socket.set_custom_socket_factory(self)
        trio.socket.set_custom_hostname_resolver(self)

    async def as_process(self, process: Process, function: Callable[[], Any]) -> Any:
        """Run an async function; the sockets of the tasks that it starts are the process's."""
        task = trio.lowlevel.current_task()
        before = self._roots.get(task)
        self._roots[task] = process
        try:
            return await function()
        finally:
            if before is None:
                del self._roots[task]
            else:
                self._roots[task] = before

    def process(self) -> Process:
        """Whose task the current one is.

        Raises:
            OSError: nobody's, or that of a process that is dead.
        """
        found = self.owner(trio.lowlevel.current_task())
        if found is None:
            raise _error(errno.ENETUNREACH)
        if not found.alive:
            raise _error(errno.ENETDOWN)
        return found

    def owner(self, task: trio.lowlevel.Task) -> Process | None:
        """Whose a task is, if it is anybody's."""
        place: trio.lowlevel.Task | None = task
        while place is not None:
            found = self._roots.get(place)
            if found is not None:
                return found
            place = None if place.parent_nursery is None else place.parent_nursery.parent_task
        return None

    def socket(self, family: Any = stdlib.AF_INET, type: Any = stdlib.SOCK_STREAM, proto: int = 0) -> Any:
        if type != stdlib.SOCK_STREAM:
            raise _error(errno.EPROTONOSUPPORT)
        if family != stdlib.AF_INET:
            raise _error(errno.EAFNOSUPPORT)
        return SimSocket(self, self.process(), int(family))

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of a name, as the process's machine is told, when it is told.

        Raises:
            OSError: it has none.
        """
        found = self.tcp.network.resolve(self.process().machine.name, host, trio.current_time())
        if isinstance(found, Unresolved):
            await trio.sleep(math.inf if found.after_s is None else found.after_s)
            again = found.trouble == "servfail"
            raise stdlib.gaierror(stdlib.EAI_AGAIN if again else stdlib.EAI_NONAME, f"the simulated name service says {found.trouble}")
        await trio.sleep(found.delay_s)
        return found.addresses

    async def getaddrinfo(
        self, host: bytes | str | None, port: bytes | str | int | None, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        text = b"127.0.0.1" if host in (None, b"localhost", "localhost") else host
        name = text.decode("ascii") if isinstance(text, bytes) else str(text)
        number = int(port or 0)
        return [
            (stdlib.AF_INET, stdlib.SOCK_STREAM, stdlib.IPPROTO_TCP, "", (address, number))
            for address in ((name,) if name == "127.0.0.1" else await self.resolve(name, number))
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return str(sockaddr[0]), str(sockaddr[1])


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
