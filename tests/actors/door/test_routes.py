"""The route table: every route is found, no two claim one call, and nothing else is found."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door.routes import BY_NAME, PERMISSIONS, ROUTES, SYSTEM, Match, NoMatch, Route, errors_of, match

UUID = "01890a5d-ac96-774b-bcce-b302099a8057"


def filled(route: Route) -> tuple[str, dict[str, str]]:
    examples = ("peer", UUID, "7")
    shapes = {name: route.parameter_shape(name) for name in route.parameter_names}
    values = {name: next(text for text in examples if shape.accepts(text)) for name, shape in shapes.items()}
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], route.path), values


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_found_by_its_own_path(route: Route) -> None:
    path, values = filled(route)
    found = match(route.method, path)
    assert found == Match(route, values)


def test_no_two_routes_share_a_name_or_a_call() -> None:
    assert len(BY_NAME) == len(ROUTES)
    shapes = Counter((route.method, re.sub(r"\{\w+\}", "{}", route.path)) for route in ROUTES)
    assert [call for call, times in shapes.items() if times > 1] == []


def test_routes_of_one_path_agree_on_its_parameters() -> None:
    by_path: dict[str, set[tuple[object, ...]]] = {}
    for route in ROUTES:
        shapes = tuple((name, route.parameter_shape(name)) for name in route.parameter_names)
        by_path.setdefault(re.sub(r"\{\w+\}", "{}", route.path), set()).add(shapes)
    assert [path for path, shapes in by_path.items() if len(shapes) > 1] == []


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_another_method_is_not_allowed_and_the_allowed_ones_are_told(route: Route) -> None:
    path, _ = filled(route)
    found = match("TRACE", path)
    assert isinstance(found, NoMatch)
    assert route.method in found.allow
    answer = found.answer("r1")
    assert (answer.status, answer.headers["allow"]) == (405, ", ".join(found.allow))
    for method in found.allow:
        assert isinstance(match(method, path), Match) is (method != "OPTIONS")


def test_head_finds_get_and_a_word_goes_before_a_parameter() -> None:
    found = match("HEAD", f"{SYSTEM}/platform/peers")
    assert isinstance(found, Match)
    assert found.route.name == "list_peers"
    accept = match("POST", f"{SYSTEM}/platform/peers/accept")
    assert isinstance(accept, Match)
    assert accept.route.name == "accept_invitation"
    assert match("GET", f"{SYSTEM}/platform/peers/accept") == NoMatch(("POST", "OPTIONS"))


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "*",
        f"{SYSTEM}",
        f"{SYSTEM}/platform/peers/",
        f"{SYSTEM}//platform/peers",
        f"{SYSTEM}/platform/Peers",
        f"{SYSTEM}/platform/peers/{UUID.upper()}",
        f"{SYSTEM}/platform/peers/{UUID}/",
        f"{SYSTEM}/platform/peers/not-a-uuid",
        f"{SYSTEM}/platform/peers/../peers",
        f"{SYSTEM}/platform/peers/{UUID}/accept/more",
        f"{SYSTEM}/actors/Peer/{UUID}",
        f"{SYSTEM}/actors/peer/a b",
        f"{SYSTEM}/actors/peer/" + "x" * 600,
        "/" * 100_000,
    ],
    ids=lambda path: path[:60],
)
def test_nothing_is_there(path: str) -> None:
    found = match("GET", path)
    assert found == NoMatch()
    assert found.answer("r1").status == 404


@given(st.text(max_size=80), st.text(max_size=10))
def test_any_text_is_matched_or_refused(path: str, method: str) -> None:
    assert isinstance(match(method, f"{SYSTEM}/platform/{path}"), Match | NoMatch)


def test_permissions_are_the_known_ones_and_only_operators_need_them() -> None:
    for route in ROUTES:
        assert route.permission is None or (route.permission in PERMISSIONS and route.face == "operator")


def test_every_mutation_of_an_operator_can_be_repeated_safely_and_every_read_has_a_tag() -> None:
    exempt = {"logout", "get_platform_health", "get_actor_history", "stream_events"}
    for route in ROUTES:
        if route.face == "operator" and route.name not in exempt:
            assert route.conditional if route.method == "GET" else route.idempotent, route.name
        if route.method in ("PATCH", "DELETE") and route.face == "operator":
            assert route.conditional
            assert "version_conflict" in errors_of(route)[409]


def test_the_federation_side_takes_unknown_keys_and_the_operator_side_does_not() -> None:
    for route in ROUTES:
        if route.body is not None:
            assert route.body.unknown == ("ignore" if route.face == "federation" else "refuse")


def test_documented_errors_cover_what_a_body_can_be_refused_for() -> None:
    for route in ROUTES:
        errors = errors_of(route)
        for field in route.body.fields if route.body else ():
            if field.code:
                assert field.code in errors[field.status], (route.name, field.name)
            if field.required:
                assert field.required_code in errors[field.required_status], (route.name, field.name)
