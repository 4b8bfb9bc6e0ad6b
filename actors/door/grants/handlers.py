"""Operators' calls about grants: from validated bodies to messages of the peer's book, and back to JSON.

Lives here: one function per route, and the questions whether a resource or a network exists. Must not live here: a rule that the book does
not check again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from actors.door import cursors
from actors.door.admission import check_status
from actors.door.grants.authorise import bridged, schema_fault
from actors.door.request import NOBODY, Request
from actors.governance.messages import ReviewNow
from actors.governance.record import KIND as GOVERNANCE
from actors.grant import expectations, projection, standing
from actors.grant.actor import BOOK
from actors.grant.axes import ANY, AXES
from actors.grant.book import Expectation, GrantBook
from actors.grant.chain import Ask, PeerFacts
from actors.grant.desk import covering
from actors.grant.explain import Explanation, explain, nearest, of_past
from actors.grant.lifecycle import STATES, state
from actors.grant.messages import Draft, Issue, Narrow, Review, Revoke, Rotate, SetTests
from actors.grant.record import KIND, GrantRecord
from actors.limits import DAY_S, GRANT_TTL_DEFAULT_S
from actors.peer import stewardship
from actors.peer.record import KIND as PEER
from actors.peer.record import PeerRecord
from actors.peer.standing import PEER_NOT_FOUND
from actors.problems import Problem, refusal
from actors.resource.record import get as get_resource
from runtime.actor import Ref
from runtime.errors import FaultError, OperatorFault
from runtime.ids import uuid7
from runtime.store.port import Condition, Query, Row
from runtime.values import evolve

if TYPE_CHECKING:
    from actors.door.door import Door

SCANNED_MAX: Final = 2_000
"""Rows looked through for one page at most; a page of a narrow filter may be short."""

_SLICE: Final = 500


def own_peer(door: Door, request: Request) -> PeerRecord:
    """The platform peer that the path names, in the caller's account.

    Raises:
        FaultError: `peer_not_found`, also for a row of another account.
    """
    row = door.engine.directory.row(PEER.name, request.parameters["id"])
    if row is None or row.record.account_id != request.account_id or row.record.peer_kind != "platform":
        raise FaultError(PEER_NOT_FOUND)
    record: PeerRecord = row.record
    return record


def own_grant(door: Door, request: Request) -> tuple[PeerRecord, Row]:
    """The peer and the grant that the path names.

    Raises:
        FaultError: `peer_not_found` or `not_found`.
    """
    peer = own_peer(door, request)
    row = door.engine.directory.row(KIND.name, request.parameters["grant_id"])
    if row is None or row.record.federation_peer_id != peer.id:
        raise FaultError(OperatorFault("not_found", "there is no such grant", 404))
    return peer, row


# --- reads ----------------------------------------------------------------------------------------------------------

SHOWN_UNASKED: Final = frozenset(STATES) - {"archived"}


def list_grants(door: Door, request: Request) -> None:
    """Grants of a peer, newest first, from committed rows."""
    peer = own_peer(door, request)
    query = request.query
    after = cursors.decode(query["cursor"]) if query.get("cursor") else None
    limit, scanned = query["limit"], 0
    page: list[dict[str, Any]] = []
    more = True
    while more and len(page) < limit and scanned < SCANNED_MAX:
        rows = door.engine.store.query(
            Query(KIND.name, ((Condition("peer_id", "=", peer.id),),), newest_first=True, after_id=after, limit=_SLICE)
        )
        more = len(rows) == _SLICE
        for index, row in enumerate(rows):
            after, scanned = row.record.id, scanned + 1
            if _wanted(row.record, query, request.wall):
                seen = door.engine.directory.freshest(KIND.name, row)
                page.append(projection.full(seen.record, seen.evidence, peer, request.wall, frozen=door.frozen))
                if len(page) == limit:
                    more = more or index + 1 < len(rows)
                    break
    request.ok(page, meta={"count": len(page), "next_cursor": cursors.encode(after) if more and after is not None else None})


def _wanted(record: GrantRecord, query: Mapping[str, Any], wall: float) -> bool:
    asked = query.get("state") or SHOWN_UNASKED
    if "all" not in asked and state(record, wall) not in asked:
        return False
    kind, scope, origin = query.get("resource_kind"), query.get("scope"), query.get("origin")
    if kind is not None and record.resource_kind != kind:
        return False
    return (scope is None or scope in record.permission_scopes) and (origin is None or origin == record.origin)


def get_grant(door: Door, request: Request) -> None:
    peer, row = own_grant(door, request)
    request.ok({"grant": projection.full(row.record, row.evidence, peer, request.wall, frozen=door.frozen)}, version=row.record.version)


# --- writes ---------------------------------------------------------------------------------------------------------


def issue_grant(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    body = request.body
    fault = standing.issue_fault(peer, request.account_id)
    if fault is not None:
        raise FaultError(fault)
    problems = _missing(door, request.account_id, body)
    if problems:
        raise FaultError(refusal(problems))
    axes = {name: body.get(name, ANY) for name in AXES}
    draft = Draft(
        remote_subject=body["remote_subject"],
        resource_kind=body["resource_kind"],
        resource_id=body.get("resource_id"),
        permission_scopes=tuple(body["permission_scopes"]),
        ttl_s=_ttl_s(body),
        label=body.get("label") or None,
        metadata=body.get("metadata") or {},
        **axes,
    )
    message = Issue(
        account_id=request.account_id,
        grant_id=uuid7(request.wall, door.chance),
        draft=draft,
        by=request.by,
        bare=body["bare_token"],
        deliver=body["deliver"],
        replace=body["replace"],
        force=body["force"],
        warnings=_warnings(door, peer, axes["sdwan_network_ids"]),
        mark=request.mark,
    )

    _issue(door, request, peer, message)


def _issue(door: Door, request: Request, peer: PeerRecord, message: Issue) -> None:
    def answered(outcome: Any) -> None:
        wall = door.engine.clock.wall()
        data = projection.issued(
            outcome.record, peer, wall, outcome.bearer, outcome.warnings, frozen=door.frozen, delivered=outcome.delivered
        )
        request.ok(data, status=201)

    door.relay(request, Ref(BOOK, peer.id), message, answered)


def entrust_parent(door: Door, request: Request) -> None:
    """Give our parent the grant to operate us anew, in place of the one that it has."""
    peer = own_peer(door, request)
    message = Issue(
        account_id=request.account_id,
        grant_id=uuid7(request.wall, door.chance),
        draft=stewardship.draft(peer, door.settings.federation.managed_grant_ttl_s),
        by=request.by,
        origin="managed_child",
        deliver=True,
        replace=True,
        mark=request.mark,
    )
    _issue(door, request, peer, message)


def _ttl_s(body: Mapping[str, Any]) -> float:
    if body.get("ttl_days") is not None:
        return float(body["ttl_days"] * DAY_S)
    return float(body["ttl_seconds"]) if body.get("ttl_seconds") is not None else GRANT_TTL_DEFAULT_S


def _missing(door: Door, account_id: str, body: Mapping[str, Any]) -> list[Problem]:
    """What the body names that does not exist in the account."""
    problems = []
    if body.get("resource_id") is not None and not resource_exists(door, account_id, body["resource_kind"], body["resource_id"]):
        problems.append(Problem("resource_id", "resource_not_found", f"there is no such {body['resource_kind']} here"))
    for index, network_id in enumerate(body.get("sdwan_network_ids") or ()):
        if network_id != "*" and not network_exists(door, account_id, network_id):
            problems.append(Problem(f"sdwan_network_ids[{index}]", "network_not_found", "is no network of this account"))
    return problems


def resource_exists(door: Door, account_id: str, kind: str, resource_id: str) -> bool:
    """Whether the account holds this resource; what moved away or was deleted is not held."""
    found = get_resource(door.engine.directory, account_id, kind, resource_id)
    return found is not None and found.lives


def network_exists(door: Door, account_id: str, network_id: str) -> bool:
    """Whether the account holds this overlay network."""
    return resource_exists(door, account_id, "SdwanNetwork", network_id)


def _warnings(door: Door, peer: PeerRecord, networks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"no_active_bridge:{network}" for network in networks if network != "*" and not bridged(door, peer.id, network))


def narrow_grant(door: Door, request: Request) -> None:
    _, row = own_grant(door, request)
    body = dict(request.body)
    force = body.pop("force")
    problems = _missing(door, request.account_id, body)
    if problems:
        raise FaultError(refusal(problems))
    message = Narrow(
        grant_id=row.record.id,
        changes=body,
        by=request.by,
        expected_version=request.expected_version(),
        force=force,
        mark=request.mark,
    )
    _changed(door, request, row, message)


def revoke_grant(door: Door, request: Request) -> None:
    _, row = own_grant(door, request)
    body = request.body
    message = Revoke(
        grant_id=row.record.id,
        by=request.by,
        reason=body.get("reason"),
        immediate=body["immediate"],
        force=body["force"],
        mark=request.mark,
    )
    _changed(door, request, row, message)


def review_grant(door: Door, request: Request) -> None:
    _, row = own_grant(door, request)
    _changed(door, request, row, Review(grant_id=row.record.id, by=request.by, mark=request.mark))


def review_grants(door: Door, request: Request) -> None:
    """Review every grant of the account."""
    door.relay(request, Ref(GOVERNANCE.name, request.account_id), ReviewNow(request.by), request.ok)


def _changed(door: Door, request: Request, row: Row, message: Any) -> None:
    def answered(outcome: Any) -> None:
        now = door.engine.directory.row(KIND.name, row.record.id) or row
        found = door.engine.directory.row(PEER.name, row.record.federation_peer_id)
        peer = found.record if found is not None else None
        shown = projection.full(outcome.record, now.evidence, peer, door.engine.clock.wall(), frozen=door.frozen)
        request.ok({"grant": shown}, version=outcome.record.version)

    door.relay(request, Ref(BOOK, row.record.federation_peer_id), message, answered)


def rotate_grant_token(door: Door, request: Request) -> None:
    peer, row = own_grant(door, request)
    message = Rotate(grant_id=row.record.id, by=request.by, overlap_s=float(request.body["overlap_seconds"]), mark=request.mark)

    def answered(outcome: Any) -> None:
        wall = door.engine.clock.wall()
        request.ok(projection.issued(outcome.record, peer, wall, outcome.bearer, outcome.warnings, frozen=door.frozen))

    door.relay(request, Ref(BOOK, peer.id), message, answered)


# --- why ------------------------------------------------------------------------------------------------------------


def explain_grants(door: Door, request: Request) -> None:
    """Say why a past or a hypothetical call of the peer is served or refused, and what would have to change."""
    peer = own_peer(door, request)
    if request.body.get("request_id"):
        decision = door.decisions.find(peer.id, request.body["request_id"])
        if decision is None:
            text = "no call of this peer with this correlation id is remembered"
            raise FaultError(OperatorFault("decision_not_found", text, 404))
        asked = _with_what_is_held(door, request, decision.ask)
        request.ok(explained(of_past(asked, _candidates(door, peer, asked)), asked))
        return
    ask = _hypothetical(door, request, peer)
    request.ok(explained(*nearest(ask, _candidates(door, peer, ask))))


def _candidates(door: Door, peer: PeerRecord, ask: Ask) -> list[GrantRecord]:
    """The grants of the peer that could cover a call."""
    if ask.kind is None:
        return []
    return [row.record for row in door.engine.store.query(covering(peer.id, ask.kind, ask.resource_id))]


def _hypothetical(door: Door, request: Request, peer: PeerRecord) -> Ask:
    body = request.body
    network_id = body.get("network_id")
    ask = Ask(
        wall=request.wall,
        peer=standing.facts(peer),
        bearer=None,
        grant=None,
        scope=body["scope"],
        kind=body.get("resource_kind"),
        resource_id=body.get("resource_id"),
        subject=body.get("subject"),
        instance_id=body.get("instance_id") or peer.remote_instance_id,
        network_id=network_id,
        source_address=body.get("source_address"),
        bridge_active=network_id is not None and bridged(door, peer.id, network_id),
        admission=check_status(peer, "exchange", request.wall) or schema_fault(door, peer, body.get("resource_kind")),
    )
    return _with_what_is_held(door, request, ask)


def _with_what_is_held(door: Door, request: Request, ask: Ask) -> Ask:
    """The call, with whether the account holds now what it names: what can be done about a refusal is done now."""
    account_id = request.account_id
    return evolve(
        ask,
        network_known=ask.network_id is None or network_exists(door, account_id, ask.network_id),
        resource_known=ask.resource_id is None or ask.kind is None or resource_exists(door, account_id, ask.kind, ask.resource_id),
    )


def explain_grants_without_peer(door: Door, request: Request) -> None:
    """What a platform that is no peer yet would need: the peering, and a grant made to measure."""
    body = request.body
    ask = Ask(
        wall=request.wall,
        peer=None,
        bearer=None,
        grant=None,
        scope=body["scope"],
        kind=body.get("resource_kind"),
        resource_id=body.get("resource_id"),
        subject=body.get("subject"),
        instance_id=body.get("instance_id"),
        network_id=body.get("network_id"),
        source_address=body.get("source_address"),
        bridge_active=False,
        admission=OperatorFault("unknown_peer_subject", "no peer of this platform has this subject", 401),
    )
    ask = _with_what_is_held(door, request, ask)
    request.ok(explained(explain(ask), ask))


# --- grant tests ----------------------------------------------------------------------------------------------------


def get_grant_tests(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    book = _book(door, peer)
    version = 0 if book is None else book.version
    request.ok(_tests_shown(book), version=version)


def expectations_of(tests: Sequence[Mapping[str, Any]]) -> tuple[Expectation, ...]:
    """The tests of a body.

    Raises:
        FaultError: `grant_test_name_taken`.
    """
    names = [test["name"] for test in tests]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FaultError(refusal([Problem("tests", "grant_test_name_taken", f"there are two tests named {name!r}") for name in twice]))
    return tuple(
        Expectation(
            name=test["name"],
            allowed=test["allowed"],
            kind=test["resource_kind"],
            resource_id=test.get("resource_id"),
            scope=test["scope"],
            subject=test.get("subject"),
            instance_id=test.get("instance_id"),
            network_id=test.get("network_id"),
            source_address=test.get("source_address"),
        )
        for test in tests
    )


def set_grant_tests(door: Door, request: Request) -> None:
    peer = own_peer(door, request)
    tests = expectations_of(request.body["tests"])
    message = SetTests(account_id=request.account_id, tests=tests, by=request.by, expected_version=request.expected_version())

    def answered(outcome: GrantBook) -> None:
        request.ok(_tests_shown(outcome), version=outcome.version)

    door.relay(request, Ref(BOOK, peer.id), message, answered)


def run_grant_tests(door: Door, request: Request) -> None:
    """Judge every test by the chain itself, over the grants as they are."""
    peer = own_peer(door, request)
    book = _book(door, peer)

    def grants(kind: str, resource_id: str | None) -> list[GrantRecord]:
        return [row.record for row in door.engine.store.query(covering(peer.id, kind, resource_id))]

    tests = () if book is None else book.tests
    outcomes = expectations.run(tests, grants, standing.facts(peer), lambda network: bridged(door, peer.id, network), request.wall)
    request.ok(_outcomes(outcomes))


def test_planned_grants(door: Door, request: Request) -> None:
    """Judge tests over grants that are only planned, of a platform that is no peer yet."""
    tests = expectations_of(request.body["tests"])
    planned = [planned_grant(body, f"planned-{place}", request) for place, body in enumerate(request.body["grants"])]

    def grants(kind: str, resource_id: str | None) -> list[GrantRecord]:
        return [each for each in planned if each.resource_kind == kind and (each.resource_id is None or each.resource_id == resource_id)]

    outcomes = expectations.run(tests, grants, PeerFacts(id=NOBODY), lambda network: False, request.wall)
    request.ok(_outcomes(outcomes))


def planned_grant(body: Mapping[str, Any], id: str, request: Request) -> GrantRecord:
    """A grant as it would be, had it been issued now to a platform that does not exist yet."""
    return GrantRecord(
        id=id,
        account_id=request.account_id,
        federation_peer_id=NOBODY,
        remote_subject=body["remote_subject"],
        resource_kind=body["resource_kind"],
        resource_id=body.get("resource_id"),
        permission_scopes=tuple(body["permission_scopes"]),
        issued_at=request.wall,
        expires_at=request.wall + _ttl_s(body),
        token_digest=id,
        updated_at=request.wall,
        **{name: body.get(name, ANY) for name in AXES},
    )


def _outcomes(outcomes: Iterable[expectations.Tested]) -> dict[str, Any]:
    shown = [
        {
            "name": each.test.name,
            "expected": each.test.allowed,
            "allowed": each.allowed,
            "passed": each.passed,
            "grant_id": each.grant_id,
        }
        for each in outcomes
    ]
    return {"passed": all(each["passed"] for each in shown), "outcomes": shown}


def _book(door: Door, peer: PeerRecord) -> GrantBook | None:
    row = door.engine.directory.row(BOOK, peer.id)
    return None if row is None else row.record


def _tests_shown(book: GrantBook | None) -> dict[str, Any]:
    tests = () if book is None else book.tests
    return {
        "tests": [
            {
                "name": test.name,
                "allowed": test.allowed,
                "resource_kind": test.kind,
                "resource_id": test.resource_id,
                "scope": test.scope,
                "subject": test.subject,
                "instance_id": test.instance_id,
                "network_id": test.network_id,
                "source_address": test.source_address,
            }
            for test in tests
        ],
        "version": 0 if book is None else book.version,
    }


def explained(found: Explanation, ask: Ask) -> dict[str, Any]:
    """An explanation as it is shown to the issuer's operators."""
    verdict = found.verdict
    mine = ask.grant is not None and ask.peer is not None and ask.grant.federation_peer_id == ask.peer.id
    steps = [
        {
            "number": outcome.number,
            "step": outcome.step,
            "verdict": "passed" if outcome.passed else "refused" if outcome.reached else "not_reached",
            "code": outcome.refusal.code if outcome.refusal is not None else None,
            "details": dict(outcome.refusal.details) if outcome.refusal is not None else {},
        }
        for outcome in verdict.outcomes
    ]
    return {
        "allowed": verdict.allowed,
        "code": verdict.refusal.code if verdict.refusal is not None else None,
        "grant_id": ask.grant.id if ask.grant is not None and mine else None,
        "steps": steps,
        "change": [{"edit": edit.name, "who": edit.who, **edit.facts} for edit in found.edits],
    }


HANDLERS: Final[Mapping[str, Callable[[Door, Request], None]]] = {
    "list_grants": list_grants,
    "get_grant": get_grant,
    "issue_grant": issue_grant,
    "entrust_parent": entrust_parent,
    "narrow_grant": narrow_grant,
    "revoke_grant": revoke_grant,
    "rotate_grant_token": rotate_grant_token,
    "review_grant": review_grant,
    "review_grants": review_grants,
    "explain_grants": explain_grants,
    "explain_grants_without_peer": explain_grants_without_peer,
    "get_grant_tests": get_grant_tests,
    "set_grant_tests": set_grant_tests,
    "run_grant_tests": run_grant_tests,
    "test_planned_grants": test_planned_grants,
}
