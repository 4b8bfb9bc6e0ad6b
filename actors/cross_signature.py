"""The proof that a platform's next CA comes from the one that is trusted already: a signature of the old key. Pure.

Lives here: the exact bytes that are signed, and their verification. Must not live here: keys that sign, or what a row does with the result.

The statement is ASCII, six lines ended by one line feed each:

    powernode-anchor-rotation-v1
    <fingerprint of the new root: sha256: and 64 hex digits>
    <fingerprint of the old root>
    <instance id of the platform that rotates>
    <instance id of the platform that is told>
    <begin of the window> <end of the window>

Times are whole seconds since the epoch in decimal. Both instances are named, so that what one peer was told proves nothing to another; the
window is named, so that a signature that was kept proves nothing later. The signature is Ed25519 (RFC 8032) over these bytes, by the key
in the old root.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.certificates import Anchor
from actors.limits import DAY_S, OVERLAP_DAYS_MAX, SKEW_MAX_S

HEADER: Final = "powernode-anchor-rotation-v1"


def statement(*, new: str, old: str, rotating: str, told: str, begins: int, ends: int) -> bytes:
    """The bytes that the old key signs. `new` and `old` are fingerprints, `rotating` and `told` instance ids, the rest whole seconds."""
    return "\n".join((HEADER, new, old, rotating, told, f"{begins} {ends}", "")).encode("ascii")


def flaw(old: Anchor, signed: bytes, signature: bytes, *, begins: int, ends: int, now: float) -> str | None:
    """Why `signature` over the statement `signed` proves nothing at `now`, or None. The caller has made the statement itself."""
    key = old.certificate.public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey):
        return "old_key_not_ed25519"
    if not 0 < ends - begins <= OVERLAP_DAYS_MAX * DAY_S:
        return "window_invalid"
    if now < begins - SKEW_MAX_S or now >= ends:
        return "outside_window"
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return "signature_invalid"
    return None
