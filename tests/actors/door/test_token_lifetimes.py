"""The lifetime of an acceptance token, as the bodies that ask for one bound it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door import bodies, shapes
from actors.limits import TOKEN_TTL_MAX_S, TOKEN_TTL_MIN_S
from runtime.errors import Fault, FaultError


def asked(seconds: object) -> object:
    body = json.dumps({"token_ttl_seconds": seconds}).encode()
    try:
        return shapes.read_body(bodies.REGENERATE_TOKEN, body, "application/json")["token_ttl_seconds"]
    except FaultError as error:
        return error.fault


@given(st.integers())
def test_lifetimes_inside_the_range_are_taken_and_others_refused(seconds: int) -> None:
    assert isinstance(asked(seconds), Fault) != (TOKEN_TTL_MIN_S <= seconds <= TOKEN_TTL_MAX_S)


@pytest.mark.parametrize("seconds", [TOKEN_TTL_MIN_S - 1, TOKEN_TTL_MAX_S + 1, 60.5, "60", True, []])
def test_a_bad_lifetime_has_one_code(seconds: object) -> None:
    outcome = asked(seconds)
    assert isinstance(outcome, Fault)
    assert (outcome.code, outcome.status) == ("invalid_ttl", 400)


@pytest.mark.parametrize("seconds", [TOKEN_TTL_MIN_S, TOKEN_TTL_MAX_S])
def test_lifetimes_at_the_edges(seconds: int) -> None:
    assert asked(seconds) == seconds
