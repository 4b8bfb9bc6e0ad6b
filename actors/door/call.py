"""A call at the door and its answer, as values. Faces and both simulation levels build the one and send the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs
import msgspec

from runtime.errors import Fault
from runtime.values import Value


@attrs.frozen
class Source:
    """What the connection itself proves about the caller.

    Attributes:
        address: remote IP address of the TCP connection, canonical text.
        face: `tls` (the public port) or `loopback` (plain HTTP on 127.0.0.1, operator API only).
        certificates: DER of the certificates presented by the client on this TLS connection, leaf first; empty if none.
        connection_id: names the connection in logs.
        channel: the connection is a peer channel, so that the arrival of a call does not show that its answer will arrive.
        network_id: the overlay network to whose address the accepting listener is bound; None for public listeners.
        relayed_by: the peer which, as our hub, has handed this connection over. `address` is then only what the hub says: good for telling
            sources apart, and nothing is allowed because of it.
        proxy: fingerprint of the trusted proxy that has handed the call on: `address`, `certificates` and `network_id` are what it says.
        unplaced: the proxy does not say from which address the call comes, so `address` is its own: good for counting, and proves nothing.
        dialled: we dialled the connection, so `address` is where we found the peer: a hub may stand there, or anything before the peer.
        verified: scratch of the door for this connection: the last certificate verdict, so that a kept connection pays for the
            public-key check once. The door re-checks everything that can change on every call.
    """

    address: str
    face: Literal["tls", "loopback"]
    certificates: tuple[bytes, ...] = ()
    connection_id: str = ""
    network_id: str | None = None
    channel: bool = False
    relayed_by: str = ""
    proxy: str = ""
    unplaced: bool = False
    dialled: bool = False
    verified: dict[str, Any] = attrs.field(factory=dict, eq=False, repr=False)

    @property
    def proven_address(self) -> str | None:
        """The address as far as the connection proves it: None if it came through a hub, or a proxy that does not say from where, or if we
        dialled it."""
        return None if self.relayed_by or self.dialled or self.unplaced else self.address


class Call(Value, frozen=True):
    """One request. `body` is the raw JSON text (already size-limited by the face), `query` and `headers` are single-valued.

    `headers` holds only what the door reads, in lower case: authorization, idempotency-key, if-match, if-none-match,
    content-type, x-federation-subject, x-request-id, and the headers that only a trusted proxy may send.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    source: Source


class Answer(Value, frozen=True):
    """What the face sends back. `body` is a JSON-ready object (None for 204/304); `close` asks to drop the connection."""

    status: int
    body: Mapping[str, Any] | None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    close: bool = False


def success(data: Any, *, status: int = 200, meta: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """The envelope of a success."""
    body: dict[str, Any] = {"success": True, "data": data}
    if meta is not None:
        body["meta"] = meta
    return Answer(status, body, headers or {})


def failure(fault: Fault, request_id: str, *, headers: Mapping[str, str] | None = None, close: bool = False) -> Answer:
    """The envelope of a refusal; `Retry-After` (whole seconds, rounded up) where the fault says so."""
    out = dict(headers or {})
    if fault.retry_after_s is not None:
        out["retry-after"] = str(max(1, int(-(-fault.retry_after_s // 1))))
    body = {"success": False, "error": fault.message, "code": fault.code, "details": dict(fault.details), "request_id": request_id}
    return Answer(fault.status, body, out, close)
