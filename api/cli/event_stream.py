"""The daemon's live events over a WebSocket (RFC 6455), as frames `{cursor, kind, severity, at, payload}`.

Lives here: one connection. Must not live here: when to connect again (see the commands `events` and `peers wait`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol

from runtime.secret import Secret

PATH: Final = "/api/v1/events"
CONNECT_TIMEOUT_S: Final = 10.0
FRAME_BYTES_MAX: Final = 1_048_576

Frame = dict[str, Any]


class EventsLost(Exception):
    """The connection could not be made, or ended; connecting again may help."""


class EventsRefused(Exception):
    """The daemon answered the handshake with an error; `status` is its HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the daemon refused the event stream with HTTP {status}")
        self.status = status


class EventSource(Protocol):
    """Opens one stream.

    Args:
        url: base URL of the daemon.
        cursor: continue behind this event, or None for what happens from now on.

    Raises (on entry and while iterating):
        EventsLost, EventsRefused
    """

    def __call__(
        self, url: str, *, token: Secret, cursor: int | None, ca_pem: str | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Frame]]: ...


@asynccontextmanager
async def over_websocket(url: str, *, token: Secret, cursor: int | None, ca_pem: str | None) -> AsyncIterator[AsyncIterator[Frame]]:
    """The production side: trio-websocket."""
    import ssl

    import trio
    import trio_websocket

    context = None
    if url.startswith("https:"):
        context = ssl.create_default_context(cadata=ca_pem)
    address = "ws" + url.removeprefix("http") + PATH + ("" if cursor is None else f"?cursor={cursor}")
    try:
        async with trio_websocket.open_websocket_url(
            address,
            context,
            extra_headers=[(b"authorization", b"Bearer " + token.reveal_bytes())],
            max_message_size=FRAME_BYTES_MAX,
            connect_timeout=CONNECT_TIMEOUT_S,
            disconnect_timeout=1.0,
        ) as connection:
            yield _frames(connection.get_message)
    except trio_websocket.ConnectionRejected as error:
        raise EventsRefused(error.status_code) from error
    except (trio_websocket.HandshakeError, trio_websocket.ConnectionClosed, trio.BrokenResourceError, OSError) as error:
        raise EventsLost(str(error) or type(error).__name__) from error


async def _frames(receive: Callable[[], Any]) -> AsyncIterator[Frame]:
    import trio_websocket

    while True:
        try:
            message = await receive()
        except trio_websocket.ConnectionClosed as error:
            raise EventsLost("the daemon closed the event stream") from error
        try:
            frame = json.loads(message)
        except ValueError as error:
            raise EventsLost("the daemon sent a frame that is no JSON") from error
        if isinstance(frame, dict) and isinstance(frame.get("cursor"), int):
            yield frame
