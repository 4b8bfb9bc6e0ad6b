"""Bodies about certificates and anchors."""

from __future__ import annotations

from typing import Final

from actors import limits
from actors.door.shapes import Field, Instant, Object, Text

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
