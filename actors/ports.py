"""What the domain needs from the world: every request that an actor may hand to `ctx.call`, and what comes back.

Lives here: frozen request and result values, with units, errors and idempotency stated. Must not live here: any side of a port
(real sides are in `net`, simulated ones in `sim`). A request either yields its result value or a `runtime.errors.Fault`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs
import msgspec

from actors.limits import REPLY_BYTES_MAX
from runtime.secret import Secret, masked
from runtime.values import Value

# --- Remote: calls to other platforms -------------------------------------------------------------------------------


class ServerExpectation(Value, frozen=True):
    """How the server on the other end must prove itself before a byte of the request is sent.

    Tried in this order; the first one that is set decides, and nothing falls back to a later one.

    Attributes:
        anchors_pem: PEM certificates of the peer's CA; the presented leaf must be issued directly by one of them and carry the
            one URI SAN `powernode://instance/<instance_id>`.
        instance_id: the id expected in that SAN (with `anchors_pem`).
        ca_fingerprint: `sha256:<64 hex>` of the CA certificate that must close the presented chain (before a first accept).
        ca_pin: first 128 bits of the SHA-256 of that CA certificate, as 22 characters of URL-safe base64 (from a token).
        Neither set: public PKI with host match.
    """

    anchors_pem: tuple[str, ...] = ()
    instance_id: str | None = None
    ca_fingerprint: str | None = None
    ca_pin: str | None = None


class ClientIdentity(Value, frozen=True):
    """The certificate that we present; the private key travels sealed and is opened by the port alone."""

    certificate_pem: str
    sealed_key: bytes


class RemoteRequest(Value, frozen=True):
    """One HTTP exchange with another platform.

    Attributes:
        peer_id: local row that the call belongs to (connection pool, metrics, logs).
        method, path: path under `/api/v1/system`, with its query string if it has one.
        body: JSON object, or None.
        sealed_fields: fields of the body that are opened from their sealed form just before sending (see `with_opened`);
            `sealed_purpose` is that of their seal.
        sealed_bearer: what goes as `Authorization: Bearer`, opened just before sending (sealed for `GRANT_BEARER_PURPOSE`).
        urls: ways (see `actors.urls`) in the order in which to try them; the next is tried only if nothing was sent on the former.
        identity: client certificate, or None (only `/federation_api/accept` may go without).
        expectation: what the server must prove.
        timeout_s: cap for the whole exchange, all URLs included.
        connect_timeout_s: cap for one TCP connect.
        server_must_prove: the answer counts only if a server has met `expectation`; so no channel is used, which proves its other end in
            another way.
        reply_bytes_max: a longer answer is cut off and reported as a fault.

    Result: `RemoteReply` for any HTTP answer, whatever its status. Faults (all `RemoteFault` but the first):
    `no_outbound_identity` (503, no bytes sent), `server_identity_unverified`, `remote_unreachable` (`details.probed`),
    `remote_timeout`, `remote_error` (not HTTP, not JSON, too large), `address_not_allowed`.
    """

    peer_id: str
    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    body: Mapping[str, Any] | None
    urls: tuple[str, ...]
    identity: ClientIdentity | None
    expectation: ServerExpectation
    timeout_s: float
    connect_timeout_s: float = 2.0
    sealed_fields: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    sealed_purpose: str = "acceptance-token"
    sealed_bearer: bytes | None = None
    server_must_prove: bool = False
    reply_bytes_max: int = REPLY_BYTES_MAX


def with_opened(body: Mapping[str, Any] | None, opened: Mapping[str, str]) -> dict[str, Any]:
    """The body as it leaves: each opened field in its place, `name`, or `name.field` for one of an object in the body."""
    told = dict(body or {})
    for place, text in opened.items():
        name, _, field = place.partition(".")
        told[name] = {**(told.get(name) or {}), field: text} if field else text
    return told


class RemoteReply(Value, frozen=True):
    """A parsed answer. `body` is the JSON object as received: hostile until checked. `chain_fingerprints` are those presented."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    url: str
    elapsed_s: float
    chain_fingerprints: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # Crash reports and the last turns of an actor show what it was told, and a peer sends bearers in the open.
        return f"RemoteReply(status={self.status}, body={masked(self.body)}, headers={masked(self.headers)}, url={self.url!r})"


class OpenChannel(Value, frozen=True):
    """See that a channel to a peer is up: dial one unless one is in use, whoever dialled that.

    Idempotent. Attributes are those of `RemoteRequest`; `ours_wins` says which of two channels stays if both ends dial at once.

    Result: `ChannelOpen`, or a `RemoteReply` with the refusal of the remote, whose server has proven itself. Faults are those of
    `RemoteRequest`. When a channel ends, the peer's actor is told by `ChannelEnded`, whoever dialled it.
    """

    peer_id: str
    urls: tuple[str, ...]
    identity: ClientIdentity
    expectation: ServerExpectation
    ours_wins: bool
    timeout_s: float
    connect_timeout_s: float = 2.0


class ChannelOpen(Value, frozen=True):
    """A channel is in use. `url`: where we dialled it, or `CHANNEL_URL` if the remote did."""

    url: str


CHANNEL_URL: Final = "channel:"
"""Stands for the address of a platform that is reached over a channel which it has dialled itself."""


class FetchRelayed(Value, frozen=True):
    """Fetch a connection that a peer, as our hub, holds for us, and serve it at our own listener.

    Attributes are those of `OpenChannel`; `token` names the connection, once; `client_address` is what the hub says of its far end.

    Result: the URL at which the hub was dialled (`str`). Faults are those of `RemoteRequest`.
    """

    peer_id: str
    urls: tuple[str, ...]
    identity: ClientIdentity
    expectation: ServerExpectation
    token: Secret
    client_address: str
    timeout_s: float
    connect_timeout_s: float = 2.0


class ProbeTarget(Value, frozen=True):
    """One candidate: a way (see `actors.urls`). `cidr_hint`: try it only if one of our own addresses lies inside."""

    url: str
    cidr_hint: str | None = None


class ProbeRequest(Value, frozen=True):
    """Find the first endpoint that answers: TCP connect, then a TLS handshake with the identity check. Sends no request.

    Result: `ProbeResult`. Never a fault: failures are in `probed`.
    """

    peer_id: str
    targets: tuple[ProbeTarget, ...]
    identity: ClientIdentity | None
    expectation: ServerExpectation
    connect_timeout_s: float
    handshake_timeout_s: float


class Probed(Value, frozen=True):
    """Outcome for one URL; `error` is a short code, or None if it was reachable."""

    url: str
    reachable: bool
    elapsed_ms: float | None = None
    error: str | None = None


class ProbeResult(Value, frozen=True):
    """`endpoint` is the first reachable URL, or None; `probed` is in the order tried (skipped hints are absent)."""

    endpoint: str | None
    probed: tuple[Probed, ...]


# --- Authority: our certificate authority ---------------------------------------------------------------------------


@attrs.frozen
class RootKey:
    """A root of ours that stands in the store: its certificate, and its key sealed for `ROOT_KEY_PURPOSE`."""

    certificate_pem: str
    sealed_key: bytes = attrs.field(repr=False)


class MakeRoot(Value, frozen=True):
    """Make an Ed25519 root of our CA; nothing uses it before it is named. Result: `MadeRoot`. Faults: `ca_unavailable` (503)."""


class MadeRoot(Value, frozen=True):
    """A root that is not in use yet; `not_after` is seconds since the epoch."""

    key: RootKey
    fingerprint: str
    not_after: float


class CrossSign(Value, frozen=True):
    """Sign a statement about another root of ours with the key of `root` (None: the first one). Result: `bytes`, 64 of Ed25519.

    Faults: `ca_unavailable` (503). The statement is made by `actors.cross_signature`.
    """

    statement: bytes
    root: RootKey | None


class IssueIdentity(Value, frozen=True):
    """Make an Ed25519 key and a federation client certificate for ourselves, signed by our CA (symmetric trust).

    `root` signs; None is the first one.

    `common_name` is the subject that the remote assigned to us (`fed:<their row id>`). Result: `IssuedIdentity`.
    Faults: `ca_unavailable` (503). Not idempotent: every call makes a new key.
    """

    common_name: str
    instance_id: str
    lifetime_s: float
    root: RootKey | None = None


class IssuedIdentity(Value, frozen=True):
    """A certificate and its sealed key; times are seconds since the epoch, `serial` is hex."""

    certificate_pem: str
    sealed_key: bytes
    serial: str
    not_before: float
    not_after: float


class MakeRequest(Value, frozen=True):
    """Make an Ed25519 key and a certificate signing request with our instance SAN (hierarchical trust). Result: `MadeRequest`."""

    common_name: str
    instance_id: str


class MadeRequest(Value, frozen=True):
    """A signing request and its sealed key."""

    csr_pem: str
    sealed_key: bytes


class SignRequest(Value, frozen=True):
    """Sign a remote's CSR with our CA: CN and SAN are ours to assign, the requester's own are ignored.

    Result: `SignedCertificate`. Faults: `ca_unavailable`; the CSR itself was checked before by `actors.certificates`.
    """

    csr_pem: str
    common_name: str
    instance_id: str
    lifetime_s: float
    root: RootKey | None = None


class SignedCertificate(Value, frozen=True):
    """A certificate for somebody else, with the chain up to our root."""

    certificate_pem: str
    ca_chain_pem: str
    serial: str
    not_before: float
    not_after: float


class SignStatement(Value, frozen=True):
    """Sign bytes as this instance: with a new Ed25519 key, certified by our CA and forgotten afterwards. Result: `SignedStatement`.

    `purpose` goes before the content (see `signed_bytes`), so that no signature of one purpose serves another. `root` certifies the key;
    None is the first one. Faults: `ca_unavailable`.
    """

    purpose: str
    content: bytes
    root: RootKey | None


class SignedStatement(Value, frozen=True):
    """A signature (RFC 8032) and the certificate of the key that made it."""

    signature: bytes
    certificate_pem: str


def signed_bytes(purpose: str, content: bytes) -> bytes:
    """What a statement's signature covers."""
    return purpose.encode() + b"\0" + content


# --- Vault: sealing -------------------------------------------------------------------------------------------------


OUTBOUND_KEY_PURPOSE: Final = "outbound-key"
"""Purpose of the private keys in `ClientIdentity`, `IssuedIdentity` and `MadeRequest` (PKCS #8, PEM)."""

ROOT_KEY_PURPOSE: Final = "authority-rotated-root-key"
"""Purpose of the keys of roots in the store (PKCS #8, PEM)."""

ACCEPTANCE_TOKEN_PURPOSE: Final = "acceptance-token"
"""Purpose of what waits to go along with an accept (`RemoteRequest.sealed_fields`): the remote's token, a child's bearer for its parent."""

GRANT_BEARER_PURPOSE: Final = "grant-bearer"
"""Purpose of the bearer of a grant: one that we hold, or one of ours on its way to its holder."""


class Seal(Value, frozen=True):
    """Encrypt under the vault's master key, bound to `purpose`. Result: `bytes` that the turn may save. Fault: `vault_unavailable`."""

    plaintext: Secret
    purpose: str


class Open(Value, frozen=True):
    """Decrypt what `Seal` made for the same purpose. Result: `Secret`. Faults: `vault_unavailable`, `seal_broken`."""

    sealed: bytes
    purpose: str


# --- Archive: what is written once and kept ---------------------------------------------------------------------------


@attrs.frozen
class StoreObject:
    """Write an object durably under a relative path of lower-case letters, digits, `-`, `.` and `/`; nobody changes it afterwards.

    Idempotent: the same content under the same path is no change. Result: `StoredObject`. Faults: `archive_unavailable` (503, full or
    unreachable), `object_exists` (other content stands there).
    """

    path: str
    content: bytes = attrs.field(repr=False)


class CheckObject(Value, frozen=True):
    """Read an object back. Result: `StoredObject`. Faults: `archive_unavailable`, `object_missing`."""

    path: str


class StoredObject(Value, frozen=True):
    """What stands in the archive: hex SHA-256 of the content, and its size in bytes."""

    sha256: str
    size: int


# --- Credentials: operators' passwords and tokens -------------------------------------------------------------------


class HashPassword(Value, frozen=True):
    """Argon2id (RFC 9106) hash as a PHC string. Result: `str`."""

    password: Secret


class VerifyPassword(Value, frozen=True):
    """Whether the password matches the PHC string; a None hash does the same work and yields False. Result: `bool`."""

    password: Secret
    hash: str | None


class SignToken(Value, frozen=True):
    """Sign JWT claims with the instance's token key (EdDSA). Result: `Secret` (the compact JWT)."""

    claims: Mapping[str, Any]


# --- Proxy: the reverse proxy's configuration -------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ProxyRoute:
    """How one service of a peer is reached here.

    Attributes:
        key: names the route; `[a-z0-9-]`.
        host: the DNS name under which it is asked for, or `localhost:<port>` where `site_local`.
        sealed_bearer: what is presented to the backend, opened only while the document is made (sealed for `GRANT_BEARER_PURPOSE`).
        server_name, anchor_pem: how a TLS backend proves itself; both None for a protocol without TLS.
    """

    key: str
    protocol: Literal["https", "http", "tcp", "tls"]
    host: str
    site_local: bool
    backend_host: str
    backend_port: int
    sealed_bearer: bytes = attrs.field(repr=False)
    server_name: str | None = None
    anchor_pem: str | None = None


class WriteRoutes(Value, frozen=True):
    """Make these the routes of an account, all of them, in place of what was there. One such request of an account at a time.

    Idempotent: what is there already is not written again. Result: `RoutesWritten`. Faults: `proxy_unavailable` (503, the folder cannot be
    written), `seal_broken`; the former routes then stand.
    """

    account_id: str
    routes: tuple[ProxyRoute, ...]


class RoutesWritten(Value, frozen=True):
    """The routes are in place; `changed` says whether anything had to be written."""

    changed: bool


class EnsureCertificate(Value, frozen=True):
    """See that the proxy has a certificate to show at a host name, or obtains one by itself. Result: `CertificateReady`.

    Faults (503), which only an operator can change: `certificate_authority_not_configured`, `certificate_missing`,
    `certificate_unreadable`, `certificate_key_mismatch`, `certificate_host_mismatch`, `certificate_not_valid`.
    """

    host: str
    dns_credential_id: str | None = None


class CertificateReady(Value, frozen=True):
    """A certificate is in place; `not_after` in seconds since the epoch, None where the proxy obtains and renews it by itself."""

    not_after: float | None
