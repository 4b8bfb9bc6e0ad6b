"""Limits for remote objects: at the limit taken, one over refused, nothing ever changed."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors import limits
from actors.problems import PROBLEMS_REPORTED_MAX, Problem, refusal
from actors.sanitize import INTEGER_MAX, check_object, parse_instant, parse_short_text, parse_slugs

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def nested(levels: int, *, arrays: bool) -> dict[str, Any]:
    """An object in which containers are `levels` deep, itself included."""
    inner: Any = 1
    for _ in range(levels - 1):
        inner = [inner] if arrays else {"k": inner}
    return {"k": inner}


def sized(size: int) -> dict[str, Any]:
    """An object whose compact JSON is exactly `size` bytes."""
    found = {f"key{index:02}": "x" * 900 for index in range(size // 1000)}
    found["pad"] = ""
    missing = size - len(json.dumps(found, separators=(",", ":")))
    for key in found:
        added = min(missing, 1000 - len(found[key]))
        found[key] += "x" * added
        missing -= added
    assert missing == 0
    return found


LIMITS = [
    ("depth of objects", lambda n: nested(n, arrays=False), limits.OBJECT_DEPTH_MAX),
    ("depth of arrays", lambda n: nested(n, arrays=True), limits.OBJECT_DEPTH_MAX),
    ("keys", lambda n: {str(index): index for index in range(n)}, limits.OBJECT_KEYS_MAX),
    ("keys of an inner object", lambda n: {"k": {str(index): index for index in range(n)}}, limits.OBJECT_KEYS_MAX),
    ("elements", lambda n: {"k": [0] * n}, limits.ARRAY_ELEMENTS_MAX),
    ("bytes of a string", lambda n: {"k": "x" * n}, limits.STRING_BYTES_MAX),
    ("bytes of a key", lambda n: {"x" * n: 1}, limits.STRING_BYTES_MAX),
    ("size of an integer", lambda n: {"k": n}, INTEGER_MAX),
    ("size of a negative integer", lambda n: {"k": -n}, INTEGER_MAX),
    ("bytes of the whole", sized, limits.OBJECT_BYTES_MAX),
]


@pytest.mark.parametrize(("make", "limit"), [entry[1:] for entry in LIMITS], ids=[entry[0] for entry in LIMITS])
def test_at_the_limit_taken_and_one_over_refused(make: Any, limit: int) -> None:
    assert check_object(make(limit), "capabilities") == ()
    problems = check_object(make(limit + 1), "capabilities")
    assert len(problems) == 1
    assert problems[0].code == "invalid_capabilities"


def test_strings_count_in_bytes_not_in_characters() -> None:
    assert check_object({"k": "é" * (limits.STRING_BYTES_MAX // 2)}, "c") == ()
    assert check_object({"k": "é" * (limits.STRING_BYTES_MAX // 2 + 1)}, "c")


@pytest.mark.parametrize(
    "value", [{"k": float("nan")}, {"k": float("inf")}, {"k": "\ud800"}, {"\ud800": 1}, {"k": b""}, {1: 2}, {"k": (1,)}]
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    assert check_object(value, "c")


@pytest.mark.parametrize("value", [None, [], "text", 1])
def test_only_an_object_is_an_object(value: object) -> None:
    assert check_object(value, "c")


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_the_check_changes_nothing_and_what_passes_fits(value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    problems = check_object(value, "c")
    assert repr(value) == repr(before)
    if not problems:
        assert len(json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()) <= limits.OBJECT_BYTES_MAX


def test_absurd_depth_costs_no_more_than_the_limit() -> None:
    assert len(check_object(nested(100_000, arrays=True), "c")) == 1


def test_every_problem_is_told_with_its_place() -> None:
    value = {"a": {"b": "x" * 2000}, "c": [float("inf")]}
    assert [problem.field for problem in check_object(value, "capabilities")] == ["capabilities.a.b", "capabilities.c[0]"]


def test_a_refusal_names_every_problem_up_to_a_bound_and_counts_the_rest() -> None:
    problems = [Problem(f"f[{index}]", "first" if index == 0 else "later", "is wrong") for index in range(1000)]
    fault = refusal(problems)
    assert (fault.code, fault.status) == ("first", 422)
    assert len(fault.details["problems"]) == PROBLEMS_REPORTED_MAX
    assert fault.details["problem_count"] == 1000
    with pytest.raises(ValueError):
        refusal([])


def slugs(value: object) -> tuple[tuple[str, ...], list[Problem]]:
    problems: list[Problem] = []
    return parse_slugs(value, problems), problems


def test_slugs_are_unique_and_keep_their_order() -> None:
    assert slugs(["sdwan", "dns", "sdwan"]) == (("sdwan", "dns"), [])


@pytest.mark.parametrize("bad", ["", "a b", "é", "a\n", "x" * (limits.NAME_CHARS_MAX + 1), 5, None, ["a"]])
def test_a_bad_slug_is_told_with_its_index(bad: object) -> None:
    found, problems = slugs(["good", bad])
    assert found == ("good",)
    assert [problem.field for problem in problems] == ["extension_slugs[1]"]


def test_slugs_at_their_limits() -> None:
    full = [f"{index:0{limits.NAME_CHARS_MAX}}" for index in range(limits.EXTENSION_SLUGS_MAX)]
    assert slugs(full) == (tuple(full), [])
    assert slugs([*full, "x"])[1]
    assert slugs("sdwan")[1]


def short(value: object) -> tuple[str | None, list[Problem]]:
    problems: list[Problem] = []
    return parse_short_text(value, problems, "jurisdiction", chars_max=8), problems


@pytest.mark.parametrize(
    ("value", "text"), [(None, None), ("", None), ("  \n", None), (" EU ", "EU"), ("x" * 8, "x" * 8), ("日本", "日本")]
)
def test_short_texts_are_trimmed_and_a_blank_one_is_none(value: object, text: str | None) -> None:
    assert short(value) == (text, [])


@pytest.mark.parametrize("value", ["x" * 9, "a\nb", "a\x1b[31m", "\ud800", "a\u202eb", "a\u2028b", 5, ["EU"]])
def test_a_short_text_that_is_long_or_could_move_a_cursor_is_refused(value: object) -> None:
    text, problems = short(value)
    assert text is None
    assert [problem.field for problem in problems] == ["jurisdiction"]


@pytest.mark.parametrize("value", ["2031-01-31T12:00:00Z", "2031-01-31T13:00:00+01:00"])
def test_an_instant_with_its_zone_is_read(value: str) -> None:
    assert parse_instant(value) == 1927627200.0


@pytest.mark.parametrize("value", [None, 7, "2031-01-31", "2031-01-31T12:00:00", "T" * 41, "T", ["T"]])
def test_anything_else_is_no_instant(value: object) -> None:
    assert parse_instant(value) is None
