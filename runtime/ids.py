"""Identifiers: UUIDv7 (RFC 9562, section 5.7) from the doors of time and chance.

An id is never a secret: it shows when it was made and appears in lists and logs.
"""

from __future__ import annotations

import random
import re

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def uuid7(wall: float, chance: random.Random) -> str:
    """A time-ordered UUID: 48 bits of milliseconds since the epoch, 74 random bits; canonical lower-case text."""
    value = (int(wall * 1000) & ((1 << 48) - 1)) << 80 | 0x7 << 76 | chance.getrandbits(12) << 64 | 0b10 << 62 | chance.getrandbits(62)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_uuid(text: object) -> bool:
    """Whether `text` is a canonical lower-case UUID of any version."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def is_uuid7(text: object) -> bool:
    """Whether `text` is a canonical UUID of version 7."""
    return isinstance(text, str) and is_uuid(text) and text[14] == "7" and text[19] in "89ab"
