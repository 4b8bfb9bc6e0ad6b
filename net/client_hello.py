"""The server name in a ClientHello, before anybody has answered it.

Lives here: reading the first flight of TLS as far as needed to know for whom it is (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3).
Must not live here: TLS itself, or what is done with the name.

Strict and bounded, because whoever can reach the port can send anything: what is not exactly a ClientHello is refused here and left to
the TLS library, which knows how to say so. Nothing is kept between two looks at a growing beginning.
"""

from __future__ import annotations

import re
from typing import Final

from runtime.values import Value

CLIENT_HELLO_BYTES_MAX: Final = 16_384
RECORDS_MAX: Final = 16
"""Pieces into which a ClientHello may be cut; each look reads every piece anew."""

_HANDSHAKE, _CLIENT_HELLO, _SERVER_NAME, _HOST_NAME = 22, 1, 0, 0
_NAME: Final = re.compile(rb"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")


class NoClientHello(Exception):
    """What has arrived is not the beginning of TLS, or more than it may be. The argument is a short word for counting."""


class ClientHello(Value, frozen=True):
    """What can be known of a connection that begins.

    Attributes:
        server_name: lower case; None if none is asked for. Of an Encrypted ClientHello it is the outer name, which is all that shows: by
            design it cannot be told from a ClientHello that only pretends to hide something (RFC 9849, section 6.2).
    """

    server_name: str | None


class _Reader:
    """A cursor over bytes that are all there."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise NoClientHello("malformed")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int, least: int = 0) -> _Reader:
        """What stands behind a length of `size` bytes."""
        content = self.take(self.number(size))
        if len(content) < least:
            raise NoClientHello("malformed")
        return _Reader(content)


def read_client_hello(data: bytes) -> ClientHello | None:
    """What the bytes that a client has sent so far ask for; None if more must arrive first.

    Raises:
        NoClientHello: no further byte would make it one.
    """
    message = _handshake_bytes(data)
    if message[:1] not in (b"", b"\x01"):
        raise NoClientHello("not_a_client_hello")
    if len(message) < 4:
        _expect_more(data)
        return None
    length = int.from_bytes(message[1:4])
    if length + 4 > CLIENT_HELLO_BYTES_MAX:
        raise NoClientHello("client_hello_too_large")
    if len(message) < length + 4:
        _expect_more(data)
        return None
    if len(message) > length + 4:
        raise NoClientHello("malformed")
    return _parsed(_Reader(message[4:]))


def _expect_more(data: bytes) -> None:
    if len(data) >= CLIENT_HELLO_BYTES_MAX:
        raise NoClientHello("client_hello_too_large")


def _handshake_bytes(data: bytes) -> bytes:
    """What the records that have arrived carry, the last of them perhaps in part. What follows the whole message is not looked at."""
    found, at, records = b"", 0, 0
    while at < len(data) and (len(found) < 4 or len(found) < 4 + int.from_bytes(found[1:4])):
        records += 1
        if data[at] != _HANDSHAKE or data[at + 1 : at + 2] not in (b"", b"\x03"):
            raise NoClientHello("not_tls")
        if records > RECORDS_MAX:
            raise NoClientHello("too_many_records")
        if len(data) - at < 5:
            break
        length = int.from_bytes(data[at + 3 : at + 5])
        if not 0 < length <= CLIENT_HELLO_BYTES_MAX:
            raise NoClientHello("malformed")
        found += data[at + 5 : at + 5 + length]
        at += 5 + length
    return found


def _parsed(hello: _Reader) -> ClientHello:
    hello.take(2 + 32)  # version and random
    if hello.vector(1).left > 32:
        raise NoClientHello("malformed")
    if hello.vector(2, least=2).left % 2:
        raise NoClientHello("malformed")
    hello.vector(1, least=1)
    if not hello.left:
        return ClientHello(None)
    extensions = hello.vector(2)
    if hello.left:
        raise NoClientHello("malformed")
    seen: dict[int, _Reader] = {}
    while extensions.left:
        kind = extensions.number(2)
        if kind in seen:
            raise NoClientHello("malformed")
        seen[kind] = extensions.vector(2)
    return ClientHello(_server_name(seen[_SERVER_NAME]) if _SERVER_NAME in seen else None)


def _server_name(extension: _Reader) -> str:
    names = extension.vector(2, least=1)
    kind, name = names.number(1), names.vector(2, least=1)
    # One name of one kind is all that there has ever been; two would let two readers see different ones.
    if kind != _HOST_NAME or names.left or extension.left:
        raise NoClientHello("malformed")
    text = name.take(name.left).lower()
    if _NAME.fullmatch(text) is None:
        raise NoClientHello("malformed")
    return text.decode("ascii")


def alert(description: int) -> bytes:
    """A fatal alert in the clear (RFC 8446, section 6), for a client that has heard nothing yet."""
    return bytes((21, 3, 3, 0, 2, 2, description))


UNRECOGNIZED_NAME: Final = 112
"""There is nobody of this name here, or nobody who is reached by it now."""

INTERNAL_ERROR: Final = 80
"""There is, but not at this moment."""


def refused_by_hub(reason: str) -> bool:
    """Whether a handshake failed, by the words of the TLS library, with one of the alerts by which a hub refuses."""
    return reason.endswith(("unrecognized name", "alert internal error"))


def refused_by_alert(reason: str) -> bool:
    """Whether a handshake failed, by the words of the TLS library, because the other end said so in an alert, and not by what it showed."""
    return " alert " in f" {reason} " or reason.endswith("unrecognized name")
