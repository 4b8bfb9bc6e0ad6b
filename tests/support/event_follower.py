"""A follower of a daemon's event stream over a real WebSocket."""

from __future__ import annotations

import json
from typing import Any

import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from tests.support.daemons import Daemon


async def read_events(daemon: Daemon, cursor: int, until: int, timeout_s: float = 20.0) -> list[dict[str, Any]]:
    """The events behind `cursor`, up to the event `until` at least, or to the end of the stream."""
    url = f"ws{daemon.url.removeprefix('http')}/api/v1/events?cursor={cursor}"
    found: list[dict[str, Any]] = []
    with trio.fail_after(timeout_s):
        async with open_websocket_url(url, extra_headers=[("authorization", f"Bearer {daemon.token}")]) as stream:
            try:
                while not found or found[-1]["cursor"] < until:
                    found.append(json.loads(await stream.get_message()))
            except ConnectionClosed:
                pass
    return found


async def all_events(daemon: Daemon) -> list[dict[str, Any]]:
    """Every event that the daemon's log holds: follows from the start until nothing more comes for a moment."""
    url = f"ws{daemon.url.removeprefix('http')}/api/v1/events?cursor=0"
    found: list[dict[str, Any]] = []
    async with open_websocket_url(url, extra_headers=[("authorization", f"Bearer {daemon.token}")]) as stream:
        while True:
            with trio.move_on_after(0.5) as waiting:
                found.append(json.loads(await stream.get_message()))
            if waiting.cancelled_caught:
                return found
