"""A small HTTP/2 client over any stream, for tests."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import trio


class Http2Client:
    """Just enough of an HTTP/2 client."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()

    async def open(self, path: str = "/", method: str = "GET", *, end: bool = True) -> int:
        stream_id = self.h2.get_next_available_stream_id()
        headers = [(":method", method), (":path", path), (":scheme", "https"), (":authority", "test")]
        self.h2.send_headers(stream_id, headers, end_stream=end)
        await self.flush()
        return stream_id

    async def flush(self) -> None:
        if data := self.h2.data_to_send():
            await self.stream.send_all(data)

    async def events(self) -> list[h2.events.Event]:
        data = await self.stream.receive_some(65_536)
        events = self.h2.receive_data(bytes(data)) if data else [h2.events.ConnectionTerminated()]
        await self.flush()
        return events

    async def until_ended(self, stream_ids: set[int]) -> list[h2.events.Event]:
        seen: list[h2.events.Event] = []
        open_ids = set(stream_ids)
        while open_ids:
            for event in await self.events():
                seen.append(event)
                if isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
                    open_ids.discard(event.stream_id)
                if isinstance(event, h2.events.ConnectionTerminated):
                    return seen
        return seen
