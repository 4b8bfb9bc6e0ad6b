"""Who is calling the federation API: the order in which a client certificate is believed.

Lives here: the checks, in their order, each with the code of its refusal. A check never looks further than what the former ones have
shown, and nothing but the certificate of this connection says who calls: headers and bodies have no say.
"""

from __future__ import annotations

from typing import Any

from actors import certificates
from actors.door.call import Source
from actors.peer import lifecycle
from actors.peer.lifecycle import Inbound
from actors.peer.record import KIND, PeerRecord, TrustedAnchor, told_of_end
from actors.revoked_certificate.record import KIND as REVOKED_CERTIFICATE
from runtime.directory import Directory
from runtime.errors import Fault, RemoteFault
from runtime.store.port import Row
from runtime.values import Value


class Admitted(Value, frozen=True):
    """A caller that has proven to be the remote of this row."""

    record: PeerRecord
    anchor_fingerprint: str


class Recognised(Value, frozen=True):
    """A caller that was recognised on this connection, and what else than time could change that.

    Attributes:
        admitted: with the record as it was then: the directory has another object once anything of it has changed. Evidence, which every
            heartbeat changes, has no say in who calls.
        revocations: the version of the revoked certificates.
        anchor: what has issued the certificate, whenever it may be in use.
    """

    admitted: Admitted
    revocations: int
    leaf: certificates.Leaf
    anchor: certificates.Anchor

    def holds(self, directory: Directory, wall: float) -> bool:
        """Whether `recognise` would find the same again."""
        row = directory.row(KIND.name, self.admitted.record.id)
        return (
            row is not None
            and row.record is self.admitted.record
            and directory.version(REVOKED_CERTIFICATE.name) == self.revocations
            and certificates.outside_dates(self.leaf, wall) is None
            and certificates.outside_dates(self.anchor, wall) is None
        )


def admit(directory: Directory, source: Source, family: Inbound, wall: float) -> Admitted | Fault:
    """The peer behind a connection, if its certificate proves it and its status serves this family of calls."""
    found = recognised(directory, source, wall)
    if isinstance(found, Fault):
        return found
    fault = check_status(found.record, family, wall)
    if fault is not None:
        return fault
    source.verified["peer_id"] = found.record.id
    return found


def recognised(directory: Directory, source: Source, wall: float) -> Admitted | Fault:
    """As `recognise`, which is asked only if something has changed since it was asked last on this connection."""
    known: Recognised | None = source.verified.get("recognised")
    return known.admitted if known is not None and known.holds(directory, wall) else recognise(directory, source, wall)


def recognise(directory: Directory, source: Source, wall: float) -> Admitted | Fault:
    """The peer behind a connection, if its certificate proves it, whatever its status serves.

    What a certificate says about itself and who signed it cannot change, so that is remembered for the connection (and for the anchors
    it was checked against); dates, the row, its anchors and its status are looked at anew on every call.
    """
    leaf = presented_leaf(source)
    if isinstance(leaf, Fault):
        return leaf
    reason = check_profile(source, leaf, wall)
    if reason is not None:
        return _invalid(reason)
    fault = check_serial(directory, source, leaf)
    if fault is not None:
        return fault
    row = find_row(directory, source, leaf)
    if row is None:
        return RemoteFault("unknown_peer_subject", "no peer of this platform has this subject", 401)
    fault = check_anchor(source, leaf, row.record, wall)
    if fault is None and source.verified.get("instance_of") is not row.record:
        # Neither the certificate nor the row can have changed while it is the very same record.
        fault = check_instance(leaf, row.record)
        source.verified["instance_of"] = row.record if fault is None else None
    if fault is not None:
        return fault
    admitted = Admitted(row.record, source.verified["anchor"])
    _remember(directory, source, leaf, admitted)
    return admitted


def _remember(directory: Directory, source: Source, leaf: certificates.Leaf, admitted: Admitted) -> None:
    """Keep what was found, unless it hangs on more than `Recognised.holds` looks at: another peer's row, or when an anchor is in use."""
    seen, revocations = source.verified, directory.version(REVOKED_CERTIFICATE.name)
    if seen.get("unrevoked") == revocations and seen.get("in_force") is not None:
        anchor = next(anchor for anchor in seen["parsed"] if anchor.fingerprint == seen["anchor"])
        seen["recognised"] = Recognised(admitted, revocations, leaf, anchor)


def presented_leaf(source: Source) -> certificates.Leaf | Fault:
    """The certificate of the caller, parsed once for the connection."""
    if not source.certificates:
        return RemoteFault("client_certificate_required", "this call needs the client certificate of a peer", 401)
    known: certificates.Leaf | str | None = source.verified.get("leaf")
    if known is None:
        known = source.verified["leaf"] = certificates.parse_leaf(source.certificates[0])
    return _invalid(known) if isinstance(known, str) else known


def check_profile(source: Source, leaf: certificates.Leaf, wall: float) -> str | None:
    """Why the certificate is no client certificate in force; one that has been can only run out."""
    if "profile" in source.verified:
        return certificates.outside_dates(leaf, wall)
    reason = certificates.check_profile(leaf, now=wall)
    if reason is None:
        source.verified["profile"] = True
    return reason


def check_serial(directory: Directory, source: Source, leaf: certificates.Leaf) -> Fault | None:
    """Whether the certificate was revoked. One that ended only with its peering goes on while the tombstone recognises the caller."""
    looked_at = directory.version(REVOKED_CERTIFICATE.name)
    if source.verified.get("unrevoked") == looked_at:
        return None
    revoked = directory.row(REVOKED_CERTIFICATE.name, leaf.serial)
    if revoked is None:
        source.verified["unrevoked"] = looked_at
        return None
    if revoked.record.reason == "peer_revoked":
        peer = directory.row(KIND.name, revoked.record.federation_peer_id)
        if peer is not None and peer.record.inbound_subject is not None:
            return None
    return RemoteFault("certificate_revoked", "this certificate was revoked by the platform that issued it", 401)


def find_row(directory: Directory, source: Source, leaf: certificates.Leaf) -> Row | None:
    """The platform row to which the subject was assigned; the row last found on this connection is asked first."""
    remembered = source.verified.get("row_id")
    row = directory.row(KIND.name, remembered) if remembered is not None else None
    if row is None or row.record.inbound_subject != leaf.common_name:
        found = directory.find(KIND.name, "inbound_subject", leaf.common_name)
        row = directory.row(KIND.name, found) if found is not None else None
        source.verified["row_id"] = found
    if row is None or row.record.inbound_subject != leaf.common_name or row.record.peer_kind != "platform":
        return None
    return row


def check_anchor(source: Source, leaf: certificates.Leaf, record: PeerRecord, wall: float) -> Fault | None:
    """Whether an anchor of this very row issued the certificate; another peer's anchor never counts."""
    trusted = record.trusted_anchors
    if source.verified.get("trusted") is not trusted:
        source.verified["trusted"] = trusted
        source.verified["in_force"] = None
    in_force = source.verified["in_force"]
    if in_force is None:
        in_force = anchors_in_force(trusted, wall)
        if all(anchor.accept_from is None and anchor.accept_until is None for anchor in trusted):
            # Nothing but another set of anchors can change which of them are in force.
            source.verified["in_force"] = in_force
    fingerprints = tuple([anchor.fingerprint for anchor in in_force])
    if source.verified.get("anchors") != fingerprints:
        source.verified["anchors"] = fingerprints
        source.verified["parsed"] = certificates.load_anchors([anchor.pem for anchor in in_force])
        source.verified.pop("anchor", None)
    anchors = source.verified["parsed"]
    if isinstance(anchors, str):
        return _invalid(anchors, fingerprints)
    issuer = source.verified.get("anchor")
    if issuer is not None:
        outside = next(certificates.outside_dates(anchor, wall) for anchor in anchors if anchor.fingerprint == issuer)
        return None if outside is None else _invalid(f"anchor_{outside}", fingerprints)
    reason = certificates.check_chain_presented(source.certificates, anchors) or certificates.check_issued_by(leaf, anchors, now=wall)
    if reason is not None:
        return _invalid(reason, fingerprints)
    source.verified["anchor"] = next(
        anchor.fingerprint for anchor in anchors if certificates.check_issued_by(leaf, (anchor,), now=wall) is None
    )
    return None


def anchors_in_force(trusted: tuple[TrustedAnchor, ...], wall: float) -> tuple[TrustedAnchor, ...]:
    """Those whose use has begun and has not ended."""
    return tuple(
        anchor
        for anchor in trusted
        if (anchor.accept_from is None or anchor.accept_from <= wall) and (anchor.accept_until is None or wall < anchor.accept_until)
    )


def check_instance(leaf: certificates.Leaf, record: PeerRecord) -> Fault | None:
    """Whether the certificate names the instance that was bound at accept, and nothing else."""
    reason = certificates.check_instance_san(leaf, (record.remote_instance_id,) if record.remote_instance_id else ())
    if reason is None:
        return None
    return RemoteFault("instance_san_invalid", certificates.REASONS[reason], 401, {"reason": reason})


def check_status(record: PeerRecord, family: Inbound, wall: float) -> Fault | None:
    """Whether the peering is in a state that serves this family of calls."""
    expired = record.expires_at is not None and wall >= record.expires_at
    if expired and family != "last_word" and record.status not in ("suspended", "revoked"):
        return RemoteFault("peering_expired", "this peering has ended", 403)
    refusal = lifecycle.inbound_refusal(record.status, family)
    if refusal is None:
        return None
    text = f"this platform does not serve this call while the peer is {record.status}"
    # Its heartbeat may be here before our notice is there, or hours after the last try of it: either way its operators learn why.
    return RemoteFault(refusal.code, text, refusal.status, told_of_end(record))


def _invalid(reason: str, expected: tuple[str, ...] = ()) -> Fault:
    details: dict[str, Any] = {"reason": reason}
    if expected:
        details["expected_anchor"] = expected[0]
    return RemoteFault("client_certificate_invalid", certificates.REASONS[reason], 401, details)
