"""Peers' calls about migrations: the destination's side.

Lives here: who may ask, and from bodies to messages of the catalogue. A call about a known migration is first one of the peer from which it
came: of anybody else's nobody learns that it exists. What was under way when a peering ended may be ended in its grace, without a grant,
since revoking took those; nothing may begin in it. What was announced under a grant that has ended since may go on in the grant's grace,
and be ended at any time. Must not live here: what a plan comes to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from actors import residency
from actors.door import admission
from actors.door.callers import recognised_caller
from actors.door.grants.authorise import Authorised, admitted_peer, authorise
from actors.door.shapes import read_query
from actors.grant.chain import UnderWay
from actors.inventory.registry import find
from actors.migration import applying
from actors.migration.messages import Commit, Fence, Finalize, Landed, Open, Proof, Prove, Reclaim, Stage
from actors.migration.receiving import ID_CONFLICT, UNKNOWN, residency_outcome
from actors.migration.record import ARRIVAL, ArrivalRecord
from actors.migration.steps import Header, Step, brought_kinds
from actors.peer import standing
from actors.peer.record import PeerRecord
from actors.resource.catalogue import KIND as CATALOGUE
from actors.resource.plan import Committed
from actors.schema_rule.withheld import withheld
from runtime.actor import Ref
from runtime.clock import iso
from runtime.errors import Fault, FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query
from runtime.values import evolve

if TYPE_CHECKING:
    from actors.door.door import Door
    from actors.door.request import Request

LIMIT: Final = "resources_per_peer"


def preflight(door: Door, request: Request) -> None:
    body, header, allowed = begun(door, request)
    peer = allowed.peer
    steps = _steps(body["steps"], payload=False)
    unfit = withheld(door.engine.store.query, door.settings.platform_version, peer, brought_kinds(steps))
    if unfit is not None:
        raise FaultError(unfit)
    committed = Committed(peer.account_id, door.engine.store.query)
    sender = applying.Sender(peer_id=peer.id, instance_id=peer.remote_instance_id or "", migration_id="")
    judged = applying.judge(
        header, steps, sender, committed, lambda: uuid7(request.wall, door.chance), named_only=True, at=iso(request.wall)
    )
    if isinstance(judged, Fault):
        raise FaultError(judged)
    request.ok({"conflicts": [], "creates": len(judged.writes)})


def open_plan(door: Door, request: Request) -> None:
    body, header, allowed = begun(door, request)
    wanted = _arrival(allowed.peer, body["migration_id"], header, body)
    steps = _steps(body["steps"], payload=True) if "steps" in body else None

    def answered(outcome: ArrivalRecord) -> None:
        if steps is not None:
            _staged_and_committed(door, request, outcome, steps)
            return
        fresh = outcome.version == 1 and outcome.opened_at == request.wall
        _say(door, request, outcome, status=201 if fresh else 200)

    door.relay(request, Ref(CATALOGUE.name, wanted.account_id), Open(arrival=wanted), answered)


def _staged_and_committed(door: Door, request: Request, known: ArrivalRecord, steps: tuple[Step, ...]) -> None:
    """A small plan came with its announcement. Each part may come twice, so a repeated call goes on where the former one was cut."""
    message = Stage(arrival_id=known.id, steps=steps)
    door.relay(request, Ref(CATALOGUE.name, known.account_id), message, lambda outcome: _committed(door, request, outcome))


def upload(door: Door, request: Request) -> None:
    known = _known(door, request)
    body = _read(door, request)
    message = Stage(arrival_id=known.id, steps=_steps(body["steps"], payload=True))
    door.relay(request, Ref(CATALOGUE.name, known.account_id), message, lambda outcome: _say(door, request, outcome, proof=False))


def commit(door: Door, request: Request) -> None:
    _committed(door, request, _known(door, request))


def _committed(door: Door, request: Request, known: ArrivalRecord) -> None:
    def answered(outcome: Landed) -> None:
        _say(door, request, outcome.arrival, status=201 if outcome.fresh else 200)

    door.relay(request, Ref(CATALOGUE.name, known.account_id), Commit(known.id), answered)


def get_verdict(door: Door, request: Request) -> None:
    _say(door, request, _known(door, request, ends_only=True))


def fence(door: Door, request: Request) -> None:
    known = _row(door, request)
    if known is not None:
        peer = _known_peer(door, request, known, ends_only=True)
        wanted = known
    else:
        body, header, allowed = begun(door, request, judged=False)
        peer = allowed.peer
        wanted = _arrival(peer, request.parameters["id"], header, body)
    door.relay(request, Ref(CATALOGUE.name, peer.account_id), Fence(arrival=wanted), lambda outcome: _say(door, request, outcome))


def finalize(door: Door, request: Request) -> None:
    known = _known(door, request, ends_only=True)
    door.relay(request, Ref(CATALOGUE.name, known.account_id), Finalize(known.id), lambda outcome: _say(door, request, outcome))


def reclaim(door: Door, request: Request) -> None:
    """The same instance asks under another peering. Whose it was must fit, and the plan itself, which nobody else knows.

    That it is unknown is a definite word, upon which the source lets its records go; so it is said of what was never here, and of
    another's, but of nothing else.
    """
    peer = admitted_peer(door, request, LIMIT)
    body, known = door.read_body(request), _row(door, request)
    header = Header(operation=body["operation"], root_resource_kind=body["root_resource_kind"], root_resource_id=body["root_resource_id"])
    if known is None or (known.account_id, known.source_instance_id) != (peer.account_id, peer.remote_instance_id):
        raise FaultError(UNKNOWN)
    if (known.header, known.plan_digest) != (header, body["plan_digest"]):
        raise FaultError(ID_CONFLICT)
    message = Reclaim(arrival_id=known.id, peer_id=peer.id, peering_epoch=peer.peering_epoch)
    door.relay(request, Ref(CATALOGUE.name, peer.account_id), message, lambda outcome: _say(door, request, outcome))


def arrived(door: Door, request: Request) -> None:
    """What came from the caller and does not live with it now: what this platform has, or has passed on to another."""
    peer = admitted_peer(door, request, LIMIT)
    query = read_query(request.route.query, request.call.query)
    theirs = (Condition("source_instance_id", "=", peer.remote_instance_id or ""), Condition("account_id", "=", peer.account_id))
    done = Condition("verdict", "in", ("applied", "finalized"))
    found = Query(ARRIVAL.name, ((*theirs, done),), newest_first=False, after_id=query.get("after"), limit=query["limit"])
    rows = door.engine.store.query(found)
    page = [row.record for row in rows if row.record.operation == "migrate"]
    data = [told for record in page if (told := _arrived(door, record, peer.remote_instance_id)) is not None]
    following = rows[-1].record.id if len(rows) == query["limit"] else None
    request.ok(data, meta={"count": len(data), "next_cursor": following})


def _arrived(door: Door, record: ArrivalRecord, caller: str | None) -> dict[str, Any] | None:
    committed = Committed(record.account_id, door.engine.store.query)
    committed.load(record.applied_ids)
    kept = [committed.record(id) for id in record.applied_ids]
    ids = [each.id for each in kept if each is not None and (each.moved is None or each.moved.instance_id != caller)]
    told = {"migration_id": record.id, **record.header.to_json(), "plan_digest": record.plan_digest, "ids": ids}
    return told if ids else None


# --- who may ask -------------------------------------------------------------------------------------------------------


def begun(door: Door, request: Request, *, judged: bool = True) -> tuple[Mapping[str, Any], Header, Authorised]:
    """Body, header and leave of a call that begins something. Only a caller that has proven to be a peer has its body read.

    Args:
        judged: whether our rules about where data may live have a say; a fence brings no data, and neither does a wish.
    """
    caller = recognised_caller(door, request, "exchange")
    try:
        body = _read(door, request)
        kind = find(body["root_resource_kind"])
        if kind is None or not kind.catalogued or kind.kind != body["root_resource_kind"]:
            raise FaultError(OperatorFault("unknown_resource_kind", "there is no such kind of resource here", 422))
    except FaultError:
        # What cannot be read costs as much as what can.
        door.limit(LIMIT, caller.record.id, request.now)
        raise
    header = Header(operation=body["operation"], root_resource_kind=kind.kind, root_resource_id=body["root_resource_id"])
    under_way = _announced(door, caller.record, header, body)
    root = header.root_resource_id
    allowed = authorise(door, request, kind=kind.kind, resource_id=root, scope="migrate", limit=LIMIT, under_way=under_way)
    fault = None
    if judged:
        outcome = residency_outcome(door.settings, allowed.peer)
        fault = residency.refusal(outcome, acknowledged=bool(body.get("acknowledge_residency", False)))
    if fault is not None:
        raise FaultError(fault)
    return body, header, allowed


def _announced(door: Door, peer: PeerRecord, header: Header, body: Mapping[str, Any]) -> UnderWay | None:
    """What an announcement that is repeated goes on with; None for a new one."""
    row = door.engine.directory.row(ARRIVAL.name, body["migration_id"]) if "migration_id" in body else None
    same = row is not None and (row.record.federation_peer_id, row.record.header) == (peer.id, header)
    return UnderWay(row.record.opened_at, ends_only=False) if row is not None and same else None


def _row(door: Door, request: Request) -> ArrivalRecord | None:
    row = door.engine.directory.row(ARRIVAL.name, request.parameters["id"])
    known: ArrivalRecord | None = row.record if row is not None else None
    return known


def _known(door: Door, request: Request, *, ends_only: bool = False) -> ArrivalRecord:
    """The migration of the path, if the caller may ask about it.

    Args:
        ends_only: the call brings nothing; it asks what became of the migration, or ends it.

    Raises:
        FaultError: the refusal of the caller, or `migration_not_found`, also for one of another peer.
    """
    known = _row(door, request)
    if known is None:
        authorise(door, request, kind=None, resource_id=None, scope="migrate", limit=LIMIT)
        raise FaultError(UNKNOWN)
    _known_peer(door, request, known, ends_only=ends_only)
    return known


def _known_peer(door: Door, request: Request, known: ArrivalRecord, *, ends_only: bool) -> PeerRecord:
    finishing = _finishing(door, request, known)
    if finishing is not None:
        door.limit(LIMIT, finishing.id, request.now)
        return finishing
    if known.reclaimed:
        # Nothing can begin with it any more, so that no grant has to allow it.
        reclaimer = admitted_peer(door, request, LIMIT)
        if (reclaimer.id, reclaimer.peering_epoch) != (known.federation_peer_id, known.peering_epoch):
            raise FaultError(UNKNOWN)
        return reclaimer
    root = (known.root_resource_kind, known.root_resource_id)
    source = admission.admit(door.engine.directory, request.call.source, "exchange", request.wall)
    if not isinstance(source, Fault) and source.record.id != known.federation_peer_id:
        authorise(door, request, kind=None, resource_id=None, scope="migrate", limit=LIMIT)
        raise FaultError(UNKNOWN)
    under_way = UnderWay(known.opened_at, ends_only)
    peer = authorise(door, request, kind=root[0], resource_id=root[1], scope="migrate", limit=LIMIT, under_way=under_way).peer
    if peer.peering_epoch != known.peering_epoch:
        raise FaultError(UNKNOWN)
    return peer


def _finishing(door: Door, request: Request, known: ArrivalRecord) -> PeerRecord | None:
    """The peer of a revoked peering that ends what it had begun, or None if this is no such call."""
    directory, source = door.engine.directory, request.call.source
    leaf = admission.presented_leaf(source)
    if isinstance(leaf, Fault) or admission.check_profile(source, leaf, request.wall) is not None:
        return None
    if admission.check_serial(directory, source, leaf) is not None:
        return None
    row = admission.find_row(directory, source, leaf)
    if row is None or row.record.id != known.federation_peer_id or row.record.status != "revoked":
        return None
    record: PeerRecord = row.record
    if admission.check_anchor(source, leaf, record, request.wall) or admission.check_instance(leaf, record):
        return None
    return record if standing.may_finish(record, known.peering_epoch, request.wall) else None


# --- values ------------------------------------------------------------------------------------------------------------


_AT_STEP: Final = re.compile(r"steps\[([0-9]{1,4})\]", re.ASCII)


def _read(door: Door, request: Request) -> Any:
    """The body of a call that may bring steps; a step that cannot be read is named by its place."""
    try:
        return door.read_body(request)
    except FaultError as error:
        fault = error.fault
        found = _AT_STEP.match(str(fault.details.get("field")))
        if fault.code != "step_invalid" or found is None:
            raise
        raise FaultError(evolve(fault, details={**fault.details, "index": int(found[1])})) from None


def _arrival(peer: PeerRecord, id: str, header: Header, body: Mapping[str, Any]) -> ArrivalRecord:
    chain = body.get("chain") or {}
    return ArrivalRecord(
        id=id,
        account_id=peer.account_id,
        federation_peer_id=peer.id,
        peering_epoch=peer.peering_epoch,
        source_instance_id=peer.remote_instance_id or "",
        operation=header.operation,
        root_resource_kind=header.root_resource_kind,
        root_resource_id=header.root_resource_id,
        verdict="staged",
        plan_digest=body.get("plan_digest", ""),
        step_count=body.get("step_count", 0),
        acknowledge_residency=bool(body.get("acknowledge_residency", False)),
        chain_id=chain.get("id"),
        chain_position=chain.get("hop"),
        opened_at=0.0,
    )


def _steps(listed: list[Mapping[str, Any]], *, payload: bool) -> tuple[Step, ...]:
    out: list[Step] = []
    for place, given in enumerate(listed):
        held = given.get("payload") if payload else {}
        if not isinstance(given["natural_key"], dict) or not isinstance(held, dict):
            raise FaultError(OperatorFault("step_invalid", "names and attributes are objects", 422, {"index": place}))
        out.append(
            Step(
                order=given["order"],
                kind=given["kind"],
                id=given["id"],
                action=given["action"],
                conflict_policy=given["conflict_policy"],
                natural_key=given["natural_key"],
                payload=held,
            )
        )
    return tuple(out)


def _say(door: Door, request: Request, known: ArrivalRecord, *, status: int = 200, proof: bool = True) -> None:
    """Answer with the verdict, and with the proven receipt if there is one."""
    data: dict[str, Any] = {"migration_id": known.id, "status": known.verdict}
    if known.receipt is None or not proof:
        request.ok(data, status=status)
        return

    def proven(outcome: Proof) -> None:
        told = {"receipt": dict(outcome.receipt), "signature": outcome.signature, "certificate_pem": outcome.certificate_pem}
        request.ok({**data, **told}, status=status)

    door.relay(request, Ref(ARRIVAL.name, known.id), Prove(), proven)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "federation_preflight_migration": preflight,
    "federation_open_migration": open_plan,
    "federation_upload_migration": upload,
    "federation_commit_migration": commit,
    "federation_get_migration": get_verdict,
    "federation_fence_migration": fence,
    "federation_reclaim_migration": reclaim,
    "federation_arrived_migrations": arrived,
    "federation_finalize_migration": finalize,
}
