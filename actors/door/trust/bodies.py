"""Bodies about certificates and anchors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from actors import limits
from actors.door.shapes import Anything, Boolean, Field, Identifier, Instant, Integer, ListOf, Object, Text
from actors.problems import Problem

_PEM: Final = Text(chars_max=limits.BUNDLE_BYTES_MAX, lines=True)
_FINGERPRINT: Final = Text(chars_min=71, chars_max=71, pattern="sha256:[0-9a-f]{64}")

SIGNING_REQUEST: Final = Object(
    (
        Field(
            "csr_pem",
            Text(chars_max=limits.CSR_CHARS_MAX, lines=True),
            required=True,
            code="invalid_csr",
            status=422,
            description="For a new Ed25519 key; the names in it are ignored.",
        ),
        Field("issuer", _FINGERPRINT, description="The root that shall sign; the present one does if it is none of ours now."),
    ),
    name="CertificateRequest",
    unknown="ignore",
)
_CERTIFICATE: Final = Object(
    (
        Field("cert_pem", _PEM, required=True),
        Field("ca_chain_pem", _PEM, required=True),
        Field("serial", Text(), required=True),
        Field("not_after", Instant(), required=True),
    ),
    name="FederationCertificate",
    unknown="ignore",
)
CERTIFICATE: Final = Object((Field("certificate", _CERTIFICATE, required=True),), name="CertificateAnswer", unknown="ignore")

APPROVAL: Final = Object((Field("fingerprint", _FINGERPRINT, required=True),), name="ApproveAnchorRequest")
ROTATE: Final = Object(
    (
        Field(
            "overlap_days",
            Integer(limits.OVERLAP_DAYS_MIN, limits.OVERLAP_DAYS_MAX),
            description="How long both roots count; without it as long as the setting `federation.anchor_overlap` says.",
        ),
        Field("force", Boolean(), description="After a compromise: the present root ends at once, without overlap and without its word."),
        Field("keep_tokens", Boolean(), description="With `force`: open tokens stay, though a thief can answer them in our name."),
        Field("reason", Text(chars_min=1, chars_max=limits.PEER_EVENT_REASON_CHARS_MAX), description="Demanded with `force`."),
    ),
    name="RotateTrustRequest",
)


def contradictions(body: Mapping[str, Any]) -> Iterator[Problem]:
    """What does not go together in a body of `ROTATE`. A forced rotation cannot be taken back, so nothing of it is guessed."""
    force = bool(body.get("force"))
    if force and "reason" not in body:
        yield Problem("reason", "reason_required", "say why: with `force` the present root ends at once", 422)
    if force and "overlap_days" in body:
        yield Problem("overlap_days", "invalid_parameter", "there is no overlap with `force`", 400)
    if not force and body.get("keep_tokens"):
        yield Problem("keep_tokens", "invalid_parameter", "goes with `force`; without it open tokens stay as they are", 400)


FINISH: Final = Object(
    (
        Field("give_up", ListOf(Identifier(), limits.GIVEN_UP_MAX), description="Ids of peers that are not waited for."),
        Field("force", Boolean(), description="Give up every peer that has not followed, and the tokens that pin the present root."),
    ),
    name="FinishRotationRequest",
)
ROTATION: Final = Object(
    (Field("rotation", Anything(), required=True, description="Roots, window, and how far each peer has come."),),
    name="TrustRotation",
    unknown="ignore",
)
