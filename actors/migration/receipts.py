"""Whether a receipt is what the destination has signed: the proof that lets a source let go.

Lives here: pure checks of a receipt against a plan, and against a hop of a chain. Must not live here: signing (a port), or what follows.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors import certificates
from actors.limits import SKEW_MAX_S
from actors.migration.steps import canonical
from actors.ports import signed_bytes
from runtime.clock import parse_iso

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
    if malformed(proof):
        return "malformed"
    receipt = proof["receipt"]
    if (receipt.get("migration_id"), receipt.get("plan_digest"), receipt.get("operation")) != (transfer_id, digest, operation):
        return "other_plan"
    return _unsigned(proof, anchors_pem, instance_id, now)


def hop_flaw(
    proof: Mapping[str, Any] | None,
    anchors_pem: Sequence[str],
    instance_id: str,
    hop: tuple[str, int],
    moved: tuple[str, str, str],
    since: float,
) -> str | None:
    """Why this does not prove that a hop of a chain has brought its resource to that platform, as a short word, or None.

    It is judged at the instant that it names, since who drives a chain may hear of it long after; no receipt is older than its chain.

    Args:
        proof: as in `flaw`; None if there was none.
        anchors_pem, instance_id: of the platform to which the hop leads.
        hop: the chain's id and the hop's number.
        moved: the operation, the resource's id before the hop, and the id that it is said to have after it.
        since: when the chain was planned, seconds since the epoch.
    """
    if proof is None:
        return "missing"
    if malformed(proof):
        return "malformed"
    receipt, (operation, before, after) = proof["receipt"], moved
    named, ids = receipt.get("chain"), receipt.get("id_map")
    if not isinstance(named, dict) or (named.get("id"), named.get("hop")) != hop or receipt.get("operation") != operation:
        return "other_hop"
    if named.get("root") != before or not isinstance(ids, dict) or ids.get(before, before) != after:
        return "other_resource"
    try:
        at = parse_iso(str(receipt.get("at")))
    except (ValueError, OverflowError):
        return "malformed"
    if at < since - SKEW_MAX_S:
        return "too_old"
    return _unsigned(proof, anchors_pem, instance_id, at)


def malformed(proof: Mapping[str, Any]) -> bool:
    """Whether this has not even the form of a proof."""
    receipt, signature, pem = proof.get("receipt"), proof.get("signature"), proof.get("certificate_pem")
    if not isinstance(receipt, dict) or not isinstance(signature, str) or not isinstance(pem, str):
        return True
    return len(signature) > SIGNATURE_CHARS_MAX or len(pem) > CERTIFICATE_CHARS_MAX


def _unsigned(proof: Mapping[str, Any], anchors_pem: Sequence[str], instance_id: str, now: float) -> str | None:
    receipt, signature, pem = proof["receipt"], proof["signature"], proof["certificate_pem"]
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
