"""Every undocumented part of hypercorn that `net` stands on. A failure here means: read `net/connection.py` against the new release."""

from __future__ import annotations

import inspect
from importlib.metadata import version

import pytest
from hypercorn.config import Config
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WebsocketBuffer, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext

from net.connection import AppTasks, Http1, Http2, HttpConnection

_PROTOCOL = ["self", "app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send"]


def test_the_release_is_the_one_that_was_read() -> None:
    assert version("hypercorn").startswith("0.18.")


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (H11Protocol.__init__, _PROTOCOL),
        (H2Protocol.__init__, _PROTOCOL),
        (H11Protocol.handle, ["self", "event"]),
        (H11Protocol._check_protocol, ["self", "event"]),
        (H11Protocol._create_stream, ["self", "request"]),
        (H11Protocol._send_error_response, ["self", "status_code"]),
        (H11Protocol._send_h11_event, ["self", "event"]),
        (H2Protocol.handle, ["self", "event"]),
        (H2Protocol.stream_send, ["self", "event"]),
        (H2Protocol._handle_events, ["self", "events"]),
        (H2Protocol._close_stream, ["self", "stream_id"]),
        (H2Protocol._send_data, ["self", "stream_id"]),
        (H2Protocol._flush, ["self"]),
        (WSStream._send_wsproto_event, ["self", "event"]),
        (StreamBuffer.close, ["self"]),
        (WebsocketBuffer.__init__, ["self", "max_length"]),
        (Lifespan.__init__, ["self", "app", "config", "state"]),
        (WorkerContext.__init__, ["self", "max_requests"]),
    ],
)
def test_signatures(function: object, parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_attributes_that_are_read_or_replaced() -> None:
    http2 = inspect.getsource(H2Protocol)
    for name in ("self.connection.local_settings", "self.stream_buffers", "self.streams", "self.keep_alive_requests", "self.closed"):
        assert name in http2, name
    http1 = inspect.getsource(H11Protocol)
    for name in ("self.connection", "self.stream", "self.keep_alive_requests", "await self._maybe_recycle()", "self.task_group"):
        assert name in http1, name
    assert "self._complete" in inspect.getsource(StreamBuffer)
    assert "self.buffer" in inspect.getsource(H11WSConnection)
    for name in ("self.handshake", "self.buffer", "self.closed", "self.connection"):
        assert name in inspect.getsource(WSStream), name


def test_streams_reach_the_application_through_our_tasks_only() -> None:
    for stream in (HTTPStream, WSStream):
        source = inspect.getsource(stream)
        assert "await self.task_group.spawn_app(" in source
        assert "event.state.copy()" in source, "the source of the connection is copied into each scope"
    ours = set(inspect.signature(AppTasks.spawn_app).parameters)
    assert ours == {"self", "app", "config", "scope", "send"}


def test_our_protocols_override_what_exists() -> None:
    for ours, theirs in ((Http1, H11Protocol), (Http2, H2Protocol)):
        own = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
        overridden = {name for name in own if hasattr(theirs, name)}
        assert {"handle", "_create_stream"} <= overridden or {"handle", "_close_stream"} <= overridden
    assert HttpConnection.run


@pytest.mark.parametrize(
    "name",
    [
        "accesslog",
        "errorlog",
        "include_server_header",
        "h11_max_incomplete_size",
        "h2_max_header_list_size",
        "h2_max_concurrent_streams",
        "keep_alive_max_requests",
        "websocket_max_message_size",
        "websocket_ping_interval",
    ],
)
def test_settings_exist(name: str) -> None:
    assert hasattr(Config(), name)
