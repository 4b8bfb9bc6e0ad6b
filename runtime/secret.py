"""Secret values that mask themselves.

Lives here: the one wrapper for plaintext tokens, passwords and keys. It refuses every serialisation; `reveal()` is the only way out.
"""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """A plaintext that must not reach a log, an event, a listing, an error or the disk.

    `repr`, `str` and formatting show a mask; pickling and copying raise; comparison is constant-time.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        self._value = value.encode() if isinstance(value, str) else bytes(value)

    def reveal(self) -> str:
        """The plaintext as text (UTF-8)."""
        return self._value.decode()

    def reveal_bytes(self) -> bytes:
        """The plaintext as bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialised")

    __getstate__ = __reduce__
