"""A follower of a daemon's event stream over a real WebSocket."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import trio
from trio_websocket import ConnectionClosed, open_websocket_url

from tests.support.daemons import PATIENCE_S, Daemon


async def read_events(daemon: Daemon, cursor: int, until: int, found: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The events behind `cursor`, up to the event `until` at least, or to the end of the stream; added to `found` as they come."""
    url = f"ws{daemon.url.removeprefix('http')}/api/v1/events?cursor={cursor}"
    found = [] if found is None else found
    with trio.fail_after(PATIENCE_S):
        async with open_websocket_url(url, extra_headers=[("authorization", f"Bearer {daemon.token}")]) as stream:
            try:
                while not found or found[-1]["cursor"] < until:
                    found.append(json.loads(await stream.get_message()))
            except ConnectionClosed:
                pass
    return found


async def all_events(daemon: Daemon) -> list[dict[str, Any]]:
    """Every event that the log of a daemon with one account holds by now."""
    with closing(sqlite3.connect(daemon.data / "powernode.sqlite3")) as store:
        (last,) = store.execute("SELECT max(cursor) FROM store_event").fetchone()
    found = await read_events(daemon, 0, last)
    return [event for event in found if event["cursor"] <= last]
