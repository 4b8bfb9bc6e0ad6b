"""`PUT …/mirror` from a peer that means no good: bounded, typed, on its own shelf, and never a home."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.door.call import Answer
from actors.mirror.limits import MIRROR_BODY_BYTES_MAX
from actors.mirror.record import KIND, SHELF
from actors.resource.record import KIND as RESOURCE
from runtime.store.port import Query
from tests.support.grants import Peers, call_as, code_of, peers

ID = "0190c0de-0000-7000-8000-0000000000{:02x}"
RESOURCES = "/api/v1/system/platform/resources"
MIRRORS = "/api/v1/system/platform/mirrors"


@pytest.fixture(scope="module")
def joined() -> Peers:
    return peers("mirrors")


@pytest.fixture
def two(joined: Peers) -> Peers:
    """`a` lets `b` bring mirrors."""
    for row in joined.a.store.query(Query("grant")):
        if row.record.revoked_at is None:
            assert joined.revoke(row.record.id, immediate=True).status == 200
    return joined


def put(
    two: Peers, bearer: str | None, id: str, body: Any = None, *, raw: bytes | None = None, kind: str = "NodeModule", **changes: Any
) -> Answer:
    told = {"epoch": 1, "updated_at": "2026-01-01T00:00:00Z", "etag": 'W/"1"', "attributes": {"name": "nginx"}, **changes}
    content = raw if raw is not None else json.dumps(told).encode()
    return call_as(two.b, two.a_at_b, two.a, f"/resources/{kind}/{id}/mirror", bearer, method="PUT", body=content)


def outcome(answer: Answer) -> str:
    assert answer.body is not None
    return str(answer.body["data"]["outcome"]) if answer.status == 200 else code_of(answer)


def mirrored(two: Peers) -> dict[str, Any]:
    rows = two.a.store.query(Query(KIND.name))
    return {row.record.origin_id: row.record for row in rows if row.record.gone_at is None}


def test_it_needs_a_grant_of_the_kind_with_the_scope(two: Peers) -> None:
    _, reader = two.issue(permission_scopes=["read"])
    _, other = two.issue(remote_subject="other", resource_kind="NodePlatform", permission_scopes=["write"])
    _, one = two.issue(remote_subject="one", permission_scopes=["write"], resource_id=module(two, "one"))
    id = ID.format(1)
    told = [outcome(put(two, bearer, id)) for bearer in (None, reader, other, one)]
    assert told == ["grant_token_required", "grant_scope_missing", "grant_kind_mismatch", "grant_resource_mismatch"]
    assert id not in mirrored(two)


def module(two: Peers, name: str, **at: Any) -> str:
    reply = two.ask("POST", f"{RESOURCES}/NodeModule", {"attributes": {"name": name}}, **at)
    assert reply.status == 201, reply.body
    found: str = reply.data["resource"]["id"]
    return found


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"epoch": -1}, "invalid_parameter"),
        ({"epoch": 2**63}, "malformed_json"),
        ({"epoch": True}, "invalid_parameter"),
        ({"updated_at": "yesterday"}, "invalid_parameter"),
        ({"etag": ""}, "invalid_parameter"),
        ({"etag": "x" * 200}, "invalid_parameter"),
        ({"attributes": []}, "invalid_attribute"),
        ({"attributes": {"description": "no name"}}, "attribute_required"),
        ({"attributes": {"name": {"$gt": ""}}}, "invalid_attribute"),
        ({"attributes": {"name": "a\u0000b"}}, "invalid_attribute"),
        ({"attributes": {"name": "n", "node_platform_id": "../../x"}}, "invalid_attribute"),
        ({"deleted": "yes"}, "invalid_parameter"),
    ],
)
def test_what_is_malformed_is_refused_and_kept_nowhere(two: Peers, changes: dict[str, Any], code: str) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    before = two.a.store.query(Query(KIND.name))
    answer = put(two, bearer, ID.format(2), **changes)
    assert outcome(answer) == code, answer.body
    assert two.a.store.query(Query(KIND.name)) == before


def test_size_and_name_are_bounded(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    big = {"name": "big", "tags": [f"{number:04}" + "t" * 56 for number in range(60)], "description": "d" * 5_000}
    assert outcome(put(two, bearer, ID.format(3), raw=b'{"a":"' + b"x" * MIRROR_BODY_BYTES_MAX + b'"}')) == "body_too_large"
    assert outcome(put(two, bearer, ID.format(3), attributes=big)) in ("resource_too_large", "invalid_attribute")
    assert outcome(put(two, bearer, "not-a-uuid")) == "id_invalid"
    assert outcome(put(two, bearer, ID.format(3), kind="NoSuchKind")) == "unknown_resource_kind"
    assert outcome(put(two, bearer, ID.format(3), kind="ManagedChildOperator")) == "unknown_resource_kind"
    assert ID.format(3) not in mirrored(two)


def test_nothing_but_declared_attributes_is_kept_and_it_lands_in_the_granting_account(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    attributes = {"name": "nginx", "account_id": ID.format(9), "origin_peer_id": ID.format(9), "secret": "s", "description": None}
    assert outcome(put(two, bearer, ID.format(4), attributes=attributes, account_id=ID.format(9), source="pull")) == "written"
    record = mirrored(two)[ID.format(4)]
    assert record.attributes == {"name": "nginx"}
    assert (record.account_id, record.origin_peer_id, record.source) == (two.a.account_id, two.b_at_a, "push")
    (shown,) = [row for row in two.ask("GET", MIRRORS).data if row["origin_id"] == ID.format(4)]
    assert (shown["read_only"], shown["stale"]) == (True, False)
    assert two.ask("GET", f"{MIRRORS}/{shown['id']}").data["mirror"]["attributes"] == {"name": "nginx"}


def test_what_is_ours_is_not_to_be_overwritten(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    ours = module(two, "ours")
    before = two.a.store.load(RESOURCE.name, ours)
    assert outcome(put(two, bearer, ours, attributes={"name": "theirs"})) == "at_home"
    assert outcome(put(two, bearer, ours, deleted=True, attributes={})) == "at_home"
    assert two.a.store.load(RESOURCE.name, ours) == before
    assert ours not in mirrored(two)


def test_an_older_state_changes_nothing_and_a_withdrawn_record_does_not_come_back(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    id = ID.format(5)
    assert outcome(put(two, bearer, id, epoch=3, updated_at="2026-01-02T00:00:00Z", attributes={"name": "new"})) == "written"
    assert outcome(put(two, bearer, id, epoch=3, updated_at="2026-01-01T00:00:00Z", attributes={"name": "old"})) == "overtaken"
    assert outcome(put(two, bearer, id, epoch=2, updated_at="2026-01-09T00:00:00Z", attributes={"name": "older start"})) == "overtaken"
    assert mirrored(two)[id].attributes == {"name": "new"}
    assert outcome(put(two, bearer, id, epoch=3, updated_at="2026-01-03T00:00:00Z", deleted=True, attributes={})) == "dropped"
    assert outcome(put(two, bearer, id, epoch=3, updated_at="2026-01-02T12:00:00Z", attributes={"name": "late"})) == "overtaken"
    assert id not in mirrored(two)
    assert outcome(put(two, bearer, id, epoch=4, updated_at="2026-01-01T00:00:00Z", attributes={"name": "of a later start"})) == "written"


def test_a_record_of_another_kind_cannot_take_a_mirrors_place(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    _, platforms = two.issue(remote_subject="p", resource_kind="NodePlatform", permission_scopes=["write"])
    id = ID.format(6)
    assert outcome(put(two, bearer, id)) == "written"
    assert outcome(put(two, platforms, id, kind="NodePlatform", epoch=9)) == "overtaken"
    assert mirrored(two)[id].kind == "NodeModule"


def test_so_many_and_no_more(two: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    row = two.a.store.load(SHELF.name, two.b_at_a)
    monkeypatch.setattr("actors.mirror.shelf.MIRRORS_PER_PEER_MAX", (row.record.count if row is not None else 0) + 2)
    told = [outcome(put(two, bearer, ID.format(0x20 + number), attributes={"name": f"n{number}"})) for number in range(4)]
    assert told == ["written", "written", "mirrors_full", "mirrors_full"]
    # What is here can be brought up to date, and withdrawn, all the same.
    assert outcome(put(two, bearer, ID.format(0x20), epoch=2, attributes={"name": "later"})) == "written"
    assert outcome(put(two, bearer, ID.format(0x21), epoch=2, deleted=True, attributes={})) == "dropped"
    assert outcome(put(two, bearer, ID.format(0x30), deleted=True, attributes={})) == "mirrors_full"


def test_mirrors_can_be_written_by_no_operator(two: Peers) -> None:
    _, bearer = two.issue(permission_scopes=["write"])
    id = ID.format(7)
    assert outcome(put(two, bearer, id)) == "written"
    mirror = mirrored(two)[id]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert two.ask(method, f"{MIRRORS}/{mirror.id}", {}).status == 405
    assert two.ask("PATCH", f"{RESOURCES}/NodeModule/{id}", {"attributes": {"name": "mine"}}).status == 404
    assert two.ask("POST", f"{RESOURCES}/NodeModule", {"id": id, "attributes": {"name": "mine"}}).body["code"] == "resource_id_taken"
    assert mirrored(two)[id] == mirror


def test_a_mirror_whose_grant_has_ended_is_stale_at_once(two: Peers) -> None:
    grant_id, bearer = two.issue(permission_scopes=["write"])
    assert outcome(put(two, bearer, ID.format(8))) == "written"
    assert two.revoke(grant_id).status == 200
    (shown,) = [row for row in two.ask("GET", f"{MIRRORS}?stale=true").data if row["origin_id"] == ID.format(8)]
    assert shown["stale"] is True
