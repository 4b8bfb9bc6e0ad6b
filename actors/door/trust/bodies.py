"""Bodies about certificates and anchors."""

from __future__ import annotations

from typing import Final

from actors import limits
from actors.door.shapes import Anything, Boolean, Field, Instant, Integer, Object, Text

_PEM: Final = Text(chars_max=limits.BUNDLE_BYTES_MAX, lines=True)

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

APPROVAL: Final = Object(
    (Field("fingerprint", Text(chars_min=71, chars_max=71, pattern="sha256:[0-9a-f]{64}"), required=True),), name="ApproveAnchorRequest"
)
ROTATE: Final = Object(
    (
        Field("overlap_days", Integer(limits.OVERLAP_DAYS_MIN, limits.OVERLAP_DAYS_MAX), default=limits.OVERLAP_DAYS_DEFAULT),
        Field("force", Boolean(), description="After a compromise: also if open tokens pin the present root beyond the overlap."),
        Field("reason", Text(chars_min=1, chars_max=limits.PEER_EVENT_REASON_CHARS_MAX)),
    ),
    name="RotateTrustRequest",
)
ROTATION: Final = Object(
    (Field("rotation", Anything(), required=True, description="Roots, window, and how far each peer has come."),),
    name="TrustRotation",
    unknown="ignore",
)
