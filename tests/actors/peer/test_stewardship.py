"""The grant by which a parent operates its managed child: issued with the child's accept, held by the parent, whatever happens between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.grant import tokens
from actors.grant.lifecycle import state
from actors.grant.messages import Issue, Narrow
from actors.grant.messages import Revoke as RevokeGrant
from actors.grant.record import KIND as GRANT
from actors.grant.record import GrantRecord
from actors.peer import stewardship
from actors.peer.messages import Accepted, AcceptRemote, Emancipate, Regenerate
from actors.ports import GRANT_BEARER_PURPOSE, RemoteReply, Seal
from actors.received_grant.messages import Call, Forget
from actors.received_grant.record import KIND as RECEIVED
from actors.received_grant.record import ReceivedGrantRecord
from runtime.actor import Ref
from runtime.errors import Fault, InternalFault
from runtime.ids import uuid7
from runtime.secret import Secret
from runtime.store.port import Query
from runtime.values import evolve
from tests.actors.peer.test_emancipation import found
from tests.support.federation import ACCOUNT, Exchange, Moment, Pair, Platform, pair

ACCEPT = "/federation_api/accept"
DAY_S = 86_400.0
HOUR_S = 3_600.0


def parent_and_child(**federation: Any) -> Pair:
    """B is to be the managed child of A."""
    return pair(role_of_b="child", mode="managed_child", **federation)


def issued(two: Pair) -> GrantRecord:
    """The one grant of the child, as it keeps it."""
    (row,) = two.b.store.query(Query(GRANT.name))
    record: GrantRecord = row.record
    return record


def held(two: Pair) -> ReceivedGrantRecord:
    """What the parent holds."""
    (row,) = two.a.store.query(Query(RECEIVED.name))
    record: ReceivedGrantRecord = row.record
    return record


def presented(two: Pair, id: str | None = None) -> tuple[int, str | None]:
    """What the child answers to the bearer that its parent holds: the status, and the grant by which it is served or the refusal."""
    outcomes: list[Any] = []
    two.a.engine.ask(Ref(RECEIVED.name, id or held(two).id), Call("/federation_api/resources"), 30.0, outcomes.append)
    two.network.run()
    reply = outcomes[0]
    assert isinstance(reply, RemoteReply), reply
    return reply.status, reply.body["meta"]["grant_id"] if reply.status == 200 else reply.body["code"]


def all_is_well(two: Pair) -> None:
    """Both sides know of one grant, and the parent's bearer opens it."""
    assert two.statuses == ("active", "active")
    grant = issued(two)
    assert (grant.id, state(grant, two.network.clock.wall())) == (held(two).grant_id, "active")
    assert presented(two) == (200, grant.id)
    assert found(two.a) == {}


def test_a_managed_child_gives_its_parent_the_right_to_operate_it() -> None:
    two = parent_and_child()
    two.connect()
    grant, mine = issued(two), held(two)
    assert (grant.resource_kind, grant.resource_id, grant.permission_scopes) == ("ManagedChildOperator", None, ("read", "write", "admin"))
    assert (grant.origin, grant.grantor_type, grant.grantor_id) == ("managed_child", "system", None)
    assert grant.remote_subject == f"parent-operator@{two.at_b.peer_id}"
    assert grant.metadata == {"auto_issued_by": "managed_child_accept_cascade"}
    assert grant.unrestricted
    assert grant.expires_at - grant.issued_at == 365 * DAY_S
    assert not grant.bare_token
    assert (mine.resource_kind, mine.permission_scopes, mine.source) == (grant.resource_kind, grant.permission_scopes, "accept")
    assert mine.expires_at == pytest.approx(grant.expires_at, abs=1.0)
    # The child has no right over its parent by it.
    assert two.a.store.query(Query(GRANT.name)) == []
    assert two.b.store.query(Query(RECEIVED.name)) == []
    all_is_well(two)
    for platform, peer_id, action in ((two.b, two.at_b.peer_id, "grant.issued"), (two.a, two.at_a.peer_id, "received_grant.received")):
        assert [entry.action for entry in platform.chain(peer_id)].count(action) == 1
        assert platform.events().count(f"federation.{action}") == 1


def test_its_life_is_a_setting() -> None:
    two = parent_and_child(managed_grant_ttl_s=30 * DAY_S)
    two.connect()
    assert issued(two).expires_at - issued(two).issued_at == 30 * DAY_S


def test_it_opens_no_kind_of_resource() -> None:
    two = parent_and_child()
    two.connect()
    for kind, code in (("NodeModule", "grant_kind_mismatch"), ("ManagedChildOperator", "unknown_resource_kind")):
        outcomes: list[Any] = []
        two.a.engine.ask(Ref(RECEIVED.name, held(two).id), Call(f"/federation_api/resources/{kind}"), 30.0, outcomes.append)
        two.network.run()
        assert outcomes[0].body["code"] == code


@pytest.mark.parametrize(
    ("role", "mode"), [(None, None), ("child", "autonomous_peer"), ("child", "cluster_member")], ids=["symmetric", "autonomous", "cluster"]
)
def test_nobody_else_gives_one(role: str | None, mode: str | None) -> None:
    two = pair(role_of_b=role, mode=mode)
    two.connect()
    assert two.b.store.query(Query(GRANT.name)) == []
    assert two.a.store.query(Query(RECEIVED.name)) == []


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("name", "number"), [("b", 1), ("b", 2), ("b", 3), ("a", 1), ("a", 2)])
def test_a_crash_at_any_commit_of_the_accept_leaves_one_grant_that_works(name: str, number: int, moment: Moment) -> None:
    two = parent_and_child()
    crashing = two.a if name == "a" else two.b
    crashing.crash_at = (crashing.commits + number, moment)
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.advance(90.0)
    assert crashing.life == 2, "the crash has not happened"
    if (name, number, moment) == ("b", 1, "before"):
        assert two.b.store.query(Query(GRANT.name)) == []
        assert isinstance(two.accept(), Accepted)
        two.network.advance(3.0)
    all_is_well(two)


@pytest.mark.parametrize("lost", ["request", "answer"])
@pytest.mark.parametrize("restarted", [False, True])
def test_what_gets_lost_is_sent_again_with_the_same_bearer(lost: str, restarted: bool) -> None:
    two = parent_and_child()
    counter = two.network.lost_requests if lost == "request" else two.network.lost_answers
    counter[ACCEPT] = 100
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.run()
    version = issued(two).token_version
    counter.clear()
    if restarted:
        two.b.restart()
    two.network.advance(30.0)
    assert issued(two).token_version == version == 1
    all_is_well(two)


def test_an_accept_that_was_given_up_and_begun_anew_leaves_one_grant_that_works() -> None:
    """The parent has taken the first bearer and nobody has heard of it; the second one takes its place."""
    two = parent_and_child()
    two.network.lost_answers[ACCEPT] = 100
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.advance(2 * DAY_S)
    assert two.b.record(two.at_b.peer_id).handshake is None
    first = issued(two)
    assert held(two).grant_id == first.id
    two.network.lost_answers.clear()
    token = two.a.regenerate(two.at_a.peer_id)
    assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)
    two.network.advance(3.0)
    again = issued(two)
    assert (again.id, again.token_version) == (first.id, 2)
    assert again.token_digest != first.token_digest
    assert again.previous_token_digest is None
    all_is_well(two)


def test_a_handshake_anew_gives_the_grant_in_force_another_bearer_and_the_former_works_until_then() -> None:
    two = parent_and_child(cert_ttl_s=2 * HOUR_S, cert_renew_at_s=HOUR_S, cert_warn_s=HOUR_S / 2, cert_auto_renew=False)
    two.connect()
    first, sealed = issued(two), held(two).sealed_bearer
    narrowed = Narrow(grant_id=first.id, changes={"permission_scopes": ("read",)}, by=None)
    two.b.engine.ask(Ref("grant_book", two.at_b.peer_id), narrowed, 30.0, lambda outcome: None)
    two.network.advance(3 * HOUR_S)
    token = two.a.regenerate(two.at_a.peer_id)
    two.network.lost_requests[ACCEPT] = 100
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=token))
    two.network.advance(60.0)
    between = issued(two)
    assert (between.id, between.previous_token_digest) == (first.id, first.token_digest)
    assert held(two).sealed_bearer == sealed
    two.network.lost_requests.clear()
    two.b.restart()
    two.network.advance(60.0)
    again = issued(two)
    assert (again.id, again.token_version, again.previous_token_digest) == (first.id, 2, None)
    assert again.permission_scopes == held(two).permission_scopes == ("read",)
    assert held(two).sealed_bearer != sealed
    all_is_well(two)


def test_once_it_has_ended_a_handshake_anew_gives_another() -> None:
    two = parent_and_child(
        cert_ttl_s=2 * HOUR_S, cert_renew_at_s=HOUR_S, cert_warn_s=HOUR_S / 2, cert_auto_renew=False, managed_grant_ttl_s=HOUR_S
    )
    two.connect()
    first = issued(two)
    two.network.advance(3 * HOUR_S)
    token = two.a.regenerate(two.at_a.peer_id)
    assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)
    two.network.advance(3.0)
    grants = [row.record for row in two.b.store.query(Query(GRANT.name))]
    assert len(grants) == 2
    (live,) = (grant for grant in grants if grant.id != first.id)
    assert held(two).grant_id == live.id
    assert presented(two) == (200, live.id)


def sealing(monkeypatch: pytest.MonkeyPatch, platform: Platform, works: Callable[[Seal], bool]) -> None:
    """Let the vault of a platform refuse what `works` says no to."""
    whole = platform.vault.handle

    def handle(request: Any) -> Any:
        return InternalFault("vault_unavailable", "no key", 503) if isinstance(request, Seal) and not works(request) else whole(request)

    monkeypatch.setattr(platform.vault, "handle", handle)


def test_a_vault_that_cannot_seal_refuses_the_accept_and_leaves_the_token_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    two = parent_and_child()
    before = two.a.record(two.at_a.peer_id)
    with monkeypatch.context() as patch:
        sealing(patch, two.a, lambda request: request.purpose != GRANT_BEARER_PURPOSE)
        outcome = two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
        two.network.advance(20.0)
        assert isinstance(outcome[0], Fault)
        assert two.a.record(two.at_a.peer_id) == before
        assert two.a.store.query(Query(RECEIVED.name)) == []
    two.connect()
    all_is_well(two)


def test_a_vault_that_cannot_seal_at_the_child_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    two = parent_and_child()
    with monkeypatch.context() as patch:
        # The token is sealed before, and the bearer is refused.
        sealing(patch, two.b, lambda request: not request.plaintext.reveal().startswith(tokens.PREFIX))
        outcome = two.accept()
    assert isinstance(outcome, Fault)
    assert outcome.code == "vault_unavailable"
    assert two.network.passed == []
    assert two.b.store.query(Query(GRANT.name)) == []
    two.connect()
    all_is_well(two)


def offer(two: Pair, **changed: Any) -> dict[str, Any]:
    """What a child's accept says of its grant."""
    grant_id = uuid7(two.network.clock.wall(), two.b.chance.stream("grants"))
    bearer, _ = tokens.mint(grant_id, bytes(32))
    offered = {"grant_id": grant_id, "bearer_token": bearer.reveal(), "scopes": ["read"], "expires_at": "2031-01-01T00:00:00Z"}
    return {"operator_grant": {**offered, **changed}}


FLAWED = [
    {"bearer_token": "fg-nothing"},
    {"bearer_token": f"fg-0190c0de-0000-7000-8000-000000000001.{'a' * 43}"},
    {"grant_id": "0190c0de-0000-7000-8000-000000000001"},
    {"grant_id": None},
    {"expires_at": "tomorrow"},
    {"expires_at": None},
    {"bearer_token": None},
]


@pytest.mark.parametrize("flaw", FLAWED, ids=lambda flaw: "-".join(flaw))
def test_a_flawed_one_refuses_the_accept_and_leaves_the_token_usable(flaw: dict[str, Any]) -> None:
    two = parent_and_child()
    before = two.a.record(two.at_a.peer_id)
    answers = two.a.redeem(two.at_a.token, two.b, **offer(two, **flaw))
    two.network.run()
    assert (answers[0].status, answers[0].body["code"]) == (422, "invalid_operator_grant")
    assert "fg-" not in str(answers[0].body)
    assert two.a.record(two.at_a.peer_id) == before
    two.connect()
    all_is_well(two)


@pytest.mark.parametrize(
    ("role", "mode"), [(None, None), ("child", "autonomous_peer"), ("parent", "managed_child")], ids=["symmetric", "autonomous", "child"]
)
def test_one_that_nobody_asked_for_is_left(role: str | None, mode: str | None) -> None:
    """Only who is the parent of a managed child takes it: a child is given nothing by its parent's accept."""
    two = pair(role_of_b=role, mode=mode)
    answers = two.a.redeem(two.at_a.token, two.b, **offer(two))
    two.network.run()
    assert answers[0].status == 200
    assert "operator_grant" not in answers[0].body["data"]
    assert two.a.store.query(Query(RECEIVED.name)) == []


def test_scopes_of_a_later_release_are_left_out() -> None:
    two = parent_and_child()
    two.a.redeem(two.at_a.token, two.b, **offer(two, scopes=["read", "dance", "admin"]))
    two.network.run()
    assert held(two).permission_scopes == ("read", "admin")


def test_a_child_of_the_release_before_gives_none_and_the_parent_says_so() -> None:
    two = parent_and_child()
    answers = two.a.redeem(two.at_a.token, two.b)
    two.network.run()
    told = [each["kind"] for each in answers[0].body["data"]["governance"]["peer_findings"]]
    assert "managed_child_grant_missing" in told
    assert found(two.a) == {"managed_child_grant_missing": two.at_a.peer_id}


def test_a_parent_of_the_release_before_takes_none_and_the_child_says_so() -> None:
    two = parent_and_child()

    def strip(exchange: Exchange) -> None:
        request = exchange.request
        if request.path == ACCEPT:
            body = {key: value for key, value in (request.body or {}).items() if key != "operator_grant"}
            sealed = {"acceptance_token": request.sealed_fields["acceptance_token"]}
            exchange.request = evolve(request, body=body, sealed_fields=sealed)

    two.network.answers = strip
    outcome = two.accept()
    assert isinstance(outcome, Accepted)
    assert outcome.warnings == ("operator_grant_not_taken",)
    assert found(two.a) == {"managed_child_grant_missing": two.at_a.peer_id}


def test_taken_back_before_the_accept_it_is_not_given_again() -> None:
    two = parent_and_child()
    two.network.lost_requests[ACCEPT] = 100
    two.b.ask(two.at_b.peer_id, AcceptRemote(by=None, token=two.at_a.token))
    two.network.advance(2 * DAY_S)
    revoke(two.b, two.at_b.peer_id, issued(two).id)
    two.network.lost_requests.clear()
    token = two.a.regenerate(two.at_a.peer_id)
    assert isinstance(two.b.accept(two.at_b.peer_id, token), Accepted)
    assert issued(two).revoked_at is not None
    assert two.a.store.query(Query(RECEIVED.name)) == []
    two.network.advance(3.0)
    assert two.statuses == ("active", "active")
    stands_alone(two)


def stands_alone(two: Pair) -> None:
    """Both sides know that the child stands on its own, and the parent has nothing by which to operate it."""
    for platform, peer_id in ((two.a, two.at_a.peer_id), (two.b, two.at_b.peer_id)):
        assert "emancipated_at" in platform.record(peer_id).metadata
        assert [entry.action for entry in platform.chain(peer_id)].count("peer.emancipated") == 1
    assert all(row.record.sealed_bearer is None for row in two.a.store.query(Query(RECEIVED.name)))
    wall = two.network.clock.wall()
    assert all(state(row.record, wall) != "active" for row in two.b.store.query(Query(GRANT.name)))


def test_who_revokes_the_grant_in_the_editor_stands_alone() -> None:
    two = parent_and_child()
    two.connect()
    sealed = held(two).sealed_bearer
    revoke(two.b, two.at_b.peer_id, issued(two).id)
    two.network.advance(2.0)
    stands_alone(two)
    (entry,) = (entry for entry in two.b.chain(two.at_b.peer_id) if entry.action == "peer.emancipated")
    assert entry.payload["reason"] == "enough"
    assert two.statuses == ("active", "active")
    assert sealed is not None
    assert found(two.a) == {"peer_grant_revoked": two.at_a.peer_id}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, 4))
def test_a_crash_while_it_is_revoked_in_the_editor_leaves_nothing_half_done(number: int, moment: Moment) -> None:
    two = parent_and_child()
    two.connect()
    two.b.crash_at = (two.b.commits + number, moment)
    outcomes: list[Any] = []
    revoked = RevokeGrant(grant_id=issued(two).id, by=None)
    two.b.engine.ask(Ref("grant_book", two.at_b.peer_id), revoked, 30.0, outcomes.append)
    two.network.advance(400.0)
    assert two.b.life == 2, "the crash has not happened"
    if (number, moment) == (1, "before"):
        all_is_well(two)
    else:
        stands_alone(two)


def test_a_lapsed_or_narrowed_grant_parts_nobody() -> None:
    two = parent_and_child(managed_grant_ttl_s=HOUR_S)
    two.connect()
    narrowed = Narrow(grant_id=issued(two).id, changes={"permission_scopes": ("read",)}, by=None)
    two.b.engine.ask(Ref("grant_book", two.at_b.peer_id), narrowed, 30.0, lambda outcome: None)
    two.network.advance(2 * HOUR_S)
    two.b.restart()
    two.network.advance(60.0)
    assert "emancipated_at" not in two.b.record(two.at_b.peer_id).metadata
    assert two.statuses == ("active", "active")


def revoke(platform: Platform, peer_id: str, grant_id: str) -> Any:
    """An operator of the child revokes a grant in the editor of grants."""
    outcomes: list[Any] = []
    platform.engine.ask(Ref("grant_book", peer_id), RevokeGrant(grant_id=grant_id, by=None, reason="enough"), 30.0, outcomes.append)
    platform.network.run()
    return outcomes[0]


ACTS = (
    "accept", "regenerate", "entrust", "revoke", "emancipate", "forget", "lose answers", "lose requests", "let through", "crash a",
    "crash b",
)  # fmt: skip


@settings(max_examples=25)
@given(acts=st.lists(st.sampled_from(ACTS), max_size=12), moment=st.sampled_from(("before", "after")))
def test_whatever_happens_there_is_one_grant_and_what_was_taken_back_stays_so(acts: list[str], moment: Moment) -> None:
    two, token = parent_and_child(), None
    for act in acts:
        token = perform(two, act, token, moment)
        two.network.advance(20.0)
        wall = two.network.clock.wall()
        grants = [row.record for row in two.b.store.query(Query(GRANT.name))]
        assert sum(state(grant, wall) == "active" for grant in grants) <= 1
        assert two.a.store.query(Query(GRANT.name)) == []
    two.network.lost_answers.clear()
    two.network.lost_requests.clear()
    for platform in (two.a, two.b):
        platform.crash_at = None
        platform.restart()
    two.network.advance(600.0)
    wall = two.network.clock.wall()
    grants = [row.record for row in two.b.store.query(Query(GRANT.name))]
    live = [grant.id for grant in grants if state(grant, wall) == "active"]
    good = [row.record for row in two.a.store.query(Query(RECEIVED.name)) if row.record.sealed_bearer and row.record.refused_code is None]
    if any(grant.revoked_at is not None and grant.replaced_by is None for grant in grants):
        assert live == []
        assert two.b.record(two.at_b.peer_id).status == "proposed" or "emancipated_at" in two.b.record(two.at_b.peer_id).metadata
    if "emancipated_at" in two.a.record(two.at_a.peer_id).metadata:
        assert [row.record for row in two.a.store.query(Query(RECEIVED.name)) if row.record.sealed_bearer] == []
    elif two.statuses == ("active", "active"):
        assert [record.grant_id for record in good] in ([], live)
        assert not good or presented(two, good[0].id) == (200, live[0])


def perform(two: Pair, act: str, token: Secret | None, moment: Moment) -> Secret | None:
    """Do one thing, if it can be done now; the newest token of the parent."""
    at_a, at_b = two.at_a.peer_id, two.at_b.peer_id
    if act == "accept":
        two.b.ask(at_b, AcceptRemote(by=None, token=token or two.at_a.token))
    elif act == "regenerate":
        outcomes = two.a.ask(at_a, Regenerate(None, 3_600))
        two.network.run()
        return outcomes[0].token if outcomes and not isinstance(outcomes[0], Fault) else token
    elif act == "emancipate":
        two.b.ask(at_b, Emancipate(None))
    elif act == "entrust":
        draft = stewardship.draft(two.b.record(at_b), DAY_S)
        id = uuid7(two.network.clock.wall(), two.b.chance.stream("grants"))
        issue = Issue(account_id=ACCOUNT, grant_id=id, draft=draft, by=None, origin="managed_child", deliver=True, replace=True)
        two.b.engine.ask(Ref("grant_book", at_b), issue, 30.0, lambda outcome: None)
    elif act in ("revoke", "forget"):
        platform, kind = (two.b, GRANT.name) if act == "revoke" else (two.a, RECEIVED.name)
        for row in platform.store.query(Query(kind)):
            ref = Ref("grant_book", at_b) if act == "revoke" else Ref(kind, row.record.id)
            message = RevokeGrant(grant_id=row.record.id, by=None) if act == "revoke" else Forget(by=None)
            platform.engine.ask(ref, message, 30.0, lambda outcome: None)
    elif act.startswith("crash"):
        platform = two.a if act == "crash a" else two.b
        platform.crash_at = (platform.commits + 1, moment)
    else:
        for path in (ACCEPT, "/federation_api/peer_events", "/federation_api/grant_deliveries"):
            two.network.lost_answers[path] = 100 if act == "lose answers" else 0
            two.network.lost_requests[path] = 100 if act == "lose requests" else 0
    return token


def test_the_bearer_is_written_down_nowhere() -> None:
    two = parent_and_child()
    bodies: list[str] = []

    def watch(exchange: Exchange) -> None:
        if exchange.request.path == ACCEPT:
            bodies.append(exchange.sender.plain_body(exchange.request).decode())

    two.network.answers = watch
    two.connect()
    (sent,) = bodies
    secret = sent.partition('"bearer_token": "fg-')[2][:80].partition(".")[2].partition('"')[0]
    assert len(secret) == 43
    for platform in (two.a, two.b):
        kept = [str(row) for kind in ("peer", GRANT.name, RECEIVED.name) for row in platform.store.query(Query(kind))]
        chains = [str(entry) for each in (two.at_a, two.at_b) for entry in platform.chain(each.peer_id)]
        assert secret not in "".join((*kept, *chains, *platform.events()))
