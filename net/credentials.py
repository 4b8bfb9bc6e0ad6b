"""Operators' credentials: password hashes, and the key that signs access tokens.

Lives here: Argon2id (RFC 9106) and signed tokens (JWT, RFC 7519, with EdDSA, RFC 8037). Must not live here: verifying tokens
(`actors.operator_tokens`), sessions, or who may do what.

Cost of a hash: RFC 9106, section 4, second recommended option: 3 passes over 64 MiB in 4 lanes, 16 bytes of salt, 32 of output. It takes
about 0.15 s on two cores, so these calls belong in a worker thread; a process computes one at a time, which bounds the memory.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from pathlib import Path
from typing import Final

import jwt
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from actors.ports import HashPassword, SignToken, VerifyPassword
from net.private_files import PrivateFileError, create_private, read_private
from net.vault import Vault, VaultError
from runtime.random import Randomness
from runtime.secret import Secret
from runtime.values import Value

TOKEN_KEY_PURPOSE: Final = "operator-token-key"
PASSWORD_BYTES_MAX: Final = 1_024
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_PHC: Final = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,2}),p=(\d{1,2})\$[A-Za-z0-9+/]{22,86}\$[A-Za-z0-9+/]{22,86}")


def new_token_key(randomness: Randomness) -> ed25519.Ed25519PrivateKey:
    """A new key for access tokens; any 32 bytes are one (RFC 8032, section 5.1.5)."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(randomness.token_bytes(32))


class CredentialsError(Exception):
    """The token key's file cannot be used. It is never replaced: the message says what to do."""


class HashCost(Value, frozen=True):
    """What one password hash costs. A stored hash that demands more than four times this is refused without being computed."""

    memory_kib: int = 65_536
    passes: int = 3
    lanes: int = 4

    def affords(self, phc: str) -> bool:
        """Whether `phc` is an Argon2id string whose cost is within bounds."""
        found = _PHC.fullmatch(phc)
        if found is None:
            return False
        memory_kib, passes, lanes = (int(number) for number in found.groups())
        possible = passes >= 1 and lanes >= 1 and memory_kib >= 8 * lanes
        return possible and memory_kib <= 4 * self.memory_kib and passes <= 4 * self.passes and lanes <= 4 * self.lanes


# The lanes of all hashes of a process share one pool of threads in OpenSSL. Hashes that run at once can each wait for a thread that
# another holds, without end.
_HASHING = threading.Lock()


class Credentials:
    """Hashes and verifies passwords, signs access tokens."""

    def __init__(self, token_key: ed25519.Ed25519PrivateKey, randomness: Randomness, cost: HashCost | None = None) -> None:
        self._key = token_key
        self._randomness = randomness
        self._cost = cost if cost is not None else HashCost()
        public_key = token_key.public_key()
        raw = public_key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(raw).hexdigest()[:16]
        self.public_key_pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self._nobody = self._phc(randomness.token_bytes(_SALT_BYTES), randomness.token_bytes(_HASH_BYTES))

    def __repr__(self) -> str:
        return f"Credentials(key_id={self.key_id})"

    @classmethod
    def open_or_create(cls, path: Path, *, vault: Vault, randomness: Randomness, cost: HashCost | None = None) -> Credentials:
        """Credentials whose token key is kept sealed in the file `path` (mode 0600); made once if there is none.

        Raises:
            CredentialsError: the file is there but cannot be read or opened; nothing was changed.
        """
        try:
            sealed = read_private(path)
            if sealed is None:
                create_private(path, vault.seal(new_token_key(randomness).private_bytes_raw(), TOKEN_KEY_PURPOSE))
                sealed = read_private(path)
            if sealed is None:
                raise CredentialsError(f"{path} vanished while it was being opened")
            key = ed25519.Ed25519PrivateKey.from_private_bytes(vault.open(sealed, TOKEN_KEY_PURPOSE).reveal_bytes())
        except PrivateFileError as error:
            raise CredentialsError(str(error)) from error
        except (VaultError, ValueError) as error:
            raise CredentialsError(f"{path} does not open: {error}; restore it, or remove it to end every operator's session") from error
        return cls(key, randomness, cost)

    def handle(self, request: HashPassword | VerifyPassword | SignToken) -> str | bool | Secret:
        """Answer a request of the domain's port. Hashing and verifying take long: call from a worker thread."""
        if isinstance(request, HashPassword):
            return self.hash_password(request)
        return self.verify_password(request) if isinstance(request, VerifyPassword) else self.sign_token(request)

    def hash_password(self, request: HashPassword) -> str:
        """The Argon2id hash of the password as a PHC string, with a new salt.

        Raises:
            ValueError: the password is empty or longer than `PASSWORD_BYTES_MAX`; whoever takes passwords refuses that first.
        """
        password = request.password.reveal_bytes()
        if not 0 < len(password) <= PASSWORD_BYTES_MAX:
            raise ValueError(f"a password has 1 to {PASSWORD_BYTES_MAX} bytes")
        return self._hash(password)

    def verify_password(self, request: VerifyPassword) -> bool:
        """Whether the password matches. Without a usable hash the same work is done against nobody's, so time tells nothing."""
        password = request.password.reveal_bytes()
        if request.hash is not None and len(password) <= PASSWORD_BYTES_MAX and self._cost.affords(request.hash):
            with contextlib.suppress(ValueError):  # a damaged string, found before any work was done
                return _matches(password, request.hash)
        _matches(password[:PASSWORD_BYTES_MAX], self._nobody)
        return False

    def sign_token(self, request: SignToken) -> Secret:
        """The claims as a compact JWT, signed with the token key."""
        return Secret(jwt.encode(dict(request.claims), self._key, algorithm="EdDSA", headers={"kid": self.key_id}))

    def _hash(self, password: bytes) -> str:
        salt = self._randomness.token_bytes(_SALT_BYTES)
        cost = self._cost
        function = Argon2id(salt=salt, length=_HASH_BYTES, iterations=cost.passes, lanes=cost.lanes, memory_cost=cost.memory_kib)
        with _HASHING:
            return function.derive_phc_encoded(password)

    def _phc(self, salt: bytes, digest: bytes) -> str:
        """A PHC string at our cost. With a random digest it is nobody's: to verify against it is all of the work, and nothing matches."""
        salt64, digest64 = (base64.b64encode(part).decode().rstrip("=") for part in (salt, digest))
        cost = self._cost
        return f"$argon2id$v=19$m={cost.memory_kib},t={cost.passes},p={cost.lanes}${salt64}${digest64}"


def _matches(password: bytes, phc: str) -> bool:
    try:
        with _HASHING:
            Argon2id.verify_phc_encoded(password, phc)
    except InvalidKey:
        return False
    return True
