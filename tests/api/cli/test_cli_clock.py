"""`powernode clock`: what is shown, and that nobody vouches for a time that he has not seen."""

from __future__ import annotations

import json

import pytest

from tests.support.operator_api import OperatorApi, Run, granted

HELD = {
    "time": "2027-01-15T08:00:00Z",
    "settled": False,
    "settled_by": None,
    "settled_at": None,
    "ahead_s": None,
    "overruled_s": None,
    "held_back_since": "2027-01-15T07:00:00Z",
}
CONFIRMED = {**HELD, "settled": True, "settled_by": "operator", "settled_at": HELD["time"], "ahead_s": 0, "held_back_since": None}


def test_a_clock_in_question_is_shown_with_the_way_on(api: OperatorApi, run: Run) -> None:
    api.answers["get_clock"] = granted(HELD)
    assert "powernode clock confirm" in run("clock", "show").stderr
    api.answers["get_clock"] = granted(HELD)
    assert json.loads(run("clock", "show", "--json").stdout) == HELD
    api.answers["get_clock"] = granted({**CONFIRMED, "ahead_s": 900})
    assert "Most peers say that it is earlier" in run("clock", "show").stderr
    api.answers["get_clock"] = granted(CONFIRMED)
    assert run("clock", "show").stderr == ""


def test_the_word_names_the_time_and_the_reason(api: OperatorApi, run: Run) -> None:
    api.answers["confirm_clock"] = granted(CONFIRMED)
    result = run("clock", "confirm", "--reason", "asked the time server", "--time", "2027-01-15T08:00:10Z", "--yes")
    assert result.exit_code == 0
    assert api.named("confirm_clock")[0].body == {"time": "2027-01-15T08:00:10Z", "reason": "asked the time server"}


@pytest.mark.parametrize("options", [("--reason", "sure", "--yes"), ("--time", "2027-01-15T08:00:10Z", "--yes"), ("--reason", "sure")])
def test_a_time_that_nobody_has_seen_is_not_confirmed(api: OperatorApi, run: Run, options: tuple[str, ...]) -> None:
    api.answers["get_clock"] = granted(HELD)
    assert run("clock", "confirm", *options).exit_code == 2
    assert not api.named("confirm_clock")
