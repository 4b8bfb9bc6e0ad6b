"""Secret values that mask themselves.

Lives here: the one wrapper for plaintext tokens, passwords and keys, and the mask over what a remote has sent in the open.
The wrapper refuses every serialisation; `reveal()` is the only way out.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

BEARING_KEYS: Final = frozenset(
    {"acceptance_token", "bearer_token", "invitation", "password", "bootstrap_token", "access_token", "refresh_token", "secret"}
)
"""Keys under which a body from elsewhere carries a secret in the open."""
SECRET_PART: Final = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""32 bytes as URL-safe base64: the secret part of every token of this protocol."""
_MASK: Final = "***"


def masked(value: Any) -> Any:
    """JSON from elsewhere as it may be shown: without what a key or its form tells to be secret."""
    if isinstance(value, str):
        return SECRET_PART.sub(_MASK, value)
    if isinstance(value, Mapping):
        return {masked(key): _MASK if key in BEARING_KEYS and each is not None else masked(each) for key, each in value.items()}
    return [masked(each) for each in value] if isinstance(value, (list, tuple)) else value


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
