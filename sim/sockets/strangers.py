"""Calls of strangers at socket level: TLS with whatever certificate and key they hold, on a connection of their own.

Lives here: one visit. Must not live here: what a stranger says or shows (see `sim.attacks`), or a check of ours: whoever attacks believes
any server.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from actors import certificates
from actors.door.call import Answer, Call
from net.http_client import ExchangeFailed, HttpClientConnection
from net.tls import TlsFailed, TlsStream, abort, client_context
from sim.sockets.sockets import SimSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.sockets.host import SocketHost
    from sim.sockets.tcp import Process

PUBLIC_PORT: Final = 443
PATIENCE_S: Final = 30.0
ANSWER_BYTES_MAX: Final = 1 << 20


def visit(target: SocketHost, machine: str, call: Call, key_pem: bytes | None, source: str, done: Callable[[Answer], None]) -> None:
    """Let somebody call a platform from a machine; `done` gets the answer if there is one.

    Args:
        key_pem: the key of the first certificate that the call shows. source: whose the call really is.
    """
    level = target.level
    process = level.process(machine, source)
    level.loop.start(level.sockets.as_process, process, partial(_visit, target, process, call, key_pem, done), name=f"{source}'s call")


async def _visit(target: SocketHost, process: Process, call: Call, key_pem: bytes | None, done: Callable[[Answer], None]) -> None:
    try:
        with trio.move_on_after(PATIENCE_S):
            done(await _exchanged(target, process, call, key_pem))
    except (OSError, trio.BrokenResourceError, TlsFailed, ExchangeFailed):
        pass  # Nobody owes a stranger an answer.
    finally:
        process.kill()
        target.level.processes.pop(process, None)


async def _exchanged(target: SocketHost, process: Process, call: Call, key_pem: bytes | None) -> Answer:
    chain = "".join(certificates.der_to_pem(der) for der in call.source.certificates).encode()
    strangers = target.level.strangers
    context = client_context(chain, key_pem) if key_pem is not None else client_context()
    transport = await trio.open_tcp_stream(target.address, PUBLIC_PORT)
    assert isinstance(transport.socket, SimSocket)
    assert transport.socket.connection is not None
    path = transport.socket.connection.path
    stream = TlsStream(transport, context, server_side=False, server_name=f"{target.name}.example.com")
    try:
        if path is not None:
            strangers[path] = process.name
        await stream.do_handshake()
        connection = HttpClientConnection(stream, f"{target.name}.example.com")
        reply = await connection.exchange(call.method, call.path, headers=call.headers, body=call.body, reply_bytes_max=ANSWER_BYTES_MAX)
    finally:
        abort(stream)
        if path is not None:
            strangers.pop(path, None)
    return Answer(reply.status, msgspec.json.decode(reply.body) if reply.body else None, dict(reply.headers))
