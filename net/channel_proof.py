"""How the end of a channel that was dialled proves which peer it is.

Whoever dials presents its client certificate in the TLS handshake. The listener shows a server certificate there, which says which
platform it is, but the door of the dialling side believes client certificates alone. So the listener sends the certificate that this peer
issued or accepted for it, and signs with its key a secret that only the two ends of this very TLS connection know (exported keying
material, RFC 5705 and RFC 8446 section 7.5; the idea is that of RFC 9261). A proof can neither be replayed on another connection nor
relayed through a third party.

Lives here: making and checking that signature. Must not live here: whether the certificate may come in (`actors.door.admission`).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

LABEL: Final = b"EXPORTER-powernode-channel-v1"
BINDING_BYTES: Final = 32
_CONTEXT: Final = b"powernode.channel.v1 listener proof\0"


class ProofFrame(msgspec.Struct, frozen=True, tag="proof", tag_field="type"):
    """The first frame of the listener: its certificate in PEM, and the signature in Base64."""

    certificate_pem: str
    signature: str


class UnprovenError(ValueError):
    """The proof does not hold; the argument says why."""


def prove(certificate_pem: str, key_pem: bytes, binding: bytes) -> ProofFrame:
    """The proof that we hold the key of the certificate, for one connection.

    Raises:
        UnprovenError: the key cannot be read, or is of a kind that is not used for federation.
    """
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError):
        raise UnprovenError("the key cannot be read") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(_CONTEXT + binding)
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(_CONTEXT + binding, ec.ECDSA(hashes.SHA256()))
    else:
        raise UnprovenError("the key is neither Ed25519 nor ECDSA")
    return ProofFrame(certificate_pem, base64.b64encode(signature).decode("ascii"))


def check(proof: ProofFrame, binding: bytes) -> tuple[bytes, ...]:
    """The certificate of the other end in DER, once it has shown that it holds the key.

    Raises:
        UnprovenError: it has not.
    """
    try:
        certificate = x509.load_pem_x509_certificate(proof.certificate_pem.encode("ascii"))
        signature = base64.b64decode(proof.signature, validate=True)
        key = certificate.public_key()
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, _CONTEXT + binding)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, _CONTEXT + binding, ec.ECDSA(hashes.SHA256()))
        else:
            raise UnprovenError("the key is neither Ed25519 nor ECDSA")
    except InvalidSignature:
        raise UnprovenError("the signature is not that of this connection") from None
    except (ValueError, binascii.Error) as error:
        raise error if isinstance(error, UnprovenError) else UnprovenError("it cannot be read") from None
    return (certificate.public_bytes(Encoding.DER),)
