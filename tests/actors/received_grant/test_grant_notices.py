"""The issuer of a grant tells its holder of every change, so that what the holder shows is true before it next calls."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from actors.door.call import Answer, Call
from actors.grant.projection import to_holder
from actors.limits import GRANTS_ANNOUNCED_PER_PEER_MAX, NEWS_WAITING_MAX, RECEIVED_GRANTS_PER_PEER_MAX
from actors.peer.messages import Tell
from actors.peer.peer_events import EVENT_KINDS, GRANT_CHANGED, PeerEvent
from actors.received_grant.messages import Announced
from actors.received_grant.record import KIND, GrantFacts, row_id
from actors.settings import DEFAULT_RATE_LIMITS, Limit
from runtime.actor import Ref
from runtime.ids import is_uuid7
from runtime.store.port import Query
from runtime.values import evolve
from sim.world import World
from tests.support.grants import PEERS, SEED_BODY, Peers, pair, peers, source_of

SOON_S = 1.0


@pytest.fixture
def two() -> Peers:
    return peers()


def shown(two: Peers) -> dict[str, Any]:
    (row,) = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants", at=two.b).data
    found: dict[str, Any] = row
    return found


def test_a_revoked_grant_is_known_to_be_over_at_once(two: Peers) -> None:
    grant_id = two.hold()
    assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S)
    assert (shown(two)["state"], shown(two)["usable"], shown(two)["refused_code"]) == ("refused", False, "grant_revoked")
    kinds = [event.kind for event in two.b.store.events(0, 1_000)]
    assert kinds.count("federation.received_grant.refused") == 1


def test_a_narrowed_grant_shows_what_is_left_of_it(two: Peers) -> None:
    grant_id = two.hold(permission_scopes=["read", "write"])
    assert two.ask("PATCH", grant_id, {"permission_scopes": ["read"]}).status == 200
    two.world.run_for(SOON_S)
    assert shown(two)["permission_scopes"] == ["read"]
    assert [event.kind for event in two.b.store.events(0, 1_000)].count("federation.received_grant.changed") == 1


@pytest.mark.parametrize(("overlap_s", "state"), [(0, "refused"), (3_600, "active")])
def test_a_rotated_bearer_is_known_to_be_void_unless_it_still_works(two: Peers, overlap_s: int, state: str) -> None:
    grant_id = two.hold()
    assert two.ask("POST", f"{grant_id}/rotate_token", {"overlap_seconds": overlap_s}).status == 200
    two.world.run_for(SOON_S)
    assert shown(two)["state"] == state


def test_what_could_not_be_told_is_told_when_the_holder_is_there_again(two: Peers) -> None:
    grant_id = two.hold()
    two.b.crash()
    assert two.revoke(grant_id).status == 200
    two.world.run_for(30.0)
    two.b.start()
    assert two.world.run_until(lambda: two.b.store.query(Query(KIND.name))[0].record.refused_code == "grant_revoked", 120.0)


def test_news_of_a_grant_that_is_not_held_costs_nothing(two: Peers) -> None:
    grant_id, _ = two.issue()
    two.world.run_for(120.0)
    before = two.b.store.load("peer", two.a_at_b)
    assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S)
    after = two.b.store.load("peer", two.a_at_b)
    assert before is not None
    assert after is not None
    assert after.record.version == before.record.version


def test_a_peer_can_only_speak_of_grants_that_it_gave(two: Peers) -> None:
    grant_id = two.hold()
    gave = two.b.engine.directory.row("peer", two.a_at_b)
    assert gave is not None
    event = PeerEvent(id="e", kind=GRANT_CHANGED, payload={"grant_id": grant_id, "change": "revoked"})
    for record, told in ((gave.record, 1), (evolve(gave.record, id=two.b_at_a), 0)):
        turn = Turn(two)
        EVENT_KINDS[GRANT_CHANGED].apply(turn, record, event)  # type: ignore[arg-type]
        assert len(turn.sent) == told


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([{"grant_id": "held", "change": "expired"}], 1),
        ([{"grant_id": "held", "change": "narrowed"}, {"grant_id": "held", "change": "no word"}], 0),
        ([1, None, {}, {"grant_id": 5, "change": "revoked"}, {"grant_id": "held", "change": ["revoked"]}], 0),
        ({"grant_id": "held", "change": "revoked"}, 0),
    ],
)
def test_of_many_changes_in_one_event_only_ends_are_taken(two: Peers, more: Any, told: int) -> None:
    grant_id = two.hold()
    gave = two.b.engine.directory.row("peer", two.a_at_b)
    assert gave is not None
    named = json.loads(json.dumps(more).replace("held", grant_id))
    event = PeerEvent(id="e", kind=GRANT_CHANGED, payload={"grant_id": two.b_at_a, "change": "revoked", "more": named})
    turn = Turn(two)
    EVENT_KINDS[GRANT_CHANGED].apply(turn, gave.record, event)  # type: ignore[arg-type]
    assert len(turn.sent) == told


# --- grants whose bearer has not come ---------------------------------------------------------------------------------


def told_events(two: Peers) -> list[str]:
    """What `b` has told its operators about grants that it was given."""
    kinds = [event.kind for event in two.b.store.events(0, 1_000)]
    return [kind.rpartition(".")[2] for kind in kinds if kind.startswith("federation.received_grant.")]


def receive(two: Peers, bearer: str) -> Any:
    return two.ask("POST", f"{PEERS}/{two.a_at_b}/received_grants", {"bearer_token": bearer}, at=two.b)


def held(two: Peers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants", at=two.b).data
    return found


def test_an_issued_grant_shows_at_its_holder_before_its_bearer_has_come(two: Peers) -> None:
    _, bearer = two.issue()
    two.world.run_for(SOON_S)
    announced = shown(two)
    assert (announced["state"], announced["usable"], announced["source"]) == ("announced", False, "notice")
    assert two.ask("GET", f"{PEERS}/{two.a_at_b}/remote_resources/NodeModule", at=two.b).body["code"] == "no_received_grant"
    assert receive(two, bearer).data["received_grant"]["id"] == announced["id"]
    now = shown(two)
    assert (now["state"], now["usable"], now["source"]) == ("active", True, "operator")
    assert told_events(two) == ["announced", "received"]
    assert receive(two, bearer).body["code"] == "grant_already_held"


def test_what_is_told_of_a_grant_holds_no_secret(two: Peers) -> None:
    _, bearer = two.issue(source_cidrs=["198.51.100.0/24"])
    secret = bearer.partition(".")[2]
    bodies: list[str] = []
    handle = two.b.handle

    def overheard(call: Call, *rest: Any) -> None:
        bodies.append(str(call.body))
        handle(call, *rest)

    two.b.handle = overheard  # type: ignore[method-assign]
    two.world.run_for(SOON_S)
    (told,) = [body for body in bodies if "grant.changed" in body]
    assert "issued" in told
    assert secret not in told
    assert "198.51.100.0" not in told
    assert two.b.store.query(Query(KIND.name))[0].record.sealed_bearer is None


def test_a_grant_that_is_delivered_is_not_announced(two: Peers) -> None:
    assert two.ask("POST", "", {**SEED_BODY, "deliver": True}).data["delivered"] is True
    two.world.run_for(SOON_S)
    assert (shown(two)["state"], told_events(two)) == ("active", ["received"])


def test_a_grant_that_could_not_be_delivered_is_announced(two: Peers) -> None:
    two.b.crash()
    reply = two.ask("POST", "", {**SEED_BODY, "deliver": True})
    assert (reply.data["delivered"], reply.data["bearer_token"] is not None) == (False, True)
    two.b.start()
    assert two.world.run_until(lambda: told_events(two) == ["announced"], 120.0)
    assert receive(two, reply.data["bearer_token"]).status == 201


@pytest.mark.parametrize("data", [None, {}, [], {"acknowledged": "yes"}], ids=str)
def test_a_delivery_counts_only_if_the_holder_says_that_it_has_the_bearer(two: Peers, data: Any) -> None:
    handle = two.b.handle

    def indifferent(call: Call, done: Any, *rest: Any) -> None:
        if call.path.endswith("/grant_deliveries"):
            done(Answer(200, {"success": True, "data": data}, {}))
        else:
            handle(call, done, *rest)

    two.b.handle = indifferent  # type: ignore[method-assign]
    told = two.ask("POST", "", {**SEED_BODY, "deliver": True}).data
    assert (told["delivered"], told["bearer_token"] is not None, told["warnings"]) == (False, True, ["not_delivered:remote_rejected"])


@pytest.mark.parametrize("reached", [True, False])
def test_a_repeated_request_tells_what_became_of_the_delivery(two: Peers, *, reached: bool) -> None:
    if not reached:
        two.b.crash()
    body = {**SEED_BODY, "deliver": True}
    first, again = (two.ask("POST", "", body, idempotency_key="k") for _ in range(2))
    assert (first.status, first.data["delivered"], again.status) == (201, reached, 201)
    assert again.data == {**first.data, "bearer_token": None, **({} if reached else {"token_already_revealed": True})}


def test_what_became_of_a_delivery_that_a_crash_cut_off_is_unknown(two: Peers) -> None:
    body = {**SEED_BODY, "deliver": True}
    two.b.crash()
    replies = two.a.send("POST", two.path, body, headers={"idempotency-key": "k"})
    assert two.world.run_until(lambda: bool(two.a.store.query(Query("grant"))), 5.0)
    assert replies == []
    two.a.crash()
    two.a.start()
    again = two.ask("POST", "", body, idempotency_key="k").data
    assert (again["bearer_token"], again["delivered"], again["warnings"]) == (None, False, ["delivery_unknown"])
    assert "token_already_revealed" not in again


def test_a_delivery_fills_the_row_of_a_grant_that_was_announced(two: Peers) -> None:
    grant_id, bearer = two.issue()
    two.world.run_for(SOON_S)
    row = two.b.store.query(Query(KIND.name))[0].record
    answers: list[Any] = []
    deliver(two, grant_id, bearer, answers)
    two.world.run_for(SOON_S)
    assert answers[0].status == 200
    (after,) = two.b.store.query(Query(KIND.name))
    assert (after.record.id, after.record.source, after.record.sealed_bearer is not None) == (row.id, "delivery", True)


@pytest.mark.parametrize("way", ["word first", "bearer first", "word, then delivery", "delivery, then word"])
def test_a_bearer_and_the_word_of_its_grant_may_come_in_one_moment(two: Peers, way: str) -> None:
    two.world.links.partition("a", "b")
    grant_id, bearer = two.issue()
    two.world.links.heal()
    peer = two.b.engine.directory.row("peer", two.a_at_b)
    assert peer is not None
    facts = GrantFacts(
        grant_id=grant_id,
        remote_subject="told",
        resource_kind="NodeModule",
        resource_id=None,
        permission_scopes=("read",),
        issued_at=two.b.clock.wall(),
        expires_at=two.b.clock.wall() + 1e5,
        state="active",
    )
    announced = Announced(account_id=peer.record.account_id, peer_id=two.a_at_b, facts=facts)
    delivered: list[Any] = []
    brought: list[Any] = []

    def word() -> None:
        two.b.engine.tell(Ref(KIND.name, row_id(two.a_at_b, grant_id)), announced)

    def bring() -> None:
        if "delivery" in way:
            deliver(two, grant_id, bearer, delivered)
        else:
            brought.append(two.b.send("POST", f"{PEERS}/{two.a_at_b}/received_grants", {"bearer_token": bearer}))

    for step in (word, bring) if way.startswith("word") else (bring, word):
        step()
    two.world.run_for(30.0)
    (after,) = two.b.store.query(Query(KIND.name))
    assert after.record.sealed_bearer is not None
    assert "received" in told_events(two)
    assert [answer.status for answer in (*delivered, *(reply for replies in brought for reply in replies))] == [
        200 if "delivery" in way else 201
    ]


def test_our_id_of_a_grant_follows_from_it_and_cannot_be_chosen() -> None:
    named = "0198c0de-1234-7000-8000-000000000001"
    found = row_id("a peer", named)
    assert is_uuid7(found)
    assert (found[:13], found == row_id("a peer", named)) == (named[:13], True)
    assert len({found[13:], row_id("another", named)[13:], row_id("a peer", named[:-1] + "2")[13:]}) == 3


@pytest.mark.parametrize("change", ["revoked", "expired"])
def test_nothing_is_left_of_a_grant_that_ended_before_its_bearer_came(two: Peers, change: str) -> None:
    grant_id, _ = two.issue(ttl_seconds=3_600)
    two.world.run_for(SOON_S)
    if change == "revoked":
        assert two.revoke(grant_id).status == 200
    two.world.run_for(SOON_S if change == "revoked" else 3_600.0)
    assert held(two) == []
    assert told_events(two) == ["announced", "destroyed"]


def test_the_end_of_a_grants_time_is_the_issuers_word(two: Peers) -> None:
    two.hold(ttl_seconds=3_600)
    two.world.run_for(3_601.0)
    assert (shown(two)["state"], shown(two)["usable"], shown(two)["refused_code"]) == ("expired", False, "grant_expired")


def test_announced_grants_have_a_limit_and_take_no_place_from_held_ones(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert GRANTS_ANNOUNCED_PER_PEER_MAX <= RECEIVED_GRANTS_PER_PEER_MAX
    monkeypatch.setattr("actors.received_grant.actor.GRANTS_ANNOUNCED_PER_PEER_MAX", 2)
    monkeypatch.setattr("actors.received_grant.actor.RECEIVED_GRANTS_PER_PEER_MAX", 1)
    bearers = [two.issue(remote_subject=str(number))[1] for number in range(3)]
    two.world.run_for(SOON_S)
    assert [row["state"] for row in held(two)] == ["announced"] * 2
    assert receive(two, bearers[2]).status == 201
    assert receive(two, bearers[0]).body["code"] == "received_grants_full"


@pytest.mark.parametrize(
    "grant",
    [
        None,
        "a grant",
        {},
        {"id": "0198c0de-0000-7000-8000-00000000ffff"},
        {"state": "revoked"},
        {"resource_kind": "Node Module"},
        {"permission_scopes": []},
        {"expires_at": "tomorrow"},
    ],
)
def test_what_is_told_of_a_new_grant_is_read_strictly(two: Peers, grant: Any) -> None:
    gave = two.b.engine.directory.row("peer", two.a_at_b)
    assert gave is not None
    grant_id = "0198c0de-0000-7000-8000-000000000002"
    right = {
        "id": grant_id,
        "remote_subject": "told",
        "resource_kind": "NodeModule",
        "resource_id": None,
        "permission_scopes": ["read"],
        "issued_at": "2026-05-17T13:45:12Z",
        "expires_at": "2026-06-17T13:45:12Z",
        "state": "active",
    }
    told = {**right, **grant} if isinstance(grant, dict) and grant else grant
    for value, count in ((told, 0), (right, 1)):
        turn = Turn(two)
        event = PeerEvent(id="e", kind=GRANT_CHANGED, payload={"grant_id": grant_id, "change": "issued", "grant": value})
        EVENT_KINDS[GRANT_CHANGED].apply(turn, gave.record, event)  # type: ignore[arg-type]
        assert len(turn.sent) == count


def deliver(two: Peers, grant_id: str, bearer: str, answers: list[Any]) -> None:
    """Have `a` bring `b` the bearer of a grant, as it does for one that is issued to be delivered."""
    row = two.a.engine.directory.row("grant", grant_id)
    peer = two.a.engine.directory.row("peer", two.b_at_a)
    assert row is not None
    assert peer is not None
    body = {"grant": to_holder(row.record, peer.record, two.a.clock.wall()), "bearer_token": bearer}
    call = Call(
        "POST",
        "/api/v1/system/federation_api/grant_deliveries",
        {},
        {"content-type": "application/json"},
        json.dumps(body).encode(),
        source_of(two.a, two.b_at_a),
    )
    two.b.handle(call, answers.append)


@attrs.define
class Turn:
    """What an event needs of a turn at `b`."""

    two: Peers
    sent: list[Any] = attrs.field(factory=list)

    def find(self, kind: str, key: str, value: str) -> str | None:
        return self.two.b.store.lookup(kind, key, value)

    def send(self, ref: Ref, message: Any) -> None:
        self.sent.append((ref, message))


def test_news_of_one_subject_waits_once_and_no_more_than_so_many_wait(two: Peers) -> None:
    ref = Ref("peer", two.b_at_a)
    two.b.crash()
    for number in range(NEWS_WAITING_MAX + 20):
        for change in ("narrowed", "revoked"):
            two.a.engine.tell(ref, Tell(subject=str(number), body={"kind": "grant.changed", "payload": {"change": change}}))
    two.world.run_for(SOON_S)
    cell = two.a.engine._cells[ref]
    assert cell.actor is not None
    news = cell.actor.news  # type: ignore[attr-defined]
    assert len(news) == NEWS_WAITING_MAX
    assert {told.body["payload"]["change"] for told in news} == {"revoked"}
    assert news[-1].subject == str(NEWS_WAITING_MAX + 19)


@pytest.mark.parametrize("hears_many", [True, False], ids=["of this release", "of an earlier release"])
def test_many_grants_revoked_at_once_are_known_to_be_over_within_moments(
    two: Peers, monkeypatch: pytest.MonkeyPatch, *, hears_many: bool
) -> None:
    known = EVENT_KINDS[GRANT_CHANGED]

    def of_earlier_release(ctx: Any, record: Any, event: PeerEvent) -> Any:
        return known.apply(ctx, record, evolve(event, payload={name: told for name, told in event.payload.items() if name != "more"}))

    if not hears_many:
        monkeypatch.setitem(EVENT_KINDS, GRANT_CHANGED, evolve(known, several=False, apply=of_earlier_release))
    held = []
    for number in range(100 if hears_many else 20):
        held.append(two.hold(remote_subject=f"user-{number}"))
        two.world.run_for(2.5)
    for grant_id in held:
        assert two.revoke(grant_id).status == 200
    two.world.run_for(5.0)
    rows = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants?limit=200", at=two.b).data
    assert [row["refused_code"] for row in rows] == ["grant_revoked"] * len(held)


def test_an_end_is_told_as_soon_as_the_holder_hears_more_news() -> None:
    world = World("few events")
    limits = {**DEFAULT_RATE_LIMITS, "peer_events_per_peer": Limit(6, 60.0, 2)}
    a = world.platform("a", heartbeat_interval_s=3_600.0).sign_in()
    two = pair(world, a, world.platform("b", heartbeat_interval_s=3_600.0, rate_limits=limits).sign_in())
    held = [two.hold(remote_subject=f"user-{number}") for number in range(2)]
    world.run_for(60.0)
    for number in range(4):
        two.issue(remote_subject=f"another-{number}")
    world.run_for(1.0)
    for grant_id in held:
        assert two.revoke(grant_id).status == 200
    # One event every ten seconds; what was issued before waits behind what has ended.
    world.run_for(15.0)
    rows = two.ask("GET", f"{PEERS}/{two.a_at_b}/received_grants", at=two.b).data
    assert [row["refused_code"] for row in rows if row["state"] != "announced"] == ["grant_revoked"] * 2


def test_what_came_under_a_peering_that_is_over_is_shown_as_ended_until_it_goes(two: Peers) -> None:
    """Work that was under way may end still, so that the row stays for the grace of the revocation."""
    two.hold()
    assert two.ask("POST", f"{PEERS}/{two.b_at_a}/revoke", {}).status == 200
    two.world.run_for(SOON_S)
    peer = two.ask("GET", f"{PEERS}/{two.a_at_b}", at=two.b).data["peer"]
    assert (peer["status"], peer["revocation_phase"]) == ("revoked", "draining")
    assert [(row["state"], row["usable"]) for row in held(two)] == [("ended", False)]
    two.world.run_for(600.0)
    assert held(two) == []
