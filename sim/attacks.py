"""What a hostile host can send: calls with whatever certificate and body it likes, to a platform's door or over TLS to its listener.

Lives here: forged certificates and forged calls. Must not live here: what a scenario does with them (see `scenario.actions`), what must
become of them (see `checkers`), or how bytes reach a listener (see `sockets.host`). The forger may be given the key of any platform's CA,
as somebody who has stolen it.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from actors.door.call import Answer, Call, Source
from sim.world import Host, World

HOUR_S: Final = 3_600.0
API: Final = "/api/v1/system/federation_api/"
ATTACKER: Final = "an attacker"


@attrs.frozen(kw_only=True)
class Leaf:
    """What a forged certificate says.

    Attributes:
        common_name: the subject that it claims.
        instance_id: the instance that it names.
        begins, ends: seconds since the epoch.
        client: whether it is made for clients, or for servers.
        authority: whether it says that it is a CA.
        serial: its number; a new one if None.
    """

    common_name: str
    instance_id: str
    begins: float
    ends: float
    client: bool = True
    authority: bool = False
    serial: int | None = None


@attrs.frozen
class Shown:
    """What a caller proves itself by: certificates (DER), leaf first, and the key of the leaf. Nothing at all if empty."""

    chain: tuple[bytes, ...] = ()
    key_pem: bytes | None = attrs.field(default=None, repr=False)


def forge(signer: Host, leaf: Leaf) -> Shown:
    """A certificate signed with the key of a platform's CA, and the key that is its own."""
    chance = signer.world.chance.stream("attacks")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
    root, root_key = signer.authority._root, signer.authority._key
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if leaf.client else ExtendedKeyUsageOID.SERVER_AUTH
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(leaf.serial or chance.getrandbits(120) | 1)
        .not_valid_before(datetime.fromtimestamp(leaf.begins, UTC).replace(microsecond=0))
        .not_valid_after(datetime.fromtimestamp(leaf.ends, UTC).replace(microsecond=0))
        .add_extension(x509.BasicConstraints(ca=leaf.authority, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=leaf.authority, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"powernode://instance/{leaf.instance_id}")]), critical=False
        )
        .sign(root_key, None)
    )
    return Shown((certificate.public_bytes(Encoding.DER),), key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def stolen_request(world: World) -> str:
    """A signing request (PEM) for a key that whoever sends it does not hold: its signature is not that key's."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(world.chance.stream("attacks").randbytes(32))
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    der = bytearray(request.public_bytes(Encoding.DER))
    der[-1] ^= 1
    text = base64.b64encode(der).decode()
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return "\n".join(("-----BEGIN CERTIFICATE REQUEST-----", *lines, "-----END CERTIFICATE REQUEST-----", ""))


def pem_of(der: bytes) -> str:
    """A certificate as text."""
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode()


def send(
    target: Host,
    route: str,
    body: dict[str, Any] | None,
    shown: Shown,
    by: Host,
    source: str = ATTACKER,
    *,
    address: str | None = None,
    headers: Mapping[str, str] | None = None,
    network_id: str | None = None,
    channel: bool = False,
    answers: list[Answer] | None = None,
    method: str | None = None,
) -> list[Answer]:
    """Let a call reach a platform; its answer stands in the returned list (`answers`, if given) once time has passed.

    Args:
        route: of the federation API, or a whole path.
        by: from whose machine it comes. source: whose it really is.
        address: the address that it comes from, if that is not the machine's.
        network_id: the overlay network whose listener takes the call.
        channel: it comes on a channel. With any of the three it stands at the door at once, whatever the level.
        method: POST with a body and GET without one, if not given.
    """
    answers = [] if answers is None else answers
    connection = Source(
        address or by.address, "tls", shown.chain, f"attack-{target.world.timeline.now:.6f}", network_id=network_id, channel=channel
    )
    raw = b"" if body is None else json.dumps(body).encode()
    given = {"content-type": "application/json", **(headers or {})}
    path = route if route.startswith("/") else API + route
    call = Call(method or ("GET" if body is None else "POST"), path, {}, given, raw, connection)
    if address is None and network_id is None and not channel:
        target.visited(call, shown.key_pem, by, source, answers.append)
    else:
        Host.visited(target, call, shown.key_pem, by, source, answers.append)
    return answers
