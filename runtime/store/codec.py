"""Records as bytes: the JSON codec of one attrs class, and canonical JSON for hashing.

Must not live here: tables, columns, or knowledge of any record kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec


class CodecError(ValueError):
    """A value cannot be stored, or stored bytes are not a value of the expected class. Its text holds no field value."""


def canonical_json(value: Any) -> bytes:
    """The one encoding of a JSON-ready value that hashes are taken over.

    UTF-8, no whitespace, object keys sorted by code point, numbers in shortest round-trip form (a float keeps its `.0`).
    """
    return msgspec.json.encode(value, order="sorted")


def encode_json(value: Any) -> bytes:
    """Compact JSON of a JSON-ready value, keys in their own order."""
    return msgspec.json.encode(value)


def decode_json(data: bytes) -> Any:
    """The plain JSON value in `data`."""
    return msgspec.json.decode(data)


class Codec:
    """Encodes and decodes instances of one attrs class.

    `upcast` turns a stored object of an older shape into today's; it is used by `migrate` only, so that reading costs nothing
    for having a past.
    """

    def __init__(self, record: type, upcast: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> None:
        self._record = record
        self._upcast = upcast
        self._encode = msgspec.json.Encoder().encode
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(record).decode

    def encode(self, record: Any) -> bytes:
        """The stored form of `record`.

        The bytes are read back once: what JSON changes in silence (a NaN becomes null, a tuple in a field of any type a list)
        must fail here, not come to light after the next start.

        Raises:
            CodecError: the class is wrong, or a field does not survive the way out and back.
        """
        if type(record) is not self._record:
            raise CodecError(f"expected {self._record.__name__}, got {type(record).__name__}")
        try:
            data = self._encode(record)
            copy = self._decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise CodecError(f"this {self._record.__name__} cannot be stored: {type(error).__name__}") from error
        if copy != record:
            fields = [field.name for field in attrs.fields(self._record) if getattr(copy, field.name) != getattr(record, field.name)]
            raise CodecError(f"fields of this {self._record.__name__} come back changed from storage: {', '.join(fields)}")
        return data

    def decode(self, data: bytes) -> Any:
        """The record in `data`.

        Raises:
            CodecError: the bytes are not an instance of the class.
        """
        try:
            return self._decode(data)
        except (msgspec.MsgspecError, TypeError, ValueError) as error:
            raise CodecError(f"not a {self._record.__name__}: {type(error).__name__}") from error

    def migrate(self, data: bytes) -> Any:
        """The record in `data`, which an older program may have written.

        Raises:
            CodecError: the bytes are not an instance of the class, after upcasting either.
        """
        if self._upcast is None:
            return self.decode(data)
        try:
            return msgspec.convert(self._upcast(msgspec.json.decode(data)), self._record)
        except (msgspec.MsgspecError, TypeError, ValueError, LookupError) as error:
            raise CodecError(f"not a {self._record.__name__}, even after upcasting: {type(error).__name__}") from error

    def shape(self) -> Any:
        """A JSON-ready description of the class and all that it holds; it differs when the stored form does."""
        return _without_prose(msgspec.json.schema(self._record))


def _without_prose(schema: Any) -> Any:
    """The schema less its descriptions: a reworded docstring must not rewrite a table."""
    if isinstance(schema, dict):
        return {key: _without_prose(value) for key, value in schema.items() if not (key == "description" and isinstance(value, str))}
    if isinstance(schema, list | tuple):
        return [_without_prose(value) for value in schema]
    return schema
