"""The timeline: order, timeouts that are cancelled, and the end of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sim.clock import Timeline, Timeout


def test_events_of_one_moment_happen_in_the_order_in_which_they_were_made_but_what_is_soon_goes_first() -> None:
    timeline, seen = Timeline(), []
    timeline.at(2.0, lambda: seen.append("later"))
    timeline.at(1.0, lambda: (seen.append("one"), timeline.soon(lambda: seen.append("soon"))))  # type: ignore[func-returns-value]
    timeline.at(1.0, lambda: seen.append("two"))
    timeline.run_until(1.5)
    assert seen == ["one", "soon", "two"]
    assert (timeline.now, timeline.next_at, timeline.fired) == (1.5, 2.0, 2)
    timeline.at(0.0, lambda: seen.append("past"))
    assert timeline.step()
    assert (seen[-1], timeline.now) == ("past", 1.5)
    assert timeline.step()
    assert not timeline.step()
    assert timeline.next_at is None


DELAYS = st.sampled_from([1.0, 2.0, 5.0])


@given(st.lists(st.tuples(st.floats(0, 3), DELAYS, st.one_of(st.none(), st.floats(0, 6))), max_size=30))
def test_a_timeout_happens_at_its_time_unless_it_was_cancelled_before(plan: list[tuple[float, float, float | None]]) -> None:
    timeline = Timeline()
    happened: list[tuple[float, int]] = []
    expected: list[tuple[float, int]] = []
    clock = 0.0
    for number, (gap_s, delay_s, cancel_after_s) in enumerate(plan):
        clock += gap_s
        if cancel_after_s is None or cancel_after_s > delay_s:
            expected.append((clock + delay_s, number))

        def begin(number: int = number, delay_s: float = delay_s, cancel_after_s: float | None = cancel_after_s) -> None:
            timeout: Timeout = timeline.timeout(delay_s, lambda: happened.append((timeline.now, number)))
            if cancel_after_s is not None and cancel_after_s != delay_s:
                timeline.after(cancel_after_s, timeout.cancel)
            elif cancel_after_s == delay_s:
                timeout.cancel()

        timeline.at(clock, begin)
    timeline.run_until(clock + 10.0)
    assert sorted(happened) == sorted(expected)
    assert timeline.next_at is None


def test_cancelled_timeouts_leave_nothing_behind() -> None:
    timeline = Timeline()
    for _ in range(1000):
        timeline.timeout(10.0, lambda: None).cancel()
        timeline.run_until(timeline.now + 0.1)
    assert timeline.fired < 20
