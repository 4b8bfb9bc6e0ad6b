"""Deadlines of asks: the open ones expire in their order, the answered ones never, as in the plainest possible list."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from runtime.ask_deadlines import AskDeadlines
from runtime.cell import Ask

ACTS = st.lists(st.tuples(st.sampled_from(["ask", "answer", "pass"]), st.sampled_from([0.0, 1.0, 5.0, 30.0])), max_size=40)


@given(ACTS)
def test_open_asks_expire_in_time_and_answered_ones_never(acts: list[tuple[str, float]]) -> None:
    deadlines, now, plain, opened = AskDeadlines(), 0.0, [], {}
    for act, value in acts:
        if act == "ask":
            ask = Ask(lambda outcome: None, opened)
            deadlines.watch(ask, now, value)
            plain.append((now + value, ask))
        elif act == "answer" and plain:
            plain[int(value) % len(plain)][1].finish(None)
        else:
            now += value
        plain = [(at, ask) for at, ask in plain if ask.open]
        assert deadlines.next_at() == min((at for at, _ in plain), default=math.inf)
        due = [ask for at, ask in plain if at <= now]
        expired = deadlines.overdue(now)
        assert set(map(id, expired)) == set(map(id, due))
        ends = {id(ask): at for at, ask in plain}
        assert [ends[id(ask)] for ask in expired] == sorted(ends[id(ask)] for ask in due)
        for ask in expired:
            ask.finish(None)
        plain = [(at, ask) for at, ask in plain if ask.open]


def test_answered_asks_leave_nothing_behind() -> None:
    deadlines = AskDeadlines()
    for number in range(1_000):
        ask = Ask(lambda outcome: None, {})
        deadlines.watch(ask, float(number), 45.0)
        ask.finish(None)
    assert sum(map(len, deadlines._lines.values())) <= 1
    assert deadlines.next_at() == math.inf
    assert not deadlines._lines
