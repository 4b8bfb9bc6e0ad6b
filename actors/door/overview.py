"""Operators' calls about the platform itself: health, governance findings, contract and schema versions, the flight recorder.

Lives here: one function per route. Reads come from committed rows; nothing wakes an actor but the writes of schema rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.audit_archive.record import ARCHIVE, PRUNING
from actors.contract import record as contract
from actors.door import cursors
from actors.door.request import Request
from actors.governance import reading, scanner
from actors.governance.record import KIND as GOVERNANCE
from actors.governance.record import merge
from actors.grant.book import KIND as BOOK
from actors.peer import projection
from actors.peer.record import KIND as PEER
from actors.periodic.daily import DailyRuns
from actors.periodic.record import Runs
from actors.periodic.works import PERIODIC, WORKS
from actors.resource.catalogue import KIND as CATALOGUE
from actors.schema_rule.messages import Create, Delete
from actors.schema_rule.messages import Update as UpdateRule
from actors.schema_rule.record import KIND as SCHEMA_RULE
from actors.schema_rule.record import to_json
from runtime.actor import Ref
from runtime.clock import iso, iso_or_none
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.recorder import Recorded
from runtime.store.port import Condition, Query, Row

if TYPE_CHECKING:
    from actors.door.door import Door

HISTORY_TEXT_CHARS_MAX = 400


def peer_rows(door: Door, account_id: str, *conditions: Condition) -> list[Row]:
    """The account's peers of whom all `conditions` hold, with the freshest evidence known."""
    mine = (Condition("account_id", "=", account_id), *conditions)
    rows = door.engine.store.query(Query(PEER.name, (mine,), newest_first=False))
    return [door.engine.directory.freshest(PEER.name, row) for row in rows]


def get_platform_health(door: Door, request: Request) -> None:
    """Peers by what their status reads as now."""
    stale_after_s = door.settings.federation.stale_after_s
    rows = peer_rows(door, request.account_id, Condition("peer_kind", "=", "platform"))
    read = [projection.derived_status(row.record, row.evidence, request.wall, stale_after_s)[0] for row in rows]
    stale = sum(row.record.status == "active" and status == "degraded" for row, status in zip(rows, read, strict=True))
    handshakes = [row.record.last_handshake_at for row in rows if row.record.last_handshake_at is not None]
    counts = {status: read.count(status) for status in ("active", "degraded", "suspended")}
    data = {
        "status": "degraded" if counts["degraded"] else "ok",
        "total": sum(status != "revoked" for status in read),
        **counts,
        "heartbeat_stale": stale,
        "last_handshake_at": iso_or_none(max(handshakes, default=None)),
    }
    request.ok(data)


def list_governance_findings(door: Door, request: Request) -> None:
    """A fresh scan, with the times at which each finding was first and last seen."""
    query = request.query
    matrix = door.schema_rules(request.account_id)
    rows = peer_rows(door, request.account_id, Condition("past", "=", 0))
    alone = [found for row in rows for found in scanner.scan_peer(row.record, row.evidence, door.settings, request.wall, matrix)]
    peers = [row.record for row in rows]
    read, one = door.engine.store.query, door.engine.directory.row
    across = reading.scan_across(read, one, request.account_id, peers, door.settings, request.wall)
    fresh = (*alone, *across)
    stored = door.engine.directory.row(GOVERNANCE.name, request.account_id)
    findings = merge(stored.record.findings if stored is not None else (), fresh, request.wall)
    data = [finding.to_json() for finding in findings]
    if query.get("peer_id"):
        data = [finding for finding in data if finding["federation_peer_id"] == query["peer_id"]]
    if query.get("severity"):
        data = [finding for finding in data if finding["severity"] in query["severity"]]
    if query.get("kind"):
        data = [finding for finding in data if finding["kind"] == query["kind"]]
    request.ok(data, meta={"count": len(data)})


def list_contract_versions(door: Door, request: Request) -> None:
    supported = {version.version for version in contract.supported()}
    data = [version.to_json(is_supported=version.version in supported) for version in contract.VERSIONS]
    request.ok(data, meta={"count": len(data)})


def list_periodic_work(door: Door, request: Request) -> None:
    """What the platform does by itself, and how its last runs went."""
    row = door.engine.directory.row(PERIODIC, request.account_id)
    noted = row.evidence.works if row is not None and row.evidence is not None else {}
    data = []
    for work in WORKS.values():
        daily = door.engine.directory.row(work.daily, request.account_id) if work.daily is not None else None
        runs: Runs | DailyRuns = noted.get(work.name, Runs()) if daily is None else daily.record
        data.append(
            {
                "name": work.name,
                "cadence": work.cadence,
                "does": work.does,
                "next_run_at": iso_or_none(daily.record.next_run_at) if daily is not None else None,
                "last_run_at": iso_or_none(runs.last_run_at),
                "last_error": runs.last_error,
                "runs": runs.runs,
            }
        )
    request.ok(data, meta={"count": len(data)})


# --- the flight recorder --------------------------------------------------------------------------------------------


def get_actor_history(door: Door, request: Request) -> None:
    """The last turns of one actor. Messages mask their own secrets; only their text is shown."""
    kind, id = request.parameters["kind"], request.parameters["id"]
    if not door.engine.known(kind):
        raise FaultError(OperatorFault("not_found", f"there are no actors of the kind {kind}", 404))
    ref = Ref(kind, id)
    row = door.engine.directory.row(kind, id)
    history = door.engine.history(ref)
    if (row is None and not history) or _account_of(door, ref, history) != request.account_id:
        raise FaultError(OperatorFault("not_found", "there is no such actor", 404))
    turns = [
        {
            "at": iso(turn.wall),
            "message": type(turn.message).__name__,
            "detail": repr(turn.message)[:HISTORY_TEXT_CHARS_MAX],
            "outcome": turn.outcome,
            "effects": list(turn.effects),
            "draws": len(turn.draws),
            "version": getattr(turn.record, "version", None),
        }
        for turn in history
    ]
    state = {"kind": kind, "id": id, "version": row.record.version if row is not None else None, **door.engine.state(ref)}
    request.ok({"actor": {**state, "turns": turns}})


def _account_of(door: Door, ref: Ref, history: Sequence[Recorded]) -> str:
    """Whose an actor is. One that belongs to nobody else is the platform's own, and shown to the operators of its account alone."""
    if ref.kind in _NAMED_BY_ACCOUNT:
        return ref.id
    directory = door.engine.directory
    row = directory.row(ref.kind, ref.id)
    # Of a row that is gone, or has never come to be, the last turns still say whose it was.
    past = [said for turn in reversed(history) for said in (turn.record, turn.message)]
    known = [row.record] if row is not None else past
    account_id = next((said.account_id for said in known if hasattr(said, "account_id")), None)
    if account_id is not None:
        return str(account_id)
    peer_id = ref.id if ref.kind == BOOK.name else next((getattr(said, "federation_peer_id", None) for said in known), None)
    peer = directory.row(PEER.name, peer_id) if peer_id is not None else None
    return str(peer.record.account_id) if peer is not None else door.settings.identity.account_id


_NAMED_BY_ACCOUNT: Final = frozenset({ARCHIVE.name, PRUNING.name, CATALOGUE.name, GOVERNANCE.name, PERIODIC})


# --- schema rules ---------------------------------------------------------------------------------------------------


def _own_rule(door: Door, request: Request) -> Any:
    row = door.engine.directory.row(SCHEMA_RULE.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id:
        raise FaultError(OperatorFault("not_found", "there is no such decision", 404))
    return row.record


def page_of(door: Door, request: Request, kind: str, account_id: str, shown: Callable[[Any], Any]) -> None:
    """One page of an account's rows, newest first."""
    after = cursors.decode(request.query["cursor"]) if request.query.get("cursor") else None
    limit = request.query["limit"]
    query = Query(kind, ((Condition("account_id", "=", account_id),),), newest_first=True, after_id=after, limit=limit + 1)
    rows: Sequence[Row] = door.engine.store.query(query)
    page = rows[:limit]
    more = cursors.encode(page[-1].record.id) if len(rows) > limit else None
    request.ok([shown(row.record) for row in page], meta={"count": len(page), "next_cursor": more})


def list_schema_compatibilities(door: Door, request: Request) -> None:
    page_of(door, request, SCHEMA_RULE.name, request.account_id, to_json)


def get_schema_compatibility(door: Door, request: Request) -> None:
    record = _own_rule(door, request)
    request.ok({"schema_compatibility": to_json(record)}, version=record.version)


def create_schema_compatibility(door: Door, request: Request) -> None:
    body = request.body
    message = Create(
        account_id=request.account_id,
        by=request.by,
        local_version=body["local_version"],
        remote_version=body["remote_version"],
        status=body["status"],
        notes=body.get("notes") or "",
        mark=request.mark,
    )
    _tell_rule(door, request, uuid7(request.wall, door.chance), message, 201)


def update_schema_compatibility(door: Door, request: Request) -> None:
    record = _own_rule(door, request)
    changes = {key: value for key, value in request.body.items() if key in ("status", "notes")}
    _tell_rule(door, request, record.id, UpdateRule(request.by, changes, request.expected_version(), request.mark), 200)


def _tell_rule(door: Door, request: Request, id: str, message: Any, status: int) -> None:
    def answered(outcome: Any) -> None:
        request.ok({"schema_compatibility": to_json(outcome)}, status=status, version=outcome.version)

    door.relay(request, Ref(SCHEMA_RULE.name, id), message, answered)


def delete_schema_compatibility(door: Door, request: Request) -> None:
    record = _own_rule(door, request)

    def answered(outcome: Any) -> None:
        request.ok({"id": record.id, "deleted": True})

    message = Delete(request.by, request.expected_version(), request.mark)
    door.relay(request, Ref(SCHEMA_RULE.name, record.id), message, answered)


HANDLERS: Mapping[str, Callable[[Door, Request], None]] = {
    "get_platform_health": get_platform_health,
    "list_periodic_work": list_periodic_work,
    "list_governance_findings": list_governance_findings,
    "list_contract_versions": list_contract_versions,
    "get_actor_history": get_actor_history,
    "list_schema_compatibilities": list_schema_compatibilities,
    "get_schema_compatibility": get_schema_compatibility,
    "create_schema_compatibility": create_schema_compatibility,
    "update_schema_compatibility": update_schema_compatibility,
    "delete_schema_compatibility": delete_schema_compatibility,
}
