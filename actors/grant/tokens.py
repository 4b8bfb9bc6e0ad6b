"""The bearer of a grant: `fg-<grant id>.<secret>`, or the bare `fg-<grant id>` of a grant that was made so.

Lives here: minting, parsing, digests; pure. Must not live here: whether a bearer is good for a call (see `chain`).

The id shows in lists and logs, so it is no credential by itself: the secret is 256 random bits, of which only the SHA-256 is kept.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

import attrs

from runtime.secret import Secret

PREFIX: Final = "fg-"
SECRET_BYTES: Final = 32
BEARER_CHARS_MAX: Final = 128
_BEARER = re.compile(r"fg-([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:\.([A-Za-z0-9_-]{43}))?", re.ASCII)


@attrs.frozen
class Bearer:
    """What a caller presented. `digest` is that of the secret part, None if there was none; the text itself is not kept."""

    grant_id: str
    digest: str | None = attrs.field(repr=False)


def mint(grant_id: str, secret: bytes | None) -> tuple[Secret, str | None]:
    """The bearer and the digest to keep; `secret` None makes a bare one."""
    if secret is None:
        return Secret(PREFIX + grant_id), None
    text = base64.urlsafe_b64encode(secret).decode().rstrip("=")
    return Secret(f"{PREFIX}{grant_id}.{text}"), _digest(text)


def parse(text: str) -> Bearer | None:
    """The bearer in a header's value; None if it is not one."""
    if len(text) > BEARER_CHARS_MAX:
        return None
    found = _BEARER.fullmatch(text)
    if found is None:
        return None
    secret = found[2]
    return Bearer(found[1], None if secret is None else _digest(secret))


def same(presented: str | None, kept: str | None) -> bool:
    """Whether two digests are equal, in constant time; a missing one equals only a missing one."""
    if presented is None or kept is None:
        return presented is None and kept is None
    return hmac.compare_digest(presented, kept)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
