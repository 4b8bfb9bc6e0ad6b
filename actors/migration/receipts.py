"""Whether a receipt is what the destination has signed: the proof that lets a source let go.

Lives here: one pure check. Must not live here: signing (a port), or what follows.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors import certificates
from actors.migration.steps import canonical
from actors.ports import signed_bytes

PURPOSE: Final = "migration-receipt"
CERTIFICATE_CHARS_MAX: Final = 8_192
SIGNATURE_CHARS_MAX: Final = 128


def flaw(
    proof: Mapping[str, Any], anchors_pem: Sequence[str], instance_id: str, transfer_id: str, digest: str, operation: str, now: float
) -> str | None:
    """Why this is no receipt of that platform for that plan, as a short word, or None.

    Args:
        proof: `receipt`, `signature` (base64) and `certificate_pem` as received; hostile.
        anchors_pem: the peer's CA certificates that we trust.
        now: seconds since the epoch.
    """
    receipt, signature, pem = proof.get("receipt"), proof.get("signature"), proof.get("certificate_pem")
    if not isinstance(receipt, dict) or not isinstance(signature, str) or not isinstance(pem, str):
        return "malformed"
    if len(signature) > SIGNATURE_CHARS_MAX or len(pem) > CERTIFICATE_CHARS_MAX:
        return "malformed"
    if (receipt.get("migration_id"), receipt.get("plan_digest"), receipt.get("operation")) != (transfer_id, digest, operation):
        return "other_plan"
    der = certificates.pem_to_der(pem)
    leaf = certificates.parse_leaf(der) if isinstance(der, bytes) else der
    anchors = certificates.load_anchors(anchors_pem)
    if isinstance(leaf, str) or isinstance(anchors, str):
        return leaf if isinstance(leaf, str) else str(anchors)
    wrong = (
        certificates.check_profile(leaf, now=now)
        or certificates.check_instance_san(leaf, (instance_id,))
        or certificates.check_issued_by(leaf, anchors, now=now)
    )
    if wrong is not None:
        return wrong
    key = leaf.certificate.public_key()
    if not isinstance(key, ed25519.Ed25519PublicKey):
        return "key_not_ed25519"
    try:
        key.verify(base64.b64decode(signature, validate=True), signed_bytes(PURPOSE, canonical(receipt)))
    except (InvalidSignature, binascii.Error, ValueError):
        return "signature_invalid"
    return None
