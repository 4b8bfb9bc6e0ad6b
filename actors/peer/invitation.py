"""Invitations: everything that the other operator needs, as one string to paste.

Lives here: encoding and strict decoding. Must not live here: what is done with an invitation, or any trust in its contents beyond
its shape: whoever can write to the operator can write an invitation.

`pn1.<body>.<check>`: the body is URL-safe base64 (no padding) of a JSON object with `url`, `ca_fingerprint`, `token` and
`contract_version`; the check is the first 8 characters of the URL-safe base64 SHA-256 of all before it, the dots included. The
check finds typing errors and cut pastes without asking the network; it is no signature. White space around the string is
forgiven. Keys that this version does not know are ignored, so that a later release may add some.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any, Final, Literal

from actors.certificates import pin_of_fingerprint
from actors.contract.record import parse_version
from actors.limits import INVITATION_CHARS_MAX
from actors.peer.endpoints import parse_hubs
from actors.peer.tokens import parse
from actors.problems import Problem
from actors.urls import canonical_url
from runtime.errors import OperatorFault
from runtime.secret import Secret
from runtime.values import Value

CHECK_CHARS: Final = 8
_PREFIX: Final = "pn1"
_ENVELOPE = re.compile(r"(pn[0-9]{1,4})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)

Reason = Literal["shape", "version", "checksum"]


class Invitation(Value, frozen=True):
    """What an invitation says.

    Attributes:
        url: canonical base URL of the platform that invites.
        ca_fingerprint: `sha256:<64 hex>` of its CA certificate, or None if its listener shows a public certificate.
        token: its acceptance token.
        contract_version: the contract version that it offers.
        via: canonical base URLs of the hubs through which it is reached, best first; empty if by its own name.
    """

    url: str
    ca_fingerprint: str | None
    token: Secret
    contract_version: int
    via: tuple[str, ...] = ()


class InvalidInvitation(Value, frozen=True):
    """Why a string is no invitation.

    Attributes:
        reason: `shape` (no invitation at all, or one with impossible contents), `version` (made by a release that we do not know),
            `checksum` (damaged on the way).
    """

    reason: Reason

    def to_fault(self) -> OperatorFault:
        """The refusal for the operator who pasted it."""
        return OperatorFault("invalid_invitation", _SENTENCES[self.reason], 422, {"reason": self.reason})


_SENTENCES: Final[dict[Reason, str]] = {
    "shape": "This is not an invitation. An invitation begins with pn1. and is pasted whole; ask for it again if it was cut",
    "version": "This invitation was made by a release with another invitation format; bring both platforms to neighbouring releases",
    "checksum": "The invitation was changed or cut on its way; copy it again, whole",
}


def encode(invitation: Invitation) -> Secret:
    """The string to paste. It carries the token, so it is as secret as the token.

    Raises:
        ValueError: the parts do not make a valid invitation.
    """
    body: dict[str, Any] = {
        "url": invitation.url,
        "ca_fingerprint": invitation.ca_fingerprint,
        "token": invitation.token.reveal(),
        "contract_version": invitation.contract_version,
    }
    if invitation.via:
        body["via"] = list(invitation.via)
    if _from_body(body) != invitation:
        raise ValueError("these parts do not make a valid invitation")
    raw = json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode("ascii")
    covered = f"{_PREFIX}.{_base64(raw)}."
    text = covered + _check(covered)
    if len(text) > INVITATION_CHARS_MAX:
        raise ValueError(f"an invitation has at most {INVITATION_CHARS_MAX} characters")
    return Secret(text)


def decode(text: object) -> Invitation | InvalidInvitation:
    """What a pasted string says, or why it is no invitation."""
    if not isinstance(text, str) or len(text) > INVITATION_CHARS_MAX:
        return InvalidInvitation("shape")
    envelope = _ENVELOPE.fullmatch(text.strip())
    if envelope is None:
        return InvalidInvitation("shape")
    prefix, body, check = envelope.groups()
    if prefix != _PREFIX:
        return InvalidInvitation("version")
    if check != _check(f"{prefix}.{body}."):
        return InvalidInvitation("checksum")
    return _from_body(_load(body)) or InvalidInvitation("shape")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def _check(covered: str) -> str:
    return _base64(hashlib.sha256(covered.encode("ascii")).digest())[:CHECK_CHARS]


def _load(body: str) -> Any:
    """The JSON value in a body, or None. A body can be made by anybody, so nesting up to the size limit must not hurt."""
    try:
        return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _from_body(body: Any) -> Invitation | None:
    if not isinstance(body, dict):
        return None
    token, fingerprint = body.get("token"), body.get("ca_fingerprint")
    parsed = parse(token) if isinstance(token, str) else None
    contract_version = parse_version(body.get("contract_version"))
    if parsed is None or contract_version is None:
        return None
    if fingerprint is not None:
        pin = pin_of_fingerprint(fingerprint) if isinstance(fingerprint, str) else None
        # A token and a fingerprint that name different authorities cannot come from one platform.
        if pin is None or parsed.pin not in (None, pin):
            return None
    try:
        url = canonical_url(body.get("url"))
    except ValueError:
        return None
    problems: list[Problem] = []
    via = parse_hubs(body.get("via"), url, problems, place="invitation")
    return None if problems else Invitation(url, fingerprint, parsed.token, contract_version, via)
