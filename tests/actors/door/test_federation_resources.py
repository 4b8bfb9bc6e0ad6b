"""What a peer reads through a grant: only that, only its exports, page by page, each judged anew."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.bridge.messages import Create, Step
from actors.bridge.record import KIND as BRIDGE
from actors.door.resources import cursors, federation
from actors.door.resources.cursors import Bound, Resumption
from actors.grant.messages import Revoke
from actors.inventory.registry import REGISTRY
from actors.peer.messages import Suspend
from actors.resource import pages
from actors.resource.limits import CURSOR_VALID_S
from actors.resource.messages import Delete, Update
from actors.resource.pages import Place
from actors.resource.record import KIND, Moved
from actors.settings import Limit
from runtime.actor import Ref
from runtime.errors import FaultError
from runtime.store.port import Put, Unit
from runtime.values import evolve
from tests.support.catalogue import Reader, catalogue, draft, reader, stored, told, written
from tests.support.federation import ACCOUNT, OPERATOR, Pair, pair

FOREIGN = "0190c0de-0000-7000-8000-00000000ffff"


@pytest.fixture
def two() -> Pair:
    joined = pair()
    joined.connect()
    return joined


def refusal(answer: Any) -> tuple[int, str]:
    assert answer.body is not None
    assert not answer.body["success"], answer.body
    return answer.status, answer.body["code"]


def names(page: list[dict[str, Any]]) -> list[str]:
    return [entry["attributes"]["name"] for entry in page]


def modules(two: Pair, count: int, start: int = 0) -> list[str]:
    return [record.id for record in written(two.a, *(draft("NodeModule", name=f"m{n:04}") for n in range(start, start + count)))]


# --- one record -----------------------------------------------------------------------------------------------------


def test_a_record_shows_its_exports_and_nothing_else_under_both_spellings(two: Pair) -> None:
    (id,) = modules(two, 1)
    record = stored(two.a, id)
    two.a.store.commit([Unit((Put(KIND.name, evolve(record, version=2, attributes={"name": "x", "smuggled": "secret"}), 1),))], len)
    two.a.engine.directory.reopen(two.a.store)
    for spelling in ("NodeModule", "node_module"):
        answer = reader(two).get(f"/{spelling}/{id}")
        assert answer.status == 200
        assert answer.body is not None
        shown = answer.body["data"]
        assert set(shown) == {"kind", "id", "etag", "updated_at", "deleted", "attributes"}
        assert list(shown["attributes"]) == list(REGISTRY.kinds["NodeModule"].fields)
        assert "secret" not in str(answer.body)
        assert ACCOUNT not in str(answer.body)


def test_an_unchanged_record_is_not_sent_again(two: Pair) -> None:
    (id,) = modules(two, 1)
    b = reader(two)
    etag = b.get(f"/NodeModule/{id}").headers["etag"]
    for held in (f'W/"other", {etag}', etag.removeprefix("W/"), "*"):
        assert b.get(f"/NodeModule/{id}", if_none_match=held).status == 304
    for other in ('W/"other"', etag.strip('W/"'), "", f"{etag}x"):
        assert b.get(f"/NodeModule/{id}", if_none_match=other).status == 200
    catalogue(two.a, Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id, changes={"variety": "web"}))
    again = b.get(f"/NodeModule/{id}", if_none_match=etag)
    assert again.status == 200
    assert again.headers["etag"] != etag


def test_what_is_not_there_gone_or_malformed_has_its_code(two: Pair) -> None:
    gone, moved = modules(two, 2)
    catalogue(two.a, Delete(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=gone))
    tombstone = evolve(stored(two.a, moved), version=2, deleted_at=1.0, attributes={}, moved=Moved("p", "the-instance", "m"))
    two.a.store.commit([Unit((Put(KIND.name, tombstone, 1),))], len)
    two.a.engine.directory.reopen(two.a.store)
    b = reader(two)
    assert refusal(b.get(f"/NodeModule/{FOREIGN}")) == (404, "resource_not_found")
    assert refusal(b.get(f"/NodeModule/{gone}")) == (404, "resource_not_found")
    assert refusal(b.get("/NodeModule/UPPER")) == (400, "id_invalid")
    answer = b.get(f"/NodeModule/{moved}")
    assert refusal(answer) == (410, "resource_moved")
    assert answer.body is not None
    assert answer.body["details"] == {"moved_to": "the-instance"}
    assert refusal(b.get("/Starship")) == (422, "unknown_resource_kind")
    assert refusal(b.get("/ManagedChildOperator")) == (422, "unknown_resource_kind")
    assert refusal(b.get(f"/Starship/{FOREIGN}")) == (422, "unknown_resource_kind")


def test_without_the_right_grant_nothing_is_shown(two: Pair) -> None:
    (id, other) = modules(two, 2)
    assert refusal(Reader(two, None).get("/NodeModule")) == (401, "grant_token_required")
    assert refusal(Reader(two, "fg-nonsense").get("/NodeModule")) == (401, "grant_token_invalid")
    assert refusal(reader(two, "NodeTemplate").get("/NodeModule")) == (403, "grant_kind_mismatch")
    assert refusal(reader(two, permission_scopes=("write",)).get("/NodeModule")) == (403, "grant_scope_missing")
    bound = reader(two, resource_id=id)
    assert refusal(bound.get(f"/NodeModule/{other}")) == (403, "grant_resource_mismatch")
    assert refusal(bound.get(f"/NodeModule/{FOREIGN}")) == (403, "grant_resource_mismatch")
    assert bound.get(f"/NodeModule/{id}").status == 200


def test_the_kinds_are_those_that_the_grant_reaches(two: Pair) -> None:
    body = reader(two).get("").body
    assert body is not None
    assert [entry["kind"] for entry in body["data"]] == ["NodeModule"]
    assert body["data"][0]["filterable"] == list(REGISTRY.kinds["NodeModule"].filters)


# --- lists ----------------------------------------------------------------------------------------------------------


def test_pages_follow_each_other_without_gap_or_repeat(two: Pair) -> None:
    ids = modules(two, 25)
    got = reader(two).pages("/NodeModule?limit=10")
    assert [len(page) for page in got] == [10, 10, 5]
    assert [entry["id"] for page in got for entry in page] == ids
    sorted_by_name = reader(two).pages("/NodeModule?limit=7&sort=name")
    assert [name for page in sorted_by_name for name in names(page)] == [f"m{n:04}" for n in range(25)]


def test_a_record_that_changes_between_pages_is_seen_again_at_the_end_and_none_is_missed(two: Pair) -> None:
    ids = modules(two, 6)
    b = reader(two)
    first = b.get("/NodeModule?limit=3").body
    assert first is not None
    for id in (ids[0], ids[4]):
        catalogue(two.a, Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=id, changes={"variety": "new"}))
    rest = b.get(f"/NodeModule?limit=10&cursor={first['meta']['next_cursor']}").body
    assert rest is not None
    # The limit is not part of what a cursor is bound to: a page may be longer than the one before.
    assert [entry["id"] for entry in rest["data"]] == [ids[3], ids[5], ids[0], ids[4]]
    assert rest["meta"]["next_cursor"] is None


def test_following_from_the_watermark_misses_nothing(two: Pair) -> None:
    ids = modules(two, 4)
    b = reader(two)
    body = b.get("/NodeModule").body
    assert body is not None
    watermark = body["meta"]["watermark"]
    two.network.advance(5.0)
    catalogue(two.a, Update(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=ids[1], changes={"variety": "new"}))
    catalogue(two.a, Delete(account_id=ACCOUNT, by=OPERATOR, kind="NodeModule", id=ids[2]))
    (changed,) = b.pages(f"/NodeModule?updated_since={watermark}&include_deleted=true")
    assert [(entry["id"], entry["deleted"]) for entry in changed if entry["id"] in ids[1:3]] == [(ids[1], False), (ids[2], True)]
    assert next(entry for entry in changed if entry["deleted"])["attributes"] == {}
    assert ids[2] not in [entry["id"] for page in b.pages("/NodeModule") for entry in page]


def test_filters_and_fields(two: Pair) -> None:
    written(
        two.a,
        *(draft("NodeModule", name=f"M{n}", variety="even" if n % 2 == 0 else "odd", current_version=n + 1) for n in range(12)),
    )
    b = reader(two)

    def found(query: str) -> list[str]:
        return [name for page in b.pages(f"/NodeModule?{query}") for name in names(page)]

    assert found("filter[name]=m3") == ["M3"]
    assert found("filter[variety]=odd&limit=2") == ["M1", "M3", "M5", "M7", "M9", "M11"]
    assert found("filter[current_version][gte]=10&filter[current_version][lte]=11") == ["M9", "M10"]
    assert found("filter[name][in]=m1,M2,m99") == ["M1", "M2"]
    assert found("filter[variety]=odd&filter[name]=m2") == []
    assert found("filter[oci_digest]=sha256:" + "0" * 64) == []
    body = b.get("/NodeModule?fields=name,variety&limit=1").body
    assert body is not None
    assert body["data"][0]["attributes"] == {"name": "M0", "variety": "even"}


def test_records_are_found_by_their_owner(two: Pair) -> None:
    module, other, *_ = written(
        two.a,
        draft("NodeModule", name="a"),
        draft("NodeModule", name="b"),
        *(draft("ModuleVersion", node_module_id={"name": name}, number=n) for name in "ab" for n in (1, 2)),
    )
    b = reader(two, "ModuleVersion")
    (page,) = b.pages(f"/ModuleVersion?filter[node_module_id]={module.id}")
    assert [entry["attributes"]["number"] for entry in page] == [1, 2]
    (page,) = b.pages(f"/ModuleVersion?filter[node_module_id]={other.id}&filter[number]=2")
    assert [entry["attributes"]["number"] for entry in page] == [2]


def test_a_page_that_looked_at_enough_rows_ends_and_the_next_one_goes_on(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ROWS_EXAMINED_MAX", 8)
    written(two.a, *(draft("NodeModule", name=f"m{n:02}", variety="rare" if n == 17 else "common") for n in range(20)))
    got = reader(two).pages("/NodeModule?filter[variety]=rare")
    assert [len(page) for page in got] == [0, 0, 1]


def test_a_page_is_cut_before_it_grows_too_long(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(federation, "PAGE_BYTES_MAX", 1_200)
    ids = modules(two, 12)
    got = reader(two).pages("/NodeModule")
    assert len(got) > 2
    assert [entry["id"] for page in got for entry in page] == ids


def test_a_grant_for_one_record_lists_at_most_that(two: Pair) -> None:
    ids = modules(two, 3)
    b = reader(two, resource_id=ids[1])
    assert [[entry["id"] for entry in page] for page in b.pages("/NodeModule?limit=1")] == [[ids[1]]]
    assert b.pages("/NodeModule?filter[name]=m0000") == [[]]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "limit_out_of_range"),
        ("limit=201", 422, "limit_out_of_range"),
        ("limit=ten", 422, "limit_out_of_range"),
        ("limit=", 422, "limit_out_of_range"),
        ("cursor=nonsense", 400, "cursor_invalid"),
        ("cursor=%C3%A9", 400, "cursor_invalid"),
        ("sort=oci_digest", 422, "unknown_sort"),
        ("sort=name&include_deleted=true", 422, "unknown_sort"),
        ("fields=name,secret", 422, "unknown_field"),
        ("filter[secret]=1", 422, "unknown_filter"),
        ("filter[name][like]=1", 422, "unknown_filter"),
        ("filter=1", 422, "unknown_filter"),
        ("filter[current_version]=one", 422, "filter_invalid"),
        ("updated_since=yesterday", 400, "invalid_parameter"),
        ("include_deleted=yes", 400, "invalid_parameter"),
        ("colour=red", 400, "invalid_parameter"),
    ],
)
def test_a_bad_parameter_has_its_code(two: Pair, query: str, status: int, code: str) -> None:
    assert refusal(reader(two).get(f"/NodeModule?{query}")) == (status, code)


def test_every_bad_parameter_is_told_at_once(two: Pair) -> None:
    body = reader(two).get("/NodeModule?limit=0&sort=x&fields=x&filter[x]=1&y=2").body
    assert body is not None
    problems = body["details"]["problems"]
    assert [problem["code"] for problem in problems] == [
        "limit_out_of_range", "unknown_sort", "unknown_field", "unknown_filter", "invalid_parameter",
    ]  # fmt: skip


# --- every page anew ------------------------------------------------------------------------------------------------


def begun(two: Pair, b: Reader, query: str = "") -> str:
    body = b.get(f"/NodeModule?limit=1{query}").body
    assert body is not None
    cursor: str = body["meta"]["next_cursor"]
    return cursor


def test_a_cursor_is_good_for_its_grant_its_list_and_a_quarter_of_an_hour(two: Pair) -> None:
    modules(two, 3)
    b, other = reader(two), reader(two)
    cursor = begun(two, b)
    assert refusal(other.get(f"/NodeModule?cursor={cursor}")) == (403, "cursor_foreign")
    assert refusal(b.get(f"/NodeModule?filter[variety]=x&cursor={cursor}")) == (400, "cursor_invalid")
    assert refusal(b.get(f"/NodeModule?sort=name&cursor={cursor}")) == (400, "cursor_invalid")
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    assert refusal(b.get(f"/NodeModule?cursor={changed}")) == (400, "cursor_invalid")
    assert b.get(f"/NodeModule?cursor={cursor}").status == 200
    two.network.advance(CURSOR_VALID_S + 1.0)
    assert refusal(b.get(f"/NodeModule?cursor={cursor}")) == (400, "cursor_invalid")


def test_a_revoked_grant_ends_a_list_between_two_pages(two: Pair) -> None:
    modules(two, 3)
    b = reader(two)
    cursor = begun(two, b)
    told(two.a, Ref("grant_book", two.at_a.peer_id), Revoke(grant_id=b.grant_id, reason=None, by=OPERATOR))
    assert refusal(b.get(f"/NodeModule?cursor={cursor}")) == (401, "grant_revoked")


def test_a_suspended_peer_reads_no_further_page(two: Pair) -> None:
    modules(two, 3)
    b = reader(two)
    cursor = begun(two, b)
    two.a.told(two.at_a.peer_id, Suspend(OPERATOR, None))
    assert refusal(b.get(f"/NodeModule?cursor={cursor}")) == (403, "peer_suspended")


def test_a_call_from_an_overlay_network_needs_its_bridge_on_every_page(two: Pair) -> None:
    (network,) = written(two.a, draft("SdwanNetwork", name="n", slug="n"))
    modules(two, 3)
    b = evolve(reader(two), network_id=network.id)
    assert refusal(b.get("/NodeModule")) == (403, "bridge_inactive")
    ref = Ref(BRIDGE.name, FOREIGN)
    facts = {"account_id": ACCOUNT, "by": OPERATOR, "federation_peer_id": two.at_a.peer_id, "sdwan_network_id": network.id}
    told(two.a, ref, Create(**facts))
    told(two.a, ref, Step(by=OPERATOR, trigger="activate"))
    cursor = begun(two, b)
    told(two.a, ref, Step(by=OPERATOR, trigger="suspend"))
    assert refusal(b.get(f"/NodeModule?cursor={cursor}")) == (403, "bridge_inactive")


def test_reading_is_limited_per_peer_before_the_grant_is_looked_at() -> None:
    rate_limits = {**pair().a.federation.rate_limits, "resources_per_peer": Limit(600, 60.0, 3)}
    two = pair(rate_limits=rate_limits)
    two.connect()
    stranger = Reader(two, "fg-nonsense")
    assert [refusal(stranger.get("/NodeModule"))[0] for _ in range(4)] == [401, 401, 401, 429]
    two.network.advance(0.1)
    assert refusal(stranger.get("/NodeModule"))[0] == 401


# --- cursors --------------------------------------------------------------------------------------------------------

KEY = b"k" * 32
BOUND = Bound(holder="grant 1", listing="NodeModule")
PLACE = Resumption(Place(1_795_000_000.123456, FOREIGN), 1_795_000_001.5)


@given(st.floats(0, 4e9) | st.text(max_size=200), st.floats(0, 4e9) | st.none())
def test_a_cursor_comes_back_as_it_went(value: float | str, watermark: float | None) -> None:
    resumption = Resumption(Place(value, FOREIGN), watermark)
    assert cursors.open_cursor(KEY, BOUND, cursors.seal(KEY, BOUND, resumption, 0.0), 1.0) == resumption


@settings(max_examples=60)
@given(st.data())
def test_no_changed_cursor_is_taken(data: st.DataObject) -> None:
    text = cursors.seal(KEY, BOUND, PLACE, 0.0)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda char: char != text[at]))
    changed = text[:at] + other + text[at + 1 :]
    if at == len(text) - 1 and cursors._opened(KEY, changed) is not None:
        return  # The last character may hold bits that stand for nothing.
    with pytest.raises(FaultError):
        cursors.open_cursor(KEY, BOUND, changed, 1.0)
    with pytest.raises(FaultError):
        cursors.open_cursor(b"other" * 8, BOUND, text, 1.0)
