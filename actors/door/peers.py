"""Operators' calls about peers: from validated bodies to messages of the peer actor, and back to JSON.

Lives here: one function per route. Must not live here: a rule that the peer actor does not check again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from actors.addresses import refused_url_reason
from actors.approval.categories import PEER_RESIDENCY
from actors.approval.limits import SUMMARY_CHARS_MAX
from actors.approval.messages import AskApproval
from actors.door import cursors
from actors.door.approvals.handlers import let_wait
from actors.door.bridges import proposal as bridges
from actors.door.request import Request
from actors.peer import invitation as invitations
from actors.peer import projection, roles
from actors.peer.calling import acceptable
from actors.peer.messages import (
    Accepted,
    AcceptRemote,
    Cancel,
    HeartbeatNow,
    ProbeNow,
    Propose,
    Regenerate,
    Update,
)
from actors.peer.operator_side import update_fault
from actors.peer.record import KIND, RESERVED_METADATA, PeerRecord
from actors.peer.steps import repinning_allowed
from actors.peer.tally import tally
from runtime.actor import Ref
from runtime.clock import iso, iso_or_none
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import AuditEntry, Condition, Query, Row

if TYPE_CHECKING:
    from actors.door.door import Door


_NO_SUCH_PEER = OperatorFault("not_found", "there is no such peer", 404)

# --- reads ----------------------------------------------------------------------------------------------------------


def own_row(door: Door, request: Request) -> Row:
    """The platform peer that the path names, in the caller's account.

    Raises:
        FaultError: `not_found`, also for a row of another account.
    """
    row = own_row_of_any_kind(door, request)
    if row.record.peer_kind != "platform":
        raise FaultError(_NO_SUCH_PEER)
    return row


def own_row_of_any_kind(door: Door, request: Request) -> Row:
    """The peer that the path names, in the caller's account, whatever it shares with us.

    Raises:
        FaultError: `not_found`, also for a row of another account.
    """
    row = door.engine.directory.row(KIND.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(_NO_SUCH_PEER)
    return row


def list_peers(door: Door, request: Request) -> None:
    """Summaries, newest first. Reads committed rows only; no actor is woken."""
    query = request.query
    stale_after_s = door.settings.federation.stale_after_s
    common = [Condition("account_id", "=", request.account_id), Condition("peer_kind", "=", "platform")]
    common += [Condition(name, "=", query[name]) for name in ("spawn_mode", "spawn_role", "remote_instance_url") if query.get(name)]
    alternatives: tuple[tuple[Condition, ...], ...] = ((),)
    if query.get("status"):
        alternatives = projection.status_conditions(query["status"], request.wall, stale_after_s)
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit = query["limit"]
    any_of = tuple((*common, *alternative) for alternative in alternatives)
    rows = door.engine.store.query(Query(KIND.name, any_of, newest_first=True, after_id=after, limit=limit + 1))
    page = [door.engine.directory.freshest(KIND.name, row) for row in rows[:limit]]
    data = [projection.summary(row.record, row.evidence, door.settings, request.wall) for row in page]
    if query.get("status"):
        # Evidence that has not been flushed yet may have moved a row; what it reads as now decides.
        data = [summary for summary in data if summary["status"] in query["status"]]
    more = len(rows) > limit
    request.ok(data, meta={"count": len(data), "next_cursor": cursors.encode(page[-1].record.id) if more else None})


def get_peer(door: Door, request: Request) -> None:
    row = own_row(door, request)
    request.ok(
        {"peer": shown_in_full(door, row)},
        version=row.record.version,
    )


def get_peer_trust(door: Door, request: Request) -> None:
    row = own_row(door, request)
    request.ok({"trust": projection.trust(row.record, request.wall)}, version=row.record.version)


def list_peer_audit_log(door: Door, request: Request) -> None:
    show_audit_log(door, request, own_row(door, request).record.id)


def show_audit_log(door: Door, request: Request, chain: str, *, named: str = "federation_peer_id") -> None:
    """An audit chain, oldest first, each entry with the id of the chain under `named`; a cancelled or revoked peer keeps its chain."""
    after, limit = request.query["after_sequence"], request.query["limit"]
    entries = door.engine.store.audit(chain, after, limit)
    data = [{named: entry.chain, **_shown_entry(entry)} for entry in entries]
    following = entries[-1].sequence if len(entries) == limit else None
    request.ok(data, meta={"count": len(data), "next_after_sequence": following, "complete_from": complete_from(door, chain)})


def complete_from(door: Door, chain: str) -> int:
    """The first entry of a chain that was not pruned: from there on what is shown is complete."""
    pruned = door.engine.store.audit_pruned(chain)
    return 1 if pruned is None else pruned.sequence + 1


def _shown_entry(entry: AuditEntry) -> dict[str, Any]:
    """An audit entry for operators, without the name of its chain; with that its hash can be computed from it."""
    return {
        "sequence": entry.sequence,
        "action": entry.action,
        "at": iso(entry.at),
        "at_epoch_s": entry.at,
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id},
        "payload": dict(entry.payload),
        "prev_hash": entry.previous_hash,
        "hash": entry.hash,
    }


# --- writes ---------------------------------------------------------------------------------------------------------


def check_remote_url(door: Door, url: str) -> None:
    """Refuse our own URL, and one that names an address that may not be dialled.

    Raises:
        FaultError: `self_peering` or `address_not_allowed`.
    """
    if url == door.settings.identity.url:
        raise FaultError(OperatorFault("self_peering", "this is the platform's own URL", 409))
    reason = refused_url_reason(url, door.settings.federation.allowed_networks)
    if reason is not None:
        message = f"this URL leads to a {reason} address; name the range in federation.allowed_networks if it is meant"
        raise FaultError(OperatorFault("address_not_allowed", message, 422, {"reason": reason}))


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse keys that only the platform writes.

    Raises:
        FaultError: `reserved_metadata_key`.
    """
    reserved = sorted(RESERVED_METADATA & metadata.keys())
    if reserved:
        message = f"the platform itself writes metadata.{reserved[0]}"
        problems = [{"field": f"metadata.{key}", "code": "reserved_metadata_key", "message": "is reserved"} for key in reserved]
        raise FaultError(OperatorFault("reserved_metadata_key", message, 422, {"problems": problems}))


def propose_peer(door: Door, request: Request) -> None:
    body = request.body
    check_remote_url(door, body["remote_instance_url"])
    for endpoint in body.get("endpoints") or ():
        for url in (endpoint.url, *endpoint.via):
            check_remote_url(door, url)
    check_metadata(body.get("metadata") or {})
    pairing = _pairing(body)
    door.limit("propose_per_operator", request.by or "", request.now)
    message = Propose(
        account_id=request.account_id,
        by=request.by,
        url=body["remote_instance_url"],
        pairing=pairing,
        token_ttl_s=body.get("token_ttl_seconds") or door.settings.federation.token_ttl_s,
        endpoints=tuple(body.get("endpoints") or ()),
        ca_fingerprint=body.get("remote_ca_fingerprint"),
        prefix=body.get("remote_prefix_advertisement"),
        metadata=body.get("metadata") or {},
        mark=request.mark,
    )
    propose(door, request, message, body.get("sdwan_network_id"))


def _pairing(body: Mapping[str, Any]) -> roles.Pairing:
    """The role and mode that a body asks for.

    Raises:
        FaultError: they do not go together.
    """
    pairing = roles.resolve(body.get("spawn_role"), body.get("spawn_mode"))
    if isinstance(pairing, Fault):
        raise FaultError(pairing)
    return pairing


def propose(door: Door, request: Request, message: Propose, network_id: str | None) -> None:
    """Make the peer, and a bridge to the network if one is named."""
    ref = Ref(KIND.name, uuid7(request.wall, door.chance))
    if network_id is not None:
        bridges.own_network(door, request, network_id)

    def answered(outcome: Any) -> None:
        data = projection.minted(outcome.record, door.settings, request.wall, outcome.token, outcome.invitation, outcome.ca_fingerprint)
        if network_id is None:
            request.ok(data, status=201)
        else:
            bridges.propose_with(door, request, outcome.record, network_id, data)

    door.relay(request, ref, message, answered, refused=lambda fault: name_existing(door, request.account_id, message.url, fault))


def name_existing(door: Door, account_id: str, url: str, fault: Fault) -> Fault:
    """`peer_exists`, saying which peer it is."""
    if fault.code != "peer_exists":
        return fault
    existing = door.engine.directory.find(KIND.name, "url", f"{account_id} {url}")
    return OperatorFault("peer_exists", "there is a peer with this URL already", 409, {"peer_id": existing})


def regenerate_acceptance_token(door: Door, request: Request) -> None:
    row = own_row(door, request)
    door.limit("regenerate_per_peer", row.record.id, request.now)
    ttl_s = request.body.get("token_ttl_seconds") or door.settings.federation.token_ttl_s

    def answered(outcome: Any) -> None:
        data = {
            "acceptance_token": outcome.token.reveal(),
            "invitation": outcome.invitation.reveal(),
            "acceptance_expires_at": iso_or_none(outcome.record.acceptance_token_expires_at),
        }
        request.ok(data, status=201)

    door.relay(request, Ref(KIND.name, row.record.id), Regenerate(request.by, ttl_s, request.mark), answered)


def accept_peer(door: Door, request: Request) -> None:
    accept_with(door, request, own_row(door, request), request.body["acceptance_token"], request.body.get("contract_version"))


def accept_with(door: Door, request: Request, row: Row, token: Secret, contract_version: int | None = None) -> None:
    """Accept at the remote with the token that it minted."""
    message = AcceptRemote(by=request.by, token=token, contract_version=contract_version, deadline_s=door.deadline_s, mark=request.mark)
    _accept(door, request, row.record.id, message)


def _accept(door: Door, request: Request, peer_id: str, message: AcceptRemote) -> None:
    def answered(outcome: Any) -> None:
        assert isinstance(outcome, Accepted)
        peer = projection.full(outcome.record, outcome.evidence, door.settings, request.wall, tally(door.engine, outcome.record.id))
        request.ok({"peer": peer, "warnings": list(outcome.warnings)})

    # The actor's own deadline ends a moment earlier, so that its more telling answer wins.
    door.relay(request, Ref(KIND.name, peer_id), message, answered, deadline_s=door.deadline_s + 1.0)


def accept_invitation(door: Door, request: Request) -> None:
    """Register the inviting platform, or take the row that is there, and accept in one go."""
    invitation = invitations.decode(request.body["invitation"].reveal())
    if isinstance(invitation, invitations.InvalidInvitation):
        raise FaultError(invitation.to_fault())
    pairing = _pairing(request.body)
    check_remote_url(door, invitation.url)
    for hub in invitation.via:
        check_remote_url(door, hub)
    message = AcceptRemote(
        by=request.by,
        token=invitation.token,
        contract_version=invitation.contract_version,
        ca_fingerprint=invitation.ca_fingerprint,
        via=invitation.via,
        deadline_s=door.deadline_s,
        mark=request.mark,
    )
    existing = door.engine.directory.find(KIND.name, "url", f"{request.account_id} {invitation.url}")
    if existing is not None:
        chosen = any(request.body.get(name) is not None for name in ("spawn_role", "spawn_mode"))
        _accept_existing(door, request, existing, message, pairing if chosen else None)
        return
    door.limit("propose_per_operator", request.by or "", request.now)
    peer_id = uuid7(request.wall, door.chance)
    propose = Propose(
        account_id=request.account_id,
        by=request.by,
        url=invitation.url,
        pairing=pairing,
        token_ttl_s=door.settings.federation.token_ttl_s,
        ca_fingerprint=invitation.ca_fingerprint,
    )

    door.relay(
        request,
        Ref(KIND.name, peer_id),
        propose,
        lambda outcome: _accept(door, request, peer_id, message),
        refused=lambda fault: name_existing(door, request.account_id, propose.url, fault),
    )


def _accept_existing(door: Door, request: Request, peer_id: str, message: AcceptRemote, pairing: roles.Pairing | None) -> None:
    row = door.engine.directory.row(KIND.name, peer_id)
    record: PeerRecord | None = row.record if row is not None else None
    if record is None or not acceptable(record, request.wall):
        raise FaultError(OperatorFault("peer_exists", "this platform is a peer already", 409, {"peer_id": peer_id}))
    if record.remote_ca_fingerprint not in (None, message.ca_fingerprint) and not repinning_allowed(record, request.wall):
        raise FaultError(OperatorFault("fingerprint_mismatch", "the peer is pinned to another CA than the invitation names", 422))
    if pairing is not None and (record.spawn_role, record.spawn_mode) != (pairing.role, pairing.mode):
        text = f"the peer is registered as {record.spawn_role}, {record.spawn_mode}; withdraw that proposal to register it otherwise"
        details = {"peer_id": peer_id, "spawn_role": record.spawn_role, "spawn_mode": record.spawn_mode}
        raise FaultError(OperatorFault("spawn_mismatch", text, 422, details))
    _accept(door, request, peer_id, message)


def update_peer(door: Door, request: Request) -> None:
    change(door, request, own_row(door, request), dict(request.body))


def change(door: Door, request: Request, row: Row, changes: dict[str, Any]) -> None:
    """Change what operators decide about a peer, or let it wait for approval.

    Raises:
        FaultError: a change is not possible.
    """
    if "data_residency" in changes and _waits_for_residency(door, request, row.record, changes):
        return
    check_metadata(changes.get("metadata") or {})
    early = {"remote_instance_url", "remote_ca_fingerprint"} & changes.keys()
    if early and row.record.status != "proposed":
        name = min(early)
        raise FaultError(OperatorFault("field_not_editable", f"{name} can only change while the peer is proposed", 422, {"field": name}))
    if changes.get("remote_instance_url"):
        check_remote_url(door, changes["remote_instance_url"])
    for endpoint in changes.get("endpoints") or ():
        for url in (endpoint.url, *endpoint.via):
            check_remote_url(door, url)
    relay_shown(door, request, row.record.id, Update(request.by, changes, request.expected_version()))


def _waits_for_residency(door: Door, request: Request, record: PeerRecord, changes: dict[str, Any]) -> bool:
    """Let another tag for where the peer keeps data wait for approval. False if it is the stored one, which then is no change.

    Raises:
        FaultError: `residency_not_alone` or `version_conflict`.
    """
    value = changes.pop("data_residency") or None
    if value == record.data_residency:
        return False
    if changes:
        text = "data_residency waits for approval, the rest does not; send it by itself"
        raise FaultError(OperatorFault("residency_not_alone", text, 422, {"fields": sorted(changes)}))
    fault = update_fault(record, Update(request.by, {}, request.expected_version()))
    if fault is not None:
        raise FaultError(fault)
    named = record.remote_instance_url or record.id
    summary = f"Decide that {named} keeps data in {value}" if value else f"Leave it to {named} to say where it keeps data"
    asked = AskApproval(
        account_id=record.account_id,
        action_category=PEER_RESIDENCY,
        requested_by=request.by,
        origin="rest",
        federation_peer_id=record.id,
        subject_kind=KIND.name,
        subject_id=record.id,
        summary=summary[:SUMMARY_CHARS_MAX],
        impact="Decides which resources may move to this peer, be mirrored there, or be served from there.",
        plan={"previous": record.data_residency, "declared_by_the_peer": record.declared_residency},
        params={"peer_id": record.id, "data_residency": value, "previous": record.data_residency},
        mark=request.mark,
    )
    let_wait(door, request, asked)
    return True


def cancel_peer(door: Door, request: Request) -> None:
    relay_shown(door, request, own_row(door, request).record.id, Cancel(request.by, request.body.get("reason")))


def relay_shown(door: Door, request: Request, peer_id: str, message: Any) -> None:
    """Ask the peer actor and show the record that it has committed."""

    def answered(outcome: Any) -> None:
        peer = projection.full(outcome.record, outcome.evidence, door.settings, request.wall, tally(door.engine, outcome.record.id))
        request.ok({"peer": peer}, version=outcome.record.version)

    door.relay(request, Ref(KIND.name, peer_id), message, answered)


def probe_peer(door: Door, request: Request) -> None:
    _result(door, request, own_row(door, request).record.id, ProbeNow(request.by), lambda outcome: outcome)


def shown_in_full(door: Door, row: Any) -> dict[str, Any]:
    """The form of one peer as of now."""
    wall = door.engine.clock.wall()
    return projection.full(row.record, row.evidence, door.settings, wall, tally(door.engine, row.record.id))


def send_heartbeat(door: Door, request: Request) -> None:
    peer_id = own_row(door, request).record.id

    def data(outcome: Any) -> Any:
        row = door.engine.directory.row(KIND.name, peer_id)
        assert row is not None
        return {"peer": shown_in_full(door, row), "heartbeat": outcome}

    _result(door, request, peer_id, HeartbeatNow(request.by), data)


def _result(door: Door, request: Request, peer_id: str, message: Any, data: Callable[[Any], Any]) -> None:
    def answered(outcome: Any) -> None:
        request.ok(data(outcome))

    door.relay(request, Ref(KIND.name, peer_id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "list_peers": list_peers,
    "get_peer": get_peer,
    "propose_peer": propose_peer,
    "accept_invitation": accept_invitation,
    "accept_peer": accept_peer,
    "update_peer": update_peer,
    "cancel_peer": cancel_peer,
    "regenerate_acceptance_token": regenerate_acceptance_token,
    "probe_peer": probe_peer,
    "send_heartbeat": send_heartbeat,
    "get_peer_trust": get_peer_trust,
    "list_peer_audit_log": list_peer_audit_log,
}
