"""Staying connected to the daemon's events: connect again after a loss, behind the last event seen.

Lives here: the loop. Must not live here: one connection (see `event_stream`), or what is done with an event.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from api.cli.client import Client
from api.cli.event_stream import EventsLost, EventsRefused, Frame
from api.cli.failures import Failure, exit_for

RETRY_FIRST_S: Final = 1.0
RETRY_MAX_S: Final = 30.0


async def follow(client: Client, cursor: int | None, on_frame: Callable[[Frame], None], on_loss: Callable[[str, float], None]) -> None:
    """Hand every event to `on_frame`, for ever. `on_loss` is told why a connection ended and after how many seconds the next is tried.

    Raises:
        Failure: the daemon refuses, or the very first connection fails.
    """
    application, delay_s, was_connected = client.application, RETRY_FIRST_S, False
    while True:
        token = await client.bearer()
        try:
            async with application.events(client.url, token=token, cursor=cursor, ca_pem=application.ca_pem()) as frames:
                was_connected = True
                async for frame in frames:
                    cursor, delay_s = frame["cursor"], RETRY_FIRST_S
                    on_frame(frame)
            reason = "the stream ended"
        except EventsRefused as refused:
            code = {401: "unauthenticated", 403: "forbidden"}.get(refused.status, "events_refused")
            raise Failure(code, str(refused), exit_for(refused.status, code)) from refused
        except EventsLost as lost:
            if not was_connected:
                raise Failure("daemon_unreachable", f"{client.url}: {lost}", exit_for(0, "daemon_unreachable")) from lost
            reason = str(lost)
        on_loss(reason, delay_s)
        await trio.sleep(delay_s)
        delay_s = min(RETRY_MAX_S, delay_s * 2)
