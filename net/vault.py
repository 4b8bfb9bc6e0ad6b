"""The vault: what is secret at rest is sealed under one master key that lives outside the store.

Lives here: the master key's file, sealing and opening (AES-256-GCM, NIST SP 800-38D), and the purposes that several modules share. Must
not live here: what is sealed, or where sealed bytes are kept.

A sealed value is `version (1 byte) | key id (8) | nonce (12) | ciphertext and tag`. Header and purpose are authenticated with it, so it
opens only under the same master key and for the same purpose. The key id lets a later version hold several keys and seal under the newest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from actors.ports import Open, Seal
from net.private_files import PrivateFileError, create_private, read_private
from runtime.errors import Fault, InternalFault
from runtime.random import Randomness
from runtime.secret import Secret

MASTER_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = len(_VERSION) + _KEY_ID_BYTES


class VaultError(Exception):
    """Sealing or opening failed.

    Attributes:
        code: `vault_unavailable` (the master key cannot be had) or `seal_broken` (these bytes do not open: altered, cut, sealed for
            another purpose or under another master key).
    """

    def __init__(self, code: Literal["vault_unavailable", "seal_broken"], message: str) -> None:
        super().__init__(message)
        self.code: Literal["vault_unavailable", "seal_broken"] = code

    def fault(self) -> InternalFault:
        """The same as a value. A broken seal is this platform's own damage, hence 500; a retry cannot mend it."""
        if self.code == "seal_broken":
            return InternalFault(self.code, str(self), 500)
        return InternalFault(self.code, str(self), 503, retry_after_s=1.0)


class Vault:
    """Seals and opens under one master key.

    A random 96-bit nonce per value keeps the chance of a repeated one below 2**-32 for the first 2**32 values under one key, far more
    than a platform ever seals.
    """

    def __init__(self, master_key: bytes, randomness: Randomness) -> None:
        if len(master_key) != MASTER_KEY_BYTES:
            raise VaultError("vault_unavailable", f"the master key must be exactly {MASTER_KEY_BYTES} bytes")
        self._cipher = AESGCM(master_key)
        self._key_id = hashlib.blake2b(master_key, digest_size=_KEY_ID_BYTES, person=b"powernode-vault").digest()
        self._randomness = randomness

    def __repr__(self) -> str:
        return f"Vault(key_id={self._key_id.hex()})"

    @classmethod
    def open_or_create(cls, path: Path, randomness: Randomness, *, provided: bool = False) -> Vault:
        """The vault whose master key is the file `path`: exactly 32 bytes, readable by its owner alone.

        A missing file is made once, from `randomness`; a file that stands there but cannot be used is an error and never replaced.

        Args:
            path: where the master key is.
            randomness: source of the key and of every nonce.
            provided: the key comes from a service manager (a systemd credential): it must be there already.

        Raises:
            VaultError: `vault_unavailable`, with a message that says what to do.
        """
        try:
            master_key = read_private(path, provided=provided)
            if master_key is None and provided:
                raise VaultError("vault_unavailable", f"the provided master key {path} does not exist; check the service's credentials")
            if master_key is None:
                create_private(path, randomness.token_bytes(MASTER_KEY_BYTES))
                master_key = read_private(path)
        except PrivateFileError as error:
            raise VaultError("vault_unavailable", str(error)) from error
        if master_key is None or len(master_key) != MASTER_KEY_BYTES:
            raise VaultError(
                "vault_unavailable", f"the master key {path} must be exactly {MASTER_KEY_BYTES} bytes; restore it from a backup"
            )
        return cls(master_key, randomness)

    def seal(self, plaintext: Secret | bytes, purpose: str) -> bytes:
        """`plaintext` encrypted, to be opened for the same `purpose` only."""
        content = plaintext.reveal_bytes() if isinstance(plaintext, Secret) else plaintext
        header = _VERSION + self._key_id
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        return header + nonce + self._cipher.encrypt(nonce, content, header + purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> Secret:
        """What `seal` was given.

        Raises:
            VaultError: `seal_broken`.
        """
        header, nonce, body = (
            sealed[:_HEADER_BYTES],
            sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES],
            sealed[_HEADER_BYTES + _NONCE_BYTES :],
        )
        if len(body) < _TAG_BYTES or header[:1] != _VERSION:
            raise VaultError("seal_broken", "the sealed value is cut or of an unknown version")
        if header[1:] != self._key_id:
            raise VaultError("seal_broken", "the value is sealed under another master key; restore the key that belongs to this data")
        try:
            return Secret(self._cipher.decrypt(nonce, body, header + purpose.encode()))
        except InvalidTag as error:
            raise VaultError("seal_broken", "the sealed value was altered, or sealed for another purpose") from error

    def handle(self, request: Seal | Open) -> bytes | Secret | Fault:
        """Answer a request of the domain's port: sealed bytes, a `Secret`, or a fault."""
        try:
            if isinstance(request, Seal):
                return self.seal(request.plaintext, request.purpose)
            return self.open(request.sealed, request.purpose)
        except VaultError as error:
            return error.fault()
