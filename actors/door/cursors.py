"""Cursors of list pages: opaque to callers, one text per row id.

Lives here: encoding and strict decoding. Must not live here: the query behind a page. A cursor is not a secret and grants nothing; it only
says behind which row the next page begins, so it stays good when rows are added or removed.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from runtime.errors import FaultError, OperatorFault
from runtime.ids import is_uuid

CURSOR_CHARS: Final = 22


def encode(last_id: str) -> str:
    """The cursor behind the row `last_id`.

    Raises:
        ValueError: not a canonical UUID.
    """
    if not is_uuid(last_id):
        raise ValueError("a cursor is made of a row's id")
    return base64.urlsafe_b64encode(bytes.fromhex(last_id.replace("-", ""))).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The row id in a cursor. Exactly one text stands for each id: padding, other alphabets and stray bits are refused.

    Raises:
        FaultError: `invalid_parameter` (400).
    """
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"==", altchars=b"-_", validate=True) if len(cursor) == CURSOR_CHARS else b""
    except (binascii.Error, ValueError):
        raw = b""
    digits = raw.hex()
    found = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    if len(raw) != 16 or encode(found) != cursor:
        message = "is not a cursor; take meta.next_cursor of the former page"
        problem = {"field": "cursor", "code": "invalid_parameter", "message": message}
        raise FaultError(OperatorFault("invalid_parameter", f"cursor: {message}", 400, {"problems": [problem]}))
    return found
