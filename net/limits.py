"""Named limits of sockets, with the relations between them checked.

Lives here: every number that bounds a connection, a handshake, a header or a wait. Must not live here: limits of the domain
(`actors.limits`). Durations are seconds, sizes bytes.
"""

from __future__ import annotations

from typing import Final

import attrs

from actors.limits import CHANNEL_CALLS_IN_FLIGHT_MAX, REPLY_BYTES_MAX

MIB: Final = 1_048_576
RECEIVE_BYTES: Final = 65_536
HTTP2_WINDOW_BYTES: Final = 65_535  # RFC 9113, section 6.9.2: what a client may send before we read

CERTIFICATES_MAX: Final = 16

CLIENT_KEEP_ALIVE_S: Final = 70.0
CLIENT_CONNECTION_AGE_S: Final = 900.0
CLIENT_HANDSHAKE_S: Final = 5.0
CLIENT_CONNECTIONS_PER_POOL: Final = 4
CLIENT_IDLE_MAX: Final = 1_024
CLIENT_HEADER_BYTES: Final = 32_768
CLIENT_ADDRESSES_MAX: Final = 4
CLIENT_IDENTITIES_MAX: Final = 4_096
CLIENT_INFORMATIONAL_MAX: Final = 8
RESOLVE_S: Final = 5.0
RESOLVE_THREADS: Final = 16
COMMAND_REPLY_BYTES: Final = 64 * MIB


@attrs.frozen
class ListenerLimits:
    """What one client may cost the listener. Every field is a setting; the defaults suit a daemon in production.

    Attributes:
        handshake_s: from the accepted connection to the end of the TLS handshake.
        header_s: from the first byte of a request (on a new connection: from its start) to the end of its headers.
        header_bytes: request line and headers together.
        body_s: from the headers of a request to the end of its body.
        body_bytes: a request body on the wire; the faces have smaller limits of their own and answer 413, this one cuts the connection.
        buffered_body_bytes: body received but not yet read by the application; beyond it the client is made to wait.
        send_s: how long one write may wait for a client that does not read.
        linger_s, linger_bytes: after the last answer, how long and how much to drain, so that the answer is not lost to a reset.
        keep_alive_s: silence allowed between two requests.
        requests_per_connection: then the connection is closed in an orderly way.
        http2_streams: concurrent requests of one HTTP/2 connection.
        http2_resets: requests that one HTTP/2 connection may open and abandon.
        http2_control_frames: pings, settings and priorities of one HTTP/2 connection.
        websocket_message_bytes: one inbound WebSocket message.
        websocket_ping_s: interval of our pings.
        connections, connections_per_source: open connections in total and per source address (IPv6: per /64), channels not among them.
        channels: connections that an admitted peer has turned into a channel. They are counted apart, since whoever has proven to be a peer
            is no stranger that could fill the listener, and many peers may share one address.
        grace_s: at a stop, how long requests in flight may still take.
        abandoned_s: how long a request may run on after its client has gone.
    """

    handshake_s: float = 8.0
    header_s: float = 10.0
    header_bytes: int = 16_384
    body_s: float = 60.0
    body_bytes: int = MIB + 65_536
    buffered_body_bytes: int = 131_072
    send_s: float = 30.0
    linger_s: float = 2.0
    linger_bytes: int = 2 * MIB
    keep_alive_s: float = 75.0
    requests_per_connection: int = 1_000
    http2_streams: int = 64
    http2_resets: int = 200
    http2_control_frames: int = 10_000
    websocket_message_bytes: int = MIB
    websocket_ping_s: float = 25.0
    connections: int = 4_096
    connections_per_source: int = 512
    channels: int = 16_384
    grace_s: float = 5.0
    abandoned_s: float = 60.0

    def __attrs_post_init__(self) -> None:
        """Raises ValueError for a combination in which one limit makes another meaningless."""
        for field in attrs.fields(ListenerLimits):
            if getattr(self, field.name) <= 0:
                raise ValueError(f"{field.name} must be greater than zero")
        for small, large in (
            ("connections_per_source", "connections"),
            ("header_bytes", "body_bytes"),
            ("buffered_body_bytes", "body_bytes"),
            ("http2_resets", "requests_per_connection"),
            ("header_s", "keep_alive_s"),
        ):
            if getattr(self, small) > getattr(self, large):
                raise ValueError(f"{small} must not exceed {large}")
        if self.buffered_body_bytes < HTTP2_WINDOW_BYTES:
            raise ValueError(f"buffered_body_bytes must be at least {HTTP2_WINDOW_BYTES}, the window of one HTTP/2 stream")


DEFAULT_LISTENER_LIMITS: Final = ListenerLimits()

# A kept connection that the server is about to close must not be picked for the next request.
assert DEFAULT_LISTENER_LIMITS.keep_alive_s > CLIENT_KEEP_ALIVE_S
assert CLIENT_KEEP_ALIVE_S < CLIENT_CONNECTION_AGE_S
assert CLIENT_HEADER_BYTES < REPLY_BYTES_MAX <= COMMAND_REPLY_BYTES

# The peer channel. Whoever dialled pings when it has heard nothing for a while, so that boxes on the way keep the connection in mind, and
# each end gives up an end that says nothing.
UPGRADE_REFUSAL_BYTES_MAX: Final = 65_536
WEBSOCKET_RECEIVE_BYTES: Final = 16_384
WEBSOCKET_KEPT_BYTES: Final = 512
"""A longer message leaves larger buffers behind than a silent WebSocket may keep."""
QUERY_FIELDS_MAX: Final = 32
CHANNEL_OPEN_S: Final = 8.0
CHANNEL_PING_S: Final = 25.0
CHANNEL_LOOK_S: Final = 5.0
"""Signs of life are looked for no more often than this, since one look goes over all channels."""
CHANNEL_PONG_S: Final = 10.0
CHANNEL_SEND_S: Final = 5.0
CHANNEL_CLOSE_S: Final = 1.0
CHANNEL_RETIRED_S: Final = 2.0
CHANNEL_SILENCE_MIN_S: Final = 180.0

# The hub. A piece on its way is all that is buffered of a relayed connection.
RELAY_BYTES: Final = 32_768
RELAY_ANNOUNCED_AT_A_TIME: Final = 8
RELAY_FAREWELL_S: Final = 1.0
RELAY_HALF_OPEN_S: Final = 30.0
"""A relayed connection of which one half has ended is given this long without a byte at most."""
RELAY_TOLD_EVERY_S: Final = 5.0
RELAYED_PER_HUB_MAX: Final = 256

assert RELAY_ANNOUNCED_AT_A_TIME < CHANNEL_CALLS_IN_FLIGHT_MAX
