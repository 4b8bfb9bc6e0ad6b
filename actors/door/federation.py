"""The federation API at the door: accept, heartbeat, trust bundle.

Lives here: rate limits, admission and translation between bodies and the peer actor's messages. Must not live here: the chain itself
(`actors.peer.minting`) or anything about HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.continuity.record import FROZEN_THERE
from actors.door.call import success
from actors.door.callers import admitted_caller
from actors.door.rate_limits import source_key
from actors.door.request import NOBODY, Request, outcome_fault
from actors.grant.record import SCOPES
from actors.limits import CLOCK_SKEW_WARNING_S
from actors.peer import tokens
from actors.peer.messages import Beat, OfferedGrant, ProvenInbound, ReadBundle, Redeem, RemoteInstance
from actors.peer.minting import TOKEN_INVALID, contract_fault
from actors.peer.record import KIND
from actors.rotation.record import KIND as ROTATION
from actors.rotation.record import identity_by
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault, FaultError, InternalFault, OperatorFault
from runtime.ids import uuid7

if TYPE_CHECKING:
    from actors.door.door import Door

WARNING_HEADER = "x-federation-warning"


def federation_accept(door: Door, request: Request) -> None:
    """Redeem a token. Every token that does not work gets the same answer, after the same work."""
    source = source_key(request.call.source.address)
    blocked_s = door.blocks.blocked_for(source, request.now)
    limited = blocked_s if blocked_s is not None else _accept_limited(door, source, request.now)
    if limited is not None:
        request.fail(door.rate_limited(limited))
        return
    door.refuse_while_frozen(FROZEN_THERE)
    try:
        body = door.read_body(request)
    except FaultError as error:
        if error.fault.code == TOKEN_INVALID.code:
            _refuse_token(door, request, source)
        else:
            request.fail(error.fault)
        return
    message = _redeem(door, request, body)
    fault = contract_fault(message)
    if fault is not None:
        request.fail(fault)
        return
    directory = door.engine.directory
    holder = directory.find(KIND.name, "token_digest", message.token_digest)
    receipt = directory.find(KIND.name, "receipt_digest", message.token_digest)
    ref = Ref(KIND.name, receipt or holder or NOBODY)

    def answered(outcome: Any) -> None:
        fault = outcome_fault(outcome)
        if fault is None:
            door.blocks.succeeded(source)
            request.ok(outcome)
        elif fault.code == TOKEN_INVALID.code:
            _refuse_token(door, request, source)
        elif fault.code in ("internal_error", "peer_exists") and isinstance(fault, OperatorFault):
            request.fail(InternalFault("internal_error", "the accept could not be stored", 500))
        else:
            request.fail(fault)

    door.engine.ask(ref, message, door.deadline_s, answered)


def _accept_limited(door: Door, source: str, now: float) -> float | None:
    limits = door.settings.federation.rate_limits
    wait_s = door.rate_limits.take(f"accept_per_source {source}", limits["accept_per_source"], now)
    return wait_s if wait_s is not None else door.rate_limits.take("accept_overall", limits["accept_overall"], now)


def _refuse_token(door: Door, request: Request, source: str) -> None:
    door.blocks.failed(source, request.now)
    request.fail(TOKEN_INVALID)


def _redeem(door: Door, request: Request, body: Mapping[str, Any]) -> Redeem:
    instance = body.get("instance") or {}
    return Redeem(
        token_digest=tokens.digest(body["acceptance_token"]),
        contract_version=body.get("contract_version") or door.newest_contract,
        handshake_id=body.get("handshake_id") or uuid7(request.wall, door.chance),
        capabilities=body.get("capabilities") or {},
        extension_slugs=tuple(body.get("extension_slugs") or ()),
        endpoints=tuple(body.get("endpoints") or ()),
        csr_pem=body.get("csr_pem"),
        peer_ca_bundle_pem=body.get("peer_ca_bundle_pem"),
        caller_inbound_subject=body.get("caller_inbound_subject"),
        contract_digest=body.get("contract_digest"),
        spawn_role=body.get("spawn_role"),
        spawn_mode=body.get("spawn_mode"),
        instance=RemoteInstance(**{name: instance.get(name) for name in _INSTANCE_FIELDS}),
        operator_grant=_offered(body.get("operator_grant")),
    )


def _offered(body: Mapping[str, Any] | None) -> OfferedGrant | None:
    if body is None:
        return None
    scopes = tuple(scope for scope in SCOPES if scope in body["scopes"])
    return OfferedGrant(grant_id=body["grant_id"], bearer=body["bearer_token"], scopes=scopes, expires_at=body["expires_at"])


_INSTANCE_FIELDS = (
    "id", "url", "account_id", "platform_version", "release_tag", "operator_contact", "jurisdiction", "data_residency",
    "server_identity", "server_ca_pem",
)  # fmt: skip


def federation_heartbeat(door: Door, request: Request) -> None:
    """Take a peer's heartbeat. A body that cannot be stored still shows that the peer lives."""
    admitted = admitted_caller(door, request, "heartbeat_per_peer")
    refused: Fault | None = None
    try:
        body = door.read_body(request)
    except FaultError as error:
        if error.fault.status != 422:
            request.fail(error.fault)
            return
        body, refused = {}, error.fault
    message = _beat(door, body, admitted.record.account_id, refused, request.call.source.channel)

    def answered(outcome: Any) -> None:
        fault = outcome_fault(outcome)
        if fault is not None:
            request.fail(fault)
            return
        skewed = message.sent_at is not None and abs(message.sent_at - request.wall) > CLOCK_SKEW_WARNING_S
        request.answer(success(outcome, headers={WARNING_HEADER: "clock_skew"} if skewed else None))

    door.engine.ask(Ref(KIND.name, admitted.record.id), message, door.deadline_s, answered)


def _beat(door: Door, body: Mapping[str, Any], account_id: str, refused: Fault | None, channel: bool) -> Beat:
    acknowledged = body.get("last_ack") or {}
    slugs, endpoints = body.get("extension_slugs"), body.get("endpoints")
    return Beat(
        boot_epoch=body.get("boot_epoch") or 0,
        sequence=body.get("sequence") or 0,
        start_mark=body.get("start_mark") or 0,
        history=body.get("history") or 0,
        sent_at=body.get("sent_at"),
        peer_state=body.get("peer_state") or "ok",
        capabilities=body.get("capabilities"),
        endpoints=None if endpoints is None else tuple(endpoints),
        sync_cursor=body.get("sync_cursor"),
        extension_slugs=None if slugs is None else tuple(slugs),
        platform_version=body.get("platform_version"),
        data_residency=body.get("data_residency"),
        contract_version=body.get("contract_version"),
        contract_digest=body.get("contract_digest"),
        release_tag=body.get("release_tag"),
        operator_contact=body.get("operator_contact"),
        jurisdiction=body.get("jurisdiction"),
        anchor_fingerprint=body.get("anchor_fingerprint"),
        acknowledged_epoch=acknowledged.get("epoch") or 0,
        acknowledged_sequence=acknowledged.get("sequence") or 0,
        acknowledged_mark=acknowledged.get("start_mark") or 0,
        acknowledged_history=acknowledged.get("history") or 0,
        over_channel=channel,
        refused=refused,
        matrix=door.schema_rules(account_id),
    )


def federation_trust_bundle(door: Door, request: Request) -> None:
    """Our anchors, for a peer that has proven itself."""
    admitted = admitted_caller(door, request, "trust_bundle_per_peer")
    if admitted.record.inbound_proven_at is None:
        door.engine.tell(Ref(KIND.name, admitted.record.id), ProvenInbound())
    rotation = door.engine.directory.row(ROTATION.name, door.settings.identity.instance_id)
    if rotation is not None and rotation.record.next is not None:
        door.relay(request, Ref(KIND.name, admitted.record.id), ReadBundle(), request.ok)
        return
    identity = identity_by(rotation.record if rotation is not None else None, door.settings.identity)
    request.ok({"ca_bundle_pem": identity.ca_bundle_pem, "fingerprints": [identity.ca_fingerprint], "generated_at": iso(request.wall)})


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "federation_accept": federation_accept,
    "federation_heartbeat": federation_heartbeat,
    "federation_trust_bundle": federation_trust_bundle,
}
