"""What is true of a world, for checkers: who is who, which rows are committed, and what a certificate really says.

Lives here: knowledge that several checkers share, kept up to date with each commit. Must not live here: a rule, or a question to the code
that is judged: certificates are read with the library alone.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.store.port import Query

if TYPE_CHECKING:
    from actors.ports import RemoteRequest
    from sim.world import Host, World

ECHOES: Final = 3
"""So many of the newest heartbeats a remote may have heard last, if it hears us."""

_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@lru_cache(maxsize=4_096)
def ders(pem: str) -> tuple[bytes, ...]:
    """The certificates in a text."""
    return tuple(base64.b64decode("".join(found.split())) for found in _BLOCK.findall(pem))


def fingerprint_of(der: bytes) -> str:
    """`sha256:` and the hex digest of a certificate."""
    return "sha256:" + hashlib.sha256(der).hexdigest()


@lru_cache(maxsize=4_096)
def _fingerprints(pem: str) -> frozenset[str]:
    return frozenset(fingerprint_of(der) for der in ders(pem))


@attrs.frozen(eq=False)
class Paper:
    """A certificate as the library reads it.

    Attributes:
        names: common names of its subject.
        uris: every alternative name, as text; others than URIs with their kind before them.
        client: whether it is an end certificate for clients and nothing but that.
        authority: whether it is a CA that may sign certificates.
        begins, ends: seconds since the epoch.
    """

    fingerprint: str
    names: tuple[str, ...]
    uris: tuple[str, ...]
    client: bool
    authority: bool
    begins: float
    ends: float
    certificate: x509.Certificate = attrs.field(repr=False)

    def signed_by(self, issuer: Paper) -> bool:
        """Whether the key of `issuer` signed it."""
        try:
            self.certificate.verify_directly_issued_by(issuer.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True


@lru_cache(maxsize=1_024)
def read_paper(der: bytes) -> Paper | None:
    """The certificate in `der`, or None if the library cannot read it. Roots and listeners are those of many worlds."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        constraints = _extension(certificate, x509.BasicConstraints)
        usage = _extension(certificate, x509.KeyUsage)
        purposes = _extension(certificate, x509.ExtendedKeyUsage)
        names = _extension(certificate, x509.SubjectAlternativeName)
        subject = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = certificate.public_key()
    except (ValueError, TypeError):
        return None
    client = (
        constraints is not None and not constraints.ca
        and usage is not None and usage.digital_signature and not usage.key_cert_sign
        and purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH in purposes
        and isinstance(key, ed25519.Ed25519PublicKey)
    )  # fmt: skip
    return Paper(
        fingerprint=fingerprint_of(der),
        names=tuple(str(name.value) for name in subject),
        uris=tuple(_told(name) for name in names or ()),
        client=client,
        authority=constraints is not None and bool(constraints.ca) and usage is not None and usage.key_cert_sign,
        begins=certificate.not_valid_before_utc.timestamp(),
        ends=certificate.not_valid_after_utc.timestamp(),
        certificate=certificate,
    )


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _told(name: x509.GeneralName) -> str:
    return str(name.value) if isinstance(name, x509.UniformResourceIdentifier) else f"{type(name).__name__}:{name.value}"


class Facts:
    """The truth about one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.peers: dict[str, dict[str, Any]] = {}
        self.evidence: dict[str, dict[str, Any]] = {}
        self.revoked: dict[tuple[str, str], Any] = {}
        self.rotations: dict[str, Any] = {}
        self.contacts: dict[tuple[str, str], tuple[float, float]] = {}
        self.told_by_clock: dict[tuple[str, str], float] = {}
        self._beats: dict[tuple[str, str], deque[tuple[Any, Any]]] = {}
        self._awake: dict[str, float] = {}
        self._resumed: dict[str, float] = {}
        self._lied: set[tuple[str, str]] = set()
        self.false_words: set[str] = set()
        self._newest: dict[tuple[str, str], str] = {}
        self._subjects: dict[tuple[str, str], str] = {}
        self._assigned: dict[tuple[str, str], str] = {}
        self._papers: dict[bytes, Paper | None] = {}
        self._signed: dict[tuple[str, str], bool] = {}

    @property
    def now(self) -> float:
        """Seconds since the beginning of the world."""
        return self.world.timeline.now

    # --- rows ----------------------------------------------------------------------------------------------------

    def reload(self, host: Host) -> None:
        """Read all rows of a platform; afterwards each commit keeps them up to date."""
        self.peers[host.name], self.evidence[host.name] = {}, {}
        for row in host.store.query(Query("peer", newest_first=False)):
            self.note(host, row.record.id, row.record, row.evidence)
        for row in host.store.query(Query("revoked_certificate")):
            self.revoked[(host.name, row.record.id)] = row.record
        self.rotations.pop(host.name, None)
        for row in host.store.query(Query("rotation")):
            self.rotations[host.name] = row.record

    def note(self, host: Host, id: str, record: Any, evidence: Any) -> None:
        """A row about a peer is committed now."""
        self.peers[host.name][id] = record
        self.evidence[host.name][id] = evidence
        if record.remote_instance_url is not None:
            key = (host.name, record.remote_instance_url)
            former = self._newest.get(key, "")
            # At most one row of a URL is not revoked, and it came last, whatever the clock was by which its id was made.
            if (record.status != "revoked", id) >= (self._live(host, former), former):
                self._newest[key] = id
        if record.inbound_subject is not None:
            self._subjects[(host.name, record.inbound_subject)] = id
        if record.remote_peer_id is not None:
            self._assigned[(host.name, f"fed:{record.remote_peer_id}")] = id

    def _live(self, host: Host, id: str) -> bool:
        record = self.peers[host.name].get(id)
        return record is not None and record.status != "revoked"

    def newest(self, on: Host, url: str) -> Any:
        """The newest row of one platform about a URL, or None."""
        id = self._newest.get((on.name, url))
        record = None if id is None else self.peers[on.name].get(id)
        return record if record is not None and record.remote_instance_url == url else None

    def by_subject(self, host: Host, subject: str) -> Any:
        """The row to which a platform has assigned a subject, or None."""
        id = self._subjects.get((host.name, subject))
        record = None if id is None else self.peers[host.name].get(id)
        return record if record is not None and record.inbound_subject == subject else None

    def by_remote(self, host: Host, subject: str) -> Any:
        """The row for which a platform was assigned a subject by the remote, or None."""
        id = self._assigned.get((host.name, subject))
        return None if id is None else self.peers[host.name].get(id)

    # --- contact -------------------------------------------------------------------------------------------------

    def beaten(self, host: Host, request: RemoteRequest) -> None:
        """A heartbeat leaves, the last one before a pause included."""
        body = request.body or {}
        sent = self._beats.setdefault((host.name, request.peer_id), deque(maxlen=ECHOES))
        sent.append((body.get("boot_epoch"), body.get("sequence")))

    def is_newest_beat(self, host: Host, request: RemoteRequest) -> bool:
        """Whether a heartbeat is the last one that left for its peer; the answer to an earlier one is overtaken."""
        body, sent = request.body or {}, self._beats.get((host.name, request.peer_id))
        return sent is not None and sent[-1] == (body.get("boot_epoch"), body.get("sequence"))

    def hears_us(self, host: Host, id: str, told: Any) -> bool:
        """Whether what a remote says that it has heard of us last is one of our heartbeats of late.

        That a heartbeat arrives on a channel shows nothing of the other way, since nobody had to answer for it.
        """
        echo = (told.get("epoch"), told.get("sequence")) if isinstance(told, dict) else None
        return echo in self._beats.get((host.name, id), ())

    def met(self, host: Host, id: str) -> None:
        """Two-way evidence reaches a platform: a heartbeat that it must serve, or the acknowledgement of its own."""
        if host.engine.halted is not None:
            return  # It has stopped over its disk, and takes note of nothing until it is started again.
        former = self.contacts.get((host.name, id))
        wall = host.clock.wall()
        # A clock that is put back takes back no evidence.
        self.contacts[(host.name, id)] = (self.now, wall if former is None else max(wall, former[1]))
        self.told_by_clock[(host.name, id)] = wall

    def woke(self, host: Host, in_s: float = 0.0) -> None:
        """A platform begins to do what it must: it has started, or goes on after something kept it from that."""
        self._awake[host.name] = self.now + in_s

    def resumed(self, host: Host, in_s: float = 0.0) -> None:
        """A process that stood still or was slow runs freely again, with all that came meanwhile."""
        self._resumed[host.name] = max(self.now + in_s, self._resumed.get(host.name, -math.inf))
        self.woke(host, in_s)

    def resumed_at(self, host: Host) -> float:
        """When that was last; minus infinity if it never was."""
        return self._resumed.get(host.name, -math.inf)

    def awake_since(self, host: Host) -> float:
        """When that was, or will be."""
        return self._awake.get(host.name, 0.0)

    # --- lies ----------------------------------------------------------------------------------------------------

    def lied(self, one: Host, other: Host) -> None:
        """Somebody has told one of two platforms, in the name of the other, of a row that the other does not have."""
        self._lied |= {(one.name, other.url), (other.name, one.url)}

    def was_lied_to(self, host: Host, url: str) -> bool:
        """Whether a platform was told such a thing of the one at this URL."""
        return (host.name, url) in self._lied

    # --- identities ----------------------------------------------------------------------------------------------

    def instance(self, instance_id: str | None) -> Iterator[Host]:
        """The platforms that are this instance: one, unless a copy of it was restored elsewhere."""
        return (host for host in self.world.hosts.values() if host.instance_id == instance_id)

    def authority_of(self, host: Host) -> frozenset[str]:
        """Fingerprints of the CA certificates whose keys a platform holds: the first, the one in force, and the next."""
        return frozenset(fingerprint for pem in self.root_pems(host) for fingerprint in _fingerprints(pem))

    def root_of(self, host: Host) -> frozenset[str]:
        """The fingerprint of the CA certificate that is in force on a platform."""
        rotation = self.rotations.get(host.name)
        current = None if rotation is None else rotation.current
        return _fingerprints(host.authority.ca_bundle_pem if current is None else current.key.certificate_pem)

    def root_pems(self, host: Host) -> Iterator[str]:
        """Those CA certificates, as text."""
        rotation = self.rotations.get(host.name)
        yield host.authority.ca_bundle_pem
        for root in () if rotation is None else (rotation.current, rotation.next):
            if root is not None:
                yield root.key.certificate_pem

    def paper(self, der: bytes) -> Paper | None:
        """A certificate, read once."""
        try:
            return self._papers[der]
        except KeyError:
            paper = self._papers[der] = read_paper(der)
            return paper

    def signed(self, leaf: Paper, issuer: Paper) -> bool:
        """Whether one certificate signed the other, found out once."""
        key = (leaf.fingerprint, issuer.fingerprint)
        known = self._signed.get(key)
        if known is None:
            known = self._signed[key] = leaf.signed_by(issuer)
        return known
