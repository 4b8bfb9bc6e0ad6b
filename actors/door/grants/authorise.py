"""The gate of every grant-gated call: from a connection and its headers to an authorised context, or one refusal.

Lives here: admission, the schema check, the rate limit, the gathering of what the chain judges, and the notes that a decision leaves. Must
not live here: the judgement itself (`actors.grant.chain`), or anything about a resource.

The call context is what the connection proves: the instance in the verified certificate, the network of the listener, the address of the
TCP connection; or what a trusted proxy says of them (`actors.door.proxies`). From anybody else, headers that claim any of it are noticed
and never believed.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from actors.bridge.record import active_bridge
from actors.continuity.record import FROZEN_THERE
from actors.door import access
from actors.door.call import Source
from actors.door.callers import notice_claims, recognised_caller
from actors.door.grants.decisions import Decision
from actors.door.rate_limits import source_key
from actors.door.request import Request
from actors.grant import standing, tokens
from actors.grant.actor import BOOK
from actors.grant.chain import Ask, Malformed, UnderWay, Verdict, decide
from actors.grant.messages import Denied, NoteDenial
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord
from actors.grant.tokens import Bearer
from actors.peer.lifecycle import Inbound
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.schema_versions import MatrixRow, SchemaCompatibility, negotiate
from runtime.actor import Ref
from runtime.errors import Fault, FaultError, RemoteFault
from runtime.values import Value, evolve

if TYPE_CHECKING:
    from actors.door.door import Door

_BEARER: Final = "bearer "
_compatibility = functools.lru_cache(1_024)(negotiate)


class Authorised(Value, frozen=True):
    """Leave to serve a call. The context is proven by the connection.

    Attributes:
        peer: the caller.
        grant: what allows the call; a grant for one resource narrows a list to it.
    """

    peer: PeerRecord
    grant: GrantRecord
    instance_id: str | None
    network_id: str | None
    source_address: str | None


def admitted_peer(door: Door, request: Request, limit: str, family: Inbound = "exchange", kind: str | None = None) -> PeerRecord:
    """The peer that calls: certificate, status, schema, rate limit, in this order.

    Raises:
        FaultError: the refusal of the first of them that fails.
    """
    if family == "exchange":
        door.refuse_while_frozen(FROZEN_THERE)
    peer = recognised_caller(door, request, family).record
    fault = schema_fault(door, peer, kind)
    if fault is not None:
        raise FaultError(fault)
    door.limit(limit, peer.id, request.now)
    notice_claims(door, request, peer)
    return peer


def schema_fault(door: Door, peer: PeerRecord, kind: str | None) -> Fault | None:
    """The refusal of a call between versions that do not fit, or of a kind that is withheld between them; or None."""
    rules: tuple[MatrixRow, ...] = door.schema_rules(peer.account_id)
    found: SchemaCompatibility = _compatibility(door.settings.platform_version, peer.platform_version, rules)
    if not (found.blocks_calls or (kind is not None and found.blocks_kind(kind))):
        return None
    details = {"local_version": found.local_version, "remote_version": found.remote_version, "status": found.status}
    return RemoteFault("schema_incompatible", "the platform versions do not fit for this call", 409, details)


def authorise(
    door: Door,
    request: Request,
    *,
    kind: str | None,
    resource_id: str | None,
    scope: str,
    family: Inbound = "exchange",
    limit: str = "resources_per_peer",
    under_way: UnderWay | None = None,
    counts: bool = True,
) -> Authorised:
    """Judge a grant-gated call.

    Args:
        kind: canonical kind that is asked for; None on routes that range over all kinds.
        resource_id: the one resource that is asked for; None for a list.
        scope: what the route needs.
        limit: name of the rate limit that the call counts against.
        under_way: what the call goes on with, if it begins nothing.
        counts: whether the call is a use of the grant; False where it is only asked whether the caller may hear why nothing can be served.

    Raises:
        FaultError: the refusal. It names the failing axis and the caller's own value, never what would be allowed.
    """
    source = request.call.source
    try:
        peer = admitted_peer(door, request, limit, family, kind)
    except FaultError as error:
        row_id = source.verified.get("row_id")
        ask = _not_admitted(door, request, row_id, kind, resource_id, scope, error.fault)
        door.decisions.keep(Decision(request.request_id, row_id, request.route.name, ask))
        raise
    ask = gathered(door, request, peer, kind, resource_id, scope)
    if under_way is not None:
        ask = evolve(ask, under_way=under_way)
    verdict = decide(ask)
    door.decisions.keep(Decision(request.request_id, peer.id, request.route.name, ask))
    if verdict.refusal is not None:
        _note_refusal(door, request, peer, ask, verdict)
        raise FaultError(verdict.refusal)
    grant = ask.grant
    assert grant is not None
    if counts:
        _note_use(door, request, peer, ask, grant)
    return Authorised(peer, grant, ask.instance_id, ask.network_id, source.proven_address)


def _note_use(door: Door, request: Request, peer: PeerRecord, ask: Ask, grant: GrantRecord) -> None:
    source = request.call.source
    door.uses.note(grant.id, source_key(source.address), request.wall, bare=grant.bare_token)
    if access.log.isEnabledFor(logging.INFO):
        facts: dict[str, Any] = {
            "peer_id": peer.id, "grant_id": grant.id, "subject": grant.remote_subject, "route": request.route.name,
            "kind": ask.kind, "resource_id": ask.resource_id, "source": source.address, "scope": ask.scope,
        }  # fmt: skip
        if grant.bare_token:
            # The audit chain holds its first use in an hour; that each is written down is the price of a bearer without a secret.
            facts["bare_token"] = True
        door.access_line(facts)


def _not_admitted(
    door: Door, request: Request, row_id: str | None, kind: str | None, resource_id: str | None, scope: str, fault: Fault
) -> Ask:
    """A call that admission has refused, with what the chain would judge next, so that it can be told whether a grant is missing, too.

    The row is the one that the certificate names, proven or not: nothing of it is served, and only its operators here are told of it.
    """
    row = door.engine.directory.row(PEER.name, row_id) if row_id is not None else None
    if row is None:
        source_address = request.call.source.proven_address
        return Ask(request.wall, None, None, None, scope, kind, resource_id, source_address=source_address, admission=fault)
    return evolve(gathered(door, request, row.record, kind, resource_id, scope), admission=fault)


def gathered(door: Door, request: Request, peer: PeerRecord, kind: str | None, resource_id: str | None, scope: str) -> Ask:
    """Everything that the chain judges of a call, from the connection, the two headers that are the caller's to say, and our rows."""
    source = request.call.source
    headers = request.call.headers
    bearer = bearer_of(source, headers.get("authorization"))
    row = door.engine.directory.row(GRANT.name, bearer.grant_id) if isinstance(bearer, Bearer) else None
    network_id = source.network_id
    return Ask(
        wall=request.wall,
        peer=standing.facts(peer),
        bearer=bearer,
        grant=row.record if row is not None else None,
        scope=scope,
        kind=kind,
        resource_id=resource_id,
        subject=headers.get("x-federation-subject"),
        # Admission has shown that the certificate names this instance and no other.
        instance_id=peer.remote_instance_id,
        network_id=network_id,
        source_address=source.proven_address,
        bridge_active=network_id is not None and bridged(door, peer.id, network_id),
    )


def bridged(door: Door, peer_id: str, network_id: str) -> bool:
    """Whether the peer has an active bridge on this network."""
    return active_bridge(door.engine.directory, peer_id, network_id) is not None


def bearer_of(source: Source, header: str | None) -> Bearer | Malformed | None:
    """What an `Authorization` header presents, read once for the connection that repeats it."""
    # The header is a secret, so its hash is kept in its place. Whoever could find another one of the same hash would have nothing of it
    # but the bearer that this very connection has shown before.
    mark = hash(header)
    known: tuple[int, Bearer | Malformed | None] | None = source.verified.get("bearer")
    if known is None or known[0] != mark:
        known = source.verified["bearer"] = (mark, presented(header))
    return known[1]


def presented(header: str | None) -> Bearer | Malformed | None:
    """What an `Authorization` header presents; another scheme presents no bearer."""
    if header is None or header[: len(_BEARER)].lower() != _BEARER:
        return None
    return tokens.parse(header[len(_BEARER) :].strip()) or "malformed"


def _note_refusal(door: Door, request: Request, peer: PeerRecord, ask: Ask, verdict: Verdict) -> None:
    refusal, grant = verdict.refusal, ask.grant
    assert refusal is not None
    mine = grant is not None and grant.federation_peer_id == peer.id
    note = NoteDenial(
        account_id=peer.account_id,
        grant_id=grant.id if grant is not None and mine else None,
        code=refusal.code,
        axis=refusal.details.get("axis"),
        subject=ask.subject[:256] if ask.subject is not None else None,
        route=request.route.name,
        source=source_key(request.call.source.address),
        request_id=request.request_id,
    )
    door.engine.tell(Ref(BOOK, peer.id), note)
    if grant is not None and mine:
        door.engine.tell(Ref(GRANT.name, grant.id), Denied())
