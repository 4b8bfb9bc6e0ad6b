"""Endpoints: hostile lists, one order for all, and memory of the prober."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.limits import (
    ENDPOINT_ERROR_CHARS_MAX,
    ENDPOINT_HUBS_MAX,
    ENDPOINT_PRIORITY_MAX,
    ENDPOINT_WAYS_MAX,
    ENDPOINTS_MAX,
    PROBE_FAILURES_TO_UNREACHABLE,
)
from actors.peer import endpoints
from actors.peer.endpoints import Endpoint
from actors.problems import Problem
from actors.urls import parse_way
from runtime.values import evolve, fields_of

urls = st.sampled_from([f"https://{name}.example" for name in "abcdef"])
scopes = st.sampled_from(["lan", "sdwan", "wan"])
PROBED = ("status", "last_verified_at", "last_failure_at", "last_failure_error", "consecutive_failures")


def made(**fields: object) -> Endpoint:
    return Endpoint(**fields)  # type: ignore[arg-type]


declared = st.builds(made, url=urls, scope=scopes, priority=st.integers(0, 3), cidr_hint=st.none() | st.just("10.0.0.0/8"))
lists = st.lists(declared, max_size=6, unique_by=lambda endpoint: endpoint.url)
probed_lists = st.lists(
    st.builds(
        made,
        url=urls,
        scope=scopes,
        priority=st.integers(0, 3),
        status=st.sampled_from(["unknown", "reachable", "unreachable"]),
        last_verified_at=st.none() | st.floats(0, 1e9),
        last_failure_at=st.none() | st.floats(0, 1e9),
        last_failure_error=st.none() | st.just("refused"),
        consecutive_failures=st.integers(0, 9),
    ),
    max_size=6,
    unique_by=lambda endpoint: endpoint.url,
)


def parse(value: object, *, unknown_keys: bool = False) -> tuple[tuple[Endpoint, ...], list[Problem]]:
    problems: list[Problem] = []
    return endpoints.parse_endpoints(value, problems, unknown_keys=unknown_keys), problems


@given(lists, st.integers())
def test_the_order_is_one_whatever_order_they_came_in(found: list[Endpoint], seed: int) -> None:
    shuffled = found[:]
    random.Random(seed).shuffle(shuffled)
    ordered = endpoints.in_order(shuffled)
    assert ordered == endpoints.in_order(found)
    assert [e.priority for e in ordered] == sorted(e.priority for e in found)


def test_nearness_breaks_a_tie_of_priority_and_the_url_a_tie_of_nearness() -> None:
    entries = [made(url="https://b.example", scope="wan"), made(url="https://a.example", scope="wan")]
    entries += [made(url="https://z.example", scope="lan"), made(url="https://y.example", scope="sdwan")]
    assert [e.url[8] for e in endpoints.in_order(entries)] == ["z", "y", "a", "b"]


@given(lists)
def test_a_declared_list_comes_back_from_its_wire_form(found: list[Endpoint]) -> None:
    parsed, problems = parse([endpoint.declared() for endpoint in found])
    assert not problems
    assert parsed == endpoints.in_order(found)


@given(probed_lists, lists)
def test_replacing_keeps_what_the_prober_knows_and_takes_all_that_was_declared(before: list[Endpoint], after: list[Endpoint]) -> None:
    known = {endpoint.url: endpoint for endpoint in before}
    wanted = {endpoint.url: endpoint for endpoint in after}
    merged = endpoints.replace(before, after)
    assert {endpoint.url for endpoint in merged} == set(wanted)
    for endpoint in merged:
        assert endpoint.declared() == wanted[endpoint.url].declared()
        source = known.get(endpoint.url, wanted[endpoint.url])
        assert all(getattr(endpoint, name) == getattr(source, name) for name in PROBED)


@given(lists, urls)
def test_the_peers_own_url_is_always_tried_and_nothing_comes_after_it_that_was_not_listed(found: list[Endpoint], own: str) -> None:
    targets = endpoints.candidates(found, own)
    listed = [endpoint.url for endpoint in endpoints.in_order(found)]
    assert [target.url for target in targets][: len(listed)] == listed
    assert any(target.url == own and target.cidr_hint is None for target in targets)
    assert len(targets) <= len(listed) + 1


@given(st.lists(st.none() | st.just("connection refused"), max_size=20))
def test_one_success_makes_reachable_and_only_failures_in_a_row_make_unreachable(outcomes: list[str | None]) -> None:
    endpoint = made(url="https://a.example")
    in_a_row = 0
    for now, error in enumerate(outcomes):
        before = endpoint
        endpoint = endpoints.after_probe(endpoint, error, float(now))
        in_a_row = 0 if error is None else in_a_row + 1
        assert endpoint.consecutive_failures == in_a_row
        if error is None:
            assert (endpoint.status, endpoint.last_verified_at) == ("reachable", now)
        elif in_a_row >= PROBE_FAILURES_TO_UNREACHABLE:
            assert endpoint.status == "unreachable"
        else:
            assert endpoint.status == before.status


def test_a_long_error_is_cut_and_its_time_kept() -> None:
    endpoint = endpoints.after_probe(made(url="https://a.example"), "x" * 1000, 1.0)
    assert (len(endpoint.last_failure_error or ""), endpoint.last_failure_at) == (ENDPOINT_ERROR_CHARS_MAX, 1.0)
    assert endpoint.to_json()["last_failure_at"] == "1970-01-01T00:00:01.000Z"


def test_every_problem_is_told_with_its_index() -> None:
    value = [
        {"url": "https://a.example"},
        {"url": "http://b.example", "scope": "moon", "priority": -1},
        "https://c.example",
        {"url": "https://A.example:443/"},
        {"url": "https://d.example", "cidr_hint": "10.0.0.1/8"},
        {"url": "https://e.example", "status": "reachable"},
    ]
    found, problems = parse(value)
    assert [endpoint.url for endpoint in found] == ["https://a.example"]
    fields = ["[1].url", "[1].scope", "[1].priority", "[2]", "[3].url", "[4].cidr_hint", "[5]"]
    assert [problem.field for problem in problems] == ["endpoints" + field for field in fields]
    assert {problem.code for problem in problems} == {"invalid_endpoint"}


def test_a_remote_cannot_declare_what_our_prober_saw() -> None:
    found, problems = parse(
        [{"url": "https://a.example", "status": "reachable", "consecutive_failures": -5, "later": {}}], unknown_keys=True
    )
    assert not problems
    assert found == (made(url="https://a.example"),)


@pytest.mark.parametrize("value", [None, {}, "https://a.example", 5])
def test_what_is_no_list_is_refused(value: object) -> None:
    assert parse(value)[1]


@pytest.mark.parametrize(
    ("entry", "accepted"),
    [
        ({"priority": ENDPOINT_PRIORITY_MAX}, True),
        ({"priority": ENDPOINT_PRIORITY_MAX + 1}, False),
        ({"priority": True}, False),
        ({"priority": 1.0}, False),
        ({"scope": None}, False),
        ({"scope": []}, False),
        ({"cidr_hint": None}, True),
        ({"cidr_hint": "fd00::/8"}, True),
        ({"cidr_hint": "10.0.0.1"}, False),
        ({"cidr_hint": "fe80::%eth0/64"}, False),
        ({"cidr_hint": 7}, False),
    ],
)
def test_fields_at_their_edges(entry: dict[str, object], accepted: bool) -> None:
    assert bool(parse([{"url": "https://a.example"} | entry])[0]) is accepted


def test_the_list_has_an_exact_limit() -> None:
    full = [{"url": f"https://a{index}.example"} for index in range(ENDPOINTS_MAX)]
    found, problems = parse(full)
    assert (len(found), problems) == (ENDPOINTS_MAX, [])
    assert parse([*full, {"url": "https://z.example"}])[1]


def test_the_operators_form_names_every_field() -> None:
    assert set(made(url="https://a.example").to_json()) == set(fields_of(Endpoint) or ())


# --- hubs -----------------------------------------------------------------------------------------------------------

HUB, OTHER = "https://h.example", "https://k.example:8443"


def test_an_endpoint_is_dialled_at_its_hubs_in_their_order_and_the_peer_itself_after_everything_else() -> None:
    found, problems = parse([{"url": "https://a.example", "via": [OTHER, HUB]}])
    assert problems == []
    targets = [target.url for target in endpoints.candidates(found, "https://a.example")]
    assert targets == [f"https://a.example via {OTHER}", f"https://a.example via {HUB}", "https://a.example"]
    assert [parse_way(text).dialled for text in targets] == [OTHER, HUB, "https://a.example"]
    assert {parse_way(text).url for text in targets} == {"https://a.example"}
    assert found[0].declared()["via"] == [OTHER, HUB]


@pytest.mark.parametrize(
    ("via", "field"),
    [
        ("https://h.example", "endpoints[0].via"),
        ([], "endpoints[0].via"),
        ([f"https://h{number}.example" for number in range(ENDPOINT_HUBS_MAX + 1)], "endpoints[0].via"),
        ([HUB, HUB], "endpoints[0].via"),
        (["https://a.example"], "endpoints[0].via"),
        (["http://h.example"], "endpoints[0].via[0]"),
        (["https://h.example/path"], "endpoints[0].via[0]"),
        (["https://user@h.example"], "endpoints[0].via[0]"),
        (["https://h.example via https://k.example"], "endpoints[0].via[0]"),
        ([None], "endpoints[0].via[0]"),
    ],
)
@pytest.mark.parametrize("unknown_keys", [True, False])
def test_a_list_of_hubs_that_is_none_is_refused_whole_whoever_sends_it(via: object, field: str, *, unknown_keys: bool) -> None:
    found, problems = parse([{"url": "https://a.example", "via": via}], unknown_keys=unknown_keys)
    assert (found, [problem.field for problem in problems]) == ((), [field])


def test_a_platform_without_a_name_is_behind_no_hub() -> None:
    assert [problem.field for problem in parse([{"url": "https://192.0.2.1", "via": [HUB]}])[1]] == ["endpoints[0].via"]


def test_no_list_amounts_to_more_ways_than_are_ever_dialled() -> None:
    hubs = [f"https://h{number}.example" for number in range(ENDPOINT_HUBS_MAX)]
    many = [{"url": f"https://a{number}.example", "via": hubs} for number in range(ENDPOINT_WAYS_MAX // ENDPOINT_HUBS_MAX)]
    assert len(endpoints.candidates(parse(many)[0], None)) == ENDPOINT_WAYS_MAX
    found, problems = parse([*many, {"url": "https://z.example"}])
    assert (found, [problem.field for problem in problems]) == ((), ["endpoints"])


def test_what_was_seen_of_an_endpoint_outlives_a_change_of_its_hubs_and_the_hubs_do_not() -> None:
    seen = evolve(made(url="https://a.example", via=(HUB,)), status="reachable", last_verified_at=5.0)
    (told,) = endpoints.replace([seen], [made(url="https://a.example", via=(OTHER,))])
    assert (told.via, told.status, told.last_verified_at) == ((OTHER,), "reachable", 5.0)
    (told,) = endpoints.replace([seen], [made(url="https://a.example")])
    assert told.via == ()


def test_an_invitations_hubs_take_the_place_of_what_was_listed_for_that_url() -> None:
    listed = (made(url="https://a.example", priority=3), made(url="https://b.example"))
    found = {endpoint.url: endpoint.via for endpoint in endpoints.reached_through(listed, "https://a.example", (HUB,))}
    assert found == {"https://a.example": (HUB,), "https://b.example": ()}


def test_the_hub_that_led_there_last_is_dialled_first_while_it_is_declared() -> None:
    declared = made(url="https://a.example", via=(HUB, OTHER))
    seen = endpoints.after_probe(declared, None, 5.0, f"https://a.example via {OTHER}")
    (known,) = endpoints.replace([seen], [declared])
    assert known.ways == (f"https://a.example via {OTHER}", f"https://a.example via {HUB}")
    assert endpoints.after_probe(known, "connect_timeout", 6.0).ways == known.ways
    (known,) = endpoints.replace([seen], [made(url="https://a.example", via=(HUB,))])
    assert known.ways == (f"https://a.example via {HUB}",)
    assert "answered" not in seen.declared()
