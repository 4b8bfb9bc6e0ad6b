"""Instants as text: exactly what the standard library writes, and back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.clock import iso, iso_or_none, parse_iso


@given(
    st.floats(min_value=-2e9, max_value=1e10)
    | st.integers(-2_000_000_000, 10_000_000_000)
    | st.integers(0, 10**13).map(lambda ms: ms / 1000)
)
@example(3927073049.6659994)
@example(0.9999996)
@example(-0.0005)
@example(-0.9999999)
@example(1_900_000_000)
def test_an_instant_is_written_as_the_standard_library_writes_it(wall: float) -> None:
    assert iso(wall) == datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert parse_iso(iso(wall)) == pytest.approx(wall, abs=0.0011)


def test_none_stays_none_and_a_zone_is_needed() -> None:
    assert iso_or_none(None) is None
    assert iso_or_none(0.0) == "1970-01-01T00:00:00.000Z"
    with pytest.raises(ValueError, match="needs a zone"):
        parse_iso("2030-01-01T00:00:00")
