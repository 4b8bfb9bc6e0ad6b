"""Token buckets and blocks: never too many grants, never too much memory, and no way to get a spent key's tokens back early."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.door.rate_limits import OVERFLOW_BUCKETS, Blocks, RateLimits, source_key
from actors.settings import Limit

SALT = b"salt of this test"
TEN_A_MINUTE = Limit(10, 60.0, 5)


def test_a_burst_then_one_token_at_a_time() -> None:
    limits = RateLimits(SALT)
    assert [limits.take("a", TEN_A_MINUTE, 100.0) for _ in range(5)] == [None] * 5
    assert limits.take("a", TEN_A_MINUTE, 100.0) == pytest.approx(6.0)
    assert limits.take("a", TEN_A_MINUTE, 103.0) == pytest.approx(3.0)
    assert limits.take("a", TEN_A_MINUTE, 106.0) is None
    assert limits.take("a", TEN_A_MINUTE, 106.0) == pytest.approx(6.0)
    assert limits.take("b", TEN_A_MINUTE, 106.0) is None


def test_waiting_as_long_as_told_is_enough() -> None:
    limits = RateLimits(SALT)
    limit = Limit(7, 3600.0, 3)
    now = 12_345.678
    for _ in range(50):
        wait = limits.take("a", limit, now)
        if wait is not None:
            now += wait
            assert limits.take("a", limit, now) is None


@given(
    st.integers(1, 20),
    st.floats(0.5, 120.0),
    st.integers(1, 8),
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(0, 7), st.floats(0.0, 30.0)), max_size=120),
)
def test_never_more_than_the_burst_and_the_rate_allow_in_any_window(
    rate: int, per_s: float, burst: int, buckets_max: int, calls: list[tuple[int, float]]
) -> None:
    """Also with a table so small that keys are dropped and pushed into shared buckets all the time."""
    limits = RateLimits(SALT, buckets_max=buckets_max)
    limit = Limit(rate, per_s, burst)
    granted: dict[int, list[float]] = {}
    now = 0.0
    for key, step in calls:
        now += step
        if limits.take(f"limit:{key}", limit, now) is None:
            granted.setdefault(key, []).append(now)
    for times in granted.values():
        for first in range(len(times)):
            for last in range(first, len(times)):
                window = times[last] - times[first]
                assert last - first + 1 <= burst + window * rate / per_s + 1e-6


def test_memory_is_bounded_under_a_flood_of_keys() -> None:
    limits = RateLimits(SALT, buckets_max=100)
    for index in range(20_000):
        limits.take(f"source:{index}", TEN_A_MINUTE, index * 1e-4)
    assert len(limits) <= 100 + OVERFLOW_BUCKETS


def test_a_flood_does_not_give_a_spent_key_its_tokens_back() -> None:
    limits = RateLimits(SALT, buckets_max=100)
    for _ in range(5):
        assert limits.take("victim", TEN_A_MINUTE, 0.0) is None
    for index in range(10_000):
        limits.take(f"flood:{index}", TEN_A_MINUTE, 1.0)
    assert limits.take("victim", TEN_A_MINUTE, 1.0) == pytest.approx(5.0)


def test_after_the_flood_newcomers_have_buckets_of_their_own_again() -> None:
    limits = RateLimits(SALT, buckets_max=10)
    for index in range(5_000):
        limits.take(f"flood:{index}", TEN_A_MINUTE, 0.0)
    later = 60.0
    assert [limits.take("new", TEN_A_MINUTE, later) for _ in range(5)] == [None] * 5


def test_a_refusal_costs_nothing() -> None:
    limits = RateLimits(SALT)
    for _ in range(5):
        limits.take("a", TEN_A_MINUTE, 0.0)
    waits = [limits.take("a", TEN_A_MINUTE, 0.0) for _ in range(100)]
    assert waits == [pytest.approx(6.0)] * 100


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_what_counts_as_one_source(address: str, key: str) -> None:
    assert source_key(address) == key


def test_several_failures_in_a_row_block_for_a_while() -> None:
    blocks = Blocks(after=5, for_s=900.0)
    assert [blocks.failed("a", float(second)) for second in range(5)] == [False] * 4 + [True]
    assert blocks.blocked_for("a", 4.0) == pytest.approx(900.0)
    assert blocks.blocked_for("b", 4.0) is None
    assert blocks.blocked_for("a", 904.0) is None


def test_a_success_or_a_long_pause_breaks_the_row() -> None:
    blocks = Blocks(after=3, for_s=900.0)
    for _ in range(2):
        blocks.failed("a", 0.0)
        blocks.failed("b", 0.0)
    blocks.succeeded("a")
    assert not blocks.failed("a", 1.0)
    assert not blocks.failed("b", 900.0)


def test_the_block_list_is_bounded_and_forgets_no_blocked_source() -> None:
    blocks = Blocks(after=1, for_s=900.0, sources_max=10)
    assert blocks.failed("bad", 0.0)
    for index in range(1_000):
        blocks.failed(f"flood:{index}", 1.0)
    assert len(blocks) <= 10
    assert blocks.blocked_for("bad", 2.0) == pytest.approx(898.0)
