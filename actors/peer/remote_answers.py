"""What a remote answers, parsed: every value is hostile until it has passed through here.

Lives here: strict reading of accept and heartbeat answers, and the mapping of a remote's refusals to what our operator is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors import certificates, sanitize
from actors.contract import record as contract
from actors.limits import DISCLOSURE_CHARS_MAX, NAME_CHARS_MAX, PEER_EVENT_REASON_CHARS_MAX
from actors.peer.endpoints import Endpoint, parse_endpoints
from actors.peer.record import Handshake, PeerRecord, ServerIdentity
from actors.peer.steps import INBOUND_SUBJECT_PREFIX
from actors.ports import RemoteReply
from actors.problems import Problem
from actors.rotation.record import Ourselves
from runtime.errors import Fault, OperatorFault, RemoteFault
from runtime.ids import is_uuid
from runtime.values import Value

RETRY_AFTER_MAX_S = 3_600.0


class CertifiedKey(Value, frozen=True):
    """A certificate that the remote signed for the key of our request."""

    pem: str
    serial: str
    not_before: float
    not_after: float
    issuer: str | None = None


class AcceptAnswer(Value, frozen=True, kw_only=True):
    """A checked answer to our accept. `operator_grant`: the id of the grant whose bearer the remote says that it holds."""

    peer_id: str
    instance_id: str | None
    account_id: str | None
    contract_version: int
    contract_digest: str | None
    platform_version: str | None
    data_residency: str | None
    server_identity: ServerIdentity
    anchors: tuple[certificates.Anchor, ...] = ()
    assigned_subject: str | None = None
    certificate: CertifiedKey | None = None
    operator_grant: str | None = None
    warnings: tuple[str, ...] = ()


def remote_code(reply: RemoteReply) -> str | None:
    """The code of a remote's refusal, if it is one that may be shown."""
    code = reply.body.get("code")
    known = isinstance(code, str) and 0 < len(code) <= NAME_CHARS_MAX and code.replace("_", "").isalnum() and code.isascii()
    return code if known else None


def end_reason(reply: RemoteReply) -> str | None:
    """What a remote that refuses us as revoked says of why, held to the limits of its notice; a word beyond them is none."""
    details = reply.body.get("details")
    told = details.get("reason") if isinstance(details, Mapping) else None
    return sanitize.parse_short_text(told, [], "reason", chars_max=PEER_EVENT_REASON_CHARS_MAX)


def accept_fault(reply: RemoteReply) -> Fault | None:
    """What a refused accept means for our operator, or None if it was not refused."""
    code = remote_code(reply)
    details = {"remote_status": reply.status, "remote_code": code}
    if reply.status == 200:
        return None
    if reply.status == 401:
        message = "the remote does not take this token: it is mistyped, used or expired; ask for a regenerated one"
        return OperatorFault("remote_rejected_token", message, 422, details)
    if reply.status == 429:
        wait_s = retry_after_s(reply)
        return RemoteFault("remote_rate_limited", "the remote limits accepts; try again later", 429, details, retry_after_s=wait_s)
    if reply.status in (409, 422) or 400 <= reply.status < 500:
        return RemoteFault("remote_rejected", f"the remote refused the accept ({code or reply.status})", 502, details)
    return RemoteFault("remote_error", f"the remote failed with HTTP status {reply.status}", 502, details)


def retry_after_s(reply: RemoteReply) -> float:
    """The seconds that the remote asks us to wait, within reason."""
    text = reply.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER_MAX_S) if text.isascii() and text.isdigit() else 60.0


def parse_accept(reply: RemoteReply, record: PeerRecord, handshake: Handshake, own: Ourselves, wall: float) -> AcceptAnswer | Fault:
    """The checked answer, or why it cannot be believed."""
    data = reply.body.get("data")
    if not isinstance(data, Mapping) or not is_uuid(data.get("peer_id")):
        return _malformed("peer_id")
    version = contract.parse_version(data.get("contract_version_agreed"))
    agreed = contract.find(version) if version is not None else None
    digest = data.get("contract_digest_agreed")
    if version != handshake.contract_version or agreed is None or (digest is not None and digest != agreed.digest):
        return OperatorFault("contract_mismatch", "the remote recorded another contract than the one offered", 422)
    instance = data.get("our_instance")
    instance = instance if isinstance(instance, Mapping) else {}
    instance_id = instance.get("id")
    if instance_id is not None and (not is_uuid(instance_id) or instance_id == own.instance_id):
        return _malformed("our_instance.id")
    problems: list[Problem] = []
    platform_version = sanitize.parse_short_text(instance.get("platform_version"), problems, "platform_version", chars_max=NAME_CHARS_MAX)
    residency = sanitize.parse_short_text(instance.get("data_residency"), problems, "data_residency", chars_max=NAME_CHARS_MAX)
    if problems:
        return _malformed(problems[0].field)
    account_id = instance.get("account_id")
    trust = _parse_trust(data, record, handshake, own, wall, instance_id)
    if isinstance(trust, Fault):
        return trust
    return AcceptAnswer(
        peer_id=data["peer_id"],
        instance_id=instance_id,
        account_id=account_id if is_uuid(account_id) else None,
        contract_version=version,
        contract_digest=agreed.digest,
        platform_version=platform_version,
        data_residency=residency,
        server_identity="public" if instance.get("server_identity") == "public" else "anchors",
        operator_grant=_held(data.get("operator_grant")),
        warnings=_warnings(data.get("warnings")),
        **trust,
    )


def _held(told: object) -> str | None:
    """The grant that the remote says it holds, if it says so."""
    id = told.get("grant_id") if isinstance(told, Mapping) else None
    return id if is_uuid(id) else None


class OfferedTrust(Value, frozen=True, kw_only=True):
    """What an accept answer gives for calls to the remote, whatever else is wrong with it."""

    instance_id: str | None
    server_identity: ServerIdentity
    anchors: tuple[certificates.Anchor, ...] = ()
    assigned_subject: str | None = None
    certificate: CertifiedKey | None = None


def parse_trust(reply: RemoteReply, record: PeerRecord, handshake: Handshake, own: Ourselves, wall: float) -> OfferedTrust | Fault:
    """The trust in an accept answer that is not taken; its anchors must be the ones that proved the server."""
    data = reply.body.get("data")
    if not isinstance(data, Mapping) or not is_uuid(data.get("peer_id")):
        return _malformed("peer_id")
    instance = data.get("our_instance")
    instance = instance if isinstance(instance, Mapping) else {}
    instance_id = instance.get("id")
    if not is_uuid(instance_id) or instance_id == own.instance_id:
        return _malformed("our_instance.id")
    trust = _parse_trust(data, record, handshake, own, wall, instance_id)
    if isinstance(trust, Fault):
        return trust
    return OfferedTrust(
        instance_id=instance_id, server_identity="public" if instance.get("server_identity") == "public" else "anchors", **trust
    )


def _parse_trust(
    data: Mapping[str, Any], record: PeerRecord, handshake: Handshake, own: Ourselves, wall: float, instance_id: str | None
) -> dict[str, Any] | Fault:
    exchange, certified = data.get("trust_exchange"), data.get("federation_certificate")
    if handshake.csr_pem is not None:
        return _parse_certificate(certified, handshake, record, own, wall)
    if not isinstance(exchange, Mapping):
        return {}
    bundle, subject = exchange.get("ca_bundle_pem"), exchange.get("assigned_inbound_subject")
    if not isinstance(bundle, str) or instance_id is None:
        return _malformed("trust_exchange")
    anchors = _pinned_anchors(bundle, record, handshake, own, wall)
    if isinstance(anchors, Fault):
        return anchors
    if not isinstance(subject, str) or not subject.startswith(INBOUND_SUBJECT_PREFIX):
        return _malformed("trust_exchange.assigned_inbound_subject")
    if subject != INBOUND_SUBJECT_PREFIX + str(data["peer_id"]):
        return _malformed("trust_exchange.assigned_inbound_subject")
    return {"anchors": anchors, "assigned_subject": subject}


def _parse_certificate(certified: object, handshake: Handshake, record: PeerRecord, own: Ourselves, wall: float) -> dict[str, Any] | Fault:
    if not isinstance(certified, Mapping):
        return _malformed("federation_certificate")
    pem, chain = certified.get("cert_pem"), certified.get("ca_chain_pem")
    if not isinstance(pem, str) or not isinstance(chain, str):
        return _malformed("federation_certificate")
    anchors = _pinned_anchors(chain, record, handshake, own, wall)
    if isinstance(anchors, Fault):
        return anchors
    der = certificates.pem_to_der(pem)
    leaf = certificates.parse_leaf(der) if isinstance(der, bytes) else der
    if isinstance(leaf, str):
        return _malformed("federation_certificate.cert_pem")
    flaw = (
        certificates.check_profile(leaf, now=wall)
        or certificates.check_issued_by(leaf, anchors, now=wall)
        or certificates.check_instance_san(leaf, (own.instance_id,))
    )
    if flaw is not None or handshake.csr_pem is None or not certificates.same_key(pem, handshake.csr_pem):
        return _malformed("federation_certificate.cert_pem")
    issuer = next((anchor.fingerprint for anchor in anchors if certificates.check_issued_by(leaf, (anchor,), now=wall) is None), None)
    return {"anchors": anchors, "certificate": CertifiedKey(pem, leaf.serial, leaf.not_before, leaf.not_after, issuer)}


def _pinned_anchors(
    bundle: str, record: PeerRecord, handshake: Handshake, own: Ourselves, wall: float
) -> tuple[certificates.Anchor, ...] | Fault:
    """The anchors of the answer; the CA that proved the server before anything was sent must be among them."""
    anchors = certificates.parse_bundle(bundle, own_fingerprints=own.fingerprints, now=wall)
    if isinstance(anchors, str):
        return _malformed("trust_exchange.ca_bundle_pem", reason=anchors)
    found = {anchor.fingerprint for anchor in anchors}
    pins = {certificates.pin_of_fingerprint(fingerprint) for fingerprint in found}
    pinned = record.remote_ca_fingerprint
    if (pinned is not None and pinned not in found) or (pinned is None and handshake.pin is not None and handshake.pin not in pins):
        return RemoteFault("server_identity_unverified", "the pinned CA is not among the anchors that the remote returned", 502)
    return anchors


def _malformed(what: str, **details: Any) -> Fault:
    text = f"the remote's answer cannot be used: {what} is missing or malformed"
    return RemoteFault("remote_rejected", text, 502, {"field": what, **details})


def _warnings(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    problems: list[Problem] = []
    texts = [sanitize.parse_short_text(entry, problems, "warnings", chars_max=DISCLOSURE_CHARS_MAX) for entry in value[:16]]
    return tuple(text for text in texts if text)


class HeartbeatAnswer(Value, kw_only=True, frozen=True):
    """A checked answer to our heartbeat; None where the remote said nothing usable."""

    endpoints: tuple[Endpoint, ...] | None = None
    platform_version: str | None = None
    data_residency: str | None = None
    anchor_fingerprint: str | None = None
    acknowledged_epoch: int = 0
    acknowledged_mark: int = 0
    acknowledged_history: int = 0
    received_at: float | None = None


def parse_heartbeat(reply: RemoteReply) -> HeartbeatAnswer:
    """What may be stored of a heartbeat's answer. A malformed part is ignored: the acknowledgement itself is what counts."""
    data = reply.body.get("data")
    if not isinstance(data, dict):
        return HeartbeatAnswer()
    problems: list[Problem] = []
    endpoints = data.get("our_endpoints")
    parsed = parse_endpoints(endpoints, problems, unknown_keys=True) if isinstance(endpoints, list) else None
    compatibility = data.get("schema_compatibility")
    version = compatibility.get("local_version") if isinstance(compatibility, dict) else None
    quiet: list[Problem] = []
    fingerprint = data.get("our_anchor_fingerprint")
    acknowledged = data.get("last_ack")
    heard = acknowledged if isinstance(acknowledged, dict) else {}
    return HeartbeatAnswer(
        endpoints=None if problems else parsed,
        platform_version=sanitize.parse_short_text(version, quiet, "local_version", chars_max=NAME_CHARS_MAX),
        data_residency=sanitize.parse_short_text(data.get("our_data_residency"), quiet, "our_data_residency", chars_max=NAME_CHARS_MAX),
        anchor_fingerprint=fingerprint if isinstance(fingerprint, str) and len(fingerprint) == 71 else None,
        acknowledged_epoch=_count(heard.get("epoch")),
        acknowledged_mark=_count(heard.get("start_mark")),
        acknowledged_history=_count(heard.get("history")),
        received_at=sanitize.parse_instant(data.get("received_at")),
    )


def _count(value: object) -> int:
    """A number that a remote tells; 0 for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= sanitize.INTEGER_MAX else 0
